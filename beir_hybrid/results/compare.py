"""Results of several systems in; differences, tests and tied ranks out."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from ir_measures import Measure

from beir_hybrid.collection.setting import KindName, Setting
from beir_hybrid.errors import BadData, BadOption, lookup
from beir_hybrid.measures.base import is_higher_better
from beir_hybrid.results.records import to_record
from beir_hybrid.results.results import Results
from beir_hybrid.results.statistics import Difference, Test, Values, holm
from beir_hybrid.results.statistics import compare as compare_values
from beir_hybrid.results.statistics import tied_ranks as rank_values

By = Literal["kind", "setting"]


@dataclass(frozen=True)
class Comparison:
    """How two systems differ by a measure in a setting, or over the settings of a kind.

    Attributes
    ----------
    where
        The setting, or the kind of settings.
    found
        Averages, difference, interval, p and effect size; see `Difference`.
    p_holm
        p, corrected by Holm's method for all comparisons by this measure.
    """

    measure: Measure
    where: KindName | Setting
    found: Difference
    p_holm: float


def compare(
    first: Results,
    second: Results,
    *,
    measures: Iterable[Measure | str] | None = None,
    by: By = "kind",
    test: Test = "randomisation",
    samples: int = 10_000,
    seed: int = 0,
) -> list[Comparison]:
    """Compare two systems on the same collection, question by question.

    Differences are first less second. Questions are resampled and flipped with all their
    translations, for those are not independent.

    Parameters
    ----------
    measures
        Those of both results by default.
    by
        ``"kind"`` compares averages over the settings of a kind; ``"setting"`` every setting on its
        own, the language matrix. Holm's correction is over what is compared by one measure.
    test
        ``"randomisation"``, which flips whose value is whose, or ``"t"``.
    samples, seed
        Of flips and of the intervals' resampling.

    Examples
    --------
    >>> e5, bm25 = Results.load("e5"), Results.load("bm25")  # doctest: +SKIP
    >>> for row in compare(e5, bm25, measures=["AP"]):  # doctest: +SKIP
    ...     print(row.where, row.found.difference, row.found.low, row.found.high, row.p_holm)
    """
    same_collection([first, second])
    lookup("way to compare", by, {"kind": by, "setting": by})
    table = {str(m): m for m in first.measures if m in second.measures}
    wanted = list(table) if measures is None else [str(measure) for measure in measures]
    rows: list[Comparison] = []
    for name in wanted:
        measure = lookup("measure of both results", name, table)
        pairs = list(_pairs(first, second, name, by))
        if not pairs and measures is not None:
            raise BadOption(f"the results have no setting with values of {name} in common")
        found = [compare_values(a, b, test=test, samples=samples, seed=seed) for _, a, b in pairs]
        corrected = holm([one.p for one in found]).tolist()
        rows += [
            Comparison(measure, where, one, p)
            for (where, _, _), one, p in zip(pairs, found, corrected, strict=True)
        ]
    return rows


def tied_ranks(
    systems: Mapping[str, Results],
    measure: Measure | str,
    kind: KindName,
    *,
    alpha: float = 0.05,
    test: Test = "randomisation",
    samples: int = 10_000,
    seed: int = 0,
) -> dict[str, int]:
    """Rank systems by a measure over the settings of a kind; those not told apart share a rank.

    Best first, which is lowest for `RankDistance` and `LanguageDisparity`; see
    `beir_hybrid.results.statistics`.

    Examples
    --------
    >>> tied_ranks({"e5": e5, "LaBSE": labse, "BM25": bm25}, "AP", "multi")  # doctest: +SKIP
    {'e5': 1, 'LaBSE': 1, 'BM25': 3}
    """
    same_collection(list(systems.values()))
    found = {}
    for name, results in systems.items():
        values = results.values(measure, kind)
        if values is None:
            raise BadOption(f"{name} has no values of {measure} in {kind} settings")
        found[name] = values
    higher = all(
        is_higher_better(known)
        for results in systems.values()
        for known in results.measures
        if str(known) == str(measure)
    )
    return rank_values(found, alpha=alpha, test=test, samples=samples, seed=seed, higher=higher)


def _pairs(
    first: Results, second: Results, name: str, by: By
) -> Iterable[tuple[KindName | Setting, Values, Values]]:
    """Yield what both have values for."""
    for kind in first.kinds:
        if kind not in second.kinds:
            continue
        values = first.values(name, kind), second.values(name, kind)
        if values[0] is None or values[1] is None:
            continue
        settings = [
            [setting for setting in results.means(name) if setting.kind == kind]
            for results in (first, second)
        ]
        if settings[0] != settings[1]:
            other = set(settings[0]).symmetric_difference(settings[1]).pop()
            raise BadData(
                f"the results have different {kind} settings: only one has {other.queries} to "
                f"{other.passages}"
            )
        if by == "kind":
            yield kind, values[0], values[1]
            continue
        for number, setting in enumerate(settings[0]):
            yield setting, _only(values[0], number), _only(values[1], number)


def _only(values: Values, setting: int) -> Values:
    mine = np.flatnonzero(values.setting == setting)
    return Values(values.question[mine], values.setting[mine], values.value[mine])


def same_collection(results: Sequence[Results]) -> None:
    """Raise `BadData` where results are of different collections."""
    identities = [to_record(one.provenance.collection.identity) for one in results]
    for other in identities[1:]:
        for key, value in identities[0].items():
            if other[key] != value:
                raise BadData(
                    f"results are compared on one collection, but its {key} differs: "
                    f"{value!s:.80} and {other[key]!s:.80}"
                )
