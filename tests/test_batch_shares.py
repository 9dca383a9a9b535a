"""Shares of batch kinds and languages, over seeds and epochs, with and without translations."""

from collections import Counter
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest, chisquare

from beir_hybrid.batches.allotment import fit_factors
from beir_hybrid.batches.epoch import Batch
from beir_hybrid.batches.sampler import HybridBatchSampler
from beir_hybrid.batches.strategies import parse_strategy
from beir_hybrid.pairs.joining import join_pairs
from beir_hybrid.pairs.parallel_pairs import ParallelPairs
from beir_hybrid.pairs.reading import pairs_from_groups

LANGUAGES = ("de", "en", "es", "th")
SIZE = 8


def make_pairs(language_sets: list[tuple[str, ...]], name: str = "pairs") -> ParallelPairs:
    """Make a group in each set of languages, query and passage in all of them."""
    return pairs_from_groups(
        (
            {
                "query": {lang: f"{name} query {i} {lang}" for lang in languages},
                "positive": {lang: f"{name} passage {i} {lang}" for lang in languages},
            }
            for i, languages in enumerate(language_sets)
        ),
        name=name,
    )


# 30 groups in all languages; and 5 groups in each set of one, two or three of them, so that no
# language differs from another.
COMPLETE: list[tuple[str, ...]] = [LANGUAGES] * 30
INCOMPLETE: list[tuple[str, ...]] = [
    languages for n in (1, 2, 3) for languages in combinations(LANGUAGES, n)
] * 5
GROUPS: dict[str, list[tuple[str, ...]]] = {"complete": COMPLETE, "incomplete": INCOMPLETE}


def draw(pairs: ParallelPairs, strategy: str) -> list[list[Batch]]:
    """Return the batches of 60 seeds with 3 epochs each."""
    epochs = []
    for seed in range(60):
        sampler = HybridBatchSampler(pairs, SIZE, seed=seed, strategy=strategy)
        for epoch in range(3):
            sampler.set_epoch(epoch)
            epochs.append(sampler.batches())
    return epochs


def list_languages(pairs: ParallelPairs, batch: Batch) -> list[str]:
    """Return the languages of a batch: of each row for kinds by row, else of the first alone."""
    codes = batch.codes if batch.kind.endswith("-rows") else batch.codes[:1]
    rows = [pairs.decode_row(int(code)) for code in codes]
    return [f"{row.query_language}-{row.passage_language}" for row in rows]


@pytest.mark.parametrize("groups", GROUPS)
@pytest.mark.parametrize(
    "strategy",
    ["x-x", "x-x-mono", "x-y", "x-y-batch", "hybrid", "hybrid:alpha=0.3,cross=cross"],
)
def test_languages_are_drawn_alike_in_full_and_short_batches(strategy: str, groups: str) -> None:
    pairs = make_pairs(GROUPS[groups])
    counts: dict[tuple[bool, bool], Counter[str]] = {}
    for batches in draw(pairs, strategy):
        for batch in batches:
            key = batch.kind.startswith("mono"), len(batch.codes) < SIZE
            counts.setdefault(key, Counter()).update(list_languages(pairs, batch))
    kinds = {kind.startswith("mono") for kind, _ in parse_strategy(strategy).kinds}
    assert set(counts) == {(is_mono, is_short) for is_mono in kinds for is_short in (False, True)}
    for (is_mono, _), languages in counts.items():
        assert len(languages) == (4 if is_mono else 12)
        assert chisquare(list(languages.values())).pvalue > 0.001, counts


@pytest.mark.parametrize("alpha", [0.3, 0.5])
def test_kinds_have_their_shares_in_short_batches(alpha: float) -> None:
    epochs = draw(make_pairs(COMPLETE), f"hybrid:alpha={alpha}")
    for is_short in (True, False):
        kinds = Counter(
            batch.kind
            for batches in epochs
            for batch in batches
            if (len(batch.codes) < SIZE) == is_short
        )
        assert binomtest(kinds["mono"], kinds.total(), alpha).pvalue > 0.001


# MLQA-R in German, English and Spanish.
MLQA: list[tuple[str, ...]] = [
    *[("en",)] * 332, *[("de", "en")] * 316, *[("en", "es")] * 304, *[("de", "en", "es")] * 196
]  # fmt: skip


@pytest.mark.parametrize("size", [8, 64])
@pytest.mark.parametrize(
    # Where alpha is too small, those 332 of 1,148 groups are monolingual all the same.
    ("alpha", "share"), [(0.1, 332 / 1148), (0.4, 0.4), (0.5, 0.5), (0.75, 0.75), (1.0, 1.0)],
)  # fmt: skip
def test_alpha_is_the_share_of_an_epoch_with_missing_translations(
    alpha: float, share: float, size: int
) -> None:
    pairs = make_pairs(MLQA)
    counts: Counter[str] = Counter()
    halves = [Counter[str](), Counter[str]()]
    for seed in range(20):
        sampler = HybridBatchSampler(pairs, size, seed=seed, strategy=f"hybrid:alpha={alpha}")
        batches = sampler.batches()
        assert sum(len(batch.codes) for batch in batches) == 1148  # no group is lost
        for i, batch in enumerate(batches):
            counts[batch.kind] += len(batch.codes)
            halves[i >= len(batches) / 2][batch.kind] += len(batch.codes)
    assert abs(counts["mono"] / counts.total() - share) < 0.02
    if alpha == share:  # over the whole epoch, its end included
        for half in halves:
            assert abs(half["mono"] / half.total() - share) < 0.1


def test_groups_in_one_language_explain_what_languages_are_drawn() -> None:
    # At a share of a half 574 of 1,148 rows are monolingual. 332 of their groups are in English
    # alone; the others are German and Spanish alike, 121 each.
    pairs = make_pairs(MLQA)
    rows: Counter[str] = Counter()
    for seed in range(30):
        rows += HybridBatchSampler(pairs, 8, seed=seed, strategy="hybrid").audit().rows
    mono = {lang: rows[f"{lang}-{lang}"] / 30 for lang in ("de", "en", "es")}
    assert mono == pytest.approx({"de": 121, "en": 332, "es": 121}, abs=12)
    # Where all batches are monolingual there is room for a third each.
    rows.clear()
    for seed in range(30):
        rows += HybridBatchSampler(pairs, 8, seed=seed, strategy="x-x-mono").audit().rows
    mono = {lang: rows[f"{lang}-{lang}"] / 30 for lang in ("de", "en", "es")}
    assert mono == pytest.approx(dict.fromkeys(("de", "en", "es"), 1148 / 3), abs=20)


def test_shares_hold_over_all_sources() -> None:
    # All of the first source is monolingual, so the second is cross-lingual.
    english = make_pairs([("en",)] * 400, "english")
    parallel = make_pairs([("de", "en")] * 400, "parallel")
    pairs = join_pairs([english, parallel])
    counts: Counter[tuple[int, str]] = Counter()
    for seed in range(5):
        for batch in HybridBatchSampler(pairs, 8, seed=seed, strategy="hybrid").batches():
            counts[batch.source, batch.kind] += len(batch.codes)
    assert counts[0, "mono"] == 2000
    assert counts[1, "cross-rows"] >= 1960


def test_the_audit_shows_target_and_realised_shares() -> None:
    sampler = HybridBatchSampler(make_pairs(MLQA), 8, seed=1, strategy="hybrid:alpha=0.1")
    audit = sampler.audit()
    assert audit.targets == {"mono": 0.1, "cross-rows": 0.9}
    total = audit.batches.total()
    assert audit.shares == {kind: n / total for kind, n in audit.batches.items()}
    n_mono, share = audit.batches["mono"], audit.shares["mono"]
    assert audit.format_lines()[0].startswith(
        f"batches: {n_mono} mono ({share:.1%}, target 10.0%), "
    )


@pytest.mark.parametrize("world_size", [1, 2])
def test_the_same_seed_draws_the_same_with_missing_translations(world_size: int) -> None:
    def list_codes(seed: int) -> list[list[int]]:
        sampler: Any = HybridBatchSampler(
            make_pairs(INCOMPLETE), 4, seed=seed, strategy="hybrid", world_size=world_size
        )
        return [list(batch) for batch in sampler]

    assert list_codes(1) == list_codes(1) != list_codes(2)


def test_factors_by_hand() -> None:
    # Of 6 groups, 1 fits the first slot alone, 2 the second alone, 3 both. A third each of the 3
    # is 1 to the first and 2 to the second: in all 2 and 4.
    fits = np.array([[1, 0], [0, 1], [0, 1], [1, 1], [1, 1], [1, 1]], bool)
    factors = fit_factors(fits, np.array([1.0, 2.0]))
    assert factors / factors.sum() == pytest.approx([1 / 3, 2 / 3], abs=1e-3)
    # Shares that cannot be had: all that fit both go to the slot that lacks most.
    factors = fit_factors(fits, np.array([0.05, 0.95]))
    assert factors[0] / factors.sum() < 0.01
