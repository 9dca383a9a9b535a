"""Entries in, what their own page and the page of two of them show out."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from beir_hybrid.collection.setting import SETTING_KINDS, KindName
from beir_hybrid.errors import BadData, BadOption
from beir_hybrid.report import plots
from beir_hybrid.report.columns import short
from beir_hybrid.report.entries import Entry
from beir_hybrid.report.heat import HeatMap, heat_map, less_mean, signed_map
from beir_hybrid.report.reproduce import reproduction
from beir_hybrid.results.compare import Comparison, compare, rises
from beir_hybrid.results.records import to_record
from beir_hybrid.results.render import cells, figure, notes, signed
from beir_hybrid.results.results import Estimate, Matrix, Results

ELSEWHERE = "path/to"
_SAMPLES = 10_000  # of a test and of its interval
_SURE = 0.05
# What is compared: enough to see effectiveness and bias, few enough to read.
_COMPARED = ("AP", "nDCG@10", "R@1", "R@10", "RankDistance", "LanguagePreference",
             "LanguageDisparity")  # fmt: skip


class Table(NamedTuple):
    """A plain table: the first cell of a row is its heading."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


class Line(NamedTuple):
    """A line of a comparison."""

    measure: str
    kind: str
    first: str
    second: str
    difference: str
    bounds: str
    p: str
    effect: str
    verdict: str
    sure: bool


@dataclass(frozen=True)
class Versus:
    """Two systems side by side."""

    first: Entry
    second: Entry
    lines: tuple[Line, ...]
    differences: HeatMap | None
    why_not: str = ""  # there are no lines


def facts_of(entry: Entry) -> list[tuple[str, str]]:
    """Return what is known of a system beside its figures."""
    rows = [("evaluated on", entry.date), ("recipe", entry.recipe)]
    if entry.parameters:
        rows.append(("parameters", f"{short(entry.parameters)} ({entry.parameters:,})"))
    if (results := entry.results) is not None:
        rows += _facts(results, entry)
    return [(name, text) for name, text in rows if text]


def _facts(results: Results, entry: Entry) -> Iterable[tuple[str, str]]:
    model, timing = results.provenance.model, results.timing
    made = model.fingerprint
    yield "revision", model.revision
    yield "reads", f"{made['max_length']} tokens" if made.get("max_length") else ""
    yield "arithmetic", str(made.get("dtype", ""))
    if entry.speed is not None:
        machine = timing.machine
        on = "" if machine is None else machine.gpu or machine.processor
        pictures = timing.encoded_images or 0
        what = f"{timing.encoded_texts:,} texts" + f" and {pictures:,} pictures" * bool(pictures)
        texts = f"{what} at {entry.speed:,.0f} a second"
        yield "encoding", f"{texts} on {on}" if on else texts
    known = {"beir-hybrid": results.provenance.version, **results.provenance.versions}
    yield "versions", ", ".join(f"{name} {version}" for name, version in known.items() if version)


def summary_of(entry: Entry) -> Table:
    """Return averages by measure and kind of setting, with their intervals."""
    if entry.results is not None:
        headings, rows = cells(entry.results, _whole)
    else:
        headings = ["measure", *(SETTING_KINDS[kind].label for kind in _kinds(entry))]
        names = dict.fromkeys(name for row in entry.summary.values() for name in row)
        rows = [
            [name, *(figure(found.mean) if (found := entry.found(name, kind)) else ""
                     for kind in _kinds(entry))]
            for name in names
        ]  # fmt: skip
    return Table("Averages over settings, with 95% intervals", tuple(headings),
                 tuple(map(tuple, rows)))  # fmt: skip


def _kinds(entry: Entry) -> list[KindName]:
    return [kind for kind in SETTING_KINDS if kind in entry.summary]


def _whole(found: Estimate) -> str:
    return f"{figure(found.mean)} [{figure(found.low)}, {figure(found.high)}]"


def notes_of(entry: Entry) -> list[str]:
    """Return what a reader must know beside the figures."""
    return [] if entry.results is None else notes(entry.results)


def heat_maps(entry: Entry, measure: str) -> list[HeatMap]:
    """Return effectiveness by query and passage language, one-target, and bias."""
    found = []
    plain = entry.matrix(measure, ("mono", "cross"))
    alone = entry.matrix(measure, ("one-target",))
    if plain is not None:
        about = "Each cell ranks the passages of one language; outlined: the queries' own."
        found.append(heat_map(f"{measure} by language", about, plain, _pool(entry, measure, plain)))
    if alone is not None:
        about = (
            "Each cell ranks the pool of all languages, without the answers in other languages "
            "than the column's: how well an answer is found among all."
        )
        found.append(heat_map(f"{measure} with one target", about, alone))
    told = alone or plain
    if told is not None and len(told.columns) > 1 and not np.isnan(told.values).all(axis=1).any():
        about = (
            "Each cell less the mean of its row: positive where passages of that language are "
            "found better than others. A model without language bias has rows of zeros, as far as "
            "texts are equally hard."
        )
        found.append(signed_map(f"Bias of {measure} to passage languages", about, less_mean(told)))
    return found


def _pool(entry: Entry, measure: str, matrix: Matrix) -> list[float]:
    """Return the pool's value for each row, if there is a pool."""
    found = {s.queries: v for s, v in entry.means(measure).items() if s.kind == "multi"}
    return [found.get(row, math.nan) for row in matrix.rows] if found else []


def by_language(entry: Entry, measure: str) -> Table | None:
    """Return what the bars by language show, as figures."""
    means = plots.by_language(entry.means(measure))
    if not means:
        return None
    there = [kind for kind in SETTING_KINDS if kind in means]
    rows = tuple(
        (lang, *(_mean(means[kind].get(lang, [])) for kind in there))
        for lang in sorted({lang for row in means.values() for lang in row})
    )
    labels = {"cross": "cross-lingual, mean", "multi": "pool"}
    titles = tuple(labels.get(kind, SETTING_KINDS[kind].label) for kind in there)
    if entry.group.pictures:
        return Table(f"{measure} by language of captions", ("captions in", *titles), rows)
    return Table(f"{measure} by query language", ("queries in", *titles), rows)


def bias_by_language(entry: Entry) -> Table | None:
    """Return how far what is found first is preferred, by query language."""
    shares = [name for row in entry.summary.values() for name in row
              if name.startswith(("SameLanguageShare", "ModalityShare"))]  # fmt: skip
    names = [name for name in dict.fromkeys(["LanguagePreference", *shares]) if entry.means(name)]
    if not names:
        return None
    means = [{s.queries: v for s, v in entry.means(name).items()} for name in names]
    rows = [(lang, *(figure(row[lang]) if lang in row else "" for row in means))
            for lang in sorted({lang for row in means for lang in row})]  # fmt: skip
    kinds = [next(iter(entry.means(name))).kind for name in names]
    estimates = [entry.found(name, kind) for name, kind in zip(names, kinds, strict=True)]
    free = [found.unbiased if found else None for found in estimates]
    if any(value is not None for value in free):
        rows.append(("unbiased", *("" if value is None else figure(value) for value in free)))
    what = "Bias" if entry.group.pictures else "Language bias in the pool"
    return Table(f"{what} by query language", ("queries in", *names), tuple(rows))


def _mean(values: Sequence[float]) -> str:
    return figure(float(np.mean(values))) if values else ""


def commands_of(results: Results) -> tuple[list[str], str]:
    """Return the commands that make results again, or why there are none.

    Where files lie on this machine is nobody else's business: such paths begin with `ELSEWHERE`.
    """
    try:
        lines = reproduction(results)
    except BadOption as error:
        return [], str(error)
    for path in sorted(_local(to_record(results.timing.request)), key=len, reverse=True):
        named = "/".join((ELSEWHERE, *Path(path).parts[-2:]))
        lines = [line.replace(path, named) for line in lines]
    return lines, ""


def _local(known: Any) -> set[str]:
    """Return the whole paths of folders and files in what results say of where things lay."""
    if isinstance(known, dict | list):
        parts = known.values() if isinstance(known, dict) else known
        return {path for part in parts for path in _local(part)}
    whole = isinstance(known, str) and len(Path(known).parts) > 2 and Path(known).is_absolute()  # noqa: PLR2004 - a folder in the root is not worth hiding
    return {known} if whole else set()


def versus(first: Entry, second: Entry, main: str) -> Versus:
    """Compare two systems on the same collection, or say why they cannot be."""
    a, b = first.results, second.results
    if a is None or b is None:
        raise BadOption("only results with values query by query can be compared")
    both = {str(m) for m in a.measures} & {str(m) for m in b.measures}
    names = [name for name in dict.fromkeys((main, *_COMPARED)) if name in both]
    there = [name for name in names if _in_common(first, second, name)]
    found, why_not = list[Comparison](), "" if there else "they have no measure in common"
    try:
        found = compare(a, b, measures=there, samples=_SAMPLES)
    except BadData as error:  # such as runs of other settings
        why_not = str(error)
    differences = _differences(first, second, main)
    return Versus(first, second, tuple(map(_line, found)), differences, why_not)


def _in_common(first: Entry, second: Entry, measure: str) -> bool:
    return any(first.found(measure, kind) and second.found(measure, kind) for kind in SETTING_KINDS)


def _line(one: Comparison) -> Line:
    found = one.found
    return Line(
        str(one.measure),
        SETTING_KINDS[one.where].label if isinstance(one.where, str) else "",
        figure(found.mean_a),
        figure(found.mean_b),
        signed(found.difference),
        f"{signed(found.low)} to {signed(found.high)}",
        figure(one.p_holm) if one.p_holm >= 0.0001 else "< .0001",  # noqa: PLR2004 - digits shown
        f"{found.effect:+.2f}",
        _verdict(one),
        one.p_holm <= _SURE,
    )


def _verdict(one: Comparison) -> str:
    if one.p_holm > _SURE:
        return "not told apart"
    try:
        up = rises(one.measure)
    except BadOption:  # neither more nor less is better
        return "differ"
    return "first better" if (one.found.difference > 0) == up else "second better"


def _differences(first: Entry, second: Entry, measure: str) -> HeatMap | None:
    sides = [entry.matrix(measure, ("mono", "cross")) for entry in (first, second)]
    one, other = sides
    if one is None or other is None or (one.rows, one.columns) != (other.rows, other.columns):
        return None
    matrix = Matrix(one.rows, one.columns, one.values - other.values)
    pools = [_pool(entry, measure, matrix) for entry in (first, second)]
    pool = [a - b for a, b in zip(*pools, strict=True)] if all(pools) else []
    about = "The first less the second, in every setting; outlined: the queries' own language."
    return signed_map(f"Differences of {measure} by language", about, matrix, pool)


def as_plain(board_rows: Iterable[Entry]) -> list[dict[str, Any]]:
    """Return entries as JSON can hold them; figures that are not known are null."""
    return [
        {
            "name": entry.name,
            "source": entry.source,
            "dataset": entry.group.name,
            "languages": list(entry.group.languages),
            "date": entry.date or None,
            "parameters": entry.parameters,
            "texts a second": entry.speed,
            "recipe": entry.recipe or entry.origin[0] or None,
            "summary": {
                kind: {name: _estimate(found) for name, found in row.items()}
                for kind, row in entry.summary.items()
            },
        }
        for entry in board_rows
    ]


def _estimate(found: Estimate) -> dict[str, float | None]:
    known = {"mean": found.mean, "low": found.low, "high": found.high, "unbiased": found.unbiased}
    return {name: None if value is None or math.isnan(value) else value
            for name, value in known.items()}  # fmt: skip
