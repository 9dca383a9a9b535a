"""Comparison of systems on one collection: differences, tests and tied ranks."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from ir_measures import Measure

from beir_hybrid.collection.setting import KindName, Setting
from beir_hybrid.errors import BadData, BadOption, lookup
from beir_hybrid.measures.base import is_higher_better
from beir_hybrid.records import to_record
from beir_hybrid.results.results import Results
from beir_hybrid.results.statistics import (
    Difference,
    Test,
    adjust_p_values,
    compare_values,
    rank_values,
)
from beir_hybrid.results.values import Values

By = Literal["kind", "setting"]


@dataclass(frozen=True)
class Comparison:
    """The difference of two systems by a measure in a setting, or over the settings of a kind.

    Attributes
    ----------
    where
        The setting, or the kind of settings.
    difference
        Averages, their difference, interval, p and effect size; see `Difference`.
    p_holm
        p, corrected by Holm's method for all comparisons by this measure.
    """

    measure: Measure
    setting: KindName | Setting
    difference: Difference
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
    """Compare two systems on the same collection, query by query.

    Differences are first less second. Queries are resampled and flipped with all their
    translations, for those are not independent.

    Parameters
    ----------
    measures
        Those of both results by default.
    by
        ``"kind"`` compares averages over the settings of a kind; ``"setting"`` every setting on its
        own, the language matrix. Holm's correction is over all comparisons by one measure.
    test
        ``"randomisation"``, which swaps the two systems' values at random, or ``"t"``.
    samples, seed
        Of swaps and of the intervals' resampling.

    Examples
    --------
    >>> e5, bm25 = Results.load("e5"), Results.load("bm25")  # doctest: +SKIP
    >>> for row in compare(e5, bm25, measures=["AP"]):  # doctest: +SKIP
    ...     print(row.setting, row.difference.value, row.difference.low, row.p_holm)
    """
    check_same_collection([first, second])
    lookup("way to compare", by, {"kind": by, "setting": by})
    table = {str(m): m for m in first.measures if m in second.measures}
    names = list(table) if measures is None else [str(measure) for measure in measures]
    rows: list[Comparison] = []
    for name in names:
        measure = lookup("measure of both results", name, table)
        pairs = list(_pair_values(first, second, name, by))
        if not pairs and measures is not None:
            raise BadOption(f"the results have no setting with values of {name} in common")
        differences = [
            compare_values(a, b, test=test, samples=samples, seed=seed) for _, a, b in pairs
        ]
        p_values = adjust_p_values([difference.p for difference in differences]).tolist()
        rows += [
            Comparison(measure, setting, difference, p)
            for (setting, _, _), difference, p in zip(pairs, differences, p_values, strict=True)
        ]
    return rows


def rank_systems(
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

    Best first, which is lowest for measures that are better when lower, such as `RankDistance`; see
    `beir_hybrid.results.statistics`.

    Examples
    --------
    >>> rank_systems({"e5": e5, "LaBSE": labse, "BM25": bm25}, "AP", "multi")  # doctest: +SKIP
    {'e5': 1, 'LaBSE': 1, 'BM25': 3}
    """
    check_same_collection(list(systems.values()))
    values_by_system = {}
    for name, results in systems.items():
        values = results.values(measure, kind)
        if values is None:
            raise BadOption(f"{name} has no values of {measure} in {kind} settings")
        values_by_system[name] = values
    higher = all(
        is_higher_better(candidate)
        for results in systems.values()
        for candidate in results.measures
        if str(candidate) == str(measure)
    )
    return rank_values(
        values_by_system, alpha=alpha, test=test, samples=samples, seed=seed, higher=higher
    )


def _pair_values(
    first: Results, second: Results, name: str, by: By
) -> Iterator[tuple[KindName | Setting, Values, Values]]:
    """Yield each kind or setting that both have values in, and the values."""
    for kind in first.kinds:
        if kind not in second.kinds:
            continue
        a, b = first.values(name, kind), second.values(name, kind)
        if a is None or b is None:
            continue
        settings, second_settings = (
            [setting for setting in results.means(name) if setting.kind == kind]
            for results in (first, second)
        )
        if settings != second_settings:
            lone = set(settings).symmetric_difference(second_settings).pop()
            raise BadData(
                f"the results have different {kind} settings: only one has {lone.queries} to "
                f"{lone.passages}"
            )
        if by == "kind":
            yield kind, a, b
            continue
        for number, setting in enumerate(settings):
            parts = a.select_setting(number), b.select_setting(number)
            if parts[0] and parts[1]:
                yield setting, parts[0], parts[1]


def check_same_collection(results: Sequence[Results]) -> None:
    """Raise `BadData` where results are of different collections."""
    identities = [to_record(system.provenance.collection.identity) for system in results]
    for identity in identities[1:]:
        for key, value in identities[0].items():
            if identity[key] != value and key == "sha256":
                raise BadData(
                    "results are compared on one collection, but texts or judgements differ; if "
                    "they do not, evaluate the older results again, which did not record them"
                )
            if identity[key] != value:
                raise BadData(
                    f"results are compared on one collection, but its {key} differs: "
                    f"{value!s:.80} and {identity[key]!s:.80}"
                )
