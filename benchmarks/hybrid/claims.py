"""Paired differences in, what they say of each of the paper's claims out, by one rule: `RULE`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from beir_hybrid.errors import lookup
from beir_hybrid.results.render import format_signed
from beir_hybrid.results.statistics import adjust_p_values
from benchmarks.hybrid.pooled import COLUMNS, Column, Gap, Pooled, gaps, sense

MARGIN, PART = 0.005, 0.02  # of mAP; of the other's mAP, where that is less
LEVEL = 0.05
RULE = f"""A comparison is *better* where its whole interval, the wider of the one by question and
the one over seeds at either end, is on the better side of 0 and p, corrected by Holm's method for
all comparisons of this kind in the report, is at most {LEVEL:g}; *best or equal* where the interval
is above minus the margin; *equal* where it is within the margin of 0. The margin is {MARGIN:g} of
mAP, the size of the gaps that the paper itself passes over, or {PART:.0%} of the mAP of what is
compared with, if that is less. A claim is **confirmed** if all its comparisons hold,
**contradicted** if one of them lies wholly beyond its bound on the other side, and otherwise **not
confirmed**: the measurement does not decide it. It is **not testable here** if what it compares was
not trained, or not judged, or the arm has seen what it calls unseen, or lets no strategy decide it.
Questions of an article are alike to some degree, which intervals by question leave out."""
UNSEEN = frozenset({"el", "ru", "th", "tr"})  # of arm A
SEEN = frozenset({"ar", "de", "en", "es", "hi", "vi", "zh"})
ALPHAS = ("hybrid-40", "hybrid-60")


Compared = tuple[str, Gap]  # a column's name, a comparison in it


@dataclass(frozen=True)
class Claim:
    """What the paper says, and what it would have to show here.

    Attributes
    ----------
    first, others
        Labels; the first is claimed to be so beside all others.
    unseen
        Whether it is of the languages that arm A never trains on.
    untestable
        Why nothing here can test it.
    """

    text: str
    rule: str
    columns: tuple[str, ...] = ()
    first: str = "hybrid"
    others: tuple[str, ...] = ()
    unseen: bool = False
    untestable: str = ""


@dataclass(frozen=True)
class Verdict:
    """What became of a claim on a collection, and the comparisons behind it, by column."""

    claim: Claim
    collection: str
    word: str
    reason: str
    rows: Sequence[Compared] = field(default_factory=tuple)


_MAP = ("Mo mAP", "Cr mAP", "Mul mAP")
_GAINS = ("Mul mAP", "rank distance")
_NAMES = ("monolingual", "cross-lingual", "multilingual")
_RIVALS = ("x-x-mono", "x-y")
CLAIMS = (
    *(
        Claim(
            f"hybrid batches are best or equal in {setting} retrieval", "best or equal",
            (column,), others=_RIVALS,
        )
        for setting, column in zip(_NAMES, _MAP, strict=True)
    ),
    Claim(
        "hybrid batches have less language bias (rank distance) than monolingual ones", "better",
        ("rank distance",), others=("x-x-mono",),
    ),
    Claim(
        "monolingual batches are better than cross-lingual ones in monolingual retrieval", "better",
        ("Mo mAP",), "x-x-mono", ("x-y",),
    ),
    Claim(
        "cross-lingual batches are better than monolingual ones in cross-lingual and multilingual "
        "retrieval", "better", ("Cr mAP", "Mul mAP"), "x-y", ("x-x-mono",),
    ),
    Claim("alpha from 0.4 to 0.6 makes no difference", "equal", _MAP, others=ALPHAS),
    Claim(
        "hybrid batches are best or equal in languages that are never trained on", "best or equal",
        _MAP, others=_RIVALS, unseen=True,
    ),
    Claim(
        "mixing languages in a batch of monolingual pairs (LAReQA's X-X) is worse than not mixing "
        "them (X-X-mono) in the multilingual pool", "better", ("Mul mAP",), "x-x-mono", ("x-x",),
    ),
    Claim(
        "hybrid batches keep nDCG@10 on MIRACL", "best or equal",
        untestable="MIRACL's corpora are not at hand",
    ),
)  # fmt: skip


def margin_of(gap: Gap) -> float:
    """Return how far a mAP may be off another and still count as equal to it."""
    return min(MARGIN, PART * gap.mean)


def holds(gap: Gap, rule: str, better: int) -> bool:
    """Return whether a comparison holds; `better` is 1 where more is, -1 where less is."""
    (low, high), margin = _turned(gap, better), margin_of(gap)
    table = {
        "better": low > 0 and gap.p_holm <= LEVEL,
        "best or equal": low > -margin,
        "equal": low > -margin and high < margin,
    }
    return lookup("rule", rule, table)


def contradicts(gap: Gap, rule: str, better: int) -> bool:
    """Return whether the whole interval lies beyond the bound, on the wrong side."""
    (low, high), margin = _turned(gap, better), margin_of(gap)
    table = {
        "better": high < 0,
        "best or equal": high < -margin,
        "equal": high < -margin or low > margin,
    }
    return lookup("rule", rule, table)


def _turned(gap: Gap, better: int) -> tuple[float, float]:
    """Return the widest interval, more of it being better."""
    low, high = gap.widest
    return (low, high) if better > 0 else (-high, -low)


def verdicts(arm: str, judged: Mapping[str, Mapping[str, Pooled]]) -> list[Verdict]:
    """Return what the results on each collection say of each claim; where nothing can, once."""
    looked = [
        (claim, name, *_compared(claim, arm, pooled))
        for claim in CLAIMS
        for name, pooled in list(judged.items())[: 1 if claim.untestable else None]
    ]
    family = [gap for claim, *_, rows in looked if claim.rule == "better" for _, gap in rows]
    p = dict(zip(map(id, family), adjust_p_values([gap.p for gap in family]).tolist(), strict=True))
    return [
        _verdict(
            claim,
            name,
            reason,
            [(column, replace(gap, p_holm=p.get(id(gap), gap.p))) for column, gap in rows],
        )
        for claim, name, reason, rows in looked
    ]


def _compared(claim: Claim, arm: str, pooled: Mapping[str, Pooled]) -> tuple[str, list[Compared]]:
    """Return a claim's comparisons by column, or why there are none."""
    if reason := claim.untestable or _lacking(claim, arm, pooled):
        return reason, []
    others = [pooled[label] for label in claim.others]
    rows: list[Compared] = []
    for name in claim.columns:
        found = gaps(pooled[claim.first], others, _column(claim, name))
        if len(found) < len(others):
            return f"the collection has no settings for {name}", []
        rows += [(name, gap) for gap in found]
    return "", rows


def _verdict(claim: Claim, collection: str, reason: str, rows: Sequence[Compared]) -> Verdict:
    if reason:
        return Verdict(claim, collection, "not testable here", reason)
    good, bad = (
        [test(gap, claim.rule, sense(COLUMNS[name])) for name, gap in rows]
        for test in (holds, contradicts)
    )
    if all(good):
        return Verdict(claim, collection, "confirmed", _told(rows, good, True), rows)
    if any(bad):
        return Verdict(claim, collection, "contradicted", _told(rows, bad, True), rows)
    return Verdict(claim, collection, "not confirmed", _told(rows, good, False), rows)


def _column(claim: Claim, name: str) -> Column:
    return COLUMNS[name].within(UNSEEN) if claim.unseen else COLUMNS[name]


def _lacking(claim: Claim, arm: str, pooled: Mapping[str, Pooled]) -> str:
    """Say what a test of the claim lacks, if anything."""
    if claim.unseen and arm != "A":
        return f"arm {arm} trains on all languages"
    if claim.others == ALPHAS and arm == "B":
        return "a sentence and its translation are cross-lingual whatever alpha is"
    labels = (claim.first, *claim.others)
    if lost := [label for label in labels if label not in pooled or not pooled[label].seeds]:
        return f"no results of {', '.join(lost)}"
    seeds = [set(pooled[label].seeds) for label in labels]
    return "" if set.intersection(*seeds) else "no seed has all variants"


def _told(rows: Sequence[Compared], which: Sequence[bool], value: bool) -> str:
    """Return the comparisons that a test is true, or false, of."""
    return "; ".join(
        f"{name}: {gap.first} less {gap.second} {shown(gap)}"
        for (name, gap), one in zip(rows, which, strict=True)
        if one == value
    )


def shown(gap: Gap) -> str:
    """Return a difference with both intervals."""
    seeds = f"[{format_signed(gap.seed_low)}, {format_signed(gap.seed_high)}] over seeds"
    if gap.seed_low == -float("inf"):
        seeds = "one seed"
    by_group = f"[{format_signed(gap.low)}, {format_signed(gap.high)}] by question"
    return f"{format_signed(gap.difference)} {by_group}, {seeds}"


KEPT = """Of the candidates, the one with the highest mean of mAP in the three settings on the dev
articles is chosen. It is kept if, on each held-out collection, it is better than the baseline in
multilingual mAP or in rank distance, p corrected by Holm's method for these two on all collections,
and best or equal in all three mAPs, as said of the claims."""


def candidate(dev: Mapping[str, Pooled]) -> str:
    """Return which of the variants the dev articles choose; empty if they have none."""
    found = {}
    for label, one in dev.items():
        means = [mean.mean for name in _MAP if (mean := one.mean(COLUMNS[name]))]
        if means:
            found[label] = sum(means) / len(means)
    return max(found, key=lambda label: found[label]) if found else ""


def kept(
    judged: Mapping[str, tuple[Pooled, Pooled]],
) -> dict[str, tuple[bool, list[Compared]]]:
    """Return whether a variant betters the baseline on each collection, and what says so."""
    rows = {
        collection: [
            (name, gap)
            for name in (*_MAP, "rank distance")
            for gap in gaps(one, [baseline], COLUMNS[name])
        ]
        for collection, (one, baseline) in judged.items()
    }
    gains = [gap for some in rows.values() for name, gap in some if name in _GAINS]
    p = dict(zip(map(id, gains), adjust_p_values([gap.p for gap in gains]).tolist(), strict=True))
    found = {}
    for collection, some in rows.items():
        told = [(name, replace(gap, p_holm=p.get(id(gap), gap.p))) for name, gap in some]
        gained = [
            holds(gap, "better", sense(COLUMNS[name])) for name, gap in told if name in _GAINS
        ]
        equal = [holds(gap, "best or equal", 1) for name, gap in told if name in _MAP]
        found[collection] = any(gained) and all(equal) and len(equal) == len(_MAP), told
    return found
