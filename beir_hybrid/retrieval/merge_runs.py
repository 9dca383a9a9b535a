"""Merge runs of several languages, of any system, into one run of their pool."""

from collections.abc import Iterator, Sequence
from math import fsum
from pathlib import Path

import numpy as np

from beir_hybrid.checks import check_positive
from beir_hybrid.errors import BadData, BadOption
from beir_hybrid.retrieval.merging import MergeMethod, parse_merge_method, scale_scores
from beir_hybrid.retrieval.runs import Run, read_run

_RRF_K = 60  # as in Cormack, Clarke and Büttcher, SIGIR 2009
_Ranking = list[tuple[str, float]]  # ids and scores, best first


def merge(
    runs: Sequence[Run | str | Path], method: str | MergeMethod = "local", *, depth: int = 1000
) -> Run:
    """Merge the rankings of several languages into one run, without one drowning the others.

    Parameters
    ----------
    runs
        Runs, or files of runs, at least two, each with passages of one language. A query may be in
        some of them; if several hold a passage, its best place counts.
    method
        ``local:k=3`` (the score less the mean of the 3 best in the run), ``zscore``, ``min-max``,
        ``round-robin``, ``rrf`` (by the sum of 1 / (60 + rank)) or ``quota`` (places in proportion
        to the numbers of passages in the runs). The scores of the last three are 1 / rank.
    depth
        How many passages to keep of each query.

    Examples
    --------
    >>> german, english = {"q": {"de:1": 9.0, "de:2": 8.5}}, {"q": {"en:1": 0.9, "en:2": 0.1}}
    >>> list(merge([german, english], "round-robin")["q"])
    ['de:1', 'en:1', 'de:2', 'en:2']
    >>> list(merge([german, english], "local:k=1")["q"])
    ['en:1', 'de:1', 'de:2', 'en:2']
    """
    merge_method = parse_merge_method(method)
    check_positive(depth=depth)
    if len(runs) < 2:  # noqa: PLR2004 - a pool has several
        raise BadOption(f"merging takes at least two runs, not {len(runs)}")
    tables = [read_run(run) if isinstance(run, str | Path) else run for run in runs]
    queries = dict.fromkeys(query for table in tables for query in table)
    if not queries:
        raise BadData("the runs are empty: there is nothing to merge")
    return {
        query: _merge_rankings(
            [_sort_documents(table[query]) for table in tables if table.get(query)],
            merge_method,
            depth,
        )
        for query in queries
    }


def _sort_documents(documents: dict[str, float]) -> _Ranking:
    """Return documents in trec_eval's order: by score as float32, ties by descending id."""
    with np.errstate(over="ignore"):
        scores = np.array(list(documents.values()), np.float32)
    if not np.isfinite(scores).all():
        raise BadData("a run holds a score that is no finite float32 number")
    pairs = zip(documents, scores.tolist(), strict=True)
    return sorted(pairs, key=lambda pair: (pair[1], pair[0]), reverse=True)


def _merge_rankings(rankings: list[_Ranking], method: MergeMethod, depth: int) -> dict[str, float]:
    scores: dict[str, float] = {}
    if method.fit_scale is not None:
        for ranking in rankings:
            for document, score in _scale_ranking(ranking, method):
                scores[document] = max(score, scores.get(document, score))
    else:
        order = _sum_ranks(rankings) if method.name == "rrf" else _take_turns(rankings, method)
        for rank, document in enumerate(dict.fromkeys(order), start=1):
            scores[document] = 1 / rank
    return dict(_sort_documents(scores)[:depth])


def _scale_ranking(ranking: _Ranking, method: MergeMethod) -> Iterator[tuple[str, float]]:
    """Yield documents with comparable scores."""
    if method.fit_scale is None:
        raise ValueError(f"{method} uses no scores")
    scores = np.array([[score for _, score in ranking]], np.float32)
    scale = method.fit_scale(scores[:, : method.k].astype(np.float64))
    comparable = scale_scores(scores, scale.shift[:, None], scale.factor[:, None])[0]
    for (document, _), score in zip(ranking, comparable.tolist(), strict=True):
        yield document, score


def _sum_ranks(rankings: list[_Ranking]) -> list[str]:
    """Return documents by the sum of 1 / (60 + rank); of equal sums the higher score is first."""
    summands: dict[str, list[float]] = {}
    best_scores: dict[str, float] = {}
    for ranking in rankings:
        for rank, (document, score) in enumerate(ranking, start=1):
            summands.setdefault(document, []).append(1 / (_RRF_K + rank))
            best_scores[document] = max(score, best_scores.get(document, score))
    sums = {document: fsum(parts) for document, parts in summands.items()}
    return sorted(sums, key=lambda key: (sums[key], best_scores[key], key), reverse=True)


def _take_turns(rankings: list[_Ranking], method: MergeMethod) -> list[str]:
    """Return documents in the order of their turns; of equal turns the higher score is first."""
    weights = method.weigh_sizes(np.array([len(ranking) for ranking in rankings])).tolist()
    entries = [
        (rank / weight, -score, document)  # equal fractions are equal as numbers, too
        for ranking, weight in zip(rankings, weights, strict=True)
        for rank, (document, score) in enumerate(ranking, start=1)
    ]
    # Sorted by id first: of equal turns and scores the later id is first.
    entries.sort(key=lambda entry: entry[2], reverse=True)
    return [document for _, _, document in sorted(entries, key=lambda entry: entry[:2])]
