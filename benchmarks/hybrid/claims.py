"""The paper's claims, and verdicts on them by one rule: `RULE`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from beir_hybrid.errors import lookup
from beir_hybrid.results.render import format_signed
from beir_hybrid.results.statistics import adjust_p_values
from benchmarks.hybrid.variant_results import (
    COLUMNS,
    Column,
    VariantDifference,
    VariantResults,
    compare_variants,
)

MARGIN, PART = 0.005, 0.02  # of mAP; of the rival's mAP, if that is less
LEVEL = 0.05
NOT_TESTABLE = "not testable here"
RULE = f"""A comparison has an interval over queries and one over seeds; the wider bound counts
at either end. The first variant is *better* if this interval is on the better side of 0 and p is
at most {LEVEL:g}, with Holm's correction over all comparisons of this kind in the report. It is
*best or equal* if the interval is above minus the margin, and *equal* if the interval is within
the margin of 0. The margin is {MARGIN:g} of mAP, the size of differences that the paper itself
ignores, or {PART:.0%} of the second variant's mAP, if that is less. A claim is **confirmed** if
all its comparisons hold. It is **contradicted** if the interval of a comparison is wholly beyond
its bound on the other side. Otherwise it is **not confirmed**: the measurement does not decide.
A claim is **{NOT_TESTABLE}** if a variant was not trained or evaluated, if the arm has seen the
languages that the claim calls unseen, or if the arm makes the strategies equal. Queries of one
article are similar to some degree, which the intervals over queries ignore."""
UNSEEN = frozenset({"el", "ru", "th", "tr"})  # by arm A
SEEN = frozenset({"ar", "de", "en", "es", "hi", "vi", "zh"})
ALPHAS = ("hybrid-40", "hybrid-60")


class ColumnDifference(NamedTuple):
    """A difference between variants in a column."""

    column: str
    difference: VariantDifference


@dataclass(frozen=True)
class Claim:
    """A claim of the paper, and the comparisons that it needs.

    Attributes
    ----------
    rule
        ``better``, ``best or equal`` or ``equal``; see `RULE`.
    columns
        Names of `COLUMNS`.
    first, rivals
        Labels of variants; the rule has to hold between the first and each rival.
    is_about_unseen
        Whether the claim is about languages that arm A never trains on.
    obstacle
        Why no experiment can test the claim.
    """

    text: str
    rule: str
    columns: tuple[str, ...] = ()
    first: str = "hybrid"
    rivals: tuple[str, ...] = ()
    is_about_unseen: bool = False
    obstacle: str = ""


@dataclass(frozen=True)
class Verdict:
    """The verdict on a claim for a collection, and the comparisons behind it."""

    claim: Claim
    collection: str
    word: str
    reason: str
    rows: Sequence[ColumnDifference] = ()


MAP_COLUMNS = ("Mo mAP", "Cr mAP", "Mul mAP")
_NAMES = ("monolingual", "cross-lingual", "multilingual")
_RIVALS = ("x-x-mono", "x-y")
CLAIMS = (
    *(
        Claim(
            f"hybrid batches are best or equal in {setting} retrieval", "best or equal",
            (column,), rivals=_RIVALS,
        )
        for setting, column in zip(_NAMES, MAP_COLUMNS, strict=True)
    ),
    Claim(
        "hybrid batches have less language bias (rank distance) than monolingual ones", "better",
        ("rank distance",), rivals=("x-x-mono",),
    ),
    Claim(
        "monolingual batches are better than cross-lingual ones in monolingual retrieval", "better",
        ("Mo mAP",), "x-x-mono", ("x-y",),
    ),
    Claim(
        "cross-lingual batches are better than monolingual ones in cross-lingual and multilingual "
        "retrieval", "better", ("Cr mAP", "Mul mAP"), "x-y", ("x-x-mono",),
    ),
    Claim("alpha from 0.4 to 0.6 makes no difference", "equal", MAP_COLUMNS, rivals=ALPHAS),
    Claim(
        "hybrid batches are best or equal in languages that are never trained on", "best or equal",
        MAP_COLUMNS, rivals=_RIVALS, is_about_unseen=True,
    ),
    Claim(
        "mixing languages in a batch of monolingual pairs (LAReQA's X-X) is worse than not mixing "
        "them (X-X-mono) in the multilingual pool", "better", ("Mul mAP",), "x-x-mono", ("x-x",),
    ),
    Claim(
        "hybrid batches keep nDCG@10 on MIRACL", "best or equal",
        obstacle="MIRACL's corpora are not at hand",
    ),
)  # fmt: skip


def compute_margin(difference: VariantDifference) -> float:
    """Return the difference up to which two mAPs count as equal."""
    return min(MARGIN, PART * difference.mean)


def holds(difference: VariantDifference, rule: str, sign: int) -> bool:
    """Return whether a comparison holds; `sign` is 1 if higher is better, else -1."""
    (low, high), margin = _orient_interval(difference, sign), compute_margin(difference)
    table = {
        "better": low > 0 and difference.p_holm <= LEVEL,
        "best or equal": low > -margin,
        "equal": low > -margin and high < margin,
    }
    return lookup("rule", rule, table)


def contradicts(difference: VariantDifference, rule: str, sign: int) -> bool:
    """Return whether the interval is wholly beyond the bound, on the wrong side."""
    (low, high), margin = _orient_interval(difference, sign), compute_margin(difference)
    table = {
        "better": high < 0,
        "best or equal": high < -margin,
        "equal": high < -margin or low > margin,
    }
    return lookup("rule", rule, table)


def _orient_interval(difference: VariantDifference, sign: int) -> tuple[float, float]:
    """Return the widest interval, with its sign changed if lower is better."""
    low, high = difference.widest
    return (low, high) if sign > 0 else (-high, -low)


ByLabel = Mapping[str, VariantResults]


def judge_claims(arm: str, results: Mapping[str, ByLabel]) -> list[Verdict]:
    """Return a verdict on each claim for each collection; one for a claim that none can test.

    Parameters
    ----------
    results
        By collection and label.
    """
    comparisons = [
        (claim, name, *_compare_for_claim(claim, arm, by_label))
        for claim in CLAIMS
        for name, by_label in list(results.items())[: 1 if claim.obstacle else None]
    ]
    family = [
        row.difference for claim, *_, rows in comparisons if claim.rule == "better" for row in rows
    ]
    p_holm = correct_family(family)
    return [
        _judge_claim(claim, name, reason, [correct_row(row, p_holm) for row in rows])
        for claim, name, reason, rows in comparisons
    ]


def correct_family(family: Sequence[VariantDifference]) -> dict[int, float]:
    """Return p with Holm's correction over a family of differences, by `id`."""
    corrected = adjust_p_values([difference.p for difference in family]).tolist()
    return dict(zip(map(id, family), corrected, strict=True))


def correct_row(row: ColumnDifference, p_holm: Mapping[int, float]) -> ColumnDifference:
    """Return a row with its corrected p; outside the family p needs no correction."""
    p = p_holm.get(id(row.difference), row.difference.p)
    return row._replace(difference=replace(row.difference, p_holm=p))


def _compare_for_claim(
    claim: Claim, arm: str, results: ByLabel
) -> tuple[str, list[ColumnDifference]]:
    """Return the reason why a claim cannot be tested, or its comparisons."""
    if reason := claim.obstacle or _find_obstacle(claim, arm, results):
        return reason, []
    rivals = [results[label] for label in claim.rivals]
    rows: list[ColumnDifference] = []
    for name in claim.columns:
        column = _find_column(claim, name)
        differences = compare_variants(results[claim.first], rivals, column)
        if len(differences) < len(rivals):
            return f"the collection has no settings for {name}", []
        rows += [ColumnDifference(name, difference) for difference in differences]
    return "", rows


def _judge_claim(
    claim: Claim, collection: str, reason: str, rows: Sequence[ColumnDifference]
) -> Verdict:
    if reason:
        return Verdict(claim, collection, NOT_TESTABLE, reason)
    good, bad = (
        [test(row.difference, claim.rule, COLUMNS[row.column].sign) for row in rows]
        for test in (holds, contradicts)
    )
    if all(good):
        word, cause = "confirmed", list(rows)
    elif any(bad):
        word, cause = "contradicted", [row for row, value in zip(rows, bad, strict=True) if value]
    else:
        word = "not confirmed"
        cause = [row for row, value in zip(rows, good, strict=True) if not value]
    return Verdict(claim, collection, word, "; ".join(map(_describe_row, cause)), rows)


def _find_column(claim: Claim, name: str) -> Column:
    return COLUMNS[name].restrict(UNSEEN) if claim.is_about_unseen else COLUMNS[name]


def _find_obstacle(claim: Claim, arm: str, results: ByLabel) -> str:
    """Return why the results cannot test a claim; empty if they can."""
    if claim.is_about_unseen and arm != "A":
        return f"arm {arm} trains on all languages"
    if claim.rivals == ALPHAS and arm == "B":
        return "a sentence and its translation are cross-lingual whatever alpha is"
    labels = (claim.first, *claim.rivals)
    if missing := [label for label in labels if label not in results or not results[label].seeds]:
        return f"no results of {', '.join(missing)}"
    seeds = [set(results[label].seeds) for label in labels]
    return "" if set.intersection(*seeds) else "no seed has all variants"


def _describe_row(row: ColumnDifference) -> str:
    difference = row.difference
    variants = f"{difference.first} less {difference.second}"
    return f"{row.column}: {variants} {describe_difference(difference)}"


def describe_difference(difference: VariantDifference) -> str:
    """Return a difference with both intervals."""
    low, high = format_signed(difference.low), format_signed(difference.high)
    seeds = "one seed"
    if difference.seed_low != -float("inf"):
        bounds = map(format_signed, (difference.seed_low, difference.seed_high))
        seeds = f"[{', '.join(bounds)}] over seeds"
    return f"{format_signed(difference.difference)} [{low}, {high}] over queries, {seeds}"
