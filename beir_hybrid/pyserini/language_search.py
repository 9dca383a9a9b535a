"""Search of each language in an index by itself, and the merge of the hits into one pool."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

import numpy as np

from beir_hybrid.errors import BadData
from beir_hybrid.retrieval import TopPassages
from beir_hybrid.retrieval.merged_pool import merge_top
from beir_hybrid.retrieval.merging import MergeMethod
from beir_hybrid.retrieval.top_keys import pack_keys

Hits = list[tuple[str, float]]  # ids and scores of passages, best first

_EXACT_KINDS = ("flat", "sq8")  # their search looks at every vector, or at those of a range
_GROWTH = 4  # how much deeper the next search goes if a language has too few hits


def find_language_rows(ids: Iterable[str], owner: str) -> dict[str, range]:
    """Return the rows of each language; ids begin with the language and are in its order."""
    ranges: dict[str, range] = {}
    stop = 0
    for language, group in groupby(passage_id.partition(":")[0] for passage_id in ids):
        if language in ranges:
            raise BadData(f"{owner} has passages in {language} in two places; build it anew")
        start, stop = stop, stop + sum(1 for _ in group)
        ranges[language] = range(start, stop)
    return ranges


def search_rows(index: Any, kind: str, vectors: np.ndarray, k: int, passages: range) -> TopPassages:
    """Return the k best of some rows of a faiss index, or all of them; -1 past the last.

    Flat and SQ8 indexes score these rows alone. The others cannot: the depth of their search grows
    until there are enough hits.
    """
    import faiss

    k = min(k, len(passages))
    if kind in _EXACT_KINDS:
        selector = faiss.IDSelectorRange(passages.start, passages.stop)
        parameters = faiss.SearchParameters(sel=selector)  # type: ignore[call-arg] # not in stubs
        scores, rows = index.search(vectors, k, params=parameters)
        return TopPassages(rows, scores)
    depth = k
    while True:
        scores, rows = index.search(vectors, depth)
        is_inside = (rows >= passages.start) & (rows < passages.stop)
        if depth == index.ntotal or is_inside.sum(axis=1).min(initial=k) >= k:
            break
        depth = min(_GROWTH * depth, index.ntotal)
    order = np.argsort(~is_inside, axis=1, kind="stable")[:, :k]
    rows = np.where(is_inside, rows, -1)
    return TopPassages(np.take_along_axis(rows, order, 1), np.take_along_axis(scores, order, 1))


def list_hits(best: TopPassages, ids: Sequence[str]) -> list[Hits]:
    """Return the ids and scores of each query's passages."""
    return [
        [(ids[row], score) for row, score in zip(rows, scores, strict=True) if row >= 0]
        for rows, scores in zip(best.rows.tolist(), best.scores.tolist(), strict=True)
    ]


def sort_hits(hits: Hits, k: int) -> Hits:
    """Return the k best hits; ties by descending id, as trec_eval has them."""
    return sorted(hits, key=lambda hit: (hit[1], hit[0]), reverse=True)[:k]


def merge_hits(
    hits_by_language: Mapping[str, Hits], sizes: Mapping[str, int], method: MergeMethod, k: int
) -> Hits:
    """Merge the best passages of each language into the k best of the pool, as `evaluate` does.

    Parameters
    ----------
    hits_by_language
        At least k and `method.k` passages of each language, or all that there are.
    sizes
        How many passages each language has.

    Examples
    --------
    >>> from beir_hybrid.retrieval.merging import parse_merge_method
    >>> hits = {"de": [("de:1", 9.0), ("de:2", 8.5)], "en": [("en:1", 0.9), ("en:2", 0.1)]}
    >>> merge_hits(hits, {"de": 2, "en": 2}, parse_merge_method("local:k=1"), 3)
    [('en:1', 0.0), ('de:1', 0.0), ('de:2', -0.5)]
    """
    filled = {language: hits for language, hits in hits_by_language.items() if hits}
    if not filled:
        return []
    ids = sorted(passage_id for hits in filled.values() for passage_id, _ in hits)
    places = {passage_id: place for place, passage_id in enumerate(ids)}
    lists = []
    for hits in filled.values():
        scores = np.array([score for _, score in hits], np.float32)
        keys = pack_keys(scores, np.array([places[passage_id] for passage_id, _ in hits]))
        lists.append(np.sort(keys)[None, ::-1])
    best = merge_top(lists, np.array([sizes[language] for language in filled]), method, k)
    return [
        (ids[place], score)
        for place, score in zip(best.rows[0].tolist(), best.scores[0].tolist(), strict=True)
    ]
