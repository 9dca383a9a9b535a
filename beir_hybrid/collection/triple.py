"""BEIR's ``(corpus, queries, qrels)`` dicts and a map of languages in, a collection out."""

import hashlib
import json
from collections.abc import Iterable, Mapping

from beir_hybrid.collection.model import Collection
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

    Parameters
    ----------
    languages
        The language of each query's and passage's id, or the one that all are in. Left out, ids
        start with it, as in ``de:12-3``.
    groups
        For ids of queries: what question they translate. Queries left out stand alone.

    Queries that `qrels` does not judge are left out, as BEIR leaves them out.
    """
    asked = [key for key in queries if qrels.get(key)]
    known = _languages([*asked, *corpus], languages)
    ours = all(key.startswith(f"{lang}:") for key, lang in known.items())
    groups = groups or {}

    def build(writer: CollectionWriter) -> None:
        ids: dict[str, str] = {}
        for key, document in corpus.items():
            lang = known[key]
            local = key.removeprefix(f"{lang}:") if ours else key
            title, text = document.get("title") or "", document.get("text") or ""
            ids[key] = writer.passage(lang, local, title, text)
        for key in asked:
            lang = known[key]
            local = key.removeprefix(f"{lang}:").removeprefix("q:") if ours else key
            query = writer.query(lang, local, queries[key], groups.get(key, key))
            for passage, relevance in qrels[key].items():
                if passage in ids:
                    writer.judge(query, ids[passage], relevance)
                else:
                    writer.lacks("passages", [passage])
        writer.finish(original_ids=not ours)

    content = hashlib.sha256()
    for part in (corpus, {key: queries[key] for key in asked}, {k: qrels[k] for k in asked}):
        for item in part.items():
            content.update(json.dumps(item, ensure_ascii=False, sort_keys=True).encode())
    recipe = {"triple": content.hexdigest(), "languages": _digest(known), "groups": _digest(groups)}
    return cached(name, recipe, build)


def _languages(ids: Iterable[str], languages: Mapping[str, str] | str | None) -> dict[str, str]:
    if isinstance(languages, str):
        return dict.fromkeys(ids, languages)
    if languages is None:
        languages = {key: key.partition(":")[0] for key in ids if ":" in key}
    lost = [key for key in ids if key not in languages]
    if lost:
        raise BadData(f"{len(lost):,} ids have no language, first {lost[0]!r:.{_SHOWN}}")
    return {key: languages[key] for key in ids}


def _digest(table: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(sorted(table.items())).encode()).hexdigest()
