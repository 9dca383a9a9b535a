"""Judgements that name rows by id: their row numbers, in order, with complaints."""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from beir_hybrid.collection.shards import Problems, find_rows

MISSING = "{} that judgements name and the collection lacks"


class JudgementRows(NamedTuple):
    """Judgements by row number, -1 for an id without a row."""

    query: np.ndarray  # (judgements,) int64
    passage: np.ndarray  # (judgements,) int64
    relevance: np.ndarray  # (judgements,) int


def note_unanswered(
    judgements: JudgementRows, query_ids: pa.ChunkedArray, problems: Problems
) -> None:
    """Note queries without a relevant passage."""
    query, _, relevance = judgements
    has_gold = np.zeros(len(query_ids), dtype=bool)
    has_gold[query[(relevance > 0) & (query >= 0)]] = True
    rows = np.flatnonzero(~has_gold)
    if len(rows):
        first = query_ids[int(rows[0])].as_py()
        problems.note("queries without a relevant passage", first, len(rows))


def sort_judgements(
    judgements: JudgementRows, query_ids: pa.ChunkedArray, problems: Problems
) -> JudgementRows:
    """Sort judgements by query and passage, and note judgements that are given twice."""
    query, passage, relevance = judgements
    order = np.lexsort((passage, query))
    order = order[(query[order] >= 0) & (passage[order] >= 0)]
    query, passage, relevance = query[order], passage[order], relevance[order]
    duplicates = np.flatnonzero((np.diff(query) == 0) & (np.diff(passage) == 0))
    if len(duplicates):
        first = query_ids[int(query[duplicates[0]])].as_py()
        problems.note("judgements given twice", first, len(duplicates))
    return JudgementRows(query, passage, relevance.astype(np.int32))


def find_judged_rows(
    judged_ids: pa.ChunkedArray, ids: pa.ChunkedArray, kind: str, problems: Problems
) -> np.ndarray:
    """Return the row number of each judged id, noting the ids that have no row."""
    distinct, places = find_distinct(judged_ids)
    rows = find_rows(ids, distinct)
    missing = np.flatnonzero(rows < 0)
    if len(missing):
        problems.note(MISSING.format(kind), distinct[int(missing[0])].as_py(), len(missing))
    return np.asarray(rows[places])


def find_distinct(texts: pa.ChunkedArray) -> tuple[pa.Array, np.ndarray]:
    """Return the distinct texts in order of occurrence, and each text's place in that order."""
    encoded = pc.dictionary_encode(texts).combine_chunks()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.chunk(0)
    return encoded.dictionary, encoded.indices.to_numpy(zero_copy_only=False)
