"""Fusion of runs: reciprocal ranks, or a weighted sum of scores."""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from beir_hybrid.checks import check_fraction, check_positive
from beir_hybrid.errors import BadData, BadOption, MissingExtra, lookup
from beir_hybrid.retrieval.runs import Run, read_run

if TYPE_CHECKING:
    from pyserini.trectools import TrecRun

RRF_K = 60  # as in Cormack, Clarke and Büttcher, SIGIR 2009


def fuse(
    runs: Sequence[Run | str | Path],
    method: str = "rrf",
    *,
    alpha: float | None = None,
    depth: int = 1000,
) -> Run:
    """Fuse several runs, such as those of a dense model and of BM25, into one.

    The arithmetic is Pyserini's, on rankings as trec_eval reads them: by score as float32, ties by
    descending id. A run adds nothing to the score of a passage, or of a query, that is not in it.

    Parameters
    ----------
    runs
        Runs, or files of runs; at least two, and exactly two for interpolation.
    method
        ``"rrf"``, reciprocal rank fusion: the sum over runs of 1 / (60 + rank).
        ``"interpolation"``: `alpha` times the first run's score and 1 - `alpha` times the second's,
        where each query's scores in a run are first brought to the range from 0 to 1 (to 1 if they
        are all equal).
    alpha
        The weight of the first run; 0.5 by default.
    depth
        How many passages to keep of each query.

    Examples
    --------
    >>> runs = [{"q": {"a": 0.9, "b": 0.5}}, {"q": {"b": 7.0, "c": 3.0}}]
    >>> {key: round(score, 4) for key, score in fuse(runs)["q"].items()}
    {'b': 0.0325, 'a': 0.0164, 'c': 0.0161}
    """
    combine = lookup("method of fusion", method, _METHODS)
    _check_options(len(runs), method, alpha, depth)
    _import_pyserini()
    tables = [read_run(run) if isinstance(run, str | Path) else run for run in runs]
    _check_queries(tables)
    fused_run = combine([_build_trec_run(run) for run in tables], 0.5 if alpha is None else alpha)
    return {
        query: dict(list(_sort_documents(query, scores))[:depth])
        for query, scores in _read_trec_run(fused_run).items()
    }


def _check_options(run_count: int, method: str, alpha: float | None, depth: int) -> None:
    is_interpolation = method == "interpolation"
    if run_count < 2 or (is_interpolation and run_count > 2):  # noqa: PLR2004 - a pair
        requirement = "two runs" if is_interpolation else "at least two runs"
        raise BadOption(f"{method} takes {requirement}, not {run_count}")
    if alpha is not None and not is_interpolation:
        raise BadOption(f"alpha is an option of interpolation, and {method} takes none")
    if alpha is not None:
        check_fraction(alpha=alpha)
    check_positive(depth=depth)


def _import_pyserini() -> None:
    if find_spec("pyserini") is None:
        raise MissingExtra("fusion needs pyserini: pip install 'beir-hybrid[pyserini]'")
    with warnings.catch_warnings():
        # Since version 3.12, Python warns of a pattern in Pyserini when it compiles the file.
        warnings.simplefilter("ignore")
        import pyserini.fusion
        import pyserini.trectools  # noqa: F401


def _check_queries(runs: Sequence[Run]) -> None:
    """Raise `BadData` unless all runs have a query in common."""
    for number, run in enumerate(runs, start=1):
        if not any(run.values()):
            raise BadData(f"run {number} of {len(runs)} is empty: there is nothing to fuse")
    if not set.intersection(*(set(run) for run in runs)):
        first_queries = ", ".join(repr(next(iter(run))) for run in runs)
        raise BadData(f"the runs have no query in common; their first ones are {first_queries}")


def _fuse_ranks(runs: "list[TrecRun]", _alpha: float) -> "TrecRun":
    from pyserini.fusion import reciprocal_rank_fusion

    return reciprocal_rank_fusion(runs, rrf_k=RRF_K)


def _interpolate_scores(runs: "list[TrecRun]", alpha: float) -> "TrecRun":
    from pyserini.fusion import interpolation
    from pyserini.trectools import RescoreMethod

    return interpolation([run.rescore(RescoreMethod.NORMALIZE) for run in runs], alpha)


_METHODS: dict[str, Callable[["list[TrecRun]", float], "TrecRun"]] = {
    "rrf": _fuse_ranks,
    "interpolation": _interpolate_scores,
}


def _build_trec_run(run: Run) -> "TrecRun":
    """Convert a run to Pyserini's class.

    Its own reader is not used: it believes the ranks in a file, whatever the scores, and takes ids
    for numbers, and the id ``NA`` for a missing one.
    """
    from pyserini.trectools import TrecRun

    return TrecRun.from_list(
        [
            (query, "Q0", document, rank, score, "run")
            for query, scores in run.items()
            for rank, (document, score) in enumerate(_sort_documents(query, scores), start=1)
        ]
    )


def _read_trec_run(trec_run: "TrecRun") -> Run:
    columns = (trec_run.run_data[name].tolist() for name in ("topic", "docid", "score"))
    run: Run = {}
    for query, document, score in zip(*columns, strict=True):
        run.setdefault(query, {})[document] = score
    return run


def _sort_documents(query: str, scores: Mapping[str, float]) -> Iterator[tuple[str, float]]:
    """Yield documents and scores in trec_eval's order."""
    with np.errstate(over="ignore"):
        floats = np.array(list(scores.values()), np.float64).astype(np.float32)
    if not np.isfinite(floats).all():
        bad = list(scores)[int(np.flatnonzero(~np.isfinite(floats))[0])]
        raise BadData(f"query {query!r}: document {bad!r} has the score {scores[bad]}, no float32")
    for _, document in sorted(zip(floats.tolist(), scores, strict=True), reverse=True):
        yield document, scores[document]
