"""Parse training groups into Arrow tables, and count the problems in them."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from itertools import islice
from typing import NamedTuple

import pyarrow as pa

from beir_hybrid.collection.setting import IMAGE
from beir_hybrid.errors import BadData
from beir_hybrid.languages import choose_languages, normalise, normalise_all
from beir_hybrid.pairs.images import IMAGE_PATH, GroupImage, check_group_image

logger = logging.getLogger(__name__)

Group = Mapping[str, object]
_TABLE_ROWS = 1 << 15  # groups a table
_PROBLEMS = {  # in messages, behind a count
    "blank": "blank texts are taken for missing translations",
    "unused": "groups have hard negatives that are left out; negatives=1 (or more) uses them",
    "stray": "groups have hard negatives in languages without a passage; these are left out",
    "same": "hard negatives are passages of their query, and are left out",
    "none": "groups are left out, without query or passage in these languages",
    "odd": "images are converted to plain colours, or to one of their frames",
    "twin": "images are equal to others under other names, and count as the same",
}


class _Place(NamedTuple):
    """The group that is parsed: its id, and the words of errors for it."""

    group_id: str
    location: str


class GroupParser:
    """Parses groups of a source into rows of a table, and counts problems.

    Parameters
    ----------
    name
        The source, for errors.
    negatives
        How many hard negatives a row has.
    language
        The language of plain texts.
    languages
        The only languages to keep; groups without query or passage in them are left out.
    is_partial
        Whether groups may lack query or passage; they are left out.
    keeps_variants
        Whether languages are codes of a collection, and scripts and regions stay.

    Attributes
    ----------
    counts, first
        By problem: how many there are, and the id of the first group that has it.
    """

    def __init__(
        self,
        name: str,
        negatives: int = 0,
        language: str | None = None,
        languages: Iterable[str] | None = None,
        *,
        is_partial: bool = False,
        keeps_variants: bool = False,
    ) -> None:
        self.name, self.negatives, self.language = name, negatives, language
        self.languages = None if languages is None else normalise_all(languages)
        self.is_partial = is_partial or languages is not None
        self.keeps_variants = keeps_variants
        self.counts: dict[str, int] = {}
        self.first: dict[str, str] = {}
        self._source_languages: set[str] = set()
        self._image_paths: dict[str, str] = {}  # the first path of each content

    def parse(self, group: object, number: int) -> dict[str, object] | None:
        """Return a group as a row of a table, or None if query or passage is missing."""
        if not isinstance(group, Mapping):
            raise BadData(f"{self.name}, group '{number}' is {group!r:.40}, and maps nothing")
        group_id = group.get("id")
        group_id = str(number if group_id is None else group_id)
        place = _Place(group_id, f"{self.name}, group {group_id!r}")
        _check_keys(group, place)
        query_value, positive_value = group.get("query"), group.get("positive")
        query = self._parse_texts(query_value, "query", place)
        image = self._parse_image(group.get("image"), place)
        if image and positive_value is None:
            positive_value = {}
        if positive_value is query_value:
            positive = query
        else:
            positive = self._parse_texts(positive_value, "positive", place)
        for part, value in (("query", query), ("positive", positive or image)):
            if not value and not self.is_partial:
                raise BadData(f"{place.location} has no {part} in any language")
        if not query or not (positive or image):
            self._count("none", 1, place)
            return None
        row: dict[str, object] = {"id": group_id}
        if image:
            row |= {f"positive.{IMAGE}": image.text, IMAGE_PATH: image.path}
        negative = self._parse_negatives(group.get("negative"), positive, place)
        for part, texts in (("query", query), ("positive", positive), ("negative", negative)):
            row |= {f"{part}.{lang}": text for lang, text in texts.items()}
        return row

    def _parse_image(self, value: object, place: _Place) -> GroupImage | None:
        """Return a group's image; count conversions, and equal files under other names."""
        image = check_group_image(value, None, place.location)
        if image is not None:
            if self.negatives:
                raise BadData(
                    f"{place.location} has an image; hard negatives are texts: leave negatives=0"
                )
            first_path = self._image_paths.setdefault(image.text, image.path)
            self._count("twin", int(first_path != image.path), place)
            self._count("odd", int(bool(image.oddities)), place)
        return image

    def _parse_texts(self, value: object, part: str, place: _Place) -> dict[str, str]:
        """Return a part's texts by language; blank ones are left out, and counted."""
        if isinstance(value, str) and self.language:
            value = {self.language: value}
        if not isinstance(value, Mapping):
            raise BadData(
                f"{place.location}: {part} must map languages to texts"
                + ("" if self.language else ", or be a text of the language that language= names")
            )
        texts: dict[str, str] = {}
        for code, (lang, text) in self._normalise_keys(value, part, place).items():
            if not isinstance(text, str):
                raise BadData(f"{place.location}: {part} in {lang!r} is {text!r:.40}, no text")
            if text.strip():
                texts[code] = text
            else:
                self._count("blank", 1, place)
        return texts

    def _normalise_keys(
        self, value: Mapping[str, object], part: str, place: _Place
    ) -> dict[str, tuple[str, object]]:
        """Return the values of languages to keep by code, each with the language as written."""
        values: dict[str, tuple[str, object]] = {}
        for lang, content in value.items():
            if content is None:
                continue
            code = lang if self.keeps_variants else _normalise_key(lang, part, place)
            self._source_languages.add(code)
            if self.languages is not None and code not in self.languages:
                continue
            if code in values:
                raise BadData(
                    f"{place.location}: {part} has {values[code][0]!r} and {lang!r}, both "
                    f"{code!r}; leave one"
                )
            values[code] = lang, content
        return values

    def _parse_negatives(
        self, value: object, positive: Mapping[str, str], place: _Place
    ) -> dict[str, list[str]]:
        """Return hard negatives by language, without those that are passages of the query."""
        if not self.negatives:
            self._count("unused", int(bool(value)), place)
            return {}
        if isinstance(value, list) and self.language:
            value = {self.language: value}
        if not isinstance(value, Mapping):
            raise BadData(f"{place.location}: negative must map languages to lists of texts")
        values = self._normalise_keys(value, "negative", place)
        is_stray = any(values[lang][1] for lang in values.keys() - positive.keys())
        self._count("stray", int(is_stray), place)
        golds, negatives = set(positive.values()), {}
        for lang in positive:
            texts = values.get(lang, (lang, []))[1]
            if isinstance(texts, str):
                raise BadData(
                    f"{place.location}: negative in {lang!r} is a text; it must be a list of them"
                )
            if not isinstance(texts, Sequence) or not all(
                isinstance(text, str) and text.strip() for text in texts
            ):
                raise BadData(f"{place.location}: a negative in {lang!r} is no text")
            rest = [text for text in texts if text not in golds]
            self._count("same", len(texts) - len(rest), place)
            if not rest:
                reason = " that does not answer the query itself" if texts else ""
                raise BadData(
                    f"{place.location} has no hard negative in {lang!r}{reason}; leave negatives=0"
                )
            negatives[lang] = rest
        return negatives

    def _count(self, problem: str, count: int, place: _Place) -> None:
        if count:
            self.counts[problem] = self.counts.get(problem, 0) + count
            self.first.setdefault(problem, place.group_id)

    def check_languages(self) -> None:
        """Raise `BadOption` for a language to keep that no group has."""
        if self.languages is not None and self._source_languages:
            choose_languages(
                "language of the groups", self.languages, sorted(self._source_languages)
            )

    def report(self) -> None:
        """Warn of the problems that are counted."""
        for problem, count in self.counts.items():
            logger.warning(
                "%s: %d %s, first in group %r",
                self.name,
                count,
                _PROBLEMS[problem],
                self.first[problem],
            )


def _normalise_key(lang: str, part: str, place: _Place) -> str:
    """Return the code of a language; raise `BadData` with the group for one that is none."""
    try:
        return normalise(lang)
    except BadData as error:
        raise BadData(f"{place.location}: {part}: {error}") from error


def _check_keys(group: Group, place: _Place) -> None:
    """Raise `BadData` for a group that lacks a part and has a key that is almost its name."""
    for part in ("query", "positive"):
        similar = [] if part in group else get_close_matches(part, map(str, group), n=1)
        if similar:
            raise BadData(f"{place.location} has no {part!r}; {similar[0]!r} may be meant for it")


def build_tables(groups: Iterable[object], parser: GroupParser) -> Iterator[pa.Table]:
    """Yield tables of groups, with a column for the texts of each part and language."""
    iterator, start = iter(groups), 0
    while chunk := list(islice(iterator, _TABLE_ROWS)):
        maybe_rows = [
            parser.parse(group, number) for number, group in enumerate(chunk, start=start)
        ]
        start += len(chunk)
        if rows := [row for row in maybe_rows if row is not None]:
            names = dict.fromkeys(name for row in rows for name in row)
            yield pa.table(
                {
                    name: _make_column([row.get(name) for row in rows], name, parser.name)
                    for name in names
                }
            )
    parser.check_languages()


def _make_column(values: list[object], name: str, source: str) -> pa.Array:
    """Return an Arrow column of texts, or of lists of texts for negatives."""
    arrow_type = pa.list_(pa.string()) if name.startswith("negative.") else pa.string()
    try:
        return pa.array(values, arrow_type)
    except UnicodeEncodeError as error:
        raise BadData(
            f"{source}: {error.object!a:.60} of {name} holds half a character, a lone surrogate"
        ) from error
