"""Measures from exact ranks are, to the last tie, what ir-measures says of the whole ranking."""
# mypy: allow-untyped-calls

from collections.abc import Mapping

import ir_measures
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ir_measures import AP, RR, DefaultPipeline, Judged, Measure, P, R, Rprec, Success, nDCG

from beir_hybrid.measures.effectiveness import RankProvider, compute_effectiveness
from beir_hybrid.measures.ranked_judgements import RankedJudgements

MEASURES: list[Measure] = [
    AP,
    AP @ 3,
    AP(rel=2),
    nDCG,
    nDCG @ 1,
    nDCG @ 3,
    nDCG @ 30,
    R @ 2,
    R(rel=2) @ 3,
    P @ 3,
    P(rel=2) @ 40,
    RR,
    RR @ 2,
    RR(rel=2) @ 5,
    Success @ 1,
    Success(rel=2) @ 4,
    Rprec,
    Rprec(rel=2),
    Judged @ 3,
    Judged @ 40,
]


def rank_passages(scores: Mapping[str, float], *, descending: bool) -> dict[str, int]:
    """Rank by score and then by id, each id compared as text."""
    ids = sorted(scores, reverse=descending)
    by_score = sorted(ids, key=lambda key: -scores[key])  # stable
    return {key: rank for rank, key in enumerate(by_score, start=1)}


def rank_judgements(
    qrels: Mapping[str, Mapping[str, int]], run: Mapping[str, Mapping[str, float]]
) -> RankedJudgements:
    rows = []
    for number, (name, relevance) in enumerate(qrels.items()):
        down, up = (rank_passages(run[name], descending=way) for way in (True, False))
        rows += [(number, grade, down[key], up[key]) for key, grade in relevance.items()]
    query, grade, down_rank, up_rank = np.array(rows, np.int64).reshape(-1, 4).T
    nothing = np.zeros(len(query), np.int64)
    sizes = np.array([len(run[query]) for query in qrels])
    top = np.empty((len(qrels), 0), np.int64)
    langs = np.zeros(len(qrels), np.int64)
    return RankedJudgements(
        query, grade, down_rank, up_rank, nothing, nothing, langs, sizes, sizes, top
    )


PASSAGES = [f"de:{n}" for n in (1, 2, 3, 10, 11)] + [f"en:{n}" for n in (1, 2, 9)]
# Few scores, so that most tie.
SCORES = st.fixed_dictionaries({key: st.sampled_from([0.0, 0.25, 0.5]) for key in PASSAGES})
GRADES = st.dictionaries(st.sampled_from(PASSAGES), st.integers(-2, 3), min_size=1)


@settings(deadline=None, max_examples=150)
@given(st.lists(st.tuples(GRADES, SCORES), min_size=1, max_size=3))
def test_values_equal_those_of_ir_measures(
    cases: list[tuple[dict[str, int], dict[str, float]]],
) -> None:
    qrels = {f"q{n}": grades for n, (grades, _) in enumerate(cases)}
    run = {f"q{n}": scores for n, (_, scores) in enumerate(cases)}
    table = rank_judgements(qrels, run)
    expected: dict[Measure, dict[str, float]] = {measure: {} for measure in MEASURES}
    # trec_eval's code has no room for negative relevance: it may crash.
    clipped = {
        query: {key: max(g, 0) for key, g in relevances.items()}
        for query, relevances in qrels.items()
    }
    for metric in DefaultPipeline.iter_calc(MEASURES, clipped, run):
        expected[metric.measure][metric.query_id] = metric.value
    for measure in MEASURES:
        values = compute_effectiveness(measure, table).tolist()
        expected_values = [expected[measure].get(query, 0.0) for query in qrels]
        assert values == pytest.approx(expected_values, abs=1e-9), measure


def test_values_by_hand() -> None:
    # Ranks 1, 3 and 6 of three relevant passages, graded 1, 2 and 1.
    nothing = np.zeros(3, np.int64)
    rank = np.array([1, 3, 6])
    table = RankedJudgements(
        np.zeros(3, np.int64),
        np.array([1, 2, 1]),
        rank,
        rank,
        nothing,
        nothing,
        np.zeros(1, np.int64),
        np.array([6]),
        np.array([6]),
        np.empty((1, 0), np.int64),
    )
    expected = {
        AP: (1 / 1 + 2 / 3 + 3 / 6) / 3,
        AP(rel=2): 1 / 3,
        R @ 3: 2 / 3,
        P @ 5: 2 / 5,
        RR(rel=2): 1 / 3,
        Success @ 1: 1.0,
        Rprec: 2 / 3,
        Judged @ 4: 2 / 4,
        # 1/log2(2) + 2/log2(4) against 2/log2(2) + 1/log2(3) + 1/log2(4)
        nDCG @ 5: (1 + 1) / (2 + 1 / np.log2(3) + 0.5),
    }
    for measure, value in expected.items():
        assert compute_effectiveness(measure, table) == pytest.approx([value], abs=1e-12), measure


def test_the_provider_names_values_by_query() -> None:
    qrels = {"q1": {"de:1": 1}, "q2": {"de:2": 1}}
    scores = {"de:1": 1.0, "de:2": 0.5}
    table = rank_judgements(qrels, {"q1": scores, "q2": scores})
    metrics = RankProvider().iter_calc([RR, Success @ 1], qrels, table)
    assert sorted((metric.query_id, str(metric.measure), metric.value) for metric in metrics) == [
        ("q1", "RR", 1.0),
        ("q1", "Success@1", 1.0),
        ("q2", "RR", 0.5),
        ("q2", "Success@1", 0.0),
    ]


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("nDCG(dcg='exp-log2')@10", False),  # another gain than trec_eval's
        ("nDCG(gains={1:3})@10", False),
        ("P(judged_only=True)@5", False),
        ("Bpref", False),
        ("AP(rel=2)@7", True),
        ("RR@10", True),
    ],
)
def test_which_measures_the_provider_supports(name: str, known: bool) -> None:
    assert RankProvider().supports(ir_measures.parse_measure(name)) is known
