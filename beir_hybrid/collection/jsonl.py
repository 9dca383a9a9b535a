"""A user's own parallel questions and passages, as JSON lines, in; a `Collection` out."""

from pathlib import Path

from beir_hybrid.collection.collection import Collection, Origin
from beir_hybrid.collection.lines import json_lines, string
from beir_hybrid.collection.writer import CollectionWriter, cached
from beir_hybrid.errors import BadData
from beir_hybrid.files import sha256


def read_jsonl(path: str | Path, *, name: str = "", licence: str = "") -> Collection:
    """Read a parallel collection from a file of JSON lines; ``docs/jsonl.md`` has the format.

    A passage is ``{"passage": "p1", "text": {"en": "...", "de": "..."}}``, with a ``"title"`` of
    the same shape if it has one. A question is ``{"question": "q1", "text": {"en": "..."},
    "relevant": ["p1"]}``; every language version of a relevant passage answers it. Any text may be
    missing in any language, and a line's passages may come after the questions that they answer.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> path = Path(mkdtemp()) / "faq.jsonl"
    >>> with path.open("w") as file:
    ...     print('{"passage": "p", "text": {"de": "Ja.", "en": "Yes."}}', file=file)
    ...     print('{"question": "q", "text": {"en": "Is it?"}, "relevant": ["p"]}', file=file)
    >>> read_jsonl(path).view("en").beir()[2]
    {'en:q:q': {'de:p': 1, 'en:p': 1}}
    """
    path = Path(path)
    if not path.is_file():
        raise BadData(f"there is no file {path}")
    name = name or path.name.removesuffix(".gz").removesuffix(".jsonl")
    origin = Origin(str(path.resolve()), sha256(path))
    recipe = {"jsonl": origin.sha256, "name": name, "licence": licence, "path": origin.file}

    def build(writer: CollectionWriter) -> None:
        _read(path, writer)
        writer.finish(licence=licence, provenance=[origin])

    return cached(name, recipe, build)


def _read(path: Path, writer: CollectionWriter) -> None:
    for number, row in json_lines(path):
        where = f"{path} line {number}"
        key, texts = string(row, _kind(row, where), where), _texts(row, "text", where)
        if "question" in row:
            relevant = _relevant(row, where)
            for lang, text in texts.items():
                query = writer.query(lang, key, text, key)
                for passage, relevance in relevant.items():
                    writer.judge(query, passage, relevance)
        else:
            titles = _texts(row, "title", where, needed=False)
            if untold := titles.keys() - texts.keys():
                raise BadData(f"{where}: 'title' has {min(untold)!r}, which 'text' lacks")
            for lang, text in texts.items():
                writer.passage(lang, key, titles.get(lang, ""), text)
    writer.spread()


def _kind(row: dict[str, object], where: str) -> str:
    kinds = [kind for kind in ("question", "passage") if kind in row]
    if len(kinds) != 1:
        raise BadData(f"{where}: there must be either a 'question' or a 'passage'")
    return kinds[0]


def _texts(row: dict[str, object], key: str, where: str, *, needed: bool = True) -> dict[str, str]:
    texts = row.get(key, None if needed else {})
    if not isinstance(texts, dict) or not all(isinstance(text, str) for text in texts.values()):
        raise BadData(f"{where}: {key!r} must map languages to texts")
    if needed and not texts:
        raise BadData(f"{where}: {key!r} is empty")
    return texts


def _relevant(row: dict[str, object], where: str) -> dict[str, int]:
    relevant = row.get("relevant")
    if isinstance(relevant, list):
        listed = relevant
        relevant = {key if isinstance(key, str) else None: 1 for key in listed}
        if None not in relevant and len(relevant) < len(listed):
            raise BadData(f"{where}: 'relevant' names a passage twice")
    if (
        not isinstance(relevant, dict)
        or None in relevant
        or not all(type(grade) is int for grade in relevant.values())
    ):
        raise BadData(f"{where}: 'relevant' must list passages, or map them to whole numbers")
    return relevant
