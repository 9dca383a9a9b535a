"""The columns of a leaderboard: measures in kinds of settings, and facts about systems.

A new column is a row of `TEXT_COLUMNS`, of `IMAGE_COLUMNS` (the table of benchmarks with images),
or of `SYSTEM_COLUMNS`, which stand in both.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from beir_hybrid.collection.setting import SETTING_KINDS, KindName
from beir_hybrid.report.entries import Entry

Direction = Literal["high", "low", "near"]  # which values are better; near the unbiased value


class CellValue(NamedTuple):
    """The content of a cell.

    Attributes
    ----------
    sort_key
        None for an empty cell, which stays last.
    note
        Small text below.
    bar
        The length of a bar below, from 0 to 1.
    """

    text: str = ""
    sort_key: float | str | None = None
    note: str = ""
    bar: float | None = None
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
    read
        Reads the fact from an entry.
    """

    title: str
    heading: str
    description: str
    kind: KindName | None = None
    measure: str = ""
    direction: Direction = "high"
    is_text: bool = False
    read: Callable[[Entry], CellValue] | None = None


def list_columns(entries: Sequence[Entry]) -> list[Column]:
    """Return the columns for entries on one benchmark, without their ranks."""
    names = sorted({name for entry in entries for row in entry.summary.values() for name in row})
    table = IMAGE_COLUMNS if entries[0].benchmark.has_images else TEXT_COLUMNS
    columns = [*table, *SYSTEM_COLUMNS]
    return [column for column in (_find_cutoff(column, names) for column in columns) if column]


def _find_cutoff(column: Column, names: Sequence[str]) -> Column | None:
    """Return a column with the cutoff that its measure has among `names`, if it needs one."""
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


def _show_chosen(kind: KindName, heading: str, description: str) -> Column:
    """Return the column of a kind of settings for the measure that the reader chooses."""
    label = SETTING_KINDS[kind]
    return Column(label.short_label, heading, f"{label.label}: {description}", kind)


def _show_recall(cutoff: int, kind: KindName, heading: str, description: str) -> Column:
    measure = f"R@{cutoff}"
    return Column(
        f"{measure} {SETTING_KINDS[kind].short_label}", heading, description, kind, measure
    )


_EFFECTIVENESS, _LANGUAGE_BIAS, _SYSTEM = "Effectiveness", "Language bias", "System"
_IMAGES, _CAPTIONS, _BIAS = "Images and captions", "Captions alone", "Bias"
_NORMALIZED = "RankDistance(normalized=True)"

TEXT_COLUMNS = (
    _show_chosen("mono", _EFFECTIVENESS, "queries and passages in one language"),
    _show_chosen("cross", _EFFECTIVENESS, "queries in one language, passages in another"),
    _show_chosen("multi", _EFFECTIVENESS, "passages of all languages in one pool"),
    _show_recall(1, "mono", _EFFECTIVENESS, "share of answers that come first, monolingual"),
    _show_recall(1, "cross", _EFFECTIVENESS, "share of answers that come first, cross-lingual"),
    _show_recall(10, "multi", _EFFECTIVENESS, "share of answers among the first 10 of the pool"),
    Column("Rank distance", _LANGUAGE_BIAS, "ranks between the first and the last version of an "
           "answer; lower is better", "multi", "RankDistance", "low"),
    Column("Normalised", _LANGUAGE_BIAS, "rank distance; 0 is best, 1 is a random ranking",
           "multi", _NORMALIZED, "low"),
    Column("Preference", _LANGUAGE_BIAS, "how often the answer in the query's language comes "
           "before all others; best near the unbiased value", "multi", "LanguagePreference",
           "near"),
    Column("Same language", _LANGUAGE_BIAS, "share of the first passages that are in the query's "
           "language; best near the unbiased value", "multi", "SameLanguageShare@", "near"),
)  # fmt: skip

IMAGE_COLUMNS = (
    _show_chosen("text-image", _IMAGES, "images for captions"),
    _show_chosen("image-text", _IMAGES, "captions in one language for images"),
    _show_chosen("image-pool", _IMAGES, "captions in all languages in one pool for images"),
    _show_chosen("mixed", _IMAGES, "captions and images together for captions"),
    _show_recall(1, "text-image", _IMAGES, "share of captions whose image comes first"),
    _show_recall(10, "text-image", _IMAGES, "share of captions whose image is among the first 10"),
    _show_recall(1, "image-text", _IMAGES,
                 "share of an image's captions in one language that come first"),
    _show_recall(10, "image-text", _IMAGES,
                 "share of an image's captions in one language among the first 10"),
    _show_chosen("cross", _CAPTIONS, "captions in another language for captions"),
    _show_chosen("multi", _CAPTIONS, "captions in all languages in one pool for captions"),
    Column("Rank distance", _BIAS, "ranks between the first and the last language of an image's "
           "captions; lower is better", "image-pool", "RankDistance", "low"),
    Column("Normalised", _BIAS, "rank distance; 0 is best, 1 is a random ranking", "image-pool",
           _NORMALIZED, "low"),
    Column("Disparity", _BIAS, "ranks between the languages in which an image is searched for; "
           "lower is better", "text-image", "LanguageDisparity", "low"),
    Column("Images", _BIAS, "share of the first places that images take, where captions and images "
           "are ranked together; best near the unbiased value", "mixed", "ModalityShare@", "near"),
)  # fmt: skip

SYSTEM_COLUMNS = (
    Column("Parameters", _SYSTEM, "number of parameters of the encoder", direction="low",
           read=_read_parameters),
    Column("Texts/s", _SYSTEM, "texts encoded a second, on the machine that the system's page "
           "names", read=_read_speed),
    Column("Date", _SYSTEM, "date of the evaluation", is_text=True, read=_read_date),
    Column("Recipe", _SYSTEM, "how the system came about", direction="low", is_text=True,
           read=_read_recipe),
)  # fmt: skip
