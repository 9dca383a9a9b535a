"""Measures of language bias: worked by hand, by a second implementation, and within ir-measures."""

import math
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import combinations, permutations
from pathlib import Path
from typing import Any

import ir_measures
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ir_measures import AP, RR, Measure, Qrel, ScoredDoc, nDCG
from scipy.spatial.distance import jensenshannon
from scipy.stats import chi2, kruskal

from beir_hybrid.errors import BadData, BadOption, UnknownName
from beir_hybrid.measures import BIAS_MEASURES
from beir_hybrid.measures.base import BiasMeasure, is_higher_better
from beir_hybrid.measures.bias.language_exposure import LanguageExposure
from beir_hybrid.measures.bias.language_preference import LanguagePreference
from beir_hybrid.measures.bias.modality_share import ModalityShare
from beir_hybrid.measures.bias.peer import PEER
from beir_hybrid.measures.bias.rank_distance import RankDistance
from beir_hybrid.measures.bias.same_language_share import SameLanguageShare
from beir_hybrid.measures.bias.target_languages_recall import TLR
from beir_hybrid.measures.ranked_judgements import RankedJudgements
from tests.pages import ROOT

Qrels = dict[str, dict[str, int]]
Run = dict[str, dict[str, float]]


def score_in_order(order: str) -> dict[str, float]:
    """Give passages falling scores in the order in which they stand."""
    return {passage: 1.0 - 0.125 * place for place, passage in enumerate(order.split())}


def compute_per_query(measure: Measure, qrels: Any, run: Any) -> dict[str, float]:
    return {
        metric.query_id: metric.value for metric in ir_measures.iter_calc([measure], qrels, run)
    }


def compute_one(measure: Measure, relevant: str, order: str, query: str = "de:q:1") -> float:
    qrels = {query: dict.fromkeys(relevant.split(), 1)}
    return compute_per_query(measure, qrels, {query: score_in_order(order)})[query]


# One German question, answered in three languages; the six passages in the order of a run.
# Relevant passages have ranks 1, 3 and 6; languages of the top four are de en en de.
GOLDS = "de:1 en:1 fr:1"
ORDER = "de:1 en:9 en:1 de:9 fr:9 fr:1"


@pytest.mark.parametrize(
    ("measure", "expected"),
    [
        (RankDistance, 5.0),  # 6 - 1
        (RankDistance @ 4, 4.0),  # fr:1 clipped to 5: 5 - 1
        (RankDistance @ 2, 2.0),  # 3 and 6 clipped to 3: 3 - 1
        # best 2, random 2 * 7 / 4 = 3.5: (5 - 2) / 1.5
        (RankDistance(normalized=True, pool=6), 2.0),
        # best 2, random 2 * 14 / 4 = 7: (5 - 2) / 5
        (RankDistance(normalized=True, pool=13), 0.6),
        (LanguagePreference, 1.0),
        (SameLanguageShare @ 4, 0.5),
        (SameLanguageShare @ 10, 2 / 6),  # only six are ranked
        # e = (1, 0, 0), t = (1/3, 1/3, 1/3), middle (2/3, 1/6, 1/6):
        # JS = 1/2 log2(3/2) + 1/2 (1/3 log2(1/2) + 2/3 log2(2)) = 0.29248 + 0.16667
        (LanguageExposure @ 1, 1 - math.sqrt(math.log2(1.5) / 2 + 1 / 6)),
        # Weights 1, .5, .25 for de en en: e = (4/7, 3/7, 0), middle (19/42, 16/42, 7/42)
        (
            LanguageExposure(discount="geometric") @ 3,
            1
            - math.sqrt(
                sum(
                    part * math.log2(part / middle) / 2
                    for part, middle in [
                        (4 / 7, 19 / 42),
                        (3 / 7, 16 / 42),
                        (1 / 3, 19 / 42),
                        (1 / 3, 16 / 42),
                        (1 / 3, 7 / 42),
                    ]
                )
            ),
        ),
        (PEER, math.nan),  # one passage a language: no information
        (TLR @ 2, 0.0),  # en:1 and fr:1 have ranks 3 and 6
        (TLR @ 3, 0.5),
        (TLR @ 5, 0.5),
        (TLR @ 20, 1.0),  # only six are ranked
    ],
    ids=str,
)
def test_by_hand(measure: BiasMeasure, expected: float) -> None:
    assert compute_one(measure, GOLDS, ORDER) == pytest.approx(expected, abs=1e-12, nan_ok=True)


def test_logarithmic_exposure_by_hand() -> None:
    # Two languages, one passage each: weights 1 and 1/log2(3) = .6309, so e = (.6131, .3869).
    # Middle (.5566, .4434); JS = (.6131 log2(.6131/.5566) + .3869 log2(.3869/.4434)
    #   + .5 log2(.5/.5566) + .5 log2(.5/.4434)) / 2 = .009376; 1 - sqrt(.009376) = .9032
    assert compute_one(LanguageExposure @ 2, "de:1 en:1", "de:1 en:1") == pytest.approx(
        0.9032, abs=1e-4
    )
    # Patience .999999: both languages get the same exposure.
    patient = LanguageExposure(discount="geometric", p=0.999999) @ 2
    assert compute_one(patient, "de:1 en:1", "de:1 en:1") == pytest.approx(1, abs=1e-6)
    assert compute_one(LanguageExposure @ 2, "fr:1", "de:1 en:1") == 0.0  # no exposure to French


def test_peer_by_hand() -> None:
    # de 1 and 2, en 3, fr 4; mean 2.5: H = 3 (2 * 1 + .25 + 2.25) / 5 = 2.7, and with two degrees
    # of freedom chi-squared exceeds it with probability exp(-1.35).
    golds = "de:1 de:2 en:1 fr:1"
    assert compute_one(PEER, golds, "de:1 de:2 en:1 fr:1") == pytest.approx(
        math.exp(-1.35), abs=1e-12
    )
    # What is ranked between them changes nothing.
    between = "de:1 xx:1 de:2 xx:2 xx:3 en:1 fr:1"
    assert compute_one(PEER, golds, between) == pytest.approx(math.exp(-1.35), abs=1e-12)
    # en and fr not retrieved: both 3.5. H = 3 (2 * 1 + 1 + 1) / (2.25 + .25 + 1 + 1) = 8/3
    expected = pytest.approx(math.exp(-4 / 3), abs=1e-12)
    assert compute_one(PEER, golds, "de:1 de:2") == expected
    assert compute_one(PEER @ 2, golds, "de:1 de:2 en:1 fr:1") == expected


def test_peer_weighs_relevance_levels() -> None:
    # Level 1: de 1 2, en 3, fr 4 (p = exp(-1.35)). Level 2: de 1 4, en 2, fr 3, so
    # H = 3 (0 + .25 + .25) / 5 = .3. Level 0: de 1 2, en 3.5, fr 3.5, not retrieved (exp(-4/3)).
    # Level 3 has one passage a language, and says nothing.
    level_one, level_two = "de:a de:b en:a fr:a", "de:c en:c fr:c de:d"
    level_nought, level_three = "de:e de:f en:e fr:e", "de:g en:g fr:g"
    relevances = {
        identity: level
        for level, group in enumerate([level_nought, level_one, level_two, level_three])
        for identity in group.split()
    }
    run = {"de:q:1": score_in_order(f"{level_one} de:e {level_two} de:f {level_three}")}

    def weighted(measure: Measure) -> float:
        return compute_per_query(measure, {"de:q:1": relevances}, run)["de:q:1"]

    first, second, nought = math.exp(-1.35), math.exp(-0.15), math.exp(-4 / 3)
    assert weighted(PEER) == pytest.approx((first + second) / 2)
    assert weighted(PEER(weights={1: 3, 2: 1})) == pytest.approx((3 * first + second) / 4)
    assert weighted(PEER(weights={0: 1.0, 1: 1.0})) == pytest.approx((nought + first) / 2)
    assert weighted(PEER(weights={1: 0.5, 3: 0.5})) == pytest.approx(first)
    assert math.isnan(weighted(PEER(weights={3: 1.0})))


def test_recall_of_other_languages_by_hand() -> None:
    # The German gold never counts; two English ones and a French one do.
    golds = "de:1 en:1 en:2 fr:1"
    assert compute_one(TLR @ 3, golds, "en:2 de:1 fr:1 en:1") == 2 / 3
    assert compute_one(TLR @ 3, golds, "de:1 de:2 de:3 en:1") == 0.0
    assert compute_one(TLR @ 1, golds, "en:1 en:2 fr:1") == 1 / 3  # the best there is
    # For an English query, German and French are other languages.
    assert compute_one(TLR @ 2, golds, "de:1 en:1 fr:1", query="en:q:1") == 0.5
    # Nothing in another language is relevant; nor is a passage whose grade is 0 or below.
    assert math.isnan(compute_one(TLR @ 3, "de:1 de:2", "de:1 en:1"))
    qrels = {"de:q:1": {"de:1": 1, "en:1": -1, "fr:1": 0}}
    run = {"de:q:1": score_in_order("en:1 fr:1 de:1")}
    assert math.isnan(compute_per_query(TLR @ 3, qrels, run)["de:q:1"])
    # A grade below `rel` is no target.
    qrels = {"de:q:1": {"de:1": 2, "en:1": 2, "fr:1": 1}}
    assert compute_per_query(TLR @ 1, qrels, run) == {"de:q:1": 0.5}
    assert compute_per_query(TLR(rel=2) @ 1, qrels, run) == {"de:q:1": 1.0}
    # An image is in no language: it is no target, and has no value as a query.
    assert compute_one(TLR @ 1, "image:1 en:1", "image:1 en:1") == 0.0
    assert math.isnan(compute_one(TLR @ 1, "de:1 en:1", "de:1 en:1", query="image:1"))
    ranking = place_judgements("de", golds, "en:1")
    assert math.isnan(compute_unbiased_value(TLR @ 3, ranking))


def test_recall_of_other_languages_as_its_authors_test_it() -> None:
    # From the tests of github.com/yjoonjang/SHIFT, for an English query.
    qrels = {"q1": {"d_en": 1, "d_de": 1, "d_fr": 1}}
    langs = {"q1": "en", "d_en": "en", "d_de": "de", "d_fr": "fr", "d_x": "es"}
    run = {"q1": {"d_en": 0.9, "d_de": 0.8, "d_fr": 0.1, "d_x": 0.5}}
    assert compute_per_query((TLR @ 2)(langs=langs), qrels, run) == {"q1": 0.5}
    only_english = compute_per_query((TLR @ 2)(langs=langs), {"q1": {"d_en": 1}}, run)
    assert math.isnan(only_english["q1"])


def test_kruskal_wallis_of_one_passage_a_language_is_constant() -> None:
    # H is N - 1 = 7 whatever the ranks, ties at the end included: p = .4289 with 7 degrees.
    assert chi2.sf(7, 7) == pytest.approx(0.4289, abs=5e-5)
    assert chi2.sf(10, 10) == pytest.approx(0.4405, abs=5e-5)  # of 11 languages
    draw = np.random.default_rng(0)
    for cutoff in range(1, 9):
        ranks = np.minimum(draw.permutation(8) + 1, cutoff + 1)
        ranks[0] = 1  # at least one is retrieved
        _, p_value = kruskal(*([rank] for rank in ranks))
        assert p_value == pytest.approx(chi2.sf(7, 7)), ranks
    # All are tied: there is no difference at all, so H is 0.
    with np.errstate(invalid="ignore"):
        tied, p_value = kruskal(*([9] for _ in range(8)))
    assert math.isnan(tied)  # 0 / 0, which implementations of PEER take for 0
    assert chi2.sf(0, 7) == 1.0
    # Ours has no value for such queries.
    assert math.isnan(compute_one(PEER @ 4, "de:1 en:1 fr:1", "de:1 fr:1 en:1"))


def test_several_sets_of_parallel_passages() -> None:
    # Sets 1 (ranks 1, 4) and 2 (ranks 2, 3, 6); fr:3 is parallel to nothing.
    golds, order = "de:1 en:1 de:2 en:2 fr:2 fr:3", "de:1 en:2 de:2 en:1 fr:3 fr:2"
    assert compute_one(RankDistance, golds, order) == (3 + 4) / 2
    # de:1 leads its set; de:2 does not.
    assert compute_one(LanguagePreference, golds, order) == 0.5
    # French is in set 2 alone, and last there.
    assert compute_one(LanguagePreference, golds, order, query="fr:q:1") == 0.0
    # 1/2 in set 1 and 1/3 in set 2, for German.
    assert compute_unbiased_value(
        LanguagePreference, place_judgements("de", golds, order)
    ) == pytest.approx(5 / 12)
    assert compute_unbiased_value(RankDistance, place_judgements("de", golds, order)) == 1.5
    # No id is parallel to another: all are one set, with ranks 1, 2 and 4. Two of the three
    # are German, and the best of all is.
    golds, order = "de:1 de:2 en:3", "de:1 en:3 de:9 de:2"
    assert compute_one(RankDistance, golds, order) == 3.0
    assert compute_one(LanguagePreference, golds, order) == 1.0
    assert compute_unbiased_value(
        LanguagePreference, place_judgements("de", golds, order)
    ) == pytest.approx(2 / 3)
    # All in one language, as MIRACL's: there is nothing to prefer.
    assert math.isnan(compute_one(RankDistance, "de:1 de:2", "de:1 de:9 de:2"))
    assert math.isnan(
        compute_unbiased_value(RankDistance, place_judgements("de", "de:1 de:2", "de:1 de:2"))
    )


LANGS = ["de", "en", "fr", "ru", "x"]


def place_judgements(
    lang: str, relevant: str, order: str, pool: int | None = None
) -> RankedJudgements:
    """Return a ranking in the arithmetic's own terms."""
    ranking, golds = order.split(), relevant.split()
    n = len(golds)
    langs, keys = [gold.split(":")[0] for gold in golds], [gold.split(":")[1] for gold in golds]
    return RankedJudgements(
        query=np.zeros(n, np.int64),
        relevance=np.ones(n, np.int64),
        rank=np.array([ranking.index(g) + 1 if g in ranking else 0 for g in golds], np.int64),
        rank_ascending=np.zeros(n, np.int64),
        passage_language=np.array([LANGS.index(passage) for passage in langs], np.int64),
        parallel_key=np.array([sorted(set(keys)).index(key) for key in keys], np.int64),
        query_language=np.array([LANGS.index(lang)]),
        ranking_length=np.array([len(ranking)]),
        pool_size=np.array([pool or len(ranking) + 1]),
        top_languages=np.array(
            [[LANGS.index(passage.split(":")[0]) for passage in ranking]], np.int64
        ),
    )


def compute_value(measure: BiasMeasure, ranking: RankedJudgements) -> float:
    (value,) = measure.compute(ranking)
    return float(value)


def compute_unbiased_value(measure: BiasMeasure, ranking: RankedJudgements) -> float:
    (value,) = measure.compute_unbiased(ranking)
    return float(value)


BIAS_EXAMPLES = [
    RankDistance,
    RankDistance @ 3,
    RankDistance(pool=100),
    RankDistance(normalized=True, pool=9),
    LanguagePreference,
    SameLanguageShare @ 5,
    LanguageExposure @ 5,
    PEER(weights={0: 1.0}),
    TLR @ 5,
]


@pytest.mark.parametrize("mixed", [[], [AP, nDCG @ 10]], ids=["alone", "mixed"])
@pytest.mark.parametrize("empty", [False, True], ids=["lacking", "empty"])
def test_a_query_that_the_run_lacks_is_as_biased_as_can_be(
    mixed: list[Measure], *, empty: bool
) -> None:
    relevances = {"de:1": 1, "en:1": 1, "de:2": 0, "de:3": 0, "en:2": 0}
    qrels = {"de:q:1": relevances, "de:q:2": relevances}
    run: Run = {"de:q:1": score_in_order("de:1 en:1 de:2 en:2 de:3")}
    if empty:
        run["de:q:2"] = {}
    values = {
        metric.measure: metric.value
        for metric in ir_measures.iter_calc([*BIAS_EXAMPLES, *mixed], qrels, run)
        if metric.query_id == "de:q:2"
    }
    assert {measure: values[measure] for measure in BIAS_EXAMPLES} == {
        RankDistance: 5.0,  # the longest ranking has five passages, so N = 6
        RankDistance @ 3: 3.0,
        RankDistance(pool=100): 99.0,
        RankDistance(normalized=True, pool=9): 3.0,  # (n + 1) / (n - 1)
        LanguagePreference: 1.0,
        SameLanguageShare @ 5: 1.0,
        LanguageExposure @ 5: 0.0,
        PEER(weights={0: 1.0}): 0.0,
        TLR @ 5: 0.0,
    }


def test_an_empty_run_is_not_unbiased() -> None:
    qrels = {"de:q:1": {"de:1": 1, "en:1": 1, "fr:1": 1}}
    assert compute_per_query(RankDistance, qrels, {}) == {"de:q:1": 3.0}  # unbiased would be 2
    assert compute_per_query(LanguagePreference, qrels, {}) == {"de:q:1": 1.0}


def test_unretrieved_passages() -> None:
    # Ranks 1 and 2, and fr:1 at the end: N = 4 + 1, or the pool.
    order = "de:1 en:1 de:8 de:9"
    assert compute_one(RankDistance, GOLDS, order) == 4.0
    assert compute_one(RankDistance(pool=50), GOLDS, order) == 49.0
    assert compute_one(RankDistance @ 2, GOLDS, order) == 2.0
    assert compute_one(LanguagePreference, GOLDS, order) == 1.0
    # The query's own is missing while others are there.
    assert compute_one(LanguagePreference, GOLDS, "en:1 de:8") == 0.0
    # None is there: that all share the last place is no evenness.
    assert compute_one(RankDistance, GOLDS, "de:7 de:8 de:9") == 3.0
    assert compute_one(RankDistance(pool=50), GOLDS, "de:7 de:8 de:9") == 49.0
    assert compute_one(LanguagePreference, GOLDS, "en:7 de:8 de:9") == 1.0
    assert compute_one(PEER, f"{GOLDS} de:2", "de:7 de:8 de:9") == 0.0
    # The same where the cutoff hides them.
    assert compute_one(RankDistance @ 2, GOLDS, f"de:8 de:9 {GOLDS}") == 2.0


def test_queries_without_a_value_are_nan_and_left_out_of_the_mean() -> None:
    qrels = {
        "de:q:1": {"de:1": 1, "en:1": 1},
        "de:q:2": {"de:1": 1},  # one relevant passage
        "de:q:3": {"en:1": 1, "fr:1": 1},  # none in German
        "de:q:4": {"de:1": 0},  # none at all
    }
    run = dict.fromkeys(qrels, score_in_order("de:1 de:9 en:1 fr:1"))
    measures = [RankDistance, LanguagePreference, LanguageExposure @ 2, SameLanguageShare @ 3]
    preference = compute_per_query(LanguagePreference, qrels, run)
    assert preference["de:q:1"] == 1.0
    assert [math.isnan(preference[f"de:q:{n}"]) for n in (2, 3, 4)] == [True] * 3
    distance = compute_per_query(RankDistance, qrels, run)
    assert (distance["de:q:1"], distance["de:q:3"]) == (2.0, 1.0)
    assert math.isnan(distance["de:q:2"])
    assert math.isnan(compute_per_query(LanguageExposure @ 2, qrels, run)["de:q:4"])
    # The same alone and beside measures of other providers.
    for beside in ([], [AP, nDCG @ 10]):
        values = ir_measures.calc_aggregate([*measures, *beside], qrels, run)
        assert values[RankDistance] == 1.5
        assert values[LanguagePreference] == 1.0
        assert values[SameLanguageShare @ 3] == pytest.approx(2 / 3)
    # AP: (1 + 2/3) / 2, 1, (1/3 + 2/4) / 2, and 0.
    assert values[AP] == pytest.approx((5 / 6 + 1 + 5 / 12 + 0) / 4)
    assert math.isnan(ir_measures.calc_aggregate([PEER], qrels, run)[PEER])


def test_ties_are_trec_evals() -> None:
    # As float32 the scores of de:1 and en:1 are equal, and en:1 comes first as the later id.
    run = {"de:q:1": {"de:1": 0.5 + 1e-9, "en:1": 0.5, "de:2": 0.25, "fr:1": 0.25}}
    assert (
        compute_per_query(LanguagePreference, {"de:q:1": {"de:1": 1, "en:1": 1}}, run)["de:q:1"]
        == 0.0
    )
    # Ranks 2 of de:1 and 3 of fr:1, which precedes de:2; trec_eval's reciprocal ranks agree.
    assert compute_per_query(RankDistance, {"de:q:1": {"de:1": 1, "fr:1": 1}}, run)["de:q:1"] == 1.0
    assert compute_per_query(RR, {"de:q:1": {"de:1": 1}}, run)["de:q:1"] == 0.5
    assert compute_per_query(RR, {"de:q:1": {"fr:1": 1}}, run)["de:q:1"] == pytest.approx(1 / 3)
    # Scores beyond float32 are infinite there, and so tie.
    run = {"de:q:1": {"de:1": 1e300, "en:1": 1e200}}
    assert compute_per_query(SameLanguageShare @ 1, {"de:q:1": {"de:1": 1}}, run)["de:q:1"] == 0.0


@pytest.mark.parametrize("n", [2, 3, 4])
@pytest.mark.parametrize("pool", [5, 7])
def test_a_random_ranking_has_normalized_distance_one(n: int, pool: int) -> None:
    # Every way of placing n relevant passages in the pool is equally likely.
    langs, measure = ["de", "en", "fr", "ru"], RankDistance(normalized=True)
    values = []
    for places in combinations(range(1, pool + 1), n):
        order = ["x:9"] * pool
        for at, place in enumerate(places):
            order[place - 1] = f"{langs[at]}:1"
        golds = " ".join(f"{lang}:1" for lang in langs[:n])
        values.append(compute_value(measure, place_judgements("de", golds, " ".join(order), pool)))
    assert sum(values) / len(values) == pytest.approx(1, abs=1e-12)
    assert min(values) == 0
    assert max(values) == pytest.approx((n + 1) / (n - 1))


def test_normalized_distance_in_a_pool_of_relevant_passages_has_no_value() -> None:
    measure = RankDistance(normalized=True)
    assert math.isnan(compute_value(measure, place_judgements("de", GOLDS, GOLDS, pool=3)))
    assert math.isnan(compute_unbiased_value(measure, place_judgements("de", GOLDS, GOLDS, pool=3)))
    assert compute_unbiased_value(measure, place_judgements("de", GOLDS, GOLDS, pool=4)) == 0.0


@pytest.mark.parametrize("relevant", ["de:1 en:1 fr:1", "de:1 en:1 de:2 fr:2", "de:1 de:2 en:3"])
def test_unbiased_preference_is_the_mean_over_all_rankings(relevant: str) -> None:
    rankings = [
        place_judgements("de", relevant, " ".join(o))
        for o in permutations([*relevant.split(), "x:9"])
    ]
    values = [compute_value(LanguagePreference, ranking) for ranking in rankings]
    mean = sum(values) / len(values)
    assert mean == pytest.approx(compute_unbiased_value(LanguagePreference, rankings[0]), abs=1e-12)


def test_unbiased_values() -> None:
    ranking = place_judgements("de", "de:1 en:1 fr:1 fr:2", ORDER)
    assert compute_unbiased_value(SameLanguageShare @ 3, ranking) == 0.25
    # Without a relevant passage in the query's language no share of it is the right one.
    russian = place_judgements("ru", "de:1 en:1 fr:1 fr:2", ORDER)
    assert math.isnan(compute_unbiased_value(SameLanguageShare @ 3, russian))
    assert math.isnan(compute_value(SameLanguageShare @ 3, russian))
    assert compute_unbiased_value(LanguageExposure @ 3, ranking) == 1.0
    assert compute_unbiased_value(PEER, ranking) == 1.0
    assert compute_unbiased_value(RankDistance, place_judgements("de", GOLDS, ORDER)) == 2.0
    assert compute_unbiased_value(RankDistance @ 1, place_judgements("de", GOLDS, ORDER)) == 1.0
    assert math.isnan(compute_unbiased_value(PEER, place_judgements("de", GOLDS, ORDER)))
    assert math.isnan(
        compute_unbiased_value(LanguagePreference, place_judgements("ru", GOLDS, ORDER))
    )
    for measure in (SameLanguageShare, LanguageExposure):
        assert math.isnan(compute_unbiased_value(measure @ 1, place_judgements("de", "", "de:1")))


def test_peer_needs_two_passages_in_a_language() -> None:
    # With one passage a language H is N - 1 = 10 for eleven languages, whatever the ranking.
    ranks = np.random.default_rng(0).permutation(11) + 1.0
    assert kruskal(*([rank] for rank in ranks)).statistic == pytest.approx(10, abs=1e-12)
    assert chi2.sf(10, 10) == pytest.approx(0.4405, abs=5e-5)
    assert math.isnan(compute_value(PEER, place_judgements("de", GOLDS, ORDER)))
    assert math.isnan(
        compute_value(PEER, place_judgements("de", "de:1 de:2", ORDER))
    )  # one language
    assert not math.isnan(compute_value(PEER, place_judgements("de", f"{GOLDS} fr:2", ORDER)))
    assert not math.isnan(compute_value(RankDistance, place_judgements("de", GOLDS, ORDER)))
    assert math.isnan(compute_value(LanguagePreference, place_judgements("ru", GOLDS, ORDER)))


# A second implementation, straight from judgements and a run, which shares no code with the first.


def rank_plainly(scores: dict[str, float]) -> dict[str, int]:
    single = {identity: np.float32(score) for identity, score in scores.items()}
    return {
        a: 1
        + sum(bool(single[b] > single[a]) or (single[b] == single[a] and b > a) for b in scores)
        for a in scores
    }


def group_plainly(relevant: list[str]) -> list[list[str]]:
    per_lang = [sum(r.startswith(lang) for r in relevant) for lang in ("de", "en", "fr")]
    groups = [[r for r in relevant if r[3:] == key] for key in ("1", "2", "3")]
    groups = [group for group in groups if len(group) > 1]
    if max(per_lang) <= 1 or not groups:
        groups = [relevant]
    return [group for group in groups if len({p[:2] for p in group}) > 1]


def compute_plainly(
    measure: BiasMeasure, relevances: dict[str, int], scores: dict[str, float], end: int
) -> float | None:
    """Return the value for a German query; unretrieved passages have rank ``end``."""
    ranks = rank_plainly(scores)
    relevant = [passage for passage, relevance in relevances.items() if relevance >= measure["rel"]]
    return {
        "RankDistance": distance_plainly,
        "LanguagePreference": preference_plainly,
        "SameLanguageShare": share_plainly,
        "LanguageExposure": exposure_plainly,
        "TLR": recall_plainly,
    }[str(measure.NAME)](measure, relevant, ranks, end)


def distance_plainly(
    measure: BiasMeasure, relevant: list[str], ranks: dict[str, int], end: int
) -> float | None:
    values = []
    end = measure["pool"] or end
    k = measure["cutoff"] or 10**9
    for group in group_plainly(relevant):
        n = len(group)
        clipped = [min(ranks.get(p, end), k + 1) for p in group]
        distance: float = max(abs(a - b) for a in clipped for b in clipped)
        if not any(ranks.get(p, 10**10) <= k for p in group):
            distance = min(end - 1, k)
        if measure["normalized"]:
            distance = (distance - (n - 1)) / ((n - 1) * (end + 1) / (n + 1) - (n - 1))
        values.append(distance)
    return sum(values) / len(values) if values else None


def preference_plainly(
    _: BiasMeasure, relevant: list[str], ranks: dict[str, int], _end: int
) -> float | None:
    values = []
    for group in group_plainly(relevant):
        native = [p for p in group if p.startswith("de")]
        foreign = [p for p in group if not p.startswith("de")]
        if native and foreign:
            first = any(all(ranks.get(a, 99) < ranks.get(b, 99) for b in foreign) for a in native)
            values.append(first or not any(p in ranks for p in group))
    return sum(values) / len(values) if values else None


def share_plainly(
    measure: BiasMeasure, relevant: list[str], ranks: dict[str, int], _end: int
) -> float | None:
    if not any(p.startswith("de") for p in relevant):
        return None
    top = [p for p, rank in ranks.items() if rank <= measure["cutoff"]]
    return sum(p.startswith("de") for p in top) / len(top) if top else 1.0


def exposure_plainly(
    measure: BiasMeasure, relevant: list[str], ranks: dict[str, int], _end: int
) -> float | None:
    if not relevant:
        return None
    exposure, target = np.zeros(3), np.zeros(3)
    for at, lang in enumerate(("de", "en", "fr")):
        target[at] = sum(p.startswith(lang) for p in relevant)
        for p, rank in ranks.items():
            if p.startswith(lang) and rank <= measure["cutoff"]:
                log = measure["discount"] == "log"
                exposure[at] += math.log(2) / math.log(rank + 1) if log else measure["p"] ** rank
    return 1 - float(jensenshannon(exposure, target, base=2)) if exposure.any() else 0.0


def recall_plainly(
    measure: BiasMeasure, relevant: list[str], ranks: dict[str, int], _end: int
) -> float | None:
    targets = [p for p in relevant if not p.startswith("de")]
    hits = [p for p in targets if p in ranks and ranks[p] <= measure["cutoff"]]
    return len(hits) / len(targets) if targets else None


IDS = [f"{lang}:{key}" for lang in ("de", "en", "fr") for key in ("1", "2", "3")]
SCORES = st.sampled_from([0.0, 0.25, 0.5, 0.5 + 1e-9, 0.75, 1.0, -2.0])
JUDGED = st.dictionaries(st.sampled_from(IDS), st.integers(-1, 2), min_size=1)
SCORED = st.dictionaries(st.sampled_from([*IDS, "de:4", "en:4", "fr:4"]), SCORES)
MEASURES_TO_COMPARE = [
    RankDistance,
    RankDistance(rel=2),
    RankDistance @ 2,
    RankDistance(pool=40) @ 5,
    RankDistance(normalized=True, pool=20),
    LanguagePreference,
    LanguagePreference(rel=2),
    SameLanguageShare @ 1,
    SameLanguageShare @ 4,
    LanguageExposure @ 2,
    LanguageExposure @ 20,
    LanguageExposure(discount="geometric", p=0.75) @ 4,
    TLR @ 2,
    TLR(rel=2) @ 20,
]


@settings(deadline=None)
@given(JUDGED, JUDGED, SCORED, SCORED)
def test_a_second_implementation_agrees(
    judged: dict[str, int],
    other: dict[str, int],
    scores: dict[str, float],
    more: dict[str, float],
) -> None:
    qrels = {"de:q:1": judged, "de:q:2": other}
    run = {"de:q:1": scores, "en:q:9": more}
    relevant = max(sum(grade > 0 for grade in grades.values()) for grades in qrels.values())
    end = 1 + max(len(scores), len(more), relevant)
    values = {
        (metric.measure, metric.query_id): metric.value
        for metric in ir_measures.iter_calc(MEASURES_TO_COMPARE, qrels, run)
    }
    for measure in MEASURES_TO_COMPARE:
        for query, judgements in qrels.items():
            expected = compute_plainly(measure, judgements, run.get(query, {}), end)
            assert values[measure, query] == pytest.approx(
                math.nan if expected is None else expected, abs=1e-9, nan_ok=True
            ), measure


@settings(deadline=None)
@given(JUDGED, SCORED, st.none() | st.integers(1, 12))
def test_peer_is_scipys_kruskal(
    judged: dict[str, int], scores: dict[str, float], cutoff: int | None
) -> None:
    ranks = {p: r for p, r in rank_plainly(scores).items() if r <= (cutoff or 99)}
    parts = []
    for level in (1, 2):
        passages = [p for p, grade in judged.items() if grade == level]
        groups = [[p for p in passages if p.startswith(lang)] for lang in ("de", "en", "fr")]
        groups = [group for group in groups if group]
        if len(groups) < 2 or max(map(len, groups)) < 2:
            continue
        if not any(p in ranks for p in passages):
            parts.append(0.0)
            continue
        samples = [[ranks.get(p, 1000) for p in group] for group in groups]
        statistic, p_value = kruskal(*samples)
        parts.append(float(p_value))
        assert p_value == pytest.approx(chi2.sf(statistic, len(groups) - 1))
    expected = sum(parts) / len(parts) if parts else math.nan
    values = compute_per_query(PEER(cutoff=cutoff), {"de:q:1": judged}, {"de:q:1": scores})
    assert values["de:q:1"] == pytest.approx(expected, abs=1e-9, nan_ok=True)


# Within ir-measures.


@pytest.mark.parametrize(
    ("text", "measure"),
    [
        ("RankDistance", RankDistance),
        ("RankDistance(normalized=True,pool=13014)", RankDistance(pool=13014, normalized=True)),
        ("RankDistance(rel=2)@100", RankDistance(cutoff=100, rel=2)),
        ("LanguagePreference", LanguagePreference(rel=1, langs={"a": "de"})),
        ("SameLanguageShare@10", SameLanguageShare @ 10),
        ("LanguageExposure(discount='geometric',p=0.8)@10", (LanguageExposure @ 10)(p=0.8)),
        ("TLR(rel=2)@20", TLR(rel=2) @ 20),
        ("PEER(weights={0:0.0,1:1.0,3:0.5})@20", PEER(weights={3: 0.5, 1: 1.0, 0: 0.0}) @ 20),
    ],
)
def test_names_are_parsed_and_printed(text: str, measure: BiasMeasure) -> None:
    if measure.NAME == "LanguageExposure":
        measure = measure(discount="geometric")
    assert ir_measures.parse_measure(text) == measure
    assert str(measure) == text
    assert hash(ir_measures.parse_measure(text)) == hash(measure)
    assert measure != measure(rel=5, weights={1: 1.0})


def test_weights_are_told_apart() -> None:
    assert PEER(weights={1: 1}) != PEER(weights={2: 2})
    assert PEER(weights={1: 1.0, 2: 3.0}) != PEER(weights={2: 3.0})


def list_qrels(qrels: Qrels) -> Iterator[Qrel]:
    return (Qrel(q, d, r) for q, relevances in qrels.items() for d, r in relevances.items())


def list_run(run: Run) -> Iterator[ScoredDoc]:
    return (ScoredDoc(q, d, s) for q, scores in run.items() for d, s in scores.items())


def test_every_form_of_qrels_and_run_beside_other_measures() -> None:
    frames = pytest.importorskip("pandas")
    qrels = {"de:q:1": dict.fromkeys(GOLDS.split(), 1), "en:q:1": {"en:1": 1, "de:1": 1}}
    run = {"de:q:1": score_in_order(ORDER)}
    measures: list[Measure] = [RankDistance, AP, SameLanguageShare @ 4, nDCG @ 10]
    # AP = (1 + 2/3 + 3/6) / 3; nDCG = (1 + 1/2 + 1/log2(7)) / (1 + 1/log2(3) + 1/2); the English
    # query is missing: 0 for both, and N - 1 = 6 and 1 for the measures of bias.
    gain = (1.5 + 1 / math.log2(7)) / (1.5 + 1 / math.log2(3))
    expected = {
        RankDistance: (5 + 6) / 2,
        AP: (1 + 2 / 3 + 1 / 2) / 3 / 2,
        SameLanguageShare @ 4: (0.5 + 1) / 2,
        nDCG @ 10: gain / 2,
    }
    forms: Iterable[tuple[Any, Any]] = [
        (qrels, run),
        (list_qrels(qrels), list_run(run)),
        (frames.DataFrame(list_qrels(qrels)), frames.DataFrame(list_run(run))),
    ]
    for qrels_form, run_form in forms:
        results = ir_measures.calc(measures, qrels_form, run_form)
        assert results.aggregated == pytest.approx(expected)
        assert len(results.per_query) == 8
    assert RankDistance.calc_aggregate(qrels, run) == 5.5
    evaluator = RankDistance.evaluator(qrels)
    assert evaluator.calc_aggregate(run)[RankDistance] == 5.5
    assert evaluator.calc_aggregate({})[RankDistance] == 3.0  # N = 4, of three relevant passages


def test_languages_may_come_from_a_mapping() -> None:
    langs = {"q1": "de", "a": "de", "b": "en", "c": "en"}
    qrels, run = {"q1": {"a": 1, "b": 1}}, {"q1": {"b": 3.0, "c": 2.0, "a": 1.0}}
    assert compute_per_query(LanguagePreference(langs=langs), qrels, run) == {"q1": 0.0}
    assert compute_per_query(RankDistance(langs=langs), qrels, run) == {"q1": 2.0}
    assert compute_per_query((SameLanguageShare @ 3)(langs=langs), qrels, run) == {"q1": 1 / 3}
    assert str(RankDistance(langs=langs)) == "RankDistance"
    # The mapping wins over an id's own language, and the id then is no version of another.
    swapped = {"de:q:1": "en", "de:1": "en", "en:1": "de"}
    qrels, run = {"de:q:1": {"de:1": 1, "en:1": 1}}, {"de:q:1": score_in_order("de:1 en:1")}
    assert compute_per_query(LanguagePreference(langs=swapped), qrels, run) == {"de:q:1": 1.0}
    # So de:1 and en:1 are no pair here, and all three passages are one set, ranks 1, 2 and 4.
    three = {"de:q:1": {"de:1": 1, "en:1": 1, "de:2": 1}}
    far = {"de:q:1": score_in_order("de:1 en:1 de:9 de:2")}
    assert compute_per_query(RankDistance(langs={"en:1": "fr"}), three, far) == {"de:q:1": 3.0}
    assert compute_per_query(RankDistance(langs={"en:1": "en"}), three, far) == {"de:q:1": 1.0}
    # Different mappings in one call do not mix.
    measures = [LanguagePreference(langs=swapped), (SameLanguageShare @ 1)(rel=1)]
    values = ir_measures.calc_aggregate(measures, qrels, run)
    assert values == {LanguagePreference: 1.0, (SameLanguageShare @ 1)(rel=1): 1.0}
    crossed = {"de:1": "en", "en:1": "de"}
    values = ir_measures.calc_aggregate([(SameLanguageShare @ 1)(langs=crossed)], qrels, run)
    assert list(values.values()) == [0.0]


@pytest.mark.parametrize(
    ("measure", "message"),
    [
        (SameLanguageShare, "SameLanguageShare needs a cutoff, such as SameLanguageShare@10"),
        (LanguageExposure(p=0.5), "LanguageExposure needs a cutoff, such as LanguageExposure@10"),
        (TLR, "TLR needs a cutoff, such as TLR@10"),
        (RankDistance @ 0, "RankDistance: cutoff is 0; it must be a whole number from 1 on"),
        (RankDistance(pool=True), "pool is True; it must be a whole number"),
        (RankDistance(normalized=1), "normalized is 1; it must be True or False"),
        (RankDistance(normalised=True), "no parameter of RankDistance 'normalised'; did you mean"),
        (RankDistance(normalized=True), r"needs the number of passages in the pool.*pool=13014"),
        (RankDistance(normalized=True, pool=9) @ 5, "a normalized distance takes no cutoff"),
        (RankDistance(pool=5), "the pool has 5 passages, and a query at least 6"),
        ((LanguageExposure @ 5)(p=1.0), "p is 1.0; it must be a number between 0 and 1"),
        ((LanguageExposure @ 5)(discount="linear"), "discount is 'linear'; it must be 'log' or"),
        (PEER(weights={}), "weights is {}; it must be a mapping"),
        (PEER(weights={1: -1.0}), "none negative"),
        (PEER(weights={1: "a lot"}), "none negative"),
        (LanguagePreference(langs=["de"]), "it must be a mapping of ids to languages"),
    ],
    ids=str,
)
def test_invalid_measures_are_refused(measure: BiasMeasure, message: str) -> None:
    qrels = {"de:q:1": dict.fromkeys(GOLDS.split(), 1)}
    for beside in ([], [AP]):
        with pytest.raises(BadOption, match=message):
            ir_measures.calc_aggregate([measure, *beside], qrels, {"de:q:1": score_in_order(ORDER)})


def test_missing_top_languages_and_small_pools_are_refused() -> None:
    ranking = replace(
        place_judgements("de", "de:1", "de:1 en:1"),
        ranking_length=np.array([1000]),
        pool_size=np.array([13014]),
    )
    with pytest.raises(BadOption, match="needs the 10 best passages, and only 2 are kept"):
        compute_value(SameLanguageShare @ 10, ranking)
    assert compute_value(SameLanguageShare @ 2, ranking) == 0.5
    with pytest.raises(BadOption, match="the pool has 9 passages, and a query at least 1000"):
        compute_value(RankDistance(pool=9), ranking)
    with pytest.raises(BadOption, match="the pool has 2 passages, and a query at least 3"):
        compute_value(RankDistance(pool=2), place_judgements("de", GOLDS, ""))
    with pytest.raises(BadOption, match="SameLanguageShare needs a cutoff"):
        compute_value(SameLanguageShare, ranking)


@pytest.mark.parametrize(
    ("qrels", "run", "message"),
    [
        ({"q1": {"de:1": 1}}, {}, "the language of 'q1' is unknown"),
        ({"de:q:1": {"MED-10": 1}}, {}, "the language of 'MED-10' is unknown: ids start with"),
        ({"de:q:1": {"http://a": 1}}, {}, "the language of 'http://a' is unknown"),
        ({"de:q:1": {"de:1": 1}}, {"de:q:1": {"x": 1.0}}, "the language of 'x' is unknown"),
        ({"de:q:1": {"de:1": 0.5}}, {}, "the relevance of 'de:1' to 'de:q:1' is 0.5, no integer"),
        (
            {"de:q:1": {"de:1": 1}},
            {"de:q:1": {"de:1": 1.0, "en:1": math.nan}},
            "the run's score of 'en:1' for 'de:q:1' is not a number",
        ),
    ],
)
def test_invalid_ids_and_scores_are_refused(qrels: Any, run: Any, message: str) -> None:
    with pytest.raises(BadData, match=message):
        ir_measures.calc_aggregate([SameLanguageShare @ 2], qrels, run)


def test_languages_of_passages_that_no_measure_reads_may_be_unknown() -> None:
    qrels, run = {"de:q:1": {"de:1": 1, "en:1": 1}}, {"de:q:1": score_in_order("de:1 en:1 x")}
    assert compute_per_query(SameLanguageShare @ 2, qrels, run) == {"de:q:1": 0.5}
    assert compute_per_query(RankDistance, qrels, run) == {"de:q:1": 1.0}


def run_python(code: str, *arguments: str) -> str:
    # ir-measures parses arguments by names of `ast` that Python 3.12 calls deprecated.
    names = [
        f"ignore:{name} :DeprecationWarning"
        for name in ("ast.NameConstant", "ast.Num", "ast.Str", "Attribute n", "Attribute s")
    ]
    warnings = [part for rule in ("error", *names) for part in ("-W", rule)]
    process = subprocess.run(
        [sys.executable, *warnings, "-c", code, *arguments],
        capture_output=True,
        text=True,
        check=True,
    )
    return process.stdout


def test_ir_measures_own_command_line(tmp_path: Path) -> None:
    qrels, run = tmp_path / "qrels", tmp_path / "run"
    qrels.write_text("".join(f"de:q:1 0 {gold} 1\n" for gold in GOLDS.split()))
    lines = [
        f"de:q:1 Q0 {passage} 1 {score} x\n" for passage, score in score_in_order(ORDER).items()
    ]
    run.write_text("".join(lines))
    code = "import beir_hybrid.measures\nfrom ir_measures.__main__ import main_cli; main_cli()"
    measures = ["RankDistance(normalized=True,pool=6)", "SameLanguageShare@4", "AP"]
    printed = run_python(code, str(qrels), str(run), *measures)
    assert dict(line.split("\t") for line in printed.splitlines()) == {
        "RankDistance(normalized=True,pool=6)": "2.0000",
        "SameLanguageShare@4": "0.5000",
        "AP": "0.7222",
    }
    printed = run_python(code, str(qrels), str(run), "LanguagePreference", "AP", "--by_query")
    assert "all\tLanguagePreference\t1.0000" in printed.splitlines()


def test_importing_is_light_and_may_be_repeated() -> None:
    code = """
import sys, importlib, ir_measures
import beir_hybrid.measures as measures
from beir_hybrid.measures.bias.rank_distance import RankDistance
print(sorted({"numpy", "pyarrow", "scipy", "pandas", "torch"} & set(sys.modules)))
importlib.reload(measures)
print(sum(one.NAME == "beir_hybrid" for one in ir_measures.DefaultPipeline.providers))
measure = ir_measures.parse_measure("RankDistance")
print(type(measure) is type(RankDistance), measure == RankDistance)
qrels = {"de:q:1": {"de:1": 1, "en:1": 1}}
print(ir_measures.calc_aggregate([measure], qrels, {"de:q:1": {"de:1": 2.0, "en:1": 1.0}}))
"""
    assert run_python(code).splitlines() == ["[]", "1", "True True", "{RankDistance: 1.0}"]


def test_each_measure_is_documented() -> None:
    for measure in BIAS_MEASURES:
        text = " ".join((type(measure).__doc__ or "").split())
        for part in ("is unbiased", "better", "retrieved", "that the run lacks"):
            assert part in text, (measure, part)


def test_the_page_of_measures_says_their_directions() -> None:
    lines = (ROOT / "docs" / "measures.md").read_text("utf-8").splitlines()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if "`" in line]
    directions = {
        cells[0].strip("`").replace("@k", "@10"): cells[2] for cells in rows if len(cells) == 4
    }
    assert {str(ir_measures.parse_measure(name)).split("@")[0].split("(")[0]
            for name in directions} == {measure.NAME for measure in BIAS_MEASURES}  # fmt: skip
    # The text reads as Markdown alone: every measure is defined in it.
    text = "\n".join(lines)
    assert ":::" not in text
    for bias_measure in BIAS_MEASURES:
        assert re.search(rf"^\*\*{bias_measure.NAME}(@k)?\*\*: ", text, re.MULTILINE)
    for name, direction in directions.items():
        measure = ir_measures.parse_measure(name)
        assert isinstance(measure, BiasMeasure)
        assert direction.replace("unbiased", "the unbiased value") == measure.DIRECTION


@pytest.mark.parametrize(
    ("measure", "label", "sentence"),
    [
        (RankDistance, "Rank distance", "how many ranks lie .* is preferred; lower is better"),
        (RankDistance @ 100, "Rank distance@100", "lower is better"),
        (RankDistance(normalized=True), "Normalised", "rank distance, 0 at best and 1 for a rand"),
        (SameLanguageShare @ 5, "Same language@5", "in the query's language; best near its unb"),
        (TLR @ 20, "TLR@20", "other languages than the query's that come first; higher is better"),
        (PEER, "PEER", "rank alike in all languages; higher is better"),
    ],
    ids=str,
)
def test_labels_and_sentences(measure: BiasMeasure, label: str, sentence: str) -> None:
    assert measure.label == label
    assert re.search(sentence, measure.sentence)


def test_which_values_are_better() -> None:
    assert is_higher_better(AP)
    assert is_higher_better(LanguageExposure @ 5)
    assert not is_higher_better(RankDistance(normalized=True))
    with pytest.raises(BadOption, match="neither high nor low values of LanguagePreference are"):
        is_higher_better(LanguagePreference)


def test_a_measure_declares_a_direction() -> None:
    declaration = {"NAME": "LanguageCount", "LABEL": "Languages", "SENTENCE": "how many languages"}
    with pytest.raises(TypeError, match="LanguageCount declares no DIRECTION"):
        type("LanguageCount", (BiasMeasure,), declaration)
    with pytest.raises(UnknownName, match=r"no direction of LanguageCount 'up'; .* higher, lower"):
        type("LanguageCount", (BiasMeasure,), declaration | {"DIRECTION": "up"})


def test_which_kinds_of_settings_a_measure_applies_to() -> None:
    assert RankDistance.applies_to(["mono", "multi"])
    assert not RankDistance.applies_to(["mono", "mixed"])
    assert (ModalityShare @ 5).applies_to(["mixed"])
