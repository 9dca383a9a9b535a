"""Runs of other tools have the values of the encoder that made them."""
# mypy: allow-untyped-calls

import gzip
import json
import math
import shutil
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ir_measures import AP, RR, Bpref, Judged, Measure, P, R, Success, nDCG

import beir_hybrid as bh
from beir_hybrid.collection import Collection
from beir_hybrid.collection.setting import Setting
from beir_hybrid.errors import BadData, BadOption
from beir_hybrid.evaluation.evaluate import evaluate
from beir_hybrid.evaluation.external_runs import evaluate_runs
from beir_hybrid.measures.bias.language_exposure import LanguageExposure
from beir_hybrid.measures.bias.language_preference import LanguagePreference
from beir_hybrid.measures.bias.peer import PEER
from beir_hybrid.measures.bias.rank_distance import RankDistance
from beir_hybrid.measures.bias.same_language_share import SameLanguageShare
from beir_hybrid.results.provenance import RunsProvenance
from beir_hybrid.results.render import list_notes
from beir_hybrid.results.results import Results
from tests.word_encoder import WordCountEncoder

RUN_MEASURES: list[Measure] = [
    nDCG @ 10,
    R @ 7,
    P @ 5,
    RR @ 10,
    Success @ 1,
    Judged @ 6,
    AP @ 10,
    Bpref,
]
RANK_MEASURES: list[Measure] = [
    AP,
    RR,
    RankDistance,
    RankDistance(normalized=True),
    LanguagePreference,
    SameLanguageShare @ 10,
    LanguageExposure @ 10,
    PEER,
]


def make_collection(langs: Sequence[str] = ("de", "en", "th"), name: str = "small") -> Collection:
    draw = np.random.default_rng(4)
    corpus, queries, qrels = {}, {}, {}
    for lang, number in product(langs, range(20)):
        text = " ".join(f"w{word}" for word in draw.integers(0, 9, 2))
        corpus[f"{lang}:{number}"] = {"text": text}
    for number, lang in product(range(6), langs):
        queries[f"{lang}:q:{number}"] = " ".join(f"w{word}" for word in draw.integers(0, 9, 2))
        golds = {f"{language}:{number}": 1 for language in langs}
        other_judgements = {f"{langs[-1]}:{number + 8}": 2, f"{langs[0]}:{number + 9}": 0}
        qrels[f"{lang}:q:{number}"] = golds | other_judgements
    return bh.from_beir(corpus, queries, qrels, name=name)


def make_collection_with_original_ids() -> Collection:
    """Make a collection whose origin has ids."""
    texts = ["w1 w2", "w2 w3", "w3 w4", "w1 w1"]
    corpus = {f"7#{number}": {"text": text} for number, text in enumerate(texts)}
    queries = {"3": "w1", "4": "w3 w9"}
    return bh.from_beir(corpus, queries, {"3": {"7#0": 1}, "4": {"7#2": 1, "7#1": 1}}, "sw")


def read_values(results: Results) -> dict[tuple[str, ...], dict[str, Any]]:
    """Return the values of each query in each setting; NaN equals NaN."""
    names = [str(measure) for measure in results.measures]
    return {
        (row["kind"], row["queries"], row["passages"], row["query"], row["question"]): {
            name: pytest.approx(row[name], abs=1e-12, nan_ok=True) for name in names
        }
        for row in results.per_query().to_pylist()
    }


def assert_equal(left: Results, right: Results) -> None:
    assert read_values(left) == read_values(right)
    for kind, row in left.summary().items():
        for measure, estimate in row.items():
            right_estimate = right.summary()[kind][measure]
            assert vars(estimate) == pytest.approx(vars(right_estimate), abs=1e-12), (kind, measure)


def list_runs(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.trec"))


def test_runs_of_an_evaluation_have_its_values(tmp_path: Path) -> None:
    collection = make_collection()
    expected = evaluate(
        WordCountEncoder(),
        collection,
        measures=RUN_MEASURES + RANK_MEASURES,
        runs=tmp_path,
        depth=60,
    )
    files = list_runs(tmp_path)
    assert len(files) == 12
    assert_equal(evaluate_runs(files, collection, measures=RUN_MEASURES + RANK_MEASURES), expected)
    reversed_results = evaluate_runs(
        reversed(files), collection, measures=RUN_MEASURES + RANK_MEASURES
    )
    assert_equal(reversed_results, expected)
    assert reversed_results.model == tmp_path.name


def test_runs_as_deep_as_the_largest_cutoff_suffice(tmp_path: Path) -> None:
    collection = make_collection()
    # A cut run holds not all of the ties that RR@k and Judged@k put first.
    effectiveness: list[Measure] = [nDCG @ 10, R @ 7, P @ 5, Success @ 1, AP @ 10]
    measures = [*effectiveness, SameLanguageShare @ 10, LanguageExposure @ 10, RankDistance @ 9]
    expected = evaluate(WordCountEncoder(), collection, measures=measures, runs=tmp_path, depth=10)
    assert_equal(evaluate_runs(list_runs(tmp_path), collection, measures=measures), expected)


def test_a_file_with_several_query_languages(tmp_path: Path) -> None:
    collection = make_collection()
    expected = evaluate(
        WordCountEncoder(),
        collection,
        measures=RANK_MEASURES,
        settings=["multi"],
        runs=tmp_path,
        depth=60,
    )
    lines = "".join(path.read_text() for path in list_runs(tmp_path))
    path = tmp_path / "mine.txt.gz"
    path.write_bytes(gzip.compress(lines.encode()))
    results = evaluate_runs(path, collection, measures=RANK_MEASURES)
    assert_equal(results, expected)
    assert results.model == "mine.txt"
    assert evaluate_runs(path, collection, measures=RANK_MEASURES, name="BM25").model == "BM25"


def test_a_file_with_passages_of_one_language(tmp_path: Path) -> None:
    collection = make_collection()
    evaluate(WordCountEncoder(), collection, measures=[AP], runs=tmp_path, depth=60)
    path = tmp_path / "german"
    path.write_text("".join((tmp_path / f"{q}-de.trec").read_text() for q in ("de", "th")))
    results = evaluate_runs(path, collection, measures=[AP])
    expected = evaluate(WordCountEncoder(), collection, measures=[AP])
    assert results.settings == (Setting("mono", "de", "de"), Setting("cross", "th", "de"))
    german = {("de", "de"), ("th", "de")}
    assert read_values(results) == {
        key: row for key, row in read_values(expected).items() if key[1:3] in german
    }


def test_ids_of_the_origin_in_files_named_after_settings(tmp_path: Path) -> None:
    collection = make_collection_with_original_ids()
    expected = evaluate(WordCountEncoder(), collection, measures=[AP, nDCG @ 10], runs=tmp_path)
    path = tmp_path / "sw-sw.trec"
    assert path.read_text().splitlines()[0].split()[:3] == ["3", "Q0", "7#3"]
    assert_equal(evaluate_runs(path, collection, measures=[AP, nDCG @ 10]), expected)
    for name in ("sw-sw.run.gz", "sw-sw.gz"):
        (tmp_path / name).write_bytes(gzip.compress(path.read_bytes()))
    assert_equal(
        evaluate_runs(tmp_path / "sw-sw.gz", collection, measures=[AP, nDCG @ 10]), expected
    )
    shutil.copy(path, tmp_path / "other.trec")
    assert_equal(
        evaluate_runs(tmp_path / "other.trec", collection, measures=[AP, nDCG @ 10]), expected
    )
    # A pool holds the origin's ids, too, whatever the name of the file.
    lines = "3 Q0 7#0 1 2.5 x\n4 Q0 7#2 1 2.5 x\n"
    for name in ("pool.trec", "sw-all.trec"):
        (tmp_path / name).write_text(lines)
        assert_equal(
            evaluate_runs(tmp_path / name, collection, measures=[AP]),
            evaluate_runs(tmp_path / "pool.trec", collection, measures=[AP]),
        )
    # Ours serve under any name.
    (tmp_path / "other.trec").write_text("sw:q:3 Q0 sw:7#0 1 2.5 x\nsw:q:4 Q0 sw:7#2 1 2.5 x\n")
    results = evaluate_runs(tmp_path / "other.trec", collection, measures=[AP])
    assert results.summary()["mono"][AP].mean == (1 + 1 / 2) / 2


def test_original_ids_of_two_languages_tell_nothing(tmp_path: Path) -> None:
    languages = {"1": "de", "2": "en", "q": "en"}
    collection = bh.from_beir(
        {"1": {"text": "a"}, "2": {"text": "b"}}, {"q": "?"}, {"q": {"1": 1, "2": 1}}, languages
    )
    path = tmp_path / "mine"
    path.write_text("q Q0 2 1 2.0 x\nq Q0 de:1 2 1.0 x\n")
    results = evaluate_runs(path, collection, measures=[AP])
    assert results.means(AP) == {Setting("multi", "en", "all"): 1.0}
    folder = tmp_path / "beir"
    (folder / "qrels").mkdir(parents=True)
    rows = [{"_id": "1", "text": "x", "metadata": {"lang": lang}} for lang in ("de", "en")]
    (folder / "corpus.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    (folder / "queries.jsonl").write_text('{"_id": "q", "text": "?", "metadata": {"lang": "en"}}')
    rows.append({"_id": "2", "text": "y", "metadata": {"lang": "en"}})
    (folder / "corpus.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    (folder / "qrels/test.tsv").write_text("q\t2\t1\n")
    path.write_text("q Q0 1 1 2.0 x\n")
    with pytest.raises(BadData, match="mine names 1 documents that are not there, first '1'"):
        evaluate_runs(path, bh.read_folder(folder))


def test_results_say_how_complete_the_runs_are(tmp_path: Path) -> None:
    corpus = {f"{lang}:{i}": {"text": "x"} for lang in ("de", "en") for i in range(3)}
    queries = {"de:q:1": "a", "de:q:2": "b"}
    qrels = {"de:q:1": {"de:0": 1}, "de:q:2": {"de:1": 1}}
    collection = bh.from_beir(corpus, queries, qrels)
    path = tmp_path / "de-de.trec"
    path.write_text("de:q:1 Q0 de:0 1 0.5 x\nde:q:1 Q0 de:2 2 0.4 x\n")
    results = evaluate_runs(path, collection, measures=[RR])
    assert results.provenance.runs == RunsProvenance(
        queries=2, missing=1, missing_by_language={"de": (1, 2)}, depth=2
    )
    assert list_notes(results) == [
        "runs hold 2 passages a query at most: measures see no more",
        "the runs lack 1 of 2 queries, which counts as finding nothing: de 1 of 2",
    ]
    assert results.means(RR) == {Setting("mono", "de", "de"): 0.5}


def test_results_say_for_how_many_queries_a_pool_is_searched_in_vain(tmp_path: Path) -> None:
    corpus = {f"{lang}:{i}": {"text": "x"} for lang in ("de", "en") for i in range(5)}
    queries = {f"de:q:{number}": "a" for number in range(5)}
    qrels = {f"de:q:{i}": {f"de:{i}": 1, f"en:{i}": 1} for i in range(4)}
    qrels["de:q:1"]["en:4"] = -1
    qrels["de:q:4"] = {"de:4": 1}  # in one language: no bias to have
    collection = bh.from_beir(corpus, queries, qrels)
    path = tmp_path / "de-all.trec"
    # Gold of q:0 is retrieved, of q:1 a passage that is judged and not relevant, of q:2 and q:4
    # others; the run lacks q:3, of which another note tells.
    lines = ["de:q:0 Q0 en:0", "de:q:1 Q0 en:4", "de:q:2 Q0 de:0", "de:q:4 Q0 de:0"]
    path.write_text("".join(f"{line} 1 0.5 x\n" for line in lines))
    results = evaluate_runs(path, collection, measures=[AP, RankDistance])
    assert results.provenance.runs is not None
    assert results.provenance.runs.without_gold == 2
    assert list_notes(results)[2] == (
        "for 2 queries the runs hold no relevant passage of the pool, which counts as fully biased "
        "in RankDistance"
    )
    # 10 passages: from rank 1 to the end for q:0, the worst for the others.
    assert results.per_query()["RankDistance"].to_pylist()[:4] == [9.0, 9.0, 9.0, 9.0]
    results.save(tmp_path / "results")
    assert bh.Results.load(tmp_path / "results").provenance.runs == results.provenance.runs
    assert len(list_notes(evaluate_runs(path, collection, measures=[AP]))) == 2


def test_queries_without_a_relevant_passage_are_ignored_and_counted(tmp_path: Path) -> None:
    corpus = {f"{lang}:{i}": {"text": "x"} for lang in ("de", "en") for i in range(3)}
    queries = {"de:q:1": "a", "de:q:2": "b", "de:q:3": "c"}
    qrels = {"de:q:1": {"de:0": 1}, "de:q:2": {"en:1": 1}, "de:q:3": {"de:1": 0, "en:1": 1}}
    collection = bh.from_beir(corpus, queries, qrels)
    path = tmp_path / "de-de.trec"
    topics = ("de:q:1", "de:q:2", "de:q:3", "301")
    path.write_text("".join(f"{query} Q0 de:0 1 0.5 x\n" for query in topics))
    results = evaluate_runs(path, collection, measures=[AP])
    assert results.means(AP) == {Setting("mono", "de", "de"): 1.0}
    assert results.provenance.runs is not None
    assert results.provenance.runs.ignored == 3
    assert list_notes(results)[1:] == [
        "the runs hold 3 queries without a relevant passage here, which are ignored"
    ]


def test_queries_missing_in_a_run_count_as_biased(tmp_path: Path) -> None:
    # Of six English queries the run has the first alone, with th:0 and th:8 first and en:0 fourth.
    path = tmp_path / "en-all.trec"
    order = ["th:0", "th:8", "de:4", "en:0"]
    path.write_text("".join(f"en:q:0 Q0 {key} 0 {-n} x\n" for n, key in enumerate(order)))
    measures = [AP, RankDistance, RankDistance(normalized=True), RankDistance @ 10]
    measures += [LanguagePreference, SameLanguageShare @ 4, LanguageExposure @ 4]
    results = evaluate_runs(path, make_collection(), measures=measures)
    values = {row["query"]: row for row in results.per_query().to_pylist()}
    assert sorted(values) == [f"en:q:{number}" for number in range(6)]
    # de:0, which is not there, has the last rank of a pool of 60; th:0 has the first.
    random, best = 2 * 61 / 4, 2
    assert values["en:q:0"] == values["en:q:0"] | {
        "AP": pytest.approx((1 + 1 + 3 / 4) / 4),
        "RankDistance": 59,
        "RankDistance(normalized=True)": pytest.approx((59 - best) / (random - best)),
        "RankDistance@10": 10,
        "LanguagePreference": 0,
        "SameLanguageShare@4": 1 / 4,
    }
    for number in range(1, 6):
        assert values[f"en:q:{number}"] == values[f"en:q:{number}"] | {
            "AP": 0,
            "RankDistance": 59,
            "RankDistance(normalized=True)": pytest.approx((59 - best) / (random - best)),
            "RankDistance@10": 10,
            "LanguagePreference": 1,
            "SameLanguageShare@4": 1,
            "LanguageExposure@4": 0,
        }


def test_two_measures_that_are_the_same_for_the_pool(tmp_path: Path) -> None:
    collection = make_collection()
    measures = [RankDistance(pool=60), RankDistance]
    expected = evaluate(
        WordCountEncoder(),
        collection,
        measures=measures,
        settings=["multi"],
        runs=tmp_path,
        depth=60,
    )
    assert_equal(evaluate_runs(list_runs(tmp_path), collection, measures=measures), expected)
    assert not math.isnan(expected.summary()["multi"][RankDistance].mean)


@pytest.mark.parametrize(
    ("name", "line", "message"),
    [
        ("en-all.trec", "", "en-all.trec is empty: a run has a line"),
        ("mine", "\n \n", "mine is empty: a run has a line"),
        ("mine", "en:q:77 Q0 de:1 1 1 x", "mine names 1 queries that are not there, .*'en:q:77'"),
        ("mine", "en:q:1 Q0 de:77 1 1 x", "mine names 1 documents that are not there, .*'de:77'"),
        ("en-de", "de:q:1 Q0 de:1 1 1 x", "en-de names 1 queries that are not there, .*'de:q:1'"),
        ("en-de", "en:q:1 Q0 en:1 1 1 x", "en-de names 1 documents that are not there, .*'en:1'"),
        ("mine", "en:q:1 Q0 de:1 1 nan x", "mine line 1: the score 'nan' is no number"),
    ],
)
def test_damaged_runs_are_refused(tmp_path: Path, name: str, line: str, message: str) -> None:
    (tmp_path / name).write_text(line)
    with pytest.raises(BadData, match=message):
        evaluate_runs(tmp_path / name, make_collection())


def test_runs_that_do_not_fit_together_are_refused(tmp_path: Path) -> None:
    for name in ("one", "en-all.trec"):
        (tmp_path / name).write_text("en:q:1 Q0 de:1 1 1 x\nen:q:1 Q0 en:1 1 1 x\n")
    with pytest.raises(BadData, match=r"en-all\.trec: there are two runs of en-all"):
        evaluate_runs([tmp_path / "one", tmp_path / "en-all.trec"], make_collection())
    with pytest.raises(BadOption, match="no run is named"):
        evaluate_runs([], make_collection())
    for path in (tmp_path, tmp_path / "gone"):
        with pytest.raises(BadData, match=f"there is no file {path}; a run is"):
            evaluate_runs(path, make_collection())


def test_a_query_language_without_a_relevant_passage_is_ignored(tmp_path: Path) -> None:
    corpus = {f"{lang}:{n}": {"text": f"w{n}"} for lang in ("de", "en") for n in range(3)}
    qrels = {"de:q:1": {"de:1": 1}, "fr:q:9": {"en:2": 1}}
    collection = bh.from_beir(corpus, dict.fromkeys(qrels, "w1"), qrels)
    (tmp_path / "mine").write_text("de:q:1 Q0 de:1 1 1 x\nfr:q:9 Q0 de:2 1 1 x\n")
    results = evaluate_runs(tmp_path / "mine", collection, measures=[AP])
    assert results.means(AP) == {Setting("mono", "de", "de"): 1.0}
    assert results.provenance.runs is not None
    assert results.provenance.runs.ignored == 1
    (tmp_path / "fr-de.trec").write_text("fr:q:9 Q0 de:2 1 1 x\n")
    with pytest.raises(BadData, match="no relevant passage in fr-de"):
        evaluate_runs(tmp_path / "fr-de.trec", collection)


def test_a_setting_without_a_relevant_passage_is_refused(tmp_path: Path) -> None:
    corpus = {"de:1": {"text": "w1"}, "en:1": {"text": "w1"}}
    collection = bh.from_beir(corpus, {"de:q:1": "w1"}, {"de:q:1": {"de:1": 1}}, name="lone")
    (tmp_path / "run").write_text("de:q:1 Q0 en:1 1 1 x\n")
    with pytest.raises(BadData, match="lone has no relevant passage in de-en"):
        evaluate_runs(tmp_path / "run", collection)


def test_an_empty_run_of_ours_counts_as_nothing_found(tmp_path: Path) -> None:
    corpus = {"de:1": {"text": "a"}, "en:1": {"text": "b"}}
    qrels = {"de:q:1": {"de:1": 1, "en:1": 1}}
    collection = bh.from_beir(corpus, {"de:q:1": "?"}, qrels)
    runs = [
        bh.write_run(tmp_path / "de-de.trec", {"de:q:1": {"de:1": 1.0}}),
        bh.write_run(tmp_path / "de-en.trec", {}),
    ]
    means = bh.evaluate_runs(runs, collection, measures=["AP"]).means("AP")
    assert {setting.name: value for setting, value in means.items()} == {"de-de": 1, "de-en": 0}
    for path in tmp_path.glob(".*"):
        path.unlink()
    with pytest.raises(BadData, match=r"de-en\.trec is empty"):
        bh.evaluate_runs(runs, collection, measures=["AP"])
