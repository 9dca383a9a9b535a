"""BEIR's ``(corpus, queries, qrels)`` dicts and a map of languages in, a collection out."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from numbers import Real
from typing import Any

from beir_hybrid.collection.collection import Collection
from beir_hybrid.collection.writer import CollectionWriter, cached
from beir_hybrid.errors import BadData

_SHOWN = 60


def from_beir(
    corpus: Mapping[str, Mapping[str, str]],
    queries: Mapping[str, str],
    qrels: Mapping[str, Mapping[str, int]],
    languages: Mapping[str, str] | str | None = None,
    *,
    groups: Mapping[str, str] | None = None,
    name: str = "beir",
) -> Collection:
    """Return a collection of what BEIR's loaders return.

    Of a passage its title and text count. Queries that `qrels` does not judge are left out, as
    BEIR leaves them out.

    Parameters
    ----------
    languages
        The language of each query's and passage's id, or the one that all are in. Left out, ids
        start with it, as in ``de:12-3``.
    groups
        For ids of queries: what question they translate. Queries left out stand alone, so that
        statistics take translations for independent; `View.beir` does not hold groups.

    Examples
    --------
    >>> corpus = {"d1": {"title": "", "text": "Haus"}, "d2": {"title": "", "text": "house"}}
    >>> qrels = {"q1": {"d1": 1, "d2": 1}}
    >>> collection = from_beir(corpus, {"q1": "home?"}, qrels, {"d1": "de", "d2": "en", "q1": "en"})
    >>> collection.view("en", "de").beir()[2]
    {'en:q:q1': {'de:d1': 1}}
    """
    asked = [key for key in queries if qrels.get(key)]
    _check(corpus, queries, qrels, name)
    known = _languages([*asked, *corpus], languages)
    ours = all(key.startswith(f"{lang}:") for key, lang in known.items())
    groups = groups or {}

    def build(writer: CollectionWriter) -> None:
        ids: dict[str, str] = {}
        for key, document in corpus.items():
            lang = known[key]
            local = key.removeprefix(f"{lang}:") if ours else key
            ids[key] = writer.passage(lang, local, *_texts(document))
        for key in asked:
            lang = known[key]
            local = key.removeprefix(f"{lang}:").removeprefix("q:") if ours else key
            query = writer.query(lang, local, queries[key], groups.get(key, key))
            for passage, relevance in qrels[key].items():
                if passage in ids:
                    writer.judge(query, ids[passage], int(relevance))
                else:
                    writer.lacks("passages", [passage])
        writer.lacks("queries", [key for key in qrels if qrels[key] and key not in queries])
        writer.finish(original_ids=not ours)

    content = hashlib.sha256()
    passages = ((key, *_texts(document)) for key, document in corpus.items())
    questions = ((key, queries[key]) for key in asked)
    judged = ((key, {p: int(r) for p, r in found.items()}) for key, found in qrels.items())
    for part in (passages, questions, judged):
        for item in part:
            content.update(json.dumps(item).encode())
    recipe = {"triple": content.hexdigest(), "languages": _digest(known), "groups": _digest(groups)}
    return cached(name, recipe, build)


def _texts(document: Mapping[str, str]) -> tuple[str, str]:
    return document.get("title") or "", document.get("text") or ""


def _check(
    corpus: Mapping[Any, Any],
    queries: Mapping[Any, Any],
    qrels: Mapping[Any, Mapping[Any, Any]],
    name: str,
) -> None:
    """Raise `BadData` where something is of another type than BEIR's loaders give."""
    for kind, table, wanted in (
        ("passage", corpus, Mapping),
        ("query", queries, str | None),
        ("judgements of", qrels, Mapping),
    ):
        for key, value in table.items():
            if not isinstance(key, str):
                raise BadData(f"{name}: the id {key!r} is of type {type(key).__name__}, not str")
            if not isinstance(value, wanted):
                raise BadData(f"{name}: {kind} {key!r} is {value!r:.{_SHOWN}}")
    for query, judged in qrels.items():
        for passage, relevance in judged.items():
            if not isinstance(relevance, Real) or relevance % 1:
                place = f"the relevance of {passage!r} to {query!r}"
                raise BadData(f"{name}: {place} is {relevance!r}, no integer")


def _languages(ids: Iterable[str], languages: Mapping[str, str] | str | None) -> dict[str, str]:
    if isinstance(languages, str):
        return dict.fromkeys(ids, languages)
    if languages is None:
        languages = {key: key.partition(":")[0] for key in ids if ":" in key}
    lost = [key for key in ids if key not in languages]
    if lost:
        raise BadData(
            f"{len(lost):,} ids have no language, first {lost[0]!r:.{_SHOWN}}: "
            "`languages` takes a map of ids to languages, or the one of all"
        )
    return {key: languages[key] for key in ids}


def _digest(table: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(sorted(table.items())).encode()).hexdigest()
