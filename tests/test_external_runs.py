"""Runs and vectors of other tools score as the encoder that made them does."""
# mypy: allow-untyped-calls

import gzip
import math
import shutil
from collections.abc import Callable, Mapping, Sequence
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
from beir_hybrid.evaluation.external_vectors import read_vectors
from beir_hybrid.measures.language_exposure import LanguageExposure
from beir_hybrid.measures.language_preference import LanguagePreference
from beir_hybrid.measures.peer import PEER
from beir_hybrid.measures.rank_distance import RankDistance
from beir_hybrid.measures.same_language_share import SameLanguageShare
from beir_hybrid.results.provenance import RunsProvenance
from beir_hybrid.results.render import list_notes
from beir_hybrid.results.results import Results

PLAIN: list[Measure] = [nDCG @ 10, R @ 7, P @ 5, RR @ 10, Success @ 1, Judged @ 6, AP @ 10, Bpref]
WHOLE: list[Measure] = [
    AP,
    RR,
    RankDistance,
    RankDistance(normalized=True),
    LanguagePreference,
    SameLanguageShare @ 10,
    LanguageExposure @ 10,
    PEER,
]


class Words:
    """An encoder that counts words, so that many scores tie."""

    fingerprint: Mapping[str, Any] = {"kind": "words"}

    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        rows = np.zeros((len(texts), 12), np.float32)
        for row, text in zip(rows, texts, strict=True):
            for word in text.split():
                row[int(word[1:]) % 12] += 1
        return rows

    encode_passages = encode_queries


def small(langs: Sequence[str] = ("de", "en", "th"), name: str = "small") -> Collection:
    draw = np.random.default_rng(4)
    corpus, queries, qrels = {}, {}, {}
    for lang, number in product(langs, range(20)):
        text = " ".join(f"w{word}" for word in draw.integers(0, 9, 2))
        corpus[f"{lang}:{number}"] = {"text": text}
    for number, lang in product(range(6), langs):
        queries[f"{lang}:q:{number}"] = " ".join(f"w{word}" for word in draw.integers(0, 9, 2))
        golds = {f"{other}:{number}": 1 for other in langs}
        more = {f"{langs[-1]}:{number + 8}": 2, f"{langs[0]}:{number + 9}": 0}
        qrels[f"{lang}:q:{number}"] = golds | more
    return bh.from_beir(corpus, queries, qrels, name=name)


def like_miracl() -> Collection:
    """Make a collection whose origin has ids of its own."""
    texts = ["w1 w2", "w2 w3", "w3 w4", "w1 w1"]
    corpus = {f"7#{number}": {"text": text} for number, text in enumerate(texts)}
    queries = {"3": "w1", "4": "w3 w9"}
    return bh.from_beir(corpus, queries, {"3": {"7#0": 1}, "4": {"7#2": 1, "7#1": 1}}, "sw")


def rows(results: Results) -> dict[tuple[str, ...], dict[str, Any]]:
    """Return the values of each query in each setting, to be compared; NaN equals itself."""
    names = [str(measure) for measure in results.measures]
    return {
        (row["kind"], row["queries"], row["passages"], row["query"], row["question"]): {
            name: pytest.approx(row[name], abs=1e-12, nan_ok=True) for name in names
        }
        for row in results.per_query().to_pylist()
    }


def same(one: Results, other: Results) -> None:
    assert rows(one) == rows(other)
    for kind, row in one.summary().items():
        for measure, found in row.items():
            twin = other.summary()[kind][measure]
            assert vars(found) == pytest.approx(vars(twin), abs=1e-12), (kind, measure)


def run_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.trec"))


def test_our_own_runs_read_back_are_the_evaluation(tmp_path: Path) -> None:
    collection = small()
    whole = evaluate(Words(), collection, measures=PLAIN + WHOLE, runs=tmp_path, depth=60)
    files = run_files(tmp_path)
    assert len(files) == 12
    same(evaluate_runs(files, collection, measures=PLAIN + WHOLE), whole)
    again = evaluate_runs(reversed(files), collection, measures=PLAIN + WHOLE)
    same(again, whole)
    assert again.model == tmp_path.name


def test_runs_need_be_no_longer_than_the_measures_look(tmp_path: Path) -> None:
    collection = small()
    # A cut run holds not all of the ties that RR@k and Judged@k put first.
    plain: list[Measure] = [nDCG @ 10, R @ 7, P @ 5, Success @ 1, AP @ 10]
    measures = [*plain, SameLanguageShare @ 10, LanguageExposure @ 10, RankDistance @ 9]
    whole = evaluate(Words(), collection, measures=measures, runs=tmp_path, depth=10)
    same(evaluate_runs(run_files(tmp_path), collection, measures=measures), whole)


def test_one_file_of_several_query_languages(tmp_path: Path) -> None:
    collection = small()
    whole = evaluate(
        Words(), collection, measures=WHOLE, settings=["multi"], runs=tmp_path, depth=60
    )
    lines = "".join(path.read_text() for path in run_files(tmp_path))
    path = tmp_path / "mine.txt.gz"
    path.write_bytes(gzip.compress(lines.encode()))
    results = evaluate_runs(path, collection, measures=WHOLE)
    same(results, whole)
    assert results.model == "mine.txt"
    assert evaluate_runs(path, collection, measures=WHOLE, name="BM25").model == "BM25"


def test_a_file_of_one_language_s_passages(tmp_path: Path) -> None:
    collection = small()
    evaluate(Words(), collection, measures=[AP], runs=tmp_path, depth=60)
    path = tmp_path / "german"
    path.write_text("".join((tmp_path / f"{q}-de.trec").read_text() for q in ("de", "th")))
    results = evaluate_runs(path, collection, measures=[AP])
    whole = evaluate(Words(), collection, measures=[AP])
    assert results.settings == (Setting("mono", "de", "de"), Setting("cross", "th", "de"))
    assert rows(results) == {key: row for key, row in rows(whole).items() if key[1:3] in
                             {("de", "de"), ("th", "de")}}  # fmt: skip


def test_ids_of_the_origin(tmp_path: Path) -> None:
    collection = like_miracl()
    whole = evaluate(Words(), collection, measures=[AP, nDCG @ 10], runs=tmp_path)
    path = tmp_path / "sw-sw.trec"
    assert path.read_text().splitlines()[0].split()[:3] == ["3", "Q0", "7#3"]
    same(evaluate_runs(path, collection, measures=[AP, nDCG @ 10]), whole)
    for name in ("sw-sw.run.gz", "sw-sw.gz"):
        (tmp_path / name).write_bytes(gzip.compress(path.read_bytes()))
    same(evaluate_runs(tmp_path / "sw-sw.gz", collection, measures=[AP, nDCG @ 10]), whole)
    shutil.copy(path, tmp_path / "other.trec")
    with pytest.raises(BadData, match=r"other\.trec names 2 queries that are not there, first '3'"):
        evaluate_runs(tmp_path / "other.trec", collection)
    # Ours serve under any name.
    (tmp_path / "other.trec").write_text("sw:q:3 Q0 sw:7#0 1 2.5 x\nsw:q:4 Q0 sw:7#2 1 2.5 x\n")
    found = evaluate_runs(tmp_path / "other.trec", collection, measures=[AP])
    assert found.summary()["mono"][AP].mean == (1 + 1 / 2) / 2


def test_results_say_what_the_runs_hold(tmp_path: Path) -> None:
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


def test_a_query_that_the_run_lacks(tmp_path: Path) -> None:
    # Of six English queries the run has the first alone, with th:0 and th:8 first and en:0 fourth.
    path = tmp_path / "en-all.trec"
    order = ["th:0", "th:8", "de:4", "en:0"]
    path.write_text("".join(f"en:q:0 Q0 {key} 0 {-n} x\n" for n, key in enumerate(order)))
    measures = [AP, RankDistance, RankDistance(normalized=True), RankDistance @ 10]
    measures += [LanguagePreference, SameLanguageShare @ 4, LanguageExposure @ 4]
    results = evaluate_runs(path, small(), measures=measures)
    found = {row["query"]: row for row in results.per_query().to_pylist()}
    assert sorted(found) == [f"en:q:{number}" for number in range(6)]
    # de:0, which is not there, has the last rank of a pool of 60; th:0 has the first.
    random, best = 2 * 61 / 4, 2
    assert found["en:q:0"] == found["en:q:0"] | {
        "AP": pytest.approx((1 + 1 + 3 / 4) / 4),
        "RankDistance": 59,
        "RankDistance(normalized=True)": pytest.approx((59 - best) / (random - best)),
        "RankDistance@10": 10,
        "LanguagePreference": 0,
        "SameLanguageShare@4": 1 / 4,
    }
    for number in range(1, 6):
        assert found[f"en:q:{number}"] == found[f"en:q:{number}"] | {
            "AP": 0,
            "RankDistance": 59,
            "RankDistance(normalized=True)": pytest.approx((59 - best) / (random - best)),
            "RankDistance@10": 10,
            "LanguagePreference": 1,
            "SameLanguageShare@4": 1,
            "LanguageExposure@4": 0,
        }


def test_measures_that_come_to_the_same(tmp_path: Path) -> None:
    collection = small()
    measures = [RankDistance(pool=60), RankDistance]
    whole = evaluate(
        Words(), collection, measures=measures, settings=["multi"], runs=tmp_path, depth=60
    )
    same(evaluate_runs(run_files(tmp_path), collection, measures=measures), whole)
    assert not math.isnan(whole.summary()["multi"][RankDistance].mean)


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
def test_runs_that_cannot_be(tmp_path: Path, name: str, line: str, message: str) -> None:
    (tmp_path / name).write_text(line)
    with pytest.raises(BadData, match=message):
        evaluate_runs(tmp_path / name, small())


def test_runs_that_cannot_be_together(tmp_path: Path) -> None:
    for name in ("one", "en-all.trec"):
        (tmp_path / name).write_text("en:q:1 Q0 de:1 1 1 x\nen:q:1 Q0 en:1 1 1 x\n")
    with pytest.raises(BadData, match=r"en-all\.trec: there are two runs of en-all"):
        evaluate_runs([tmp_path / "one", tmp_path / "en-all.trec"], small())
    with pytest.raises(BadOption, match="no run is named"):
        evaluate_runs([], small())
    for path in (tmp_path, tmp_path / "gone"):
        with pytest.raises(BadData, match=f"{path} is no file"):
            evaluate_runs(path, small())


def test_a_setting_without_a_relevant_passage(tmp_path: Path) -> None:
    corpus = {"de:1": {"text": "w1"}, "en:1": {"text": "w1"}}
    collection = bh.from_beir(corpus, {"de:q:1": "w1"}, {"de:q:1": {"de:1": 1}}, name="lone")
    (tmp_path / "run").write_text("de:q:1 Q0 en:1 1 1 x\n")
    with pytest.raises(BadData, match="lone has no relevant passage in de-en"):
        evaluate_runs(tmp_path / "run", collection)


Change = Callable[[np.ndarray, list[str]], tuple[np.ndarray, list[str]]]


def vectors(
    folder: Path, collection: Collection, change: Change | None = None, kind: str = "passages"
) -> Path:
    """Write a collection's vectors in an order of chance."""
    folder.mkdir(exist_ok=True)
    draw = np.random.default_rng(1)
    for name, table in (("queries", collection.queries), ("passages", collection.passages)):
        order = draw.permutation(len(table))
        found = Words().encode_queries(table["text"].to_pylist())[order]
        ids = [table["id"][at].as_py() for at in order.tolist()]
        if change and name == kind:
            found, ids = change(found, ids)
        np.save(folder / f"{name}.npy", found)
        (folder / f"{name}.txt").write_text("".join(f"{key}\n" for key in ids))
    return folder


@pytest.mark.parametrize(
    "change",
    [
        None,
        lambda rows, ids: (rows.astype(np.float16), ids),
        lambda rows, ids: (rows.astype(">f8"), ids),
        lambda rows, ids: (rows.astype(np.int8), ids),
        lambda rows, ids: (np.asfortranarray(rows), ids),
        lambda rows, ids: (rows, [f"{key}\r" for key in ids]),
    ],
)
def test_vectors_score_as_their_encoder_does(tmp_path: Path, change: Change | None) -> None:
    collection = small()
    given = read_vectors(vectors(tmp_path / "mine", collection, change), collection)
    results = evaluate(given, collection, measures=PLAIN + WHOLE, depth=9)
    same(results, evaluate(Words(), collection, measures=PLAIN + WHOLE, depth=9))
    assert results.model == "mine"
    assert results.timing.encoded_texts == 0


def _unlike(rows: np.ndarray, ids: list[str]) -> tuple[np.ndarray, list[str]]:
    rows[3, 2] = np.nan
    return rows, ids


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows, ids: (rows[1:], ids[1:]), "passages.txt has 59 ids in 59 lines; wanted 60"),
        (
            lambda rows, ids: (np.vstack([rows, rows[:1]]), [*ids, "de:99"]),
            "passages.txt has 61 ids in 61 lines; wanted 60",
        ),
        (
            lambda rows, ids: (rows, [ids[1], *ids[1:]]),
            "passages.txt has 59 ids in 60 lines; wanted 60",
        ),
        (
            lambda rows, ids: (rows, ["de:99" if key == "th:4" else key for key in ids]),
            "passages.txt lacks 1 passages, first 'th:4'",
        ),
        (lambda rows, ids: (rows[1:], ids), r"passages.npy: .* shape \(59, 12\); expected \(60,"),
        (lambda rows, ids: (rows[:, 0], ids), r"passages.npy: .* shape \(60,\); expected \(60,"),
        (lambda rows, ids: (rows[:, 1:], ids), "queries have 12 dimensions and passages 11"),
        (_unlike, "passages.npy: 1 of 60 embeddings hold NaN or infinity, first row 3"),
        (lambda rows, ids: (rows.astype(object), ids), "passages.npy is no array of numbers: "),
        (lambda rows, ids: (rows.astype(str), ids), "passages.npy holds <U32, no numbers"),
    ],
)
def test_vectors_that_cannot_be(tmp_path: Path, change: Change, message: str) -> None:
    collection = small()
    with pytest.raises(BadData, match=message):
        evaluate(read_vectors(vectors(tmp_path / "v", collection, change), collection), collection)


def test_damaged_files_of_vectors(tmp_path: Path) -> None:
    collection = small()
    folder = vectors(tmp_path / "v", collection)
    whole = (folder / "queries.npy").read_bytes()
    for damaged in (whole[:-8], whole[:50], b"", b"\x80\x04N."):
        (folder / "queries.npy").write_bytes(damaged)
        with pytest.raises(BadData, match=r"queries\.npy is no array of numbers: "):
            read_vectors(folder, collection)
    with (folder / "queries.npy").open("wb") as file:
        np.savez(file, rows=np.ones((18, 2)))
    with pytest.raises(BadData, match=r"queries\.npy is no array of numbers: "):
        read_vectors(folder, collection)
    (folder / "queries.npy").write_bytes(whole)
    (folder / "queries.txt").write_bytes(b"\xff\n" * 18)
    with pytest.raises(BadData, match=r"queries\.txt is not UTF-8"):
        read_vectors(folder, collection)
    (folder / "queries.txt").unlink()
    with pytest.raises(BadData, match=r"lacks queries\.txt: it takes queries\.npy and queries"):
        read_vectors(folder, collection)


def test_vectors_of_another_collection(tmp_path: Path) -> None:
    given = read_vectors(vectors(tmp_path / "v", small()), small())
    with pytest.raises(BadData, match="18 vectors for other's 12 queries"):
        evaluate(given, small(("de", "en"), "other"))
    with pytest.raises(BadOption, match=r"options \['batch_size'\] do not apply to vectors"):
        evaluate(given, small(), batch_size=2)
