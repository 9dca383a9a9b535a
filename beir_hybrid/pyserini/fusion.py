"""Several runs of the same queries in, one run that ranks by all of them out."""

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
    """Return one run of several, such as those of a dense model and of BM25.

    The arithmetic is Pyserini's, on rankings as trec_eval reads them: by score as float32, ties by
    descending id. A passage, or a query, that a run lacks gets nothing from it.

    Parameters
    ----------
    runs
        Runs, or files of them; at least two, and two for interpolation.
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
    if len(runs) < 2 or (method == "interpolation" and len(runs) > 2):  # noqa: PLR2004 - a pair
        wanted = "two runs" if method == "interpolation" else "at least two runs"
        raise BadOption(f"{method} takes {wanted}, not {len(runs)}")
    if alpha is not None and method != "interpolation":
        raise BadOption(f"alpha is an option of interpolation, and {method} takes none")
    if alpha is not None:
        check_fraction(alpha=alpha)
    check_positive(depth=depth)
    if find_spec("pyserini") is None:
        raise MissingExtra("fusion needs pyserini: pip install 'beir-hybrid[pyserini]'")
    given = [read_run(run) if isinstance(run, str | Path) else run for run in runs]
    for number, run in enumerate(given, start=1):
        if not run:
            raise BadData(f"run {number} of {len(given)} is empty: there is nothing to fuse")
    if not set.intersection(*(set(run) for run in given)):
        firsts = ", ".join(repr(next(iter(run))) for run in given)
        raise BadData(f"the runs have no query in common; their first ones are {firsts}")
    fused = combine([_trec_run(run) for run in given], 0.5 if alpha is None else alpha)
    return {
        query: dict(list(_best_first(query, found))[:depth])
        for query, found in _scores(fused).items()
    }


def _rrf(runs: "list[TrecRun]", _alpha: float) -> "TrecRun":
    from pyserini.fusion import reciprocal_rank_fusion

    return reciprocal_rank_fusion(runs, rrf_k=RRF_K)


def _interpolation(runs: "list[TrecRun]", alpha: float) -> "TrecRun":
    from pyserini.fusion import interpolation
    from pyserini.trectools import RescoreMethod

    return interpolation([run.rescore(RescoreMethod.NORMALIZE) for run in runs], alpha)


_METHODS: dict[str, Callable[["list[TrecRun]", float], "TrecRun"]] = {
    "rrf": _rrf,
    "interpolation": _interpolation,
}


def _trec_run(run: Run) -> "TrecRun":
    """Return Pyserini's form of a run.

    Its own reader is not used: it believes the ranks in a file, whatever the scores, and takes ids
    for numbers, and the id ``NA`` for a missing one.
    """
    from pyserini.trectools import TrecRun

    return TrecRun.from_list(
        [
            (query, "Q0", document, rank, score, "run")
            for query, found in run.items()
            for rank, (document, score) in enumerate(_best_first(query, found), start=1)
        ]
    )


def _best_first(query: str, found: Mapping[str, float]) -> Iterator[tuple[str, float]]:
    """Yield documents and scores in trec_eval's order."""
    with np.errstate(over="ignore"):
        single = np.array(list(found.values()), np.float64).astype(np.float32)
    if not np.isfinite(single).all():
        bad = list(found)[int(np.flatnonzero(~np.isfinite(single))[0])]
        raise BadData(f"query {query!r}: document {bad!r} has the score {found[bad]}, no float32")
    for _, document in sorted(zip(single.tolist(), found, strict=True), reverse=True):
        yield document, found[document]


def _scores(fused: "TrecRun") -> Run:
    columns = (fused.run_data[name].tolist() for name in ("topic", "docid", "score"))
    run: Run = {}
    for query, document, score in zip(*columns, strict=True):
        run.setdefault(query, {})[document] = score
    return run
