"""Scores of late interaction (MaxSim): each token of a query with its best token of a passage."""

import time
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from beir_hybrid.encoding.token_embeddings import TokenEmbeddings, TokenVectors
from beir_hybrid.errors import BadData
from beir_hybrid.retrieval.candidates import HostCandidates
from beir_hybrid.retrieval.dense_batch import UNDERFLOW, UNIT_ROUNDOFF
from beir_hybrid.retrieval.scorer import BatchDemand, BatchGolds, BatchPlan

# Tokens of passages and of queries whose products are in memory at a time, and fit the cache.
_PASSAGE_TOKENS, _QUERY_TOKENS = 2048, 512
_LONG = 120.0  # seconds
_PAIRS = 256  # pairs whose tokens are in memory while they are scored


@dataclass(frozen=True)
class LateScorer:
    """A `Scorer` of vectors of tokens; see `late_kernels` for the bits of scores."""

    queries: TokenEmbeddings
    passages: TokenEmbeddings

    def __post_init__(self) -> None:
        if len(self.queries) and len(self.passages) and self.queries.dim != self.passages.dim:
            raise BadData(
                f"tokens of queries have {self.queries.dim} dimensions, those of passages "
                f"{self.passages.dim}; they must come from one model"
            )

    @property
    def n_queries(self) -> int:
        """The number of queries."""
        return len(self.queries)

    @property
    def n_passages(self) -> int:
        """The number of passages."""
        return len(self.passages)

    @property
    def passage_bytes(self) -> int:
        """Memory of a passage's tokens, on average."""
        return int(4 * self.passages.dim * self.passages.count_tokens().mean())

    @cached_property
    def n_products(self) -> int:
        """The number of products of two numbers that all scores take."""
        n_pairs = int(self.queries.count_tokens().sum()) * int(self.passages.count_tokens().sum())
        return n_pairs * self.passages.dim

    @property
    def plan(self) -> BatchPlan:
        """How many queries and passages are scored at once."""
        return BatchPlan()

    def bound_passages(self, passages: range) -> np.ndarray:
        """Return the length of the longest vector of a token, (1,); NaN if one number is."""
        lengths = [
            _measure_lengths(self.passages.take(slice(group.start, group.stop)).tokens)
            for group in self.split_block(passages)
        ]
        bound: np.ndarray = np.max(np.concatenate(lengths), initial=0.0, keepdims=True)
        return bound

    def open_batch(
        self, queries: range, bound: np.ndarray, demand: BatchDemand | None = None
    ) -> "_LateBatch":
        """Load the tokens of a batch of queries, and bound the errors of its fast scores."""
        del demand
        vectors = self.queries.take(slice(queries.start, queries.stop))
        lengths = _measure_lengths(vectors.tokens)
        errors = np.append(self._bound_errors(lengths, float(bound[0])), 0)
        margin = np.add.reduceat(errors, vectors.bounds[:-1]) * (np.diff(vectors.bounds) > 0)
        if not (margin < np.finfo(np.float32).max * UNIT_ROUNDOFF).all():
            raise BadData("vectors of tokens are so large that scores are no float32")
        return _LateBatch(self, vectors, margin.astype(np.float32))

    def _bound_errors(self, lengths: np.ndarray, bound: float) -> np.ndarray:
        """Bound the errors of a token's share in fast scores, from the lengths of vectors."""
        # Errors of dim products and sums, whatever their order; 32 for the roundings here, of the
        # sum over tokens, and of both scores.
        n_roundings = self.queries.dim + 32
        errors: np.ndarray = (lengths * bound * UNIT_ROUNDOFF + UNDERFLOW) * n_roundings
        return errors

    def score_pairs(self, queries: np.ndarray, passages: np.ndarray) -> np.ndarray:
        """Return exact scores, (n,) float32, of pairs of rows."""
        from beir_hybrid.retrieval.late_kernels import score_token_pairs

        scores = np.empty(len(queries), np.float32)
        for start in range(0, len(queries), _PAIRS):
            pairs = slice(start, start + _PAIRS)
            query_rows, query_places = np.unique(queries[pairs], return_inverse=True)
            passage_rows, passage_places = np.unique(passages[pairs], return_inverse=True)
            query, passage = self.queries.take(query_rows), self.passages.take(passage_rows)
            lengths, bound = _measure_lengths(query.tokens), _measure_lengths(passage.tokens)
            slack = 2 * self._bound_errors(lengths, bound.max(initial=0.0))
            scores[pairs] = score_token_pairs(
                query.tokens, query.bounds, slack.astype(np.float32), passage.tokens,
                passage.bounds, query_places, passage_places,
            )  # fmt: skip
        return scores

    def without_passages(self) -> "LateScorer":
        """Return a scorer with the tokens of all queries in memory, and no passages."""
        no_tokens = np.empty((0, self.queries.dim), np.float32)
        nothing = TokenVectors(no_tokens, np.zeros(1, np.int64))
        queries = TokenEmbeddings.from_vectors(self.queries.take(slice(None)))
        return LateScorer(queries, TokenEmbeddings.from_vectors(nothing))

    def load_passages(self, rows: range) -> TokenVectors:
        """Return tokens of passages in memory, in half precision."""
        vectors = self.passages.take(slice(rows.start, rows.stop))
        return TokenVectors(vectors.tokens.astype(np.float16), vectors.bounds)

    def with_passages(self, passages: object) -> "LateScorer":
        """Return a scorer of the same queries and of tokens of passages."""
        if not isinstance(passages, TokenVectors):
            raise TypeError("passages are those of load_passages")
        return LateScorer(self.queries, TokenEmbeddings.from_vectors(passages))

    def split_block(self, passages: range) -> list[range]:
        """Split a block into groups of passages with few enough tokens."""
        counts = self.passages.count_tokens(slice(passages.start, passages.stop))
        groups, start, total = [], 0, 0
        for i, count in enumerate(counts.tolist()):
            if i > start and total + count > _PASSAGE_TOKENS:
                groups.append(passages[start:i])
                start, total = i, 0
            total += count
        return [*groups, passages[start:]] if len(passages) else []


def describe_cost(scorer: LateScorer, seconds: float) -> str:
    """Describe in a sentence how much work all scores are."""
    counts = (rows.count_tokens().sum() for rows in (scorer.queries, scorer.passages))
    n_query_tokens, n_passage_tokens = (f"{count:,}" for count in counts)
    time_text = f"{seconds / 60:,.0f} minutes" if seconds > _LONG else f"{seconds:,.0f} seconds"
    return (
        f"late interaction: {n_query_tokens} tokens of queries meet {n_passage_tokens} tokens of "
        f"passages, which takes about {time_text} on this machine"
    )


def estimate_seconds(scorer: LateScorer, threads: int) -> float:
    """Estimate the time of all scores from the speed of a product of matrices here."""
    from threadpoolctl import threadpool_limits

    passages = np.ones((_PASSAGE_TOKENS, scorer.passages.dim), np.float32)
    queries = np.ones((_QUERY_TOKENS, scorer.passages.dim), np.float32)
    seconds = []
    with threadpool_limits(1, user_api="blas"):
        for _ in range(3):
            start = time.perf_counter()
            passages @ queries.T
            seconds.append(time.perf_counter() - start)
    return scorer.n_products / (passages.size * len(queries)) * min(seconds) / threads


@dataclass(frozen=True)
class _LateBatch:
    """The tokens of a batch of queries."""

    scorer: LateScorer
    queries: TokenVectors
    margin: np.ndarray  # (queries,) float32

    def score_block(self, passages: range, memory: np.ndarray | None = None) -> "_LateBlock":
        """Score all queries of the batch against a block, a group of passages at a time."""
        from beir_hybrid.retrieval.late_kernels import add_maxima

        shape = len(self.margin), len(passages)
        scores = np.empty(shape, np.float32) if memory is None else memory.reshape(shape)
        for group in self.scorer.split_block(passages):
            vectors = self.scorer.passages.take(slice(group.start, group.stop))
            columns = slice(group.start - passages.start, group.stop - passages.start)
            maxima = self._find_maxima(vectors)
            add_maxima(maxima, self.queries.bounds, vectors.bounds, scores[:, columns])
        return _LateBlock(scores, self, passages)

    def _find_maxima(self, passages: TokenVectors) -> np.ndarray:
        """Return the largest product of each query's token with the tokens of each passage."""
        from beir_hybrid.retrieval.late_kernels import find_maxima

        n_passages, n_tokens = passages.shape[0], len(self.queries.tokens)
        maxima = np.empty((n_passages, n_tokens), np.float32)
        # Written again and again: new arrays cost page faults.
        products = np.empty((len(passages.tokens), min(n_tokens, _QUERY_TOKENS)), np.float32)
        part_maxima = np.empty((n_passages, products.shape[1]), np.float32)
        for start in range(0, n_tokens, _QUERY_TOKENS):
            tokens = self.queries.tokens[start : start + _QUERY_TOKENS]
            if len(tokens) < products.shape[1]:  # the last; the loop needs contiguous arrays
                products = np.empty((len(products), len(tokens)), np.float32)
                part_maxima = np.empty((n_passages, len(tokens)), np.float32)
            np.matmul(passages.tokens, tokens.T, out=products)
            find_maxima(products, passages.bounds, part_maxima)
            maxima[:, start : start + _QUERY_TOKENS] = part_maxima
        return maxima

    def open_candidates(self, depth: int) -> HostCandidates:
        """Return candidates for at most so many best passages of each query."""
        return HostCandidates(self, depth)

    def refine(self, queries: np.ndarray) -> None:
        """Return None: there are no better products than in float32."""

    def score_pairs(self, queries: np.ndarray, passages: np.ndarray) -> np.ndarray:
        """Return exact scores of pairs of a query of the batch and a passage."""
        batch = TokenEmbeddings.from_vectors(self.queries)
        return LateScorer(batch, self.scorer.passages).score_pairs(queries, passages)

    def score_all(self, query: int, passages: range) -> np.ndarray:
        """Return exact scores of one query of the batch and a block of passages."""
        rows = np.arange(passages.start, passages.stop)
        return self.score_pairs(np.full(len(rows), query), rows)


@dataclass(frozen=True)
class _LateBlock:
    """Fast scores of a batch of queries and a block of passages."""

    scores: np.ndarray  # (queries, passages) float32
    batch: _LateBatch
    passages: range

    def count_above(self, golds: BatchGolds, id_order: np.ndarray, counts: np.ndarray) -> None:
        """Count by fast scores, and by exact ones where those are too close to tell."""
        from beir_hybrid.retrieval.late_kernels import count_certain

        gold, query, passage = count_certain(self.scores, self.batch.margin, golds, counts)
        codes, place = np.unique(query * len(self.passages) + passage, return_inverse=True)
        query_rows, passage_rows = np.divmod(codes, len(self.passages))
        scores = self.batch.score_pairs(query_rows, passage_rows + self.passages.start)[place]
        is_above = scores > golds.high[gold]
        is_tied = ~is_above & (scores >= golds.low[gold])
        order, gold_order = id_order[passage], golds.id_order[gold]
        for column, is_counted in enumerate(
            (is_above, is_tied & (order > gold_order), is_tied & (order < gold_order))
        ):
            counts[:, column] += np.bincount(gold[is_counted], minlength=len(counts))


def _measure_lengths(vectors: np.ndarray) -> np.ndarray:
    lengths: np.ndarray = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))
    return lengths
