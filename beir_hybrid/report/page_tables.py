"""The plain tables of the leaderboard's pages."""

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from ir_measures import parse_measure

from beir_hybrid.collection.setting import ALL, SETTING_KINDS, KindName
from beir_hybrid.measures.base import BiasMeasure
from beir_hybrid.report.entries import Entry
from beir_hybrid.report.plots import group_by_language, measures_preference
from beir_hybrid.results.estimate import Estimate
from beir_hybrid.results.pool_languages import PoolLanguages
from beir_hybrid.results.render import build_cells, format_interval, format_ratio, format_value

_TOLERANCE = 1e-6  # of a number of versions


class TextTable(NamedTuple):
    """A table of texts; the first cell of a row is the row's heading."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def build_summary_table(entry: Entry) -> TextTable:
    """Return averages by measure and kind of setting, with their intervals."""
    title = "Averages over settings, with 95% intervals"
    if entry.results is not None:
        headings, rows = build_cells(entry.results, format_interval)
        if ceilings := find_ceilings(entry):
            headings.append("at most")
            for row in rows:
                row.append(format_value(ceilings[row[0]]) if row[0] in ceilings else "")
        return TextTable(title, tuple(headings), tuple(map(tuple, rows)))
    kinds = [kind for kind in SETTING_KINDS if kind in entry.summary]
    measures = dict.fromkeys(name for row in entry.summary.values() for name in row)
    return TextTable(
        title,
        ("measure", *(SETTING_KINDS[kind].label for kind in kinds)),
        tuple(
            (measure, *(_show_mean(entry.estimate(measure, kind)) for kind in kinds))
            for measure in measures
        ),
    )


def find_ceilings(entry: Entry) -> dict[str, float]:
    """Return the highest possible recall at a cutoff in the pool, where it is below 1.

    If every answer has n parallel versions, a query has n relevant passages or more, and recall
    among the first k is at most k/n. The unbiased values of two measures say so: the mean of n - 1
    and the mean of 1/n determine n only where all n are equal.
    """
    distance, preference = (
        entry.estimate(name, "multi") for name in ("RankDistance", "LanguagePreference")
    )
    if distance is None or preference is None or not (distance.unbiased and preference.unbiased):
        return {}
    versions = distance.unbiased + 1
    if abs(versions * preference.unbiased - 1) > _TOLERANCE:
        return {}
    ceilings = {}
    for name, estimate in entry.summary["multi"].items():
        match = re.fullmatch(r"R@(\d+)", name)
        if match and estimate.queries == distance.queries and int(match[1]) < versions - _TOLERANCE:
            ceilings[name] = int(match[1]) / versions
    return ceilings


def _show_mean(estimate: Estimate | None) -> str:
    return "" if estimate is None else format_value(estimate.mean)


def build_language_table(entry: Entry, measure: str) -> TextTable | None:
    """Return a measure by language, which `plots.plot_languages` shows as bars."""
    means = group_by_language(entry.means(measure))
    if not means:
        return None
    kinds = [kind for kind in SETTING_KINDS if kind in means]
    languages = sorted({language for row in means.values() for language in row})
    rows = tuple(
        (language, *(_average_values(means[kind].get(language, [])) for kind in kinds))
        for language in languages
    )
    titles = tuple(map(_label_kind, kinds))
    if entry.benchmark.has_images:
        return TextTable(f"{measure} by language of captions", ("captions in", *titles), rows)
    return TextTable(f"{measure} by query language", ("queries in", *titles), rows)


def _label_kind(kind: KindName) -> str:
    # A query language has several cross-lingual settings.
    labels: dict[KindName, str] = {"cross": "cross-lingual, mean", "multi": "pool"}
    return labels.get(kind, SETTING_KINDS[kind].label)


def _average_values(values: Sequence[float]) -> str:
    return format_value(float(np.mean(values))) if values else ""


def build_bias_table(entry: Entry) -> TextTable | None:
    """Return the preference for each query language, with the unbiased values in the last row."""
    measures = [str(measure) for measure in _list_preference_measures(entry)]
    if not measures:
        return None
    means = [
        {setting.queries: value for setting, value in entry.means(name).items()}
        for name in measures
    ]
    languages = sorted({language for row in means for language in row})
    rows = [
        (language, *(format_value(row[language]) if language in row else "" for row in means))
        for language in languages
    ]
    unbiased = [_find_unbiased(entry, name) for name in measures]
    if any(unbiased):
        rows.append(("unbiased", *unbiased))
    title = "Bias" if entry.benchmark.has_images else "Language bias in the pool"
    return TextTable(f"{title} by query language", ("queries in", *measures), tuple(rows))


def build_pool_table(kind: KindName, pool: PoolLanguages) -> TextTable:
    """Return the share of each language among the first passages, over all query languages."""
    rows = tuple(
        (
            language,
            f"{estimate.mean:.1%} [{estimate.low:.1%}, {estimate.high:.1%}]",
            f"{estimate.unbiased or 0:.1%}",
            format_ratio(pool.ratio(ALL, language)),
        )
        for language, estimate in pool.estimates[ALL].items()
    )
    title = f"Mean over query languages, {SETTING_KINDS[kind].label}, with 95% intervals"
    columns = ("passages in", f"among the first {pool.depth}", "among the relevant", "ratio")
    return TextTable(title, columns, rows)


def list_preference_sentences(entry: Entry) -> list[tuple[str, str]]:
    """Return the columns of the table of bias, each with the sentence of its measure."""
    measures = _list_preference_measures(entry)
    return [(str(measure), measure.sentence) for measure in measures]


def _list_preference_measures(entry: Entry) -> list[BiasMeasure]:
    names = dict.fromkeys(name for row in entry.summary.values() for name in row)
    measures = filter(measures_preference, map(parse_measure, names))
    return [measure for measure in measures if entry.means(str(measure))]


def _find_unbiased(entry: Entry, measure: str) -> str:
    kind = next(iter(entry.means(measure))).kind
    estimate = entry.estimate(measure, kind)
    if estimate is None or estimate.unbiased is None:
        return ""
    return format_value(estimate.unbiased)
