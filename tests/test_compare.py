"""Comparisons of results are those of the statistics on the same questions, worked by hand."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from ir_measures import AP, RR, Measure, R

import beir_hybrid as bh
from beir_hybrid.collection import Collection
from beir_hybrid.collection.setting import KindName, Setting
from beir_hybrid.encoding import Embeddings
from beir_hybrid.errors import BadData, BadOption, UnknownName
from beir_hybrid.evaluation.vectors import CollectionVectors
from beir_hybrid.results.paired_errors import compute_paired_errors, compute_setting_errors
from beir_hybrid.results.provenance import ModelProvenance

LANGS = ("de", "en")


def make_collection(n: int = 6, name: str = "parallel") -> Collection:
    corpus = {f"{la}:{i}": {"text": f"{la} {i}"} for la in LANGS for i in range(n)}
    queries = {f"{la}:q:{i}": f"{la}? {i}" for la in LANGS for i in range(n)}
    qrels = {f"{la}:q:{i}": {f"{lang}:{i}": 1 for lang in LANGS} for la in LANGS for i in range(n)}
    groups = {f"{la}:q:{i}": str(i) for la in LANGS for i in range(n)}
    return bh.from_beir(corpus, queries, qrels, groups=groups, name=name)


def evaluate_system(
    collection: Collection,
    right: set[tuple[str, int]],
    name: str,
    measures: Sequence[Measure] = (RR, R @ 1, bh.RankDistance),
) -> bh.Results:
    """Evaluate vectors by which some questions find their answers, and others find it last."""
    n = len(collection.passages)
    passages = np.eye(n, dtype=np.float32)
    rows = []
    for row in collection.queries.to_pylist():
        number = int(row["group"])
        golds = [place for place in range(n) if place % (n // 2) == number]
        sign = 1.0 if (row["lang"], number) in right else -1.0
        rows.append(sign * passages[golds].sum(axis=0))
    vectors = CollectionVectors(
        Embeddings.from_array(np.stack(rows)),
        Embeddings.from_array(passages),
        ModelProvenance(name),
    )
    return bh.evaluate(vectors, collection, measures=measures)


ALL_QUERIES = {(lang, number) for lang in LANGS for number in range(6)}


def test_a_difference_by_hand() -> None:
    collection = make_collection()
    good = evaluate_system(collection, ALL_QUERIES, "good")
    # Without four German questions: their answers come last of 6, with a reciprocal rank of 1/6.
    poor = evaluate_system(
        collection, ALL_QUERIES - {("de", number) for number in range(4)}, "poor"
    )
    (mono, cross, multi) = bh.compare(good, poor, measures=[RR])
    assert [comparison.setting for comparison in (mono, cross, multi)] == ["mono", "cross", "multi"]
    # 4 of 6 German questions lose 5/6, no English one does: 4/6 * 5/6 / 2.
    assert mono.difference.value == pytest.approx(10 / 36)
    # Four of six questions differ, all to one side: of 2^6 flips of signs, 2 * 4 are as extreme.
    assert mono.difference.p == pytest.approx(8 / 64)
    assert mono.p_holm == pytest.approx(3 * 8 / 64)
    d = np.array([5 / 12] * 4 + [0, 0])
    assert mono.difference.effect == pytest.approx(d.mean() / d.std(ddof=1))
    matrix = {
        comparison.setting: comparison
        for comparison in bh.compare(good, poor, measures=["RR"], by="setting")
    }
    assert len(matrix) == 6
    assert matrix[Setting("mono", "de", "de")].difference.value == pytest.approx(4 / 6 * 5 / 6)
    assert matrix[Setting("mono", "en", "en")].difference.value == 0
    # Three settings have English questions and p = 1, three German ones and 8/64.
    assert [comparison.p_holm for comparison in matrix.values()].count(1.0) == 3
    assert matrix[Setting("cross", "de", "en")].p_holm == pytest.approx(6 * 8 / 64)


def test_ranks_with_ties_and_a_measure_that_is_better_low() -> None:
    collection = make_collection(n=12)
    every = {(lang, number) for lang in LANGS for number in range(12)}
    systems = {
        "best": evaluate_system(collection, every, "best"),
        "twin": evaluate_system(collection, every - {("de", 0)}, "twin"),
        "worst": evaluate_system(collection, set(), "worst"),
    }
    kind: KindName = "mono"
    ranks = bh.rank_systems(systems, RR, kind)
    assert ranks == {"best": 1, "twin": 1, "worst": 3}
    distance = bh.rank_systems(
        {name: systems[name] for name in ("worst", "best")}, "RankDistance", "multi"
    )
    # Golds of the best are side by side; so are the worst's, at the end: both 1.
    assert distance == {"best": 1, "worst": 1}


def test_impossible_comparisons_are_refused() -> None:
    first = evaluate_system(make_collection(), ALL_QUERIES, "a")
    second = evaluate_system(make_collection(name="another"), ALL_QUERIES, "b")
    with pytest.raises(BadData, match="one collection, but its name differs: parallel and another"):
        bh.compare(first, second)
    with pytest.raises(UnknownName, match="no measure of both results 'AP'"):
        bh.compare(first, first, measures=[AP])
    with pytest.raises(BadOption, match="no way to compare 'language'"):
        bh.compare(first, first, by="language")  # type: ignore[arg-type] # on purpose
    with pytest.raises(BadOption, match="a has no values of RankDistance in mono settings"):
        bh.rank_systems({"a": first}, bh.RankDistance, "mono")
    second = evaluate_system(make_collection(n=5), ALL_QUERIES, "c")
    with pytest.raises(BadData, match="but texts or judgements differ"):
        bh.compare(first, second)


def write_runs(
    collection: Collection, folder: Path, settings: Sequence[str], seed: int
) -> list[Path]:
    """Write a run with random scores for each setting, such as ``de-en``."""
    rng = np.random.default_rng(seed)
    paths = []
    for name in settings:
        query_language, passage_language = name.split("-")
        documents = collection.passages["id"].to_pylist()
        documents = [identity for identity in documents if identity.startswith(passage_language)]
        run = {
            query_id: dict(zip(documents, rng.random(len(documents)).tolist(), strict=True))
            for query_id in collection.queries["id"].to_pylist()
            if query_id.startswith(query_language)
        }
        paths.append(bh.write_run(folder / f"{name}.trec", run))
    return paths


def make_collection_with_a_lone_query() -> Collection:
    """Return a collection whose first query, by id, is in German alone, and has no translation."""
    corpus = {f"{lang}:{n}": {"text": f"{lang} {n}"} for lang in LANGS for n in range(8)}
    pairs = [(lang, n) for lang in LANGS for n in range(8) if (lang, n) != ("en", 0)]
    qrels = {
        f"{lang}:q:{n}": {f"{other}:{n}": 1 for other in LANGS if n or other == "de"}
        for lang, n in pairs
    }
    groups = {f"{lang}:q:{n}": str(n) for lang, n in pairs}
    return bh.from_beir(corpus, dict.fromkeys(qrels, "?"), qrels, groups=groups, name="lone")


def test_results_with_other_kinds_of_settings_are_compared(tmp_path: Path) -> None:
    collection = make_collection_with_a_lone_query()
    cross = write_runs(collection, tmp_path / "a", ["de-en", "en-de"], seed=1)
    mono = write_runs(collection, tmp_path / "a", ["de-de", "en-en"], seed=2)
    other = write_runs(collection, tmp_path / "b", ["de-en", "en-de"], seed=3)
    whole = bh.evaluate_runs([*mono, *cross], collection, measures=[AP])
    alone, second = (bh.evaluate_runs(paths, collection, measures=[AP]) for paths in (cross, other))
    assert bh.compare(whole, second) == bh.compare(alone, second)
    errors = compute_paired_errors([r.values(AP, "cross") for r in (whole, alone, second)])
    assert errors[0, 1] == 0
    assert errors[0, 2] == errors[1, 2] > 0


def test_errors_of_settings_are_those_of_the_same_languages(tmp_path: Path) -> None:
    """Where one of two systems lacks a setting, the others keep their places."""
    languages = ("de", "en", "fr")
    corpus = {f"{lang}:{n}": {"text": f"{lang} {n}"} for lang in languages for n in range(9)}
    qrels = {
        f"{lang}:q:{n}": {f"{other}:{n}": 1 for other in languages}
        for lang in languages
        for n in range(9)
    }
    # A group that only settings of French queries have.
    corpus |= {f"{lang}:9": {"text": f"{lang} 9"} for lang in languages}
    qrels["fr:q:9"] = {f"{other}:9": 1 for other in languages}
    groups = {query_id: query_id.rpartition(":")[2] for query_id in qrels}
    collection = bh.from_beir(corpus, dict.fromkeys(qrels, "?"), qrels, groups=groups)
    names = [f"{a}-{b}" for a in languages for b in languages if a != b]
    first = bh.evaluate_runs(
        write_runs(collection, tmp_path / "a", names, seed=1), collection, measures=[AP]
    )
    for name in ("de-en", "fr-en", "fr-de"):
        names.remove(name)
    second = bh.evaluate_runs(
        write_runs(collection, tmp_path / "b", names, seed=2), collection, measures=[AP]
    )
    errors = compute_setting_errors(first, second, "AP")
    assert {f"{queries}-{passages}" for queries, passages in errors} == {*names}
    values = [
        {(row["queries"], row["passages"], row["question"]): row["AP"] for row in rows.to_pylist()}
        for rows in (first.per_query(), second.per_query())
    ]
    for (queries, passages), error in errors.items():
        differences = [
            values[0][queries, passages, str(n)] - values[1][queries, passages, str(n)]
            for n in range(9)
        ]
        assert error.error == pytest.approx(np.std(differences, ddof=1) / 3, rel=1e-9)
