"""Groups of texts in, tables of those that make sense, and counts of what was left out, out."""

import logging
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

import pyarrow as pa

from beir_hybrid.collection.setting import IMAGE
from beir_hybrid.errors import BadData
from beir_hybrid.languages import choose_languages, normalise, normalise_all
from beir_hybrid.pairs.images import PATH, Pictured, pictured

logger = logging.getLogger(__name__)

Group = Mapping[str, Any]
ROWS = 1 << 15  # groups a table
_WHAT = {
    "blank": "blank texts are taken for missing translations",
    "same": "hard negatives are passages of their question, and are left out",
    "none": "groups are left out, without question or passage in these languages",
    "odd": "pictures are converted to plain colours, or to one of their frames",
    "twin": "pictures are equal to others under other names, and count as the same",
}


class Checks:
    """What is asked of the groups of a source, and what was found wrong with them.

    `languages` are those to keep. With them, or if `partial`, groups may be left with nothing.
    """

    def __init__(
        self,
        name: str,
        negatives: int = 0,
        language: str | None = None,
        languages: Iterable[str] | None = None,
        *,
        partial: bool = False,
    ) -> None:
        self.name, self.negatives, self.language = name, negatives, language
        self.languages = None if languages is None else normalise_all(languages)
        self.partial = partial or languages is not None
        self.seen: set[str] = set()
        self.counts: dict[str, int] = {}
        self.first: dict[str, str] = {}  # the group that was the first of each
        self.pictures: dict[str, str] = {}  # the path that was the first of each content

    def row(self, group: Any, number: int) -> dict[str, Any] | None:
        """Return a group as a row of a table, or None if nothing is left of it."""
        if not isinstance(group, Mapping):
            raise BadData(f"{self.name}, group '{number}' is {group!r:.40}, and maps nothing")
        given = group.get("id")
        ident = str(number if given is None else given)
        where = f"{self.name}, group {ident!r}"
        asked, answer = group.get("query"), group.get("positive")
        query = self._texts(asked, "query", where, ident)
        picture = self._picture(group.get("image"), where, ident)
        if picture and answer is None:
            answer = {}
        positive = query if answer is asked else self._texts(answer, "positive", where, ident)
        for part, texts in (("query", query), ("positive", positive or picture)):
            if not texts and not self.partial:
                raise BadData(f"{where} has no {part} in any language")
        if not query or not (positive or picture):
            self._count("none", 1, ident)
            return None
        found: dict[str, Any] = {"id": ident}
        if picture:
            found |= {f"positive.{IMAGE}": picture.text, PATH: picture.path}
        hard = self._hard(group.get("negative"), positive, where, ident)
        for part, by_lang in (("query", query), ("positive", positive), ("negative", hard)):
            found |= {f"{part}.{lang}": texts for lang, texts in by_lang.items()}
        return found

    def _picture(self, value: Any, where: str, ident: str) -> Pictured | None:
        """Return a group's picture; those that are odd, or there twice, are counted."""
        found = pictured(value, None, where)
        if found is not None:
            if self.negatives:
                raise BadData(f"{where} has a picture; hard negatives are texts: leave negatives=0")
            first = self.pictures.setdefault(found.text, found.path)
            self._count("twin", int(first != found.path), ident)
            self._count("odd", int(bool(found.oddities)), ident)
        return found

    def _texts(self, value: Any, part: str, where: str, ident: str) -> dict[str, str]:
        """Return a part's texts by language; those that are blank are left out, and counted."""
        if isinstance(value, str) and self.language:
            value = {self.language: value}
        if not isinstance(value, Mapping):
            raise BadData(
                f"{where}: {part} must map languages to texts"
                + ("" if self.language else ", or be a text of the language that language= names")
            )
        found: dict[str, str] = {}
        for code, (lang, text) in self._by_code(value, part, where).items():
            if not isinstance(text, str):
                raise BadData(f"{where}: {part} in {lang!r} is {text!r:.40}, no text")
            if text.strip():
                found[code] = text
            else:
                self._count("blank", 1, ident)
        return found

    def _by_code(
        self, value: Mapping[str, Any], part: str, where: str
    ) -> dict[str, tuple[str, Any]]:
        """Return what there is by the code of its language, with how it was written."""
        found: dict[str, tuple[str, Any]] = {}
        for lang, one in value.items():
            if one is None:
                continue
            code = normalise(lang)
            self.seen.add(code)
            if self.languages is not None and code not in self.languages:
                continue
            if code in found:
                raise BadData(
                    f"{where}: {part} has {found[code][0]!r} and {lang!r}, both {code!r}; leave one"
                )
            found[code] = lang, one
        return found

    def _hard(
        self, value: Any, positive: dict[str, str], where: str, ident: str
    ) -> dict[str, list[str]]:
        """Return hard negatives by language, without those that answer the question."""
        if not self.negatives:
            return {}
        if isinstance(value, list) and self.language:
            value = {self.language: value}
        if not isinstance(value, Mapping):
            raise BadData(f"{where}: negative must map languages to lists of texts")
        given = self._by_code(value, "negative", where)
        answers, found = set(positive.values()), {}
        for lang in positive:
            texts = given.get(lang, (lang, []))[1]
            if isinstance(texts, str):
                raise BadData(f"{where}: negative in {lang!r} is a text; it must be a list of them")
            if not all(isinstance(one, str) and one.strip() for one in texts):
                raise BadData(f"{where}: a negative in {lang!r} is no text")
            kept = [one for one in texts if one not in answers]
            self._count("same", len(texts) - len(kept), ident)
            if not kept:
                only = " that does not answer the question itself" if texts else ""
                raise BadData(f"{where} has no hard negative in {lang!r}{only}; leave negatives=0")
            found[lang] = kept
        return found

    def _count(self, what: str, count: int, ident: str) -> None:
        if count:
            self.counts[what] = self.counts.get(what, 0) + count
            self.first.setdefault(what, ident)

    def finish(self) -> None:
        """Raise `BadOption` for a language to keep that no group has."""
        if self.languages is not None and self.seen:
            choose_languages("language of the groups", self.languages, sorted(self.seen))

    def report(self) -> None:
        """Warn of what was left out."""
        for what, count in self.counts.items():
            logger.warning(
                "%s: %d %s, first in group %r", self.name, count, _WHAT[what], self.first[what]
            )


def tables(groups: Iterable[Any], checks: Checks) -> Iterator[pa.Table]:
    """Yield tables with a column for the texts of each part and language."""
    rest, start = iter(groups), 0
    while some := list(islice(rest, ROWS)):
        rows = [checks.row(group, number) for number, group in enumerate(some, start=start)]
        start += len(some)
        if kept := [row for row in rows if row is not None]:
            names = dict.fromkeys(name for row in kept for name in row)
            yield pa.table(
                {
                    name: _column([row.get(name) for row in kept], name, checks.name)
                    for name in names
                }
            )
    checks.finish()


def _column(texts: list[Any], name: str, source: str) -> pa.Array:
    kind = pa.list_(pa.string()) if name.startswith("negative.") else pa.string()
    try:
        return pa.array(texts, kind)
    except UnicodeEncodeError as error:
        raise BadData(
            f"{source}: {error.object!a:.60} of {name} holds half a character, a lone surrogate"
        ) from error
