"""A collection in, what BM25 makes of every setting out: the baseline of every table.

Lucene ranks, through Anserini: each language's passages in an index of their own, and all of them
in one for the pool. Texts are cut into terms by the analyzers in `analyzers`, a query by those of
the passages that it is asked of.
"""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from ir_measures import Measure

from beir_hybrid.checks import check_fraction, check_not_negative, check_positive
from beir_hybrid.collection import Collection, View
from beir_hybrid.collection.arrays import to_arrow
from beir_hybrid.collection.setting import KindName
from beir_hybrid.encoding.jobs import check_texts_only
from beir_hybrid.errors import BadOption
from beir_hybrid.evaluation.evaluate import (
    DEPTH,
    MEASURES,
    checked,
    clear_runs,
    parsed,
)
from beir_hybrid.evaluation.external_runs import score_run
from beir_hybrid.evaluation.scoring import Rows, unbiased
from beir_hybrid.measures.base import BiasMeasure
from beir_hybrid.progress import progress_bar
from beir_hybrid.pyserini.analyzers import NEUTRAL, find_analyzer
from beir_hybrid.pyserini.java import start_java
from beir_hybrid.pyserini.lucene import build_lucene_index, list_java_versions
from beir_hybrid.pyserini.lucene_search import BM25Searcher, open_searcher
from beir_hybrid.results.provenance import (
    ModelProvenance,
    RunsProvenance,
    build_provenance,
    build_timing,
)
from beir_hybrid.results.request import describe_request
from beir_hybrid.results.results import Results, table_of
from beir_hybrid.retrieval.runs import Run, write_run
from beir_hybrid.text import split_words

NAME = "BM25"  # of the system, unless the user says otherwise


def bm25(
    collection: Collection,
    *,
    k1: float = 0.9,
    b: float = 0.4,
    measures: str | Measure | Iterable[Measure | str] | None = None,
    settings: str | Iterable[KindName] | None = None,
    name: str = NAME,
    runs: str | Path | None = None,
    depth: int = DEPTH,
    store: str | Path | None = None,
) -> Results:
    """Rank a collection's passages by BM25 in every setting and score the rankings.

    Parameters
    ----------
    k1, b
        Of BM25; by default what Anserini and Pyserini take.
    measures
        As for `evaluate`. None sees more than the `depth` best passages; those that share no term
        with a query are never among them, and measures of bias count them as the last of all.
    settings
        ``mono``, ``cross``, ``multi``, one or several; by default those that the collection has.
    runs
        A folder to write each setting's run to.
    store
        The folder that indexes are kept in; one in the cache by default.

    Examples
    --------
    >>> import beir_hybrid as bh
    >>> results = bm25(bh.load("xquad-r"), measures=["AP"])  # doctest: +SKIP
    >>> results.matrix("AP")["en", "en"]  # doctest: +SKIP
    """
    chosen = parsed(MEASURES if measures is None else measures)
    check_texts_only(checked(collection), "BM25")
    judgements = collection.resolve()
    kinds = judgements.list_kinds(split_words(settings) if isinstance(settings, str) else settings)
    if measures is None and "multi" not in kinds:
        chosen = [measure for measure in chosen if not isinstance(measure, BiasMeasure)]
    _check(k1, b, depth, kinds, chosen)
    folder = Path(runs) if runs is not None else None
    start_java()
    if folder:
        clear_runs(folder)
    views = [collection.view_setting(setting) for setting in judgements.list_settings(kinds)]
    seconds = dict.fromkeys(("indexing", "searching", "scoring"), 0.0)
    rows: Rows = []
    unmatched = 0
    for view, run in _ranked(views, k1, b, depth, store, seconds):
        if folder:
            write_run(folder / f"{view.name}.trec", run, view=view)
        with _timed(seconds, "scoring"):
            rows += score_run(view, run, judgements, chosen)
        unmatched += len(view.query_rows) - len(run)
    completeness = RunsProvenance(
        queries=sum(len(view.query_rows) for view in views),
        missing=0,
        unmatched=unmatched,
        depth=int(depth),
    )
    provenance = build_provenance(
        ModelProvenance(name, fingerprint=_fingerprint(collection, k1, b)),
        collection,
        unbiased(rows, chosen),
        runs=completeness,
    )
    request = describe_request(
        collection,
        chosen,
        settings=tuple(kinds),
        depth=int(depth),
        name=None if name == NAME else name,
        k1=float(k1),
        b=float(b),
    )
    timing = build_timing(request, seconds)
    return Results(table_of(collection, rows, chosen), tuple(chosen), provenance, timing)


def _check(k1: Any, b: Any, depth: Any, kinds: list[KindName], measures: list[Measure]) -> None:
    check_not_negative(k1=k1)
    check_fraction(b=b)
    check_positive(depth=depth)
    if "one-target" in kinds:
        raise BadOption("BM25 has mono, cross and multi settings, and no one-target ones")
    for measure in measures:
        if measure.params.get("cutoff", 1) > depth:
            raise BadOption(f"{measure} sees more than the {depth} passages of a run")


def _ranked(
    views: list[View],
    k1: float,
    b: float,
    depth: int,
    store: str | Path | None,
    seconds: dict[str, float],
) -> Iterator[tuple[View, Run]]:
    """Yield each setting's run, those of one index together."""
    by_index: dict[str | None, list[View]] = {}
    for view in views:
        target = None if view.kind == "multi" else view.passage_languages[0]
        by_index.setdefault(target, []).append(view)
    total = sum(len(view.query_rows) for view in views)
    with progress_bar("BM25", total, unit="queries") as advance:
        for target, some in by_index.items():
            with _timed(seconds, "indexing"):
                index = build_lucene_index(some[0].collection, target, store=store)
            with open_searcher(index, k1, b) as searcher:
                for view in some:
                    with _timed(seconds, "searching"):
                        run = _run(searcher, view, depth)
                    yield view, run
                    advance(len(view.query_rows))


def _run(searcher: BM25Searcher, view: View, depth: int) -> Run:
    """Return the best passages of each query of a setting; queries that find none are left out."""
    index, asked = searcher.index, view.queries
    hits = list(searcher.search(asked["text"].to_pylist(), depth))
    distinct, places = np.unique(np.concatenate([at for at, _ in hits]), return_inverse=True)
    names = index.ids.take(to_arrow(distinct)).to_pylist()
    run: Run = {}
    end = 0
    for query, (at, scores) in zip(asked["id"].to_pylist(), hits, strict=True):
        start, end = end, end + len(at)
        if len(at):
            mine = [names[place] for place in places[start:end].tolist()]
            run[query] = dict(zip(mine, scores.tolist(), strict=True))
    return run


def _fingerprint(collection: Collection, k1: float, b: float) -> dict[str, Any]:
    """Return all that scores depend on beside the texts."""
    langs = collection.languages
    return {
        "kind": "bm25",
        "k1": float(k1),
        "b": float(b),
        "analyzers": {lang: str(find_analyzer(lang)) for lang in langs},
        "analyzer of the pool": str(NEUTRAL),
        **list_java_versions(),
    }


@contextmanager
def _timed(seconds: dict[str, float], what: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    seconds[what] += time.perf_counter() - started
