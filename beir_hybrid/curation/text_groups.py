"""Groups of texts as rows of files: the same rows that `read_pairs` reads go in and come out."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from itertools import islice
from pathlib import Path
from typing import Any, Literal, TextIO

from beir_hybrid.collection.lines import read_json_lines
from beir_hybrid.errors import BadData, BadOption
from beir_hybrid.files import is_file
from beir_hybrid.languages import normalise
from beir_hybrid.pairs.group_files import read_parquet_groups

Part = Literal["query", "positive"]
PARTS: tuple[Part, ...] = ("query", "positive")
_JSONL = (".jsonl", ".gz")
_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode


@dataclass(frozen=True)
class TextGroup:
    """A query with its passage, each in some languages.

    Attributes
    ----------
    id
        That of the row; its number, from 0, where it has none.
    query, positive
        Texts by language code.
    extras
        The other keys of the row, such as ``negative``, which stay as they are.
    """

    id: str
    query: dict[str, str]
    positive: dict[str, str]
    extras: dict[str, Any] = field(default_factory=dict)

    def get_texts(self, part: Part) -> dict[str, str]:
        """Return the texts of queries or passages by language."""
        return self.query if part == "query" else self.positive

    @property
    def languages(self) -> list[str]:
        """The languages of queries and passages."""
        return list(dict.fromkeys([*self.query, *self.positive]))

    @property
    def is_complete(self) -> bool:
        """Whether there is a query, and a passage or an image, in any language."""
        return bool(self.query) and bool(self.positive or self.extras.get("image"))

    def list_texts(self) -> list[str]:
        """Return all texts: queries, positives and hard negatives."""
        negatives = self.extras.get("negative")
        codes = negatives if isinstance(negatives, Mapping) else ()
        hard_negatives = [text for lang in codes for text in self.list_negatives(lang)]
        return [*self.query.values(), *self.positive.values(), *hard_negatives]

    def list_negatives(self, lang: str) -> list[str]:
        """Return the hard negatives in a language; raise `BadData` if they are no list of texts."""
        negatives = self.extras.get("negative")
        texts = negatives.get(lang) if isinstance(negatives, Mapping) else negatives
        if not texts:
            return []
        if not isinstance(negatives, Mapping):
            raise BadData(f"group {self.id!r}: negative must map languages to lists of texts")
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise BadData(
                f"group {self.id!r}: negative in {lang!r} is {texts!r:.40}; it must be a list of "
                "texts"
            )
        return texts

    def without_texts(self, texts: Iterable[tuple[Part, str]]) -> "TextGroup":
        """Return the group without some of its texts, by part and language."""
        dropped = set(texts)
        query, positive = (
            {k: v for k, v in self.get_texts(part).items() if (part, k) not in dropped}
            for part in PARTS
        )
        return replace(self, query=query, positive=positive)

    def to_row(self) -> dict[str, Any]:
        """Return the row of a file."""
        return {"id": self.id, "query": self.query, "positive": self.positive, **self.extras}


def read_groups(path: Path, language: str | None = None) -> Iterator[TextGroup]:
    """Yield the groups of a JSONL or Parquet file; errors name the line.

    Parameters
    ----------
    language
        The language of plain texts, where ``query`` and ``positive`` are no mappings.
    """
    if not is_file(path):
        raise BadData(f"there is no file {path}")
    if path.suffix in _JSONL:
        rows: Iterable[tuple[int, object]] = read_json_lines(path)
    elif path.suffix == ".parquet":
        rows = enumerate(read_parquet_groups(path), start=1)
    else:
        raise BadOption(f"{path} must end in .jsonl, .jsonl.gz or .parquet")
    for i, (number, row) in enumerate(rows):
        yield parse_group(row, i, f"{path} line {number}", path.parent, language)


def batch_groups(groups: Iterable[TextGroup], size: int) -> Iterator[tuple[TextGroup, ...]]:
    """Yield groups in batches."""
    iterator = iter(groups)
    while batch := tuple(islice(iterator, size)):
        yield batch


def parse_group(
    row: object, number: int, location: str, folder: Path, language: str | None = None
) -> TextGroup:
    """Parse a row of a file; raise `BadData` for a row that is no group."""
    if not isinstance(row, Mapping):
        raise BadData(f"{location} is {row!r:.40}, and maps nothing")
    if "text" in row and ("passage" in row or "query" in row):
        raise BadData(
            f"{location} is of a collection, with one text; a line of training groups has "
            "'query' and 'positive', which map languages to texts"
        )
    rest = dict(row)
    group_id = rest.pop("id", None)
    texts = {part: _parse_texts(rest, part, location, language) for part in PARTS}
    if isinstance(rest.get("negative"), Mapping):
        rest["negative"] = _normalise_keys(rest["negative"], "negative", location)
    elif isinstance(rest.get("negative"), list) and language:
        rest["negative"] = {normalise(language): rest["negative"]}
    if isinstance(rest.get("image"), str):
        rest["image"] = str(folder.joinpath(rest["image"]).absolute())
    return TextGroup(str(number if group_id is None else group_id), **texts, extras=rest)


def write_row(file: TextIO, row: Mapping[str, object]) -> None:
    """Write a row as a line of JSON; raise `BadData` for values that JSON does not have."""
    try:
        line = _encode(row)
    except (TypeError, ValueError) as error:  # a date of a Parquet file, or a number that is none
        raise BadData(f"group {row.get('id')!r} cannot be a line of JSON: {error}") from error
    file.write(f"{line}\n")


def _parse_texts(
    row: dict[str, Any], part: Part, location: str, language: str | None
) -> dict[str, str]:
    """Take the texts of a part out of a row, by language code."""
    if part not in row:
        if part == "positive" and row.get("image"):
            return {}
        similar = get_close_matches(part, map(str, row), n=1)
        hint = f"; {similar[0]!r} may be meant for it" if similar else ""
        raise BadData(f"{location} has no {part!r}{hint}")
    value = row.pop(part)
    if isinstance(value, str) and language:
        return {normalise(language): value}
    if not isinstance(value, Mapping):
        raise BadData(
            f"{location}: {part!r} is {value!r:.40}; it must map languages to texts, or be a text "
            "whose language --language names"
        )
    texts = {lang: text for lang, text in value.items() if text is not None}
    for lang, text in texts.items():
        if not isinstance(text, str):
            raise BadData(f"{location}: {part!r} in {lang!r} is {text!r:.40}, no text")
    return _normalise_keys(texts, part, location)


def _normalise_keys(values: Mapping[str, Any], key: str, location: str) -> dict[str, Any]:
    """Return values by language code; raise `BadData` for two of one language."""
    codes: dict[str, Any] = {}
    for lang, value in values.items():
        code = normalise(lang)
        if code in codes:
            raise BadData(f"{location}: {key!r} has {code!r} twice; leave one")
        codes[code] = value
    return codes
