"""Parallel queries and passages of one's own, read from a file of JSON lines."""

from collections.abc import Iterable, Iterator
from functools import partial
from itertools import chain
from pathlib import Path

from beir_hybrid.collection.cache import load_or_build
from beir_hybrid.collection.collection import Collection
from beir_hybrid.collection.lines import name_lines, read_json_lines, require_text
from beir_hybrid.collection.origin import Origin
from beir_hybrid.collection.writer import CollectionWriter
from beir_hybrid.errors import BadData
from beir_hybrid.files import is_file, sha256


def read_jsonl(
    path: str | Path, *, name: str = "", licence: str = "", variants: bool = False
) -> Collection:
    """Read a parallel collection from a file of JSON lines; ``docs/jsonl.md`` has the format.

    A passage is ``{"passage": "p1", "text": {"en": "...", "de": "..."}}``, with a ``"title"`` of
    the same shape if it has one. A query is ``{"query": "q1", "text": {"en": "..."},
    "relevant": ["p1"]}``; a relevant passage is relevant in every language. Any text may be missing
    in any language, and passages may come after the queries that name them. With `variants`,
    scripts and regions are languages of their own, such as ``zh-Hans`` and ``zh-Hant``.

    A training group, ``{"query": {"en": "..."}, "positive": {"en": "..."}}``, is a passage and a
    query. Groups with the same passage share it, and groups with the same question share their
    passages; a text in one language suffices.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> path = Path(mkdtemp()) / "faq.jsonl"
    >>> with path.open("w") as file:
    ...     print('{"passage": "p", "text": {"de": "Ja.", "en": "Yes."}}', file=file)
    ...     print('{"query": "q", "text": {"en": "Is it?"}, "relevant": ["p"]}', file=file)
    >>> read_jsonl(path).view("en").to_beir()[2]
    {'en:q:q': {'de:p': 1, 'en:p': 1}}
    """
    path = Path(path)
    if not is_file(path):
        raise BadData(f"there is no file {path}")
    name = name or path.name.removesuffix(".gz").removesuffix(".jsonl")
    origin = Origin(str(path.resolve()), sha256(path))
    recipe: dict[str, object] = {
        "jsonl": origin.sha256,
        "version": 2,  # of the reader
        "name": name,
        "licence": licence,
        "path": origin.file,
    }
    recipe |= {"variants": True} if variants else {}

    def build(writer: CollectionWriter) -> None:
        writer.keeps_variants, writer.find_place = variants, partial(_find_lines, path)
        _add_lines(path, writer)
        writer.finish(licence=licence, provenance=[origin])

    return load_or_build(name, recipe, build)


def _find_lines(path: Path, identity: str) -> str:
    """Return the lines of a file that have a query or passage, or else name it as relevant."""
    local_id = identity.partition(":")[2]
    rows = list(read_json_lines(path))
    for key in (identity, local_id, local_id.removeprefix("q:")):
        numbers = [n for n, row in rows if key in (row.get("query"), row.get("passage"))]
        numbers = numbers or [n for n, row in rows if _is_relevant(row, key)]
        if numbers:
            return name_lines(path, numbers)
    return ""


def _is_relevant(row: dict[str, object], key: str) -> bool:
    relevant = row.get("relevant")
    return isinstance(relevant, list | dict) and key in relevant


def _add_lines(path: Path, writer: CollectionWriter) -> None:
    for number, row in _expand_groups(path):
        location = f"{path} line {number}"
        key = require_text(row, _find_row_kind(row, location), location)
        texts = _parse_texts(row, "text", location)
        if not texts:
            raise BadData(f"{location}: 'text' is empty")
        if "query" in row:
            relevances = _parse_relevances(row, location)
            for lang, text in texts.items():
                query = writer.add_query(lang, key, text, key)
                for passage, relevance in relevances.items():
                    writer.add_judgement(query, passage, relevance)
        else:
            titles = _parse_texts(row, "title", location) if "title" in row else {}
            if textless := titles.keys() - texts.keys():
                raise BadData(f"{location}: 'title' has {min(textless)!r}, which 'text' lacks")
            for lang, text in texts.items():
                writer.add_passage(lang, key, titles.get(lang, ""), text)
    writer.expand_judgements()


def _expand_groups(path: Path) -> Iterator[tuple[int, dict[str, object]]]:
    """Yield numbered rows; of training groups their passages, each once, and then their queries."""
    passages = _GroupPassages()
    queries: list[tuple[int, str, dict[str, str], str]] = []  # line, key, texts and passage
    for number, row in read_json_lines(path):
        if "positive" not in row:
            yield number, row
            continue
        query, positive = (
            _parse_texts(row, name, f"{path} line {number}") for name in ("query", "positive")
        )
        key = str(number if row.get("id") is None else row["id"])
        passage, new_texts = passages.add(key, positive)
        if new_texts or passage == key:
            yield number, {"passage": passage, "text": new_texts}
        queries.append((number, key, query, passage))
    golds: dict[tuple[str, str], dict[str, None]] = {}  # by language and text of a question
    for _, _, query, passage in queries:
        for text in query.items():
            golds.setdefault(text, {})[passage] = None
    for number, key, query, passage in queries:
        keys = dict.fromkeys([passage, *chain.from_iterable(golds[t] for t in query.items())])
        yield number, {"query": key, "text": query, "relevant": passages.add_twins(keys)}


class _GroupPassages:
    """The passages of training groups; groups whose passages agree share one."""

    def __init__(self) -> None:
        self.texts: dict[str, dict[str, str]] = {}  # by key and language
        self.keys: dict[tuple[str, str], dict[str, None]] = {}  # by language and text

    def add(self, key: str, texts: dict[str, str]) -> tuple[str, dict[str, str]]:
        """Return the key of a passage, and its texts in new languages."""
        passage: dict[str, str] = {}
        for other_key in chain.from_iterable(self.keys.get(t, ()) for t in texts.items()):
            other_texts = self.texts[other_key]
            if all(other_texts.get(lang, text) == text for lang, text in texts.items()):
                key, passage = other_key, other_texts
                break
        new_texts = {lang: text for lang, text in texts.items() if lang not in passage}
        self.texts[key] = passage | new_texts
        for text in new_texts.items():
            self.keys.setdefault(text, {})[key] = None
        return key, new_texts

    def add_twins(self, keys: Iterable[str]) -> list[str]:
        """Return keys of passages, and of those that have an equal text in some language."""
        twins = dict.fromkeys(keys)
        for key in keys:
            for text in self.texts[key].items():
                twins |= self.keys[text]
        return list(twins)


def _find_row_kind(row: dict[str, object], location: str) -> str:
    kinds = [kind for kind in ("query", "passage") if kind in row]
    if len(kinds) != 1:
        raise BadData(f"{location}: there must be either a 'query' or a 'passage'")
    return kinds[0]


def _parse_texts(row: dict[str, object], key: str, location: str) -> dict[str, str]:
    """Return a text for each language; null is none."""
    texts = row.get(key)
    if isinstance(texts, dict):
        texts = {lang: text for lang, text in texts.items() if text is not None}
    if not isinstance(texts, dict) or not all(isinstance(text, str) for text in texts.values()):
        raise BadData(f"{location}: {key!r} must map languages to texts")
    return texts


def _parse_relevances(row: dict[str, object], location: str) -> dict[str, int]:
    """Return the relevance of each passage that a query names."""
    relevances = row.get("relevant")
    if isinstance(relevances, list):
        keys = relevances
        relevances = {key if isinstance(key, str) else None: 1 for key in keys}
        if None not in relevances and len(relevances) < len(keys):
            raise BadData(f"{location}: 'relevant' names a passage twice")
    if (
        not isinstance(relevances, dict)
        or None in relevances
        or not all(type(relevance) is int for relevance in relevances.values())
    ):
        raise BadData(f"{location}: 'relevant' must list passages, or map them to whole numbers")
    return relevances
