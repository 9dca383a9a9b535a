"""Layouts of other tools' training data: FlagEmbedding, Tevatron and sentence-transformers.

Their rows have a query and passages in languages that no key names; a group becomes a row for each
pair of languages, and a row a group in one language.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from itertools import product
from typing import Any, NamedTuple

from beir_hybrid.curation.text_groups import TextGroup
from beir_hybrid.errors import BadData

Row = dict[str, Any]
_NEGATIVE = re.compile(r"negative(_[0-9]+)?")  # columns of hard negatives of sentence-transformers


class PlainRow(NamedTuple):
    """A query with passages that answer it and passages that do not, without languages."""

    id: str
    query: str
    positives: list[str]
    negatives: list[str]


class Layout(NamedTuple):
    """A layout of rows.

    Attributes
    ----------
    key
        A key of every row by which the layout is known.
    read
        Parses a row; its arguments are the row, its number and its place for errors.
    write
        Makes a row.
    """

    key: str
    read: Callable[[Row, str, str], PlainRow]
    write: Callable[[PlainRow], Row]


def split_group(group: TextGroup, *, crosses_languages: bool) -> Iterator[PlainRow]:
    """Yield a row for each language that a group has a query and a passage in, or for each pair."""
    for query_lang, lang in product(group.query, group.positive):
        if query_lang == lang or crosses_languages:
            languages = lang if query_lang == lang else f"{query_lang}-{lang}"
            yield PlainRow(
                f"{languages}:{group.id}",
                group.query[query_lang],
                [group.positive[lang]],
                group.list_negatives(lang),
            )


def make_groups(row: PlainRow, lang: str) -> Iterator[TextGroup]:
    """Yield a group for each passage that answers a query, blank texts left out."""
    negatives = [text for text in row.negatives if text.strip()]
    extras = {"negative": {lang: negatives}} if negatives else {}
    for number, positive in enumerate(row.positives):
        group_id = row.id if len(row.positives) == 1 else f"{row.id}#{number}"
        if row.query.strip() and positive.strip():
            yield TextGroup(group_id, {lang: row.query}, {lang: positive}, extras)


def _read_flag_embedding(row: Row, number: str, location: str) -> PlainRow:
    return PlainRow(
        _get_id(row, "id", number),
        _get_text(row, "query", location),
        _get_texts(row, "pos", location),
        _get_texts(row, "neg", location),
    )


def _write_flag_embedding(row: PlainRow) -> Row:
    return {"query": row.query, "pos": row.positives, "neg": row.negatives}


def _read_tevatron(row: Row, number: str, location: str) -> PlainRow:
    positives, negatives = (
        [_join_title(passage, location) for passage in row.get(f"{part}_passages") or []]
        for part in ("positive", "negative")
    )
    query_id = _get_id(row, "query_id", number)
    return PlainRow(query_id, _get_text(row, "query", location), positives, negatives)


def _write_tevatron(row: PlainRow) -> Row:
    return {
        "query_id": row.id,
        "query": row.query,
        "positive_passages": _number_passages(row.positives, f"{row.id}+"),
        "negative_passages": _number_passages(row.negatives, f"{row.id}-"),
    }


def _number_passages(texts: list[str], prefix: str) -> list[Row]:
    return [
        {"docid": f"{prefix}{number}", "title": "", "text": text}
        for number, text in enumerate(texts)
    ]


def _join_title(passage: object, location: str) -> str:
    """Return the title and text of a passage as one text."""
    if not isinstance(passage, Mapping):
        raise BadData(f"{location}: a passage is {passage!r:.40}; it must have a text")
    title = passage.get("title") or ""
    return f"{title} {_get_text(passage, 'text', location)}".strip()


def _read_sentence_transformers(row: Row, number: str, location: str) -> PlainRow:
    names = [name for name in row if _NEGATIVE.fullmatch(name)]
    return PlainRow(
        number,
        _get_text(row, "anchor", location),
        [_get_text(row, "positive", location)],
        [_get_text(row, name, location) for name in names],
    )


def _write_sentence_transformers(row: PlainRow) -> Row:
    negatives = {f"negative_{i}": text for i, text in enumerate(row.negatives, start=1)}
    return {"anchor": row.query, "positive": row.positives[0], **negatives}


def _get_id(row: Row, key: str, number: str) -> str:
    """Return the id of a row, or the number of a row without any."""
    value = row.get(key)
    return number if value is None else str(value)


def _get_text(row: Mapping[str, Any], key: str, location: str) -> str:
    value = row.get(key)
    if not isinstance(value, str):
        raise BadData(f"{location}: {key!r} is {value!r:.40}, no text")
    return value


def _get_texts(row: Row, key: str, location: str) -> list[str]:
    values = row.get(key) or []
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise BadData(f"{location}: {key!r} is {values!r:.40}, no list of texts")
    return values


LAYOUTS: dict[str, Layout] = {
    "flag-embedding": Layout("pos", _read_flag_embedding, _write_flag_embedding),
    "tevatron": Layout("positive_passages", _read_tevatron, _write_tevatron),
    "sentence-transformers": Layout(
        "anchor", _read_sentence_transformers, _write_sentence_transformers
    ),
}
