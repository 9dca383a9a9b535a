"""The columns of a leaderboard: measures in kinds of settings, and facts about systems.

A new column is a row of `TEXT_COLUMNS`, of `IMAGE_COLUMNS` (the table of benchmarks with images),
or of `SYSTEM_COLUMNS`, which stand in both.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from ir_measures import Measure, R

from beir_hybrid.collection.setting import SETTING_KINDS, KindName
from beir_hybrid.measures.base import BiasMeasure, Direction
from beir_hybrid.measures.bias.language_disparity import LanguageDisparity
from beir_hybrid.measures.bias.language_preference import LanguagePreference
from beir_hybrid.measures.bias.modality_share import ModalityShare
from beir_hybrid.measures.bias.rank_distance import RankDistance
from beir_hybrid.measures.bias.same_language_share import SameLanguageShare
from beir_hybrid.measures.bias.target_languages_recall import TLR
from beir_hybrid.report.entries import Entry


class CellValue(NamedTuple):
    """The content of a cell.

    Attributes
    ----------
    sort_key
        None for an empty cell, which stays last.
    note
        Small text below.
    """

    text: str = ""
    sort_key: float | str | None = None
    note: str = ""
    is_best: bool = False


@dataclass(frozen=True)
class Column:
    """A column of a leaderboard: a measure in a kind of settings, or a fact about systems.

    Attributes
    ----------
    heading
        Stands above the titles of several columns.
    description
        For the reader, below the table.
    kind, measure
        Without a measure, the column shows the one that the reader chooses; with a name that ends
        in ``@``, the first measure of that name, whatever its cutoff.
    direction
        Which values are better.
    is_text
        Whether cells sort as texts.
    is_extra
        Whether the column is hidden until the reader chooses it.
    role
        Of a column that the board fills by itself: ranks, or gains by a calibration.
    read
        Reads the fact from an entry.
    """

    title: str
    heading: str
    description: str
    kind: KindName | None = None
    measure: str = ""
    direction: Direction = "higher"
    is_text: bool = False
    is_extra: bool = False
    role: Literal["", "rank", "gain"] = ""
    read: Callable[[Entry], CellValue] | None = None


def list_columns(entries: Sequence[Entry]) -> list[Column]:
    """Return the columns for entries on one benchmark, without their ranks."""
    names = sorted({name for entry in entries for row in entry.summary.values() for name in row})
    table = IMAGE_COLUMNS if entries[0].benchmark.has_images else TEXT_COLUMNS
    columns = [*table, *SYSTEM_COLUMNS]
    return [column for column in (_find_cutoff(column, names) for column in columns) if column]


def _find_cutoff(column: Column, names: Sequence[str]) -> Column | None:
    """Complete a column whose measure lacks a cutoff; None if no measure in `names` fits."""
    if not column.measure.endswith("@"):
        return column
    name = next((name for name in names if name.startswith(column.measure)), None)
    if name is None:
        return None
    cutoff = name.removeprefix(column.measure)
    return replace(column, measure=name, title=f"{column.title}@{cutoff}")


def shorten_number(number: float) -> str:
    """Return a large number with three digits.

    >>> shorten_number(117_653_760), shorten_number(22_713), shorten_number(950)
    ('118M', '22.7k', '950')
    """
    for size, sign in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if number >= 0.9995 * size:  # which rounds to it
            return f"{number / size:.3g}{sign}"
    return f"{number:.3g}"


def _read_parameters(entry: Entry) -> CellValue:
    if entry.parameters is None:
        return CellValue()
    return CellValue(shorten_number(entry.parameters), entry.parameters)


def _read_speed(entry: Entry) -> CellValue:
    return CellValue() if entry.speed is None else CellValue(f"{entry.speed:,.0f}", entry.speed)


def _read_date(entry: Entry) -> CellValue:
    return CellValue(entry.date, entry.date or None)


def _read_recipe(entry: Entry) -> CellValue:
    text = entry.recipe or entry.origin[0]
    return CellValue(text, text or None)


def _show_chosen(heading: str, kind: KindName) -> Column:
    """Return the column of a kind of settings for the measure that the reader chooses."""
    setting = SETTING_KINDS[kind]
    return Column(setting.short_label, heading, f"{setting.label}: {setting.description}", kind)


def _show_measure(
    heading: str, kind: KindName, measure: Measure, *, is_extra: bool = False
) -> Column:
    """Return the column of a measure in a kind of settings, as the measure declares itself."""
    if isinstance(measure, BiasMeasure):
        any_cutoff = measure.NEEDS_CUTOFF and "cutoff" not in measure.params
        name = f"{measure}@" if any_cutoff else str(measure)
        return Column(
            measure.label, heading, measure.sentence, kind, name, direction=measure.DIRECTION,
            is_extra=is_extra,
        )  # fmt: skip
    setting, cutoff = SETTING_KINDS[kind], measure.params.get("cutoff")
    description = f"mean {measure}"
    if measure == R @ (cutoff or 1):
        place = "come first" if cutoff == 1 else f"are among the first {cutoff}"
        description = f"share of the relevant passages that {place}"
    return Column(
        f"{measure} {setting.short_label}", heading, f"{description}, {setting.label}", kind,
        str(measure), is_extra=is_extra,
    )  # fmt: skip


_EFFECTIVENESS, _LANGUAGE_BIAS, _SYSTEM = "Effectiveness", "Language bias", "System"
_IMAGES, _CAPTIONS, _BIAS = "Images and captions", "Captions alone", "Bias"

TEXT_COLUMNS = (
    _show_chosen(_EFFECTIVENESS, "mono"),
    _show_chosen(_EFFECTIVENESS, "cross"),
    _show_chosen(_EFFECTIVENESS, "multi"),
    _show_measure(_EFFECTIVENESS, "mono", R @ 1, is_extra=True),
    _show_measure(_EFFECTIVENESS, "cross", R @ 1, is_extra=True),
    _show_measure(_EFFECTIVENESS, "multi", R @ 10, is_extra=True),
    _show_measure(_LANGUAGE_BIAS, "multi", RankDistance),
    _show_measure(_LANGUAGE_BIAS, "multi", RankDistance(normalized=True)),
    _show_measure(_LANGUAGE_BIAS, "multi", LanguagePreference),
    _show_measure(_LANGUAGE_BIAS, "multi", SameLanguageShare),
    _show_measure(_LANGUAGE_BIAS, "multi", TLR),
)

IMAGE_COLUMNS = (
    _show_chosen(_IMAGES, "text-image"),
    _show_chosen(_IMAGES, "image-text"),
    _show_chosen(_IMAGES, "image-pool"),
    _show_chosen(_IMAGES, "mixed"),
    _show_measure(_IMAGES, "text-image", R @ 1),
    _show_measure(_IMAGES, "text-image", R @ 10),
    _show_measure(_IMAGES, "image-text", R @ 1),
    _show_measure(_IMAGES, "image-text", R @ 10),
    _show_chosen(_CAPTIONS, "cross"),
    _show_chosen(_CAPTIONS, "multi"),
    _show_measure(_BIAS, "image-pool", RankDistance),
    _show_measure(_BIAS, "image-pool", RankDistance(normalized=True)),
    _show_measure(_BIAS, "text-image", LanguageDisparity),
    _show_measure(_BIAS, "mixed", ModalityShare),
)

SYSTEM_COLUMNS = (
    Column("Parameters", _SYSTEM, "number of parameters of the encoder", direction="lower",
           read=_read_parameters),
    Column("Texts/s", _SYSTEM, "texts encoded a second, on the machine that the system's page "
           "names", is_extra=True, read=_read_speed),
    Column("Date", _SYSTEM, "date of the evaluation", is_text=True, is_extra=True,
           read=_read_date),
    Column("Recipe", _SYSTEM, "how the system came about: batches and steps of its training, "
           "prompts, reranker", direction="lower", is_text=True, is_extra=True, read=_read_recipe),
)  # fmt: skip
