"""Values on captions and images equal ir-measures on whole rankings, computed by brute force."""
# mypy: allow-untyped-calls

from collections import defaultdict
from itertools import product
from pathlib import Path
from typing import Any

import ir_measures
import numpy as np
import pyarrow.compute as pc
import pytest
from ir_measures import AP, RR, Bpref, Measure, R, Success, nDCG

import beir_hybrid as bh
from beir_hybrid.collection import Collection
from beir_hybrid.collection.cache import load_or_build
from beir_hybrid.collection.judgements import SELF_MATCH
from beir_hybrid.collection.setting import SETTING_KINDS, KindName, Setting
from beir_hybrid.collection.writer import CollectionWriter
from beir_hybrid.encoding import Embeddings
from beir_hybrid.errors import BadData, BadOption
from beir_hybrid.evaluation.default_measures import IMAGE_MEASURES
from beir_hybrid.evaluation.evaluate import evaluate
from beir_hybrid.evaluation.evaluator import HybridEvaluator
from beir_hybrid.evaluation.external_runs import evaluate_runs
from beir_hybrid.evaluation.vectors import CollectionVectors
from beir_hybrid.measures.base import is_higher_better
from beir_hybrid.measures.bias.language_disparity import LanguageDisparity
from beir_hybrid.measures.bias.language_exposure import LanguageExposure
from beir_hybrid.measures.bias.language_preference import LanguagePreference
from beir_hybrid.measures.bias.modality_share import ModalityShare
from beir_hybrid.measures.bias.rank_distance import RankDistance
from beir_hybrid.measures.bias.same_language_share import SameLanguageShare
from beir_hybrid.measures.bias.target_languages_recall import TLR
from beir_hybrid.results.compare import compare
from beir_hybrid.results.mteb import list_mteb_scores
from beir_hybrid.results.provenance import ModelProvenance
from beir_hybrid.results.render import list_notes, render_terminal
from beir_hybrid.results.results import Results
from beir_hybrid.retrieval.rank import rank
from beir_hybrid.retrieval.runs import read_run
from beir_hybrid.retrieval.sharding import rank_sharded
from tests.rankings import make_request, make_scorer

EFFECTIVENESS: list[Measure] = [AP, nDCG @ 3, R @ 2, RR, RR @ 3, Success @ 1]
BIAS: list[Measure] = [
    RankDistance,
    LanguagePreference,
    SameLanguageShare @ 3,
    LanguageExposure @ 3,
    TLR @ 3,
]
LANGS = ("de", "en", "zza")  # the last sorts behind "image"
Scores = dict[str, dict[str, float]]


def draw_caption_counts(seed: int = 0, images: int = 9) -> dict[tuple[str, str], int]:
    """Draw how many captions an image has in a language; some have none."""
    draw = np.random.default_rng(seed)
    counts = {(str(n), lang): int(draw.integers(0, 3)) for n, lang in product(range(images), LANGS)}
    return (
        counts
        | {("0", lang): 0 for lang in LANGS}
        | {("1", "de"): 1, ("1", "en"): 0, ("1", "zza"): 0}
    )


def make_collection(counts: dict[tuple[str, str], int]) -> Collection:
    """Make a collection in which every caption is a query and a passage."""

    def build(writer: CollectionWriter) -> None:
        keys = sorted({key for key, _ in counts})
        texts = [
            (lang, key, f"{key}-{n}") for (key, lang), count in counts.items() for n in range(count)
        ]
        for lang, _, caption in texts:
            writer.add_passage(lang, caption, "", f"{lang} {caption}")
        for key in keys:
            writer.add_passage("image", key, "", f"sha256:{key}", image=f"/nowhere/{key}.png")
        described = sorted({key for _, key, _ in texts})
        for lang, key, caption in [*texts, *[("image", key, key) for key in described]]:
            path = f"/nowhere/{key}.png" if lang == "image" else None
            text = f"sha256:{key}" if path else f"{lang} {caption}"
            query = writer.add_query(lang, caption, text, key, image=path)
            for language, image, passage in [*texts, *[("image", key, key) for key in keys]]:
                if image == key:
                    same = (lang, caption) == (language, passage)
                    writer.add_judgement(query, f"{language}:{passage}", SELF_MATCH if same else 1)
        writer.finish()

    return load_or_build(
        "images", {"counts": sorted(map(str, counts.items()))}, build, has_images=True
    )


def draw_vectors(collection: Collection, seed: int, dim: int = 3) -> CollectionVectors:
    """Draw small whole numbers, so that many scores tie; equal texts have equal vectors."""
    draw = np.random.default_rng(seed)
    texts = [*collection.queries["text"].to_pylist(), *collection.passages["text"].to_pylist()]
    rows = {text: draw.integers(-1, 2, dim).astype(np.float32) for text in dict.fromkeys(texts)}
    queries, passages = (
        Embeddings.from_array(np.stack([rows[text] for text in table["text"].to_pylist()]))
        for table in (collection.queries, collection.passages)
    )
    return CollectionVectors(
        queries, passages, ModelProvenance("drawn", fingerprint={"seed": seed})
    )


def list_runs_and_qrels(
    collection: Collection, vectors: CollectionVectors, kind: KindName
) -> dict[Setting, tuple[Any, Any]]:
    """Return the run and the judgements of each setting of a kind, from the rows of tables.

    This defines the settings: their queries, their passages, and no query for itself.
    """
    queries, passages = collection.queries.to_pylist(), collection.passages.to_pylist()
    scores = vectors.queries.take(slice(None)) @ vectors.passages.take(slice(None)).T
    relevance_by_query: dict[int, dict[int, int]] = defaultdict(dict)
    for row in collection.judgements.to_pylist():
        relevance_by_query[row["query"]][row["passage"]] = row["relevance"]
    runs: dict[Setting, tuple[Scores, dict[str, dict[str, int]]]] = defaultdict(lambda: ({}, {}))
    for number, query in enumerate(queries):
        relevances = relevance_by_query[number]
        for setting, langs in list_settings(kind, query["lang"]):
            candidates = [n for n, passage in enumerate(passages) if passage["lang"] in langs]
            candidates = [n for n in candidates if relevances.get(n) != SELF_MATCH]
            if kind == "one-target":
                other_golds = [
                    n
                    for n in candidates
                    if relevances.get(n, 0) > 0 and passages[n]["lang"] != setting.passages
                ]
                candidates = [n for n in candidates if n not in other_golds]
            qrels = {passages[n]["id"]: relevances[n] for n in candidates if n in relevances}
            if any(relevance > 0 for relevance in qrels.values()):
                runs[setting][0][query["id"]] = {
                    passages[n]["id"]: float(scores[number, n]) for n in candidates
                }
                runs[setting][1][query["id"]] = qrels
    return dict(runs)


def list_settings(kind: KindName, lang: str) -> list[tuple[Setting, tuple[str, ...]]]:
    """Return the settings of a kind for queries in a language, or for images."""
    if (lang == "image") != kind.startswith("image-"):
        return []
    table: dict[KindName, list[tuple[str, tuple[str, ...]]]] = {
        "mono": [(lang, (lang,))],
        "cross": [(language, (language,)) for language in LANGS if language != lang],
        "multi": [("all", LANGS)],
        "one-target": [(language, LANGS) for language in LANGS],
        "text-image": [("image", ("image",))],
        "image-text": [(language, (language,)) for language in LANGS],
        "image-pool": [("all", LANGS)],
        "mixed": [("mixed", (*LANGS, "image"))],
    }
    return [(Setting(kind, lang, passages), langs) for passages, langs in table[kind]]


def read_values(results: Results, measure: Measure, setting: Setting) -> dict[str, float]:
    is_in_setting = pc.scalar(value=True)
    for name, value in zip(("kind", "queries", "passages"), setting, strict=True):
        is_in_setting = is_in_setting & (pc.field(name) == value)
    rows = results.per_query().filter(is_in_setting)
    return dict(zip(rows["query"].to_pylist(), rows[str(measure)].to_pylist(), strict=True))


def assert_equals_ir_measures(
    actual: dict[str, float], measure: Measure, run: Scores, qrels: Any, setting: Any
) -> None:
    values = {
        metric.query_id: metric.value for metric in ir_measures.iter_calc([measure], qrels, run)
    }
    assert actual.keys() == run.keys(), setting
    for query, value in actual.items():
        assert value == pytest.approx(values[query], nan_ok=True), (setting, measure, query)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", list(SETTING_KINDS))
def test_values_of_every_kind_equal_ir_measures_on_whole_rankings(
    kind: KindName, seed: int
) -> None:
    collection = make_collection(draw_caption_counts(seed))
    vectors = draw_vectors(collection, seed)
    results = evaluate(vectors, collection, settings=[kind], measures=[*EFFECTIVENESS, *BIAS])
    settings = list_runs_and_qrels(collection, vectors, kind)
    assert set(results.settings) == set(settings)
    pooled = kind in ("multi", "image-pool")
    for setting, (run, qrels) in settings.items():
        for measure in [*EFFECTIVENESS, *(BIAS if pooled else [])]:
            assert_equals_ir_measures(
                read_values(results, measure, setting), measure, run, qrels, setting
            )
        for measure in [] if pooled else BIAS:
            assert np.isnan([*read_values(results, measure, setting).values()]).all()


@pytest.mark.parametrize("seed", range(3))
def test_runs_of_all_kinds_and_values_from_runs(seed: int, tmp_path: Path) -> None:
    """Bpref depends on runs, so that everything is ranked language by language."""
    collection = make_collection(draw_caption_counts(seed))
    vectors = draw_vectors(collection, seed)
    measures = [AP, Bpref, SameLanguageShare @ 3, ModalityShare @ 4, LanguageDisparity]
    results = evaluate(vectors, collection, measures=measures, runs=tmp_path / "runs", depth=5)
    plain_results = evaluate(vectors, collection, measures=[AP, *measures[2:]])
    names = {path.stem for path in (tmp_path / "runs").glob("*.trec")}
    for kind in results.kinds:
        for setting, (run, qrels) in list_runs_and_qrels(collection, vectors, kind).items():
            assert_equals_ir_measures(read_values(results, AP, setting), AP, run, qrels, setting)
            short_run = {query: dict(sort_documents(scores)[:5]) for query, scores in run.items()}
            view = collection.view_setting(setting)
            assert read_run(tmp_path / "runs" / f"{view.name}.trec") == short_run
            assert {row["passage_id"] for row in view.qrels.to_pylist()} == {
                passage for grades in qrels.values() for passage in grades
            }
            assert_equals_ir_measures(
                read_values(results, Bpref, setting), Bpref, short_run, qrels, setting
            )
            names.remove(view.name)
            for measure in measures[2:]:
                plain_values, run_values = (
                    read_values(some_results, measure, setting)
                    for some_results in (plain_results, results)
                )
                assert plain_values == pytest.approx(run_values, nan_ok=True)
    assert not names


def sort_documents(scores: dict[str, float]) -> list[tuple[str, float]]:
    """Sort as trec_eval does."""
    return sorted(scores.items(), key=lambda pair: (pair[1], pair[0]), reverse=True)


@pytest.mark.parametrize("seed", range(3))
def test_modality_share_counts_images_in_the_first_places(seed: int) -> None:
    collection = make_collection(draw_caption_counts(seed))
    vectors = draw_vectors(collection, seed)
    results = evaluate(vectors, collection, measures=[ModalityShare @ 4])
    assert [kind for kind, row in results.summary().items() if row] == ["mixed"]
    shares = defaultdict(list)
    for setting, (run, qrels) in list_runs_and_qrels(collection, vectors, "mixed").items():
        for query, value in read_values(results, ModalityShare @ 4, setting).items():
            top = [passage for passage, _ in sort_documents(run[query])[:4]]
            assert value == sum(passage.startswith("image:") for passage in top) / 4
            relevant = [passage for passage, relevance in qrels[query].items() if relevance > 0]
            images = sum(passage.startswith("image:") for passage in relevant)
            shares[setting].append(images / len(relevant))
    estimate = results.summary()["mixed"][ModalityShare @ 4]
    assert estimate.unbiased == pytest.approx(
        np.mean([np.mean(setting_shares) for setting_shares in shares.values()])
    )


@pytest.mark.parametrize("seed", range(4))
def test_language_disparity_is_the_spread_of_mean_ranks(seed: int) -> None:
    collection = make_collection(draw_caption_counts(seed))
    vectors = draw_vectors(collection, seed)
    scaled = LanguageDisparity(normalized=True)
    results = evaluate(vectors, collection, measures=[LanguageDisparity, scaled])
    assert results.kinds[-4:] == ("text-image", "image-text", "image-pool", "mixed")
    assert [kind for kind, row in results.summary().items() if row] == ["text-image"]
    ranks: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    settings = list_runs_and_qrels(collection, vectors, "text-image")
    for setting, (run, qrels) in settings.items():
        for query, scores in run.items():
            (gold,) = qrels[query]
            place = [passage for passage, _ in sort_documents(scores)].index(gold) + 1
            ranks[gold][setting.queries].append(place)
    for setting, (_, qrels) in settings.items():
        values, shares = (
            read_values(results, measure, setting) for measure in (LanguageDisparity, scaled)
        )
        for query, grades in qrels.items():
            means = [
                float(np.mean(language_ranks))
                for language_ranks in ranks[next(iter(grades))].values()
            ]
            disparity = max(means) - min(means) if len(means) > 1 else np.nan
            assert values[query] == pytest.approx(disparity, nan_ok=True)
            random = average_spread(len(means), 9) if len(means) > 1 else 1
            assert shares[query] == pytest.approx(disparity / random, nan_ok=True)


def average_spread(langs: int, pool: int) -> float:
    draws = list(product(range(1, pool + 1), repeat=langs))
    return sum(max(draw) - min(draw) for draw in draws) / len(draws)


@pytest.mark.parametrize(
    ("measure", "value"),
    [
        # a: ranks 1 (de) and 3, 2 (en, mean 2.5), spread 1.5. b: 4 for all. c: in one language.
        (LanguageDisparity, (3 * 1.5 + 2 * 0.0) / 5),
        # Two ranks of 1..4 are 10/8 apart on average: sums over 16 pairs of 6 + 8 + 6 = 20.
        (LanguageDisparity(normalized=True, pool=4), 3 * 1.5 / 1.25 / 5),
        (ModalityShare @ 2, 1.0),
    ],
)
def test_measures_of_images_by_hand(measure: Measure, value: float) -> None:
    qrels = {"de:q:a-0": "a", "en:q:a-0": "a", "en:q:a-1": "a", "de:q:b-0": "b", "en:q:b-0": "b"}
    orders = {"de:q:a-0": "acdb", "en:q:a-0": "cdab", "en:q:a-1": "cadb", "de:q:b-0": "acdb"}
    orders |= {"en:q:b-0": "cdab", "de:q:c-0": "cabd"}
    image_qrels = {query: {f"image:{key}": 1} for query, key in (qrels | {"de:q:c-0": "c"}).items()}
    run = {
        query: {f"image:{key}": float(9 - place) for place, key in enumerate(order)}
        for query, order in orders.items()
    }
    assert ir_measures.calc_aggregate([measure], image_qrels, run)[measure] == pytest.approx(value)


def test_passages_missing_in_a_run_count_as_biased() -> None:
    qrels = {f"{lang}:q:{key}": {f"image:{key}": 1} for key in "ab" for lang in ("de", "en")}
    run = {"de:q:a": {"image:a": 2.0, "image:b": 1.0, "image:c": 0.5}, "en:q:a": {"image:c": 1.0}}
    values = {
        metric.query_id: metric.value for metric in LanguageDisparity(pool=10).iter_calc(qrels, run)
    }
    # a: 1 in German, the end of the pool in English. b: found by nobody, the worst there is.
    assert values == {"de:q:a": 9, "en:q:a": 9, "de:q:b": 9, "en:q:b": 9}
    share = ModalityShare @ 2
    share_values = {metric.query_id: metric.value for metric in share.iter_calc(qrels, run)}
    assert share_values == {"de:q:a": 1, "en:q:a": 1, "de:q:b": 1, "en:q:b": 1}


def test_measures_of_the_query_language_have_no_value_for_image_queries() -> None:
    qrels = {"image:q:a": {"de:a": 1, "en:a": 1}}
    run = {"image:q:a": {"de:a": 4.0, "de:b": 3.0, "en:b": 2.0, "en:a": 1.0}}
    for measure in (SameLanguageShare @ 2, LanguagePreference):
        assert np.isnan(ir_measures.calc_aggregate([measure], qrels, run)[measure])
    assert ir_measures.calc_aggregate([RankDistance], qrels, run)[RankDistance] == 3


def test_a_normalized_disparity_requires_the_pool() -> None:
    with pytest.raises(BadOption, match=r"LanguageDisparity\(normalized=True,pool=13014\)"):
        ir_measures.calc_aggregate(
            [LanguageDisparity(normalized=True)], {"de:q:1": {"image:1": 1}}, {}
        )
    assert not is_higher_better(LanguageDisparity)
    with pytest.raises(BadOption, match="neither high nor low values of ModalityShare@10"):
        is_higher_better(ModalityShare @ 10)


@pytest.mark.parametrize("shard_size", [1, 7, 100])
def test_images_are_in_no_pool_of_languages_whatever_the_shards(shard_size: int) -> None:
    draw = np.random.default_rng(3)
    queries, passages = (draw.integers(-1, 2, (n, 3)).astype(np.float32) for n in (20, 50))
    languages = {"de": range(30), "en": range(30, 30), "image": range(30, 50)}
    id_order = draw.permutation(50).astype(np.int32)
    golds = np.repeat(np.arange(20), 3), draw.integers(0, 50, 60)
    scores, scorer = queries @ passages.T, make_scorer(queries, passages)
    options: Any = {"k": 40, "collects_languages": True, "image_language": "image"}
    request = make_request(golds, languages, id_order, **options)
    for ranked in (rank(scorer, request), rank_sharded(scorer, request, shard_size=shard_size)):
        for ranks, rows in ((ranked.pool_ranks, range(30)), (ranked.mixed_ranks, range(50))):
            for i, (gold_query, gold) in enumerate(zip(*golds, strict=True)):
                gold_key = scores[gold_query, gold], id_order[gold]
                above = [n for n in rows if (scores[gold_query, n], id_order[n]) > gold_key]
                assert ranks.rank()[i] == 1 + len(above)
        for name, rows in (("", range(30)), ("*", range(50)), ("image", range(30, 50))):
            for query in range(20):
                top = sorted(rows, key=lambda n: (-scores[query, n], -id_order[n]))[:40]
                assert ranked.top[name].rows[query].tolist() == top


def test_external_runs_have_the_values_of_the_vectors(tmp_path: Path) -> None:
    collection = make_collection(draw_caption_counts(5))
    vectors = draw_vectors(collection, 5)
    base_measures = [AP, RankDistance, SameLanguageShare @ 3, ModalityShare @ 3, LanguageDisparity]
    measures = [*base_measures, RankDistance(normalized=True), LanguageDisparity(normalized=True)]
    vector_results = evaluate(
        vectors, collection, measures=measures, runs=tmp_path / "runs", depth=100
    )
    run_results = evaluate_runs(
        sorted((tmp_path / "runs").glob("*.trec")), collection, measures=measures
    )
    assert run_results.settings == vector_results.settings
    for measure in measures:
        for setting, mean in vector_results.means(measure).items():
            assert run_results.means(measure)[setting] == pytest.approx(mean), (measure, setting)
    assert run_results.provenance.unbiased == vector_results.provenance.unbiased
    assert run_results.provenance.unbiased_elsewhere == vector_results.provenance.unbiased_elsewhere
    # A file of another name is told apart by what it holds, and what is found for itself goes.
    lines = (tmp_path / "runs" / "de-mixed.trec").read_text("utf-8").splitlines()
    query = lines[0].split()[0]
    query_passage = query.replace(":q:", ":")
    (tmp_path / "mine").write_text(
        "\n".join([*lines, f"{query} Q0 {query_passage} 0 99 me"]), "utf-8"
    )
    single_results = evaluate_runs(tmp_path / "mine", collection, measures=[AP])
    assert single_results.means(AP) == {
        setting: mean
        for setting, mean in vector_results.means(AP).items()
        if setting[1:] == ("de", "mixed")
    }


def test_runs_of_images_for_images_are_refused(tmp_path: Path) -> None:
    path = bh.write_run(tmp_path / "image-image.trec", {"image:q:3": {"image:4": 1.0}})
    with pytest.raises(BadOption, match="image-image is no setting"):
        evaluate_runs(path, make_collection(draw_caption_counts()), measures=[AP])


def test_default_measures_matrix_table_and_export() -> None:
    collection = make_collection(draw_caption_counts())
    results = evaluate(draw_vectors(collection, 1), collection)
    assert results.measures == IMAGE_MEASURES
    assert results.kinds == tuple(kind for kind in SETTING_KINDS if kind != "one-target")
    matrix = results.matrix(AP)
    assert matrix.rows == matrix.columns == ("de", "en", "zza", "image")
    means = results.means(AP)
    assert matrix["de", "image"] == means[Setting("text-image", "de", "image")]
    assert matrix["image", "zza"] == means[Setting("image-text", "image", "zza")]
    assert np.isnan(matrix["image", "image"])
    assert results.provenance.collection.images == 9
    assert results.provenance.collection.languages == ("de", "en", "zza")
    exported = {(score.query_lang, score.passage_lang) for score in list_mteb_scores(results)}
    assert exported == {*product(LANGS, (*LANGS, "all"))}
    from rich.console import Console

    console = Console(width=200, no_color=True)
    with console.capture() as said:
        console.print(render_terminal(results))
    head, first, *_ = said.get().splitlines()
    assert head.startswith("drawn on images: 3 languages, 9 images, ")
    assert first.split() == ["measure", "mono", "cross", "multi", "unbiased"]
    assert any(
        line.split() == ["measure", "text-image", "image-text", "image-pool", "mixed", "unbiased"]
        for line in said.get().splitlines()
    )
    for title in ("text to image", "image to text", "image to captions", "mixed pool"):
        assert f"<th>{title}</th>" in results._repr_html_()


def test_results_are_loaded_and_compared(tmp_path: Path) -> None:
    collection = make_collection(draw_caption_counts())
    first, second = (evaluate(draw_vectors(collection, seed), collection) for seed in (1, 2))
    loaded_results = Results.load(first.save(tmp_path / "first"))
    assert loaded_results.summary() == first.summary()
    rows = compare(loaded_results, second, measures=["LanguageDisparity"])
    assert [row.setting for row in rows] == ["text-image"]
    gap = first.summary()["text-image"][LanguageDisparity].mean
    gap -= second.summary()["text-image"][LanguageDisparity].mean
    assert rows[0].difference.value == pytest.approx(gap)


def test_unbiased_values_of_several_pools() -> None:
    counts = {(str(n), lang): 1 for n, lang in product(range(4), LANGS)}
    collection = make_collection(counts)
    results = evaluate(draw_vectors(collection, 1), collection, measures=[RankDistance, AP])
    assert "mono" not in results.kinds  # with one caption a language, there is none beside itself
    summary = results.summary()
    # For a caption two others are parallel, for a image all three.
    assert summary["multi"][RankDistance].unbiased == 1
    assert summary["image-pool"][RankDistance].unbiased == 2
    assert "<td>1.0000 multi, 2.0000 image-pool</td>" in results._repr_html_()


def test_notes_say_which_settings_a_measure_takes() -> None:
    collection = make_collection(draw_caption_counts())
    results = evaluate(
        draw_vectors(collection, 1),
        collection,
        settings="mono",
        measures=[AP, RankDistance, LanguageDisparity, ModalityShare @ 2],
    )
    assert [note for note in list_notes(results) if note.startswith("no value")] == [
        "no value of RankDistance: it takes settings of the kind multi or image-pool",
        "no value of LanguageDisparity: it takes settings of the kind text-image",
        "no value of ModalityShare@2: it takes settings of the kind mixed",
    ]


def test_text_settings_require_no_vectors_of_images() -> None:
    collection = make_collection(draw_caption_counts())

    class Lengths:
        fingerprint = {"kind": "letters"}  # noqa: RUF012 - as encoders have it

        def encode_queries(self, texts: list[str]) -> np.ndarray:
            return np.array([[text.count(c) for c in "dez01234"] for text in texts], np.float32)

        encode_passages = encode_queries

    results = evaluate(Lengths(), collection, settings="mono cross multi", measures=[AP])
    assert results.kinds == ("mono", "cross", "multi")
    # Those of images, which must not matter.
    rows = [
        Embeddings.from_array(Lengths().encode_queries(table["text"].to_pylist()))
        for table in (collection.queries, collection.passages)
    ]
    vectors = CollectionVectors(rows[0], rows[1], ModelProvenance("m"))
    for kind in results.kinds:
        for setting, (run, qrels) in list_runs_and_qrels(collection, vectors, kind).items():
            assert_equals_ir_measures(read_values(results, AP, setting), AP, run, qrels, setting)
    with pytest.raises((BadOption, BadData), match="Lengths"):
        evaluate(Lengths(), collection, measures=[AP])


def test_images_without_captions_are_no_queries() -> None:
    """A collection of one language has no pools of languages."""
    collection = make_collection({("a", "de"): 2, ("b", "de"): 1, ("c", "de"): 0})
    results = evaluate(draw_vectors(collection, 4), collection, measures=[AP])
    assert results.kinds == ("mono", "text-image", "image-text", "mixed")
    query_ids = set(results.per_query()["query"].to_pylist())
    assert query_ids == {"de:q:a-0", "de:q:a-1", "de:q:b-0", "image:q:a", "image:q:b"}
    with pytest.raises(BadOption, match="has no image-pool settings; it has mono, text-image"):
        evaluate(draw_vectors(collection, 4), collection, settings="image-pool")


def test_the_evaluator_of_a_trainer_takes_image_settings() -> None:
    collection = make_collection(draw_caption_counts())
    evaluator = HybridEvaluator(collection, name="dev", primary="text-image_LanguageDisparity")
    assert evaluator.primary_metric == "dev_text-image_LanguageDisparity"
    assert not evaluator.greater_is_better
    with pytest.raises(BadOption, match="needs the settings 'text-image'"):
        HybridEvaluator(collection, measures=[LanguageDisparity], settings=["mixed"])
