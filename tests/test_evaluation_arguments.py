"""Arguments of `evaluate`: single values and several, and readable errors."""
# mypy: allow-untyped-calls

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ir_measures import AP, RR, Measure, P, R, nDCG

import beir_hybrid as bh
from beir_hybrid.collection import Collection
from beir_hybrid.errors import BadOption, MissingExtra
from beir_hybrid.measures.parsing import parse_measures

CORPUS = {"en:1": {"text": "a"}, "de:1": {"text": "b"}}
QUERIES = {"en:q:1": "a"}
QRELS = {"en:q:1": {"en:1": 1, "de:1": 1}}


class LetterEncoder:
    """Counts two letters."""

    fingerprint: Mapping[str, Any] = {"kind": "letters"}

    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        return np.array([[text.count("a"), text.count("b")] for text in texts], np.float32)

    encode_passages = encode_queries


@pytest.fixture
def collection() -> Collection:
    """Make a query with a gold in each of two languages."""
    return bh.from_beir(CORPUS, QUERIES, QRELS, name="two")


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (AP, [AP]),
        ("nDCG@10", [nDCG @ 10]),
        ("AP, RR nDCG@10", [AP, RR, nDCG @ 10]),
        ("P(rel=1, judged_only=True)@3 AP", [P(judged_only=True) @ 3, AP]),
        (["AP", R @ 1, "R@1"], [AP, R @ 1]),
    ],
)
def test_measures_are_parsed_from_names(names: Any, expected: list[Measure]) -> None:
    assert parse_measures(names) == expected


def test_a_single_measure_and_a_single_kind_of_settings(collection: Collection) -> None:
    results = bh.evaluate(LetterEncoder(), collection, measures=R @ 1, settings="multi")
    assert (results.measures, results.kinds) == ((R @ 1,), ("multi",))
    assert results.summary()["multi"][R @ 1].mean == 0.5
    assert bh.evaluate(LetterEncoder(), collection, settings="multi mono").kinds == (
        "mono",
        "multi",
    )


@pytest.mark.parametrize("name", ["R@0", "nDCG@0", "P@0", "RR@0", "P(rel=2)@0"])
def test_a_cutoff_below_one_is_refused(name: str) -> None:
    with pytest.raises(BadOption) as error:
        parse_measures(name)
    assert str(error.value) == f"no measure {name}: its cutoff must be at least 1"
    with pytest.raises(BadOption, match="its cutoff must be at least 1"):
        parse_measures([nDCG @ -3])


VALUES = "values are numbers from 0 on, True, False and texts in quotes, as in P(rel=2)@10"


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("R@-1", f"no measure R@-1: {VALUES}"),
        (
            "RankDistance(normalized=true)",
            f"no measure RankDistance(normalized=true): {VALUES}",
        ),
        (["AP("], "no measure AP(: measures look like AP, nDCG@10 or P(rel=2)@10"),
        ("BPM", "no measure BPM: it needs a cutoff, as in R@10"),
        ([10], "no measure 10: measures are ir-measures' or their names"),
        (10, "measures are ir-measures' or their names, not 10"),
        ("", "no measure is named"),
        (
            "RBP(p=0.8)@10",
            (
                "ir-measures has no provider for RBP(p=0.8)@10; "
                "cwl_eval has RBP(rel=REQUIRED,p=ANY)@NOT_PROVIDED"
            ),
        ),
    ],
)
def test_impossible_measures_are_refused(names: Any, message: str) -> None:
    with pytest.raises(BadOption) as error:
        parse_measures(names)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("name", "provider"),
    [("RBP(rel=1,p=0.8)", "cwl_eval"), ("alpha_nDCG(alpha=0.5)@10", "pyndeval")],
)
def test_a_missing_package_of_a_measure_is_named(name: str, provider: str) -> None:
    with pytest.raises(MissingExtra) as error:
        parse_measures([name])
    message = f"{name} needs {provider}: pip install ir-measures[{provider}]"
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("collection", "message"),
    [
        (
            "xquad-r",
            "a collection is wanted, not a str: bh.load('xquad-r') loads the dataset of that name",
        ),
        (
            (CORPUS, QUERIES, QRELS),
            (
                "a collection is wanted, not a tuple: "
                "bh.from_beir(corpus, queries, qrels, languages) makes one of BEIR's dicts"
            ),
        ),
        (
            None,
            (
                "a collection is wanted, not a NoneType: "
                "load one with bh.load, or make one with bh.from_beir"
            ),
        ),
    ],
)
def test_an_argument_that_is_no_collection_is_refused(collection: Any, message: str) -> None:
    with pytest.raises(BadOption) as error:
        bh.evaluate(LetterEncoder(), collection)
    assert str(error.value) == message
    with pytest.raises(BadOption) as error:
        bh.evaluate_runs("some.trec", collection)
    assert str(error.value) == message


@pytest.mark.parametrize("depth", ["a", 0, 2.5])
def test_an_impossible_depth_is_refused(collection: Collection, depth: Any) -> None:
    with pytest.raises(BadOption) as error:
        bh.evaluate(LetterEncoder(), collection, depth=depth)
    assert str(error.value) == f"depth is {depth!r}; it must be a whole number from 1 on"


def test_a_depth_of_a_numpy_type_is_saved(collection: Collection, tmp_path: Path) -> None:
    depth: Any = np.int64(1)
    bh.evaluate(LetterEncoder(), collection, depth=depth).save(tmp_path / "out")
    assert bh.Results.load(tmp_path / "out").provenance.depth == 1


def test_one_target_has_no_runs(collection: Collection, tmp_path: Path) -> None:
    with pytest.raises(BadOption, match="one-target settings have no runs to write; name others"):
        bh.evaluate(LetterEncoder(), collection, settings="one-target", runs=tmp_path / "runs")
    bh.evaluate(
        LetterEncoder(), collection, settings=["multi", "one-target"], runs=tmp_path / "runs"
    )
    assert [path.name for path in (tmp_path / "runs").glob("*.trec")] == ["en-all.trec"]
