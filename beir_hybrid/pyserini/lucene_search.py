"""Search of a Lucene index by BM25."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from beir_hybrid.pyserini.lucene import (
    TEXT_FIELD,
    LuceneIndex,
    explain_search_error,
    open_reader,
)

_MAX_TERMS = 1 << 20  # of a query; Lucene's own limit is 1024

# Numbers of passages in `LuceneIndex.ids`, best first, int64; and their scores, float32.
LuceneHits = tuple[np.ndarray, np.ndarray]


class BM25Searcher:
    """Finds the best passages of an open index by BM25."""

    def __init__(self, index: LuceneIndex, reader: Any, k1: float, b: float) -> None:
        from jnius import autoclass, cast

        self.index = index
        searcher_class = autoclass("org.apache.lucene.search.IndexSearcher")
        searcher_class.setMaxClauseCount(_MAX_TERMS)
        similarity = autoclass("org.apache.lucene.search.similarities.BM25Similarity")
        self._searcher = searcher_class(cast("org.apache.lucene.index.IndexReader", reader))
        self._searcher.setSimilarity(similarity(k1, b))
        self._query_generator = autoclass("io.anserini.search.query.BagOfWordsQueryGenerator")()
        # One text for all hits of a query: fetching each from Java takes ten times as long.
        self._json_mapper = autoclass("com.fasterxml.jackson.databind.ObjectMapper")()

    def search(self, texts: Sequence[str], depth: int) -> Iterator[LuceneHits]:
        """Yield the best passages of each query, at most `depth`; ties by descending id.

        Only passages that share a term with the query are found.
        """
        analyzer = self.index.analyzer.create()
        for text in texts:
            hits = self._search_text(text, analyzer, depth)
            documents = np.array([hit["doc"] for hit in hits], np.int64)
            scores = np.array([hit["score"] for hit in hits], np.float32)
            yield self.index.order[documents], scores

    def _search_text(self, text: str, analyzer: Any, depth: int) -> list[dict[str, Any]]:
        from jnius import JavaException

        try:
            query = self._query_generator.buildQuery(TEXT_FIELD, analyzer, text)
            top_documents = self._searcher.search(query, depth)
            hits: list[dict[str, Any]] = json.loads(
                self._json_mapper.writeValueAsString(top_documents)
            )["scoreDocs"]
        except JavaException as error:
            raise explain_search_error(self.index.folder, error) from error
        return hits


@contextmanager
def open_searcher(index: LuceneIndex, k1: float, b: float) -> Iterator[BM25Searcher]:
    """Open an index for searches by BM25."""
    from jnius import JavaException

    try:
        reader = open_reader(index.folder)
    except JavaException as error:
        raise explain_search_error(index.folder, error) from error
    try:
        yield BM25Searcher(index, reader, float(k1), float(b))
    finally:
        reader.close()
