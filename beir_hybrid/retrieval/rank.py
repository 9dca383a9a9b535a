"""Embeddings and judgements in, exact ranks and best passages out, in memory of one block."""

from dataclasses import dataclass

import numpy as np

from beir_hybrid.encoding import Embeddings
from beir_hybrid.errors import BadData, BadOption
from beir_hybrid.progress import progress_bar
from beir_hybrid.retrieval.count import PART, Counted, Golds, count, scores_of, unpacked


@dataclass(frozen=True)
class Places:
    """Where judged passages stand in a ranking: counts for each, and how ties are broken.

    trec_eval orders tied passages by id, the last one first; MS MARCO's evaluation, the first one
    first. ``rank("desc")`` is the former, from 1.
    """

    above: np.ndarray
    tied_later: np.ndarray  # ties whose ids come later in the order of ids
    tied_earlier: np.ndarray

    def rank(self, ties: str = "desc") -> np.ndarray:
        """Return ranks from 1, ties broken by descending or ascending id."""
        return 1 + self.above + (self.tied_later if ties == "desc" else self.tied_earlier)


@dataclass(frozen=True)
class Best:
    """The k best passages of each query, best first; ties by descending id, as trec_eval's."""

    rows: np.ndarray  # (n_queries, k) int64 row numbers of passages
    scores: np.ndarray  # (n_queries, k) float32

    @classmethod
    def empty(cls, n: int, k: int) -> "Best":
        """Return room for the k best of n queries."""
        return cls(np.empty((n, k), np.int64), np.empty((n, k), np.float32))


@dataclass(frozen=True)
class Ranked:
    """What `rank` found: for each judgement its score and places, and the best passages."""

    scores: np.ndarray  # (judgements,) float32
    own: Places  # among the passages of the passage's group
    pool: Places  # among all passages but those of the group apart
    whole: Places  # among all passages
    best: dict[str, Best]  # by group, for the pool under "", for all under `WHOLE`


def rank(
    queries: Embeddings,
    passages: Embeddings,
    judged: tuple[np.ndarray, np.ndarray],
    groups: dict[str, range],
    order: np.ndarray,
    *,
    k: int = 0,
    per_group: bool = False,
    apart: str = "",
    device: str | None = None,
) -> Ranked:
    """Rank every judged passage exactly, and collect the best.

    Parameters
    ----------
    judged
        Row numbers of queries, ascending, and of passages, a judgement a place.
    groups
        Ranges of passage rows by name (languages), side by side from 0.
    order
        For each passage, the place of its id in the order of ids: it decides ties.
    k
        How many best passages to collect for each query; clamped to what there is.
    per_group
        Collect the k best of every group as well.
    apart
        The last group, where it is ranked beside the pool of the others and together with them,
        but is no part of the pool.
    device
        ``"cuda"`` to multiply on a GPU; by default there is one, or the processor.
    """
    check(queries, passages, k)
    groups = {name: rows for name, rows in groups.items() if len(rows)}
    golds = golds_of(queries, passages, judged, groups, order)
    with progress_bar("ranking", len(queries) * len(passages), unit="scores") as advance:
        counted = count(
            queries, passages, golds, groups, order,
            k=k, per_group=per_group, apart=apart, device=device or _device(), advance=advance,
        )  # fmt: skip
    return ranked(golds, counted, order)


def golds_of(
    queries: Embeddings,
    passages: Embeddings,
    judged: tuple[np.ndarray, np.ndarray],
    groups: dict[str, range],
    order: np.ndarray,
) -> Golds:
    """Score judgements, read from where their passages lie."""
    query, passage = judged
    scores = np.empty(len(query), np.float32)
    for start in range(0, len(queries), PART):
        rows = np.arange(start, min(start + PART, len(queries)))
        mine = slice(*np.searchsorted(query, [rows[0], rows[-1] + 1]).tolist())
        vectors = queries.take(rows)
        scores[mine] = scores_of(vectors, query[mine] - start, passages, passage[mine])
    stops = [rows.stop for rows in groups.values()]
    return Golds(query, scores, order[passage], np.searchsorted(stops, passage, side="right"))


def ranked(golds: Golds, counted: Counted, order: np.ndarray) -> Ranked:
    """Return what was found of all passages, by their rows."""
    by_order = np.argsort(order) if counted.best else order
    best = {}
    for name, keys in counted.best.items():
        scores, places = unpacked(keys)
        best[name] = Best(by_order[places], scores)
    whole = counted.pool if counted.apart is None else counted.pool + counted.apart
    own, pool, everything = (Places(*some.T) for some in (counted.own, counted.pool, whole))
    return Ranked(golds.score, own, pool, everything, best)


def check(queries: Embeddings, passages: Embeddings, k: int) -> None:
    """Raise where they do not fit together."""
    if queries.dim != passages.dim:
        raise BadData(
            f"queries have {queries.dim} dimensions and passages {passages.dim}; "
            "they must come from one model"
        )
    if k < 0:
        raise BadOption(f"k is {k}; it must not be negative")


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
