"""Results of systems on one collection in; what tells them apart, and from one of them, out."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from ir_measures import Measure

from beir_hybrid.collection.setting import KindName, Setting
from beir_hybrid.errors import BadOption, lookup
from beir_hybrid.measures.base import BiasMeasure
from beir_hybrid.results.compare import By, Comparison, compare, rises, tied_ranks
from beir_hybrid.results.results import Estimate, Results
from beir_hybrid.results.statistics import Test, holm

ALPHA = 0.05


class Row(NamedTuple):
    """How a system differs from the baseline; ``p_holm`` counts all systems' comparisons."""

    system: str
    found: Comparison


@dataclass(frozen=True, eq=False)
class Compared:
    """Systems beside each other, and each beside the baseline.

    Attributes
    ----------
    systems
        The baseline first.
    averages
        Differences from the baseline over the settings of a kind.
    rows
        The same, or those in every setting if that was asked for.
    ranks
        Of systems by measure and kind; see `beir_hybrid.tied_ranks`. None where neither more nor
        less is better, and where a system has no values.
    columns
        The measures and kinds that the table of systems shows.
    """

    systems: Mapping[str, Results]
    test: Test
    averages: tuple[Row, ...]
    rows: tuple[Row, ...]
    ranks: Mapping[tuple[Measure, KindName], Mapping[str, int]]
    columns: tuple[tuple[Measure, KindName], ...]

    @property
    def baseline(self) -> str:
        """The system that the others are compared with."""
        return next(iter(self.systems))

    @property
    def collection(self) -> str:
        """The collection's name."""
        return self.systems[self.baseline].collection

    def estimate(self, system: str, measure: Measure, kind: KindName) -> Estimate | None:
        """Return a system's average, if it has one."""
        return self.systems[system].summary().get(kind, {}).get(measure)

    def differs(self, system: str, measure: Measure, where: KindName | Setting) -> bool:
        """Return whether a system was told apart from the baseline."""
        return any(
            row.found.p_holm <= ALPHA
            for row in self.averages
            if (row.system, row.found.measure, row.found.where) == (system, measure, where)
        )


def compared(
    systems: Mapping[str, Results],
    *,
    baseline: str | None = None,
    measures: Iterable[Measure | str] | None = None,
    by: By = "kind",
    test: Test = "randomisation",
) -> Compared:
    """Compare two systems or more with a baseline, the first if none is named.

    Holm's correction is over all systems and settings that are compared by one measure.

    Parameters
    ----------
    measures
        Those that all results have, by default; the table of systems then shows AP and
        `RankDistance`, as the paper's does.
    """
    if len(systems) < 2:  # noqa: PLR2004 - to compare is to have two
        raise BadOption(f"a comparison takes two systems or more, not {len(systems)}")
    first = next(iter(systems)) if baseline is None else baseline
    lookup("system", first, systems)
    ordered = {first: systems[first]} | dict(systems)
    wanted = None if measures is None else list(measures)
    averages = _rows(ordered, wanted, "kind", test)
    rows = averages if by == "kind" else _rows(ordered, wanted, by, test)
    ranks = {}
    there = list(dict.fromkeys((one.found.measure, one.found.where) for one in averages))
    pairs = [(measure, where) for measure, where in there if not isinstance(where, Setting)]
    for measure, kind in pairs:
        everywhere = all(results.values(measure, kind) for results in ordered.values())
        if everywhere and _has_direction(measure):
            ranks[measure, kind] = tied_ranks(ordered, measure, kind, alpha=ALPHA, test=test)
    shown = pairs if wanted is not None else _main(pairs)
    return Compared(ordered, test, averages, rows, ranks, tuple(shown))


def _rows(
    systems: Mapping[str, Results], measures: list[Measure | str] | None, by: By, test: Test
) -> tuple[Row, ...]:
    (_, first), *others = systems.items()
    shared = set(first.measures).intersection(*(results.measures for _, results in others))
    rows = [
        Row(name, found)
        for name, results in others
        for found in compare(results, first, measures=measures, by=by, test=test)
        if measures is not None or found.measure in shared
    ]
    if not rows:
        raise BadOption("the results have no measure with values in common")
    for measure in {row.found.measure for row in rows}:
        places = [at for at, row in enumerate(rows) if row.found.measure == measure]
        corrected = holm([rows[at].found.found.p for at in places]).tolist()
        for at, p in zip(places, corrected, strict=True):
            rows[at] = rows[at]._replace(found=replace(rows[at].found, p_holm=p))
    return tuple(rows)


def _main(pairs: list[tuple[Measure, KindName]]) -> list[tuple[Measure, KindName]]:
    """Choose AP, or else the first measure of effectiveness, and rank distance."""
    names = [str(measure) for measure, _ in pairs if not isinstance(measure, BiasMeasure)]
    main = "AP" if "AP" in names else next(iter(names), "")
    return [pair for pair in pairs if str(pair[0]) in (main, "RankDistance")] or pairs


def _has_direction(measure: Measure) -> bool:
    try:
        rises(measure)
    except BadOption:
        return False
    return True
