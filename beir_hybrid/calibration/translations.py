"""Which passages of a collection translate each other."""

import logging
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from beir_hybrid.collection.arrays import take_rows
from beir_hybrid.collection.judgements import Judgements
from beir_hybrid.collection.setting import IMAGE

logger = logging.getLogger(__name__)

NO_TRANSLATION = -1
_LEAST_SHARE = 0.9  # of groups of queries, whose relevant passages have equal ids


def number_passages(judgements: Judgements) -> np.ndarray | None:
    """Return a number for each passage that its translations share; `NO_TRANSLATION` without any.

    Queries that translate each other tell it, by their relevant passages in several languages. If
    the ids of nearly all of these differ in their language alone, passages with such ids are
    translations everywhere. Else equal ids mean nothing, as where paragraphs are numbered in each
    language anew, and relevant passages are translations where each language has one. None where no
    query has relevant passages in several languages.

    Returns
    -------
    np.ndarray
        (passages,) int64.
    """
    golds = _list_golds(judgements)
    if not golds:
        return None
    ids = _strip_languages(judgements.passage_ids)
    rows = sorted({row for sets in golds.values() for part in sets.values() for row in part})
    keys = take_rows(ids, np.array(rows)).to_pylist()
    key_of = dict(zip(rows, keys, strict=True))
    n_equal = sum(_have_equal_keys(languages, key_of) for languages in golds.values())
    if n_equal >= _LEAST_SHARE * len(golds):
        return number_texts(ids)
    logger.info(
        "%s: relevant passages are taken for translations of each other, for only %d of %d queries "
        "have some with equal ids in their languages", judgements.name, n_equal, len(golds),
    )  # fmt: skip
    sets = [
        [row for (row,) in languages.values()]
        for languages in golds.values()
        if all(len(rows) == 1 for rows in languages.values())
    ]
    return _number_connected(sets, len(ids))


def _number_connected(sets: Sequence[Sequence[int]], n: int) -> np.ndarray:
    """Return equal numbers for rows of one set, or of sets that have a row in common; (n,) int64.

    A passage may be relevant to several queries, whose other relevant passages are its
    translations, too.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    rows = np.array([row for part in sets for row in part], np.int64)
    firsts = np.repeat(np.array([part[0] for part in sets], np.int64), [len(part) for part in sets])
    edges = coo_array((np.ones(len(rows), bool), (firsts, rows)), shape=(n, n))
    numbers: np.ndarray = connected_components(edges, directed=False)[1].astype(np.int64)
    numbers[np.setdiff1d(np.arange(n), rows)] = NO_TRANSLATION
    return numbers


Golds = dict[int, set[int]]  # rows of relevant passages, by number of their language


def _list_golds(judgements: Judgements) -> dict[int, Golds]:
    """Return the relevant passages of each group of queries that has some in several languages."""
    image = judgements.codes.index(IMAGE) if judgements.has_images else -1
    is_gold = (judgements.relevance > 0) & (judgements.passage_language != image)
    group = number_texts(judgements.query_groups)[judgements.query[is_gold]]
    golds: dict[int, Golds] = {}
    columns = group, judgements.passage_language[is_gold], judgements.passage[is_gold]
    for number, language, row in zip(*(column.tolist() for column in columns), strict=True):
        golds.setdefault(number, {}).setdefault(language, set()).add(row)
    return {number: languages for number, languages in golds.items() if len(languages) > 1}


def _have_equal_keys(golds: Golds, key_of: dict[int, str]) -> bool:
    """Return whether passages have the same keys in each language, or some of those of another."""
    keys = [{key_of[row] for row in rows} for rows in golds.values()]
    return all(language_keys <= max(keys, key=len) for language_keys in keys)


def _strip_languages(ids: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return ids without the language that they begin with."""
    return pc.replace_substring_regex(ids, "^[^:]*:", "")


def number_texts(texts: pa.ChunkedArray) -> np.ndarray:
    """Return equal numbers for equal texts; (texts,) int64."""
    indices = texts.combine_chunks().dictionary_encode().indices
    numbers: np.ndarray = indices.to_numpy(zero_copy_only=False).astype(np.int64)
    return numbers
