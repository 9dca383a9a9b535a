"""Collections made of BEIR's ``(corpus, queries, qrels)`` dicts and a language for each id."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from numbers import Real
from typing import Any, Literal

from beir_hybrid.collection.cache import load_or_build
from beir_hybrid.collection.collection import Collection
from beir_hybrid.collection.writer import CollectionWriter
from beir_hybrid.errors import BadData
from beir_hybrid.languages import normalise

Unanswered = Literal["refuse", "drop", "zero"]
_MESSAGE_LENGTH = 60  # characters of a value that a message quotes


# Rows are written in a closure, which needs what is checked before it.
def from_beir(
    corpus: Mapping[str, Mapping[str, str]],
    queries: Mapping[str, str],
    qrels: Mapping[str, Mapping[str, int]],
    languages: Mapping[str, str] | str | None = None,
    *,
    query_languages: Mapping[str, str] | str | None = None,
    groups: Mapping[str, str] | None = None,
    name: str = "beir",
    unanswered: Unanswered = "refuse",
) -> Collection:
    """Make a collection from the dicts that BEIR's loaders return.

    Only the title and text of a passage are used. Queries without judgements in `qrels` are left
    out, as BEIR leaves them out.

    Parameters
    ----------
    languages
        The language of each query's and passage's id, or one language for all. By default ids
        start with their language, as in ``de:12-3``.
    query_languages
        The same for queries alone. It is needed where an id is that of a query and of a passage,
        and `languages` has several languages.
    groups
        The group of each query's id: queries of one group translate each other. A query that is
        missing here is a group of its own, so that statistics take translations for independent;
        `View.to_beir` does not return groups.
    unanswered
        What happens to queries all of whose judgements are below 1: they are refused, left out and
        counted (``"drop"``), or count as 0, as trec_eval counts them (``"zero"``).

    Examples
    --------
    >>> corpus = {"d1": {"title": "", "text": "Haus"}, "d2": {"title": "", "text": "house"}}
    >>> qrels = {"q1": {"d1": 1, "d2": 1}}
    >>> collection = from_beir(corpus, {"q1": "home?"}, qrels, {"d1": "de", "d2": "en", "q1": "en"})
    >>> collection.view("en", "de").to_beir()[2]
    {'en:q:q1': {'de:d1': 1}}
    """
    _check_types(corpus, queries, qrels, name)
    query_keys, options = _choose_queries(queries, qrels, unanswered)
    if query_languages is None:
        query_languages = _share_languages(query_keys, corpus, languages, name)
    query_language_of = _find_languages(query_keys, query_languages)
    passage_language_of = _find_languages(corpus, languages)
    has_our_ids = _has_prefixes(passage_language_of) and _has_prefixes(query_language_of, "q:")
    groups = groups or {}

    def build(writer: CollectionWriter) -> None:
        writer.keeps_unanswered = unanswered == "zero"
        ids: dict[str, str] = {}
        for key, document in corpus.items():
            lang = passage_language_of[key]
            local_key = key.removeprefix(f"{lang}:") if has_our_ids else key
            ids[key] = writer.add_passage(lang, local_key, *_get_title_and_text(document))
        for key in query_keys:
            lang = query_language_of[key]
            local_key = key.removeprefix(f"{lang}:q:") if has_our_ids else key
            query = writer.add_query(lang, local_key, queries[key], groups.get(key, key))
            for passage, relevance in qrels[key].items():
                if passage in ids:
                    writer.add_judgement(query, ids[passage], int(relevance))
                else:
                    writer.note_missing("passages", [passage])
        writer.note_missing("queries", (key for key in qrels if qrels[key] and key not in queries))
        for problem, count in options.get("dropped", {}).items():
            writer.warnings.append(f"{name}: left out {count:,} {problem}")
        writer.finish(original_ids=not has_our_ids, options=options)

    judged_queries = {key: queries[key] for key in query_keys}
    recipe = {
        "triple": _hash_dicts(corpus, judged_queries, qrels),
        "languages": [_hash_table(passage_language_of), _hash_table(query_language_of)],
        "groups": _hash_table(groups),
    }
    return load_or_build(name, recipe | options, build)


def _choose_queries(
    queries: Mapping[str, str], qrels: Mapping[str, Mapping[str, int]], unanswered: Unanswered
) -> tuple[list[str], dict[str, Any]]:
    """Return the judged queries to load, and a record of the queries without a gold."""
    keys = [key for key in queries if qrels.get(key)]
    if unanswered == "refuse":
        return keys, {}
    answered_keys = [key for key in keys if max(qrels[key].values()) > 0]
    count = len(keys) - len(answered_keys)
    options: dict[str, Any] = {"unanswered": unanswered}
    if unanswered == "zero" or not count:
        return keys, options
    return answered_keys, {**options, "dropped": {"queries without a relevant passage": count}}


def _hash_dicts(
    corpus: Mapping[str, Mapping[str, str]],
    queries: Mapping[str, str],
    qrels: Mapping[str, Mapping[str, int]],
) -> str:
    content = hashlib.sha256()
    passages = ((key, *_get_title_and_text(document)) for key, document in corpus.items())
    judgements = (
        (query, {passage: int(relevance) for passage, relevance in relevances.items()})
        for query, relevances in qrels.items()
    )
    for part in (passages, queries.items(), judgements):
        for item in part:
            content.update(json.dumps(item).encode())
    return content.hexdigest()


def _get_title_and_text(document: Mapping[str, str]) -> tuple[str, str]:
    return document.get("title") or "", document.get("text") or ""


def _check_types(
    corpus: Mapping[str, Mapping[str, object]],
    queries: Mapping[str, object],
    qrels: Mapping[str, Mapping[str, object]],
    name: str,
) -> None:
    """Raise `BadData` where something is of another type than BEIR's loaders return."""
    for kind, table, value_type in (
        ("passage", corpus, Mapping),
        ("query", queries, str | None),
        ("judgements of", qrels, Mapping),
    ):
        for key, value in table.items():
            if not isinstance(key, str):
                raise BadData(f"{name}: the id {key!r} is of type {type(key).__name__}, not str")
            if not isinstance(value, value_type):
                raise BadData(f"{name}: {kind} {key!r} is {value!r:.{_MESSAGE_LENGTH}}")
    _check_texts(corpus, name)
    for query, relevances in qrels.items():
        for passage, relevance in relevances.items():
            if not isinstance(relevance, Real) or relevance % 1:
                place = f"the relevance of {passage!r} to {query!r}"
                raise BadData(f"{name}: {place} is {relevance!r}, no integer")


def _check_texts(corpus: Mapping[str, Mapping[str, object]], name: str) -> None:
    for key, document in corpus.items():
        for part in ("title", "text"):
            if not isinstance(text := document.get(part), str | None):
                raise BadData(f"{name}: the {part} of {key!r} is {text!r:.{_MESSAGE_LENGTH}}")


def _share_languages(
    queries: Iterable[str],
    corpus: Mapping[str, object],
    languages: Mapping[str, str] | str | None,
    name: str,
) -> Mapping[str, str] | str | None:
    """Return the languages of ids, if they are those of queries and of passages alike.

    Raises `BadData` if a map of ids to languages cannot tell queries from passages.
    """
    if not isinstance(languages, Mapping) or len(set(languages.values())) == 1:
        return languages
    if shared_ids := [key for key in queries if key in corpus]:
        raise BadData(
            f"{name}: {len(shared_ids):,} ids are those of a query and of a passage, first "
            f"{shared_ids[0]!r:.{_MESSAGE_LENGTH}}; give the languages of queries as "
            "`query_languages`"
        )
    return languages


def _has_prefixes(language_of: Mapping[str, str], part: str = "") -> bool:
    """Return whether ids begin with their language and `part`, as our ids do."""
    codes = set(language_of.values())
    is_code = {code: code == _normalise_or_empty(code) for code in codes}
    return all(
        is_code[code] and key.startswith(f"{code}:{part}") for key, code in language_of.items()
    )


def _normalise_or_empty(tag: str) -> str:
    """Return the code of a language tag; nothing for a tag of no language."""
    try:
        return normalise(tag)
    except BadData:  # of which the writer complains
        return ""


def _find_languages(
    ids: Iterable[str], languages: Mapping[str, str] | str | None
) -> dict[str, str]:
    if isinstance(languages, str):
        return dict.fromkeys(ids, languages)
    if languages is None:
        languages = {key: key.partition(":")[0] for key in ids if ":" in key}
    unknown_ids = [key for key in ids if key not in languages]
    if unknown_ids:
        raise BadData(
            f"{len(unknown_ids):,} ids have no language, first "
            f"{unknown_ids[0]!r:.{_MESSAGE_LENGTH}}: `languages` takes a map of ids to languages, "
            "or one language for all"
        )
    return {key: languages[key] for key in ids}


def _hash_table(table: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(sorted(table.items())).encode()).hexdigest()
