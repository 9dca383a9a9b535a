"""Entries in, the columns of their table out: measures in kinds of settings, and facts."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from beir_hybrid.report.entries import Entry


class Value(NamedTuple):
    """What stands in a cell: text, what it sorts by, small text below, length of its bar."""

    text: str = ""
    sort: float | str | None = None
    below: str = ""
    bar: float | None = None
    best: bool = False


@dataclass(frozen=True)
class Column:
    """A column: a measure in a kind of settings (the chosen measure if it names none), or a fact.

    Attributes
    ----------
    good
        Which of two values is better: the ``high``, the ``low``, or that ``near`` the unbiased one.
    """

    title: str
    band: str  # the heading above several columns
    about: str
    kind: str = ""
    measure: str = ""
    good: str = "high"
    text: bool = False  # not a number
    fact: Callable[[Entry], Value] | None = None


def columns_of(entries: Sequence[Entry]) -> list[Column]:
    """Return the columns beside the rank; which passages a share is of, the entries say."""
    names = {name for entry in entries for row in entry.summary.values() for name in row}
    shares = sorted(name for name in names if name.startswith("SameLanguageShare"))
    first, bias = "Effectiveness", "Language bias"
    if entries[0].group.pictures:
        return [*_of_pictures(names), *_OF_SYSTEMS]
    return [
        Column("Mo", first, "monolingual: queries and passages in one language", "mono"),
        Column("Cr", first, "cross-lingual: queries in one language, passages in another", "cross"),
        Column("Mul", first, "multilingual: the passages of all languages in one pool", "multi"),
        Column("R@1 Mo", first, "share of answers that come first, monolingual", "mono", "R@1"),
        Column("R@1 Cr", first, "share of answers that come first, cross-lingual", "cross", "R@1"),
        Column("R@10 Mul", first, "share of answers among the first 10 of the pool", "multi",
               "R@10"),
        Column("Rank distance", bias, "how many ranks lie between the first and the last version "
               "of an answer; lower is better", "multi", "RankDistance", "low"),
        Column("Normalised", bias, "rank distance, 0 at best and 1 for a random ranking", "multi",
               "RankDistance(normalized=True)", "low"),
        Column("Preference", bias, "how often the answer in the query's language comes before all "
               "others; best near its unbiased value", "multi", "LanguagePreference", "near"),
        *(Column(f"Same language{name.removeprefix('SameLanguageShare')}", bias,
                 "share of the first passages that are in the query's language; best near its "
                 "unbiased value", "multi", name, "near") for name in shares[:1]),
        *_OF_SYSTEMS,
    ]  # fmt: skip


def _of_pictures(names: Iterable[str]) -> list[Column]:
    """Return the columns of entries on pictures; which passages a share is of, they say."""
    shares = sorted(name for name in names if name.startswith("ModalityShare"))
    first, texts, bias = "Pictures and captions", "Captions alone", "Bias"
    return [
        Column("T2I", first, "text to image: pictures for captions", "text-image"),
        Column("I2T", first, "image to text: captions in one language for pictures", "image-text"),
        Column("Pool", first, "captions in all languages in one pool for pictures", "image-pool"),
        Column("Mix", first, "captions and pictures together for captions", "mixed"),
        Column("R@1 T2I", first, "share of captions whose picture comes first", "text-image",
               "R@1"),
        Column("R@10 T2I", first, "share of captions whose picture is among the first 10",
               "text-image", "R@10"),
        Column("R@1 I2T", first, "share of a picture's captions in one language that come first",
               "image-text", "R@1"),
        Column("R@10 I2T", first, "share of a picture's captions in one language among the first "
               "10", "image-text", "R@10"),
        Column("Cr", texts, "captions in another language for captions", "cross"),
        Column("Mul", texts, "captions in all languages in one pool for captions", "multi"),
        Column("Rank distance", bias, "how many ranks lie between the first and the last language "
               "of a picture's captions; lower is better", "image-pool", "RankDistance", "low"),
        Column("Normalised", bias, "rank distance, 0 at best and 1 for a random ranking",
               "image-pool", "RankDistance(normalized=True)", "low"),
        Column("Disparity", bias, "how many ranks lie between the languages in which a picture is "
               "asked for; lower is better", "text-image", "LanguageDisparity", "low"),
        *(Column(f"Pictures{name.removeprefix('ModalityShare')}", bias,
                 "share of the first places that pictures have, where captions and pictures are "
                 "ranked together; best near its unbiased value", "mixed", name, "near")
          for name in shares[:1]),
    ]  # fmt: skip


def _parameters(entry: Entry) -> Value:
    if entry.parameters is None:
        return Value()
    return Value(short(entry.parameters), entry.parameters)


def short(number: float) -> str:
    """Return a large number with three digits.

    >>> short(117_653_760), short(22_713), short(950)
    ('118M', '22.7k', '950')
    """
    for size, sign in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if number >= 0.9995 * size:  # which rounds to it
            return f"{number / size:.3g}{sign}"
    return f"{number:.3g}"


def _speed(entry: Entry) -> Value:
    return Value() if entry.speed is None else Value(f"{entry.speed:,.0f}", entry.speed)


def _date(entry: Entry) -> Value:
    return Value(entry.date, entry.date or None)


def _recipe(entry: Entry) -> Value:
    text = entry.recipe or entry.origin[0]
    return Value(text, text or None)


_OF_SYSTEMS = (
    Column("Parameters", "System", "of the encoder", good="low", fact=_parameters),
    Column("Texts/s", "System", "encoded a second, on the machine that its page names",
           fact=_speed),
    Column("Date", "System", "of the evaluation", text=True, fact=_date),
    Column("Recipe", "System", "how it came about", good="low", text=True, fact=_recipe),
)  # fmt: skip
