"""What other tools made in, `Results` out: runs in TREC files, vectors in arrays."""
# mypy: allow-untyped-calls
# (ir_measures says that it is typed, and leaves most functions without types.)

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from ir_measures import Measure

from beir_hybrid.collection import Collection, View
from beir_hybrid.collection.arrays import to_arrow, to_numpy
from beir_hybrid.collection.judgements import SELF_MATCH, Judgements
from beir_hybrid.collection.setting import IMAGE, SETTING_KINDS
from beir_hybrid.encoding import Embeddings
from beir_hybrid.encoding.embeddings import check_rows
from beir_hybrid.errors import BadData, BadOption
from beir_hybrid.evaluation.evaluate import (
    Vectors,
    checked,
    default_measures,
    parsed,
)
from beir_hybrid.evaluation.rankings import scored
from beir_hybrid.evaluation.scoring import Rows, across, from_pipeline, qrels_of, unbiased
from beir_hybrid.files import sha256
from beir_hybrid.measures.base import BiasMeasure
from beir_hybrid.measures.bias_evaluator import BiasEvaluator, sort_passages
from beir_hybrid.measures.ranked_judgements import Rankings
from beir_hybrid.results.provenance import (
    ModelProvenance,
    RunsProvenance,
    build_provenance,
    build_timing,
)
from beir_hybrid.results.request import describe_request
from beir_hybrid.results.results import Results, table_of
from beir_hybrid.retrieval import Places, Ranked
from beir_hybrid.retrieval.runs import read_run

_Run = Mapping[str, Mapping[str, float]]


def read_vectors(folder: str | Path, collection: Collection) -> Vectors:
    """Read vectors that another tool made of a collection's queries and passages.

    The folder holds ``queries.npy`` and ``passages.npy``, arrays of shape (n, dim) whose inner
    products are the scores, and ``queries.txt`` and ``passages.txt``, which name an id of each row
    a line. Order is free; every query and passage must be there once.

    Examples
    --------
    >>> vectors = read_vectors("folder", collection)  # doctest: +SKIP
    >>> results = bh.evaluate(vectors, collection)  # doctest: +SKIP
    """
    folder = Path(folder)
    found = {
        "queries": _rows(folder, "queries", collection.queries["id"]),
        "passages": _rows(folder, "passages", collection.passages["id"]),
    }
    sums = {kind: sha256(folder / f"{kind}.npy") for kind in found}
    model = ModelProvenance(folder.name, fingerprint={"kind": "vectors", **sums})
    return Vectors(found["queries"], found["passages"], model)


def _rows(folder: Path, kind: str, ids: pa.ChunkedArray) -> Embeddings:
    array, names = folder / f"{kind}.npy", folder / f"{kind}.txt"
    for path in (array, names):
        if not path.is_file():
            raise BadData(f"{folder} lacks {path.name}: it takes {kind}.npy and {kind}.txt")
    try:
        rows = np.load(array, mmap_mode="r", allow_pickle=False)
        if rows.dtype.kind not in "fiu":
            raise BadData(f"{array} holds {rows.dtype}, no numbers")
    except (ValueError, OSError, EOFError, AttributeError) as error:
        raise BadData(f"{array} is no array of numbers: {error}") from error
    try:
        lines = pa.chunked_array([pa.array(names.read_text("utf-8").splitlines(), pa.string())])
    except UnicodeDecodeError as error:
        raise BadData(f"{names} is not UTF-8: {error}") from error
    try:
        check_rows(rows, len(lines))
    except BadData as error:
        raise BadData(f"{array}: {error}") from error
    if len(lines) != len(ids) or len(lines.unique()) < len(lines):
        distinct = len(lines.unique())
        raise BadData(f"{names} has {distinct:,} ids in {len(lines):,} lines; wanted {len(ids):,}")
    place = pc.index_in(ids, lines.combine_chunks())
    if place.null_count:
        first = ids.filter(pc.is_null(place))[0].as_py()
        raise BadData(f"{names} lacks {place.null_count:,} {kind}, first {first!r}")
    places = to_numpy(pa.chunked_array(place.chunks) if hasattr(place, "chunks") else place)
    return Embeddings([rows], np.zeros(len(ids), np.int32), places.astype(np.int32))


def evaluate_runs(
    paths: str | Path | Iterable[str | Path],
    collection: Collection,
    *,
    measures: Iterable[Measure | str] | None = None,
    name: str = "",
) -> Results:
    """Score TREC runs of a collection's settings, as ir-measures scores them.

    A run of one language's passages is of ``mono`` or ``cross`` settings, a run of several is of
    ``multi`` ones; it may hold queries of several languages. A file that is called as a view
    (``en-de.trec``, ``en-all.trec``, ``en-image.trec``, ``en-mixed.trec``) is of that setting and
    may hold the origin's own ids. A caption or picture that was found for itself is left out.
    Queries that the run lacks count as ir-measures counts them, and as biased as can be; results
    say how many they are, and how many passages the run holds of a query, past which no measure
    sees.

    Parameters
    ----------
    paths
        One file or several, plain or gzipped.
    measures
        As for `evaluate`.
    name
        What to call the system; by default as the file, or the folder of several.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> import beir_hybrid as bh
    >>> corpus = {"de:1": {"text": "Hier."}, "en:1": {"text": "Here."}, "en:2": {"text": "There."}}
    >>> qrels = {"en:q:1": {"de:1": 1, "en:1": 1}}
    >>> collection = bh.from_beir(corpus, {"en:q:1": "Where?"}, qrels)
    >>> run = {"en:q:1": {"en:1": 0.9, "en:2": 0.5, "de:1": 0.1}}
    >>> path = bh.write_run(Path(mkdtemp()) / "en-all.trec", run)
    >>> results = evaluate_runs(path, collection, measures=["RankDistance"])
    >>> results.means("RankDistance")
    {Setting(kind='multi', queries='en', passages='all'): 2.0}
    """
    files = [Path(paths)] if isinstance(paths, str | Path) else [Path(path) for path in paths]
    if not files:
        raise BadOption("no run is named")
    judgements = checked(collection).resolve()
    chosen = parsed(default_measures(collection) if measures is None else measures)
    rows: Rows = []
    seen: set[str] = set()
    lost: dict[str, list[int]] = {}  # by language: queries without a ranking, of how many
    depth = 0
    for path in files:
        if not path.is_file():
            raise BadData(f"{path} is no file: a run is one in TREC's layout")
        for view, run in _settings(path, collection):
            if view.name in seen:
                raise BadData(f"{path}: there are two runs of {view.name}")
            seen.add(view.name)
            rows += score_run(view, run, judgements, chosen)
            of = lost.setdefault(view.query_languages[0], [0, 0])
            of[0] += len(set(view.queries["id"].to_pylist()) - run.keys())
            of[1] += len(view.query_rows)
            depth = max(depth, *map(len, run.values()))
    rows = across(rows, chosen)
    model = ModelProvenance(
        name or (files[0].stem if len(files) == 1 else files[0].absolute().parent.name),
        fingerprint={"kind": "runs", "files": [sha256(path) for path in files]},
    )
    completeness = RunsProvenance(
        queries=sum(of for _, of in lost.values()),
        missing=sum(n for n, _ in lost.values()),
        missing_by_language={lang: tuple(counts) for lang, counts in lost.items()},
        depth=depth,
    )
    provenance = build_provenance(model, collection, unbiased(rows, chosen), runs=completeness)
    request = describe_request(
        collection, chosen, runs=tuple(str(path.resolve()) for path in files), name=name or None
    )
    table = table_of(collection, rows, chosen)
    return Results(table, tuple(chosen), provenance, build_timing(request))


def _settings(path: Path, collection: Collection) -> list[tuple[View, dict[str, dict[str, float]]]]:
    """Split a run into the settings that it is of."""
    groups = collection.codes
    everything = [collection.view(q, p) for q in groups for p in [*groups, None, groups]]
    views = {view.name: view for view in everything}
    stem = Path(path.name.removesuffix(".gz")).stem
    named = views.get(stem)
    view = named or collection.view(groups, groups)
    queries, passages = (
        {key for rows in ranges for key in table["id"].slice(rows.start, len(rows)).to_pylist()}
        for table, ranges in (
            (
                collection.queries,
                [collection.find_query_rows(lang) for lang in view.query_languages],
            ),
            (collection.passages, view.passage_ranges),
        )
    )
    run = read_run(path, view=named, known_queries=queries, known_documents=passages)
    if not run:
        raise BadData(f"{path} is empty: a run has a line for each query and document")
    if named is not None:
        return [(named, run)]
    found_in = {document.partition(":")[0] for found in run.values() for document in found}
    target: Any = found_in.pop() if len(found_in) == 1 else None
    if target is None and IMAGE in found_in:
        target = groups
    by_lang: dict[str, dict[str, dict[str, float]]] = {}
    for query, found in run.items():
        by_lang.setdefault(query.partition(":")[0], {})[query] = found
    return [(collection.view(lang, target), some) for lang, some in by_lang.items()]


def score_run(
    view: View,
    run: _Run,
    judgements: Judgements,
    measures: Sequence[Measure],
) -> Rows:
    """Return what ir-measures says of a setting's run, in the shape that results have."""
    rankings = _rankings(view, judgements)
    ids = _ids(view.collection.queries, rankings.query_rows)
    qrels = qrels_of(view, ids)
    kept = _without_itself(view, judgements, run)
    plain = [measure for measure in measures if not isinstance(measure, BiasMeasure)]
    of_bias = [m for m in measures if isinstance(m, BiasMeasure) and view.kind in m.SETTINGS]
    judged = rankings.judgements
    found: dict[Measure, np.ndarray] = {m: np.full(len(ids), np.nan) for m in measures}
    places = {query: place for place, query in enumerate(ids)}
    for measure, query, value in from_pipeline(plain, qrels, kept) if plain else ():
        found[measure][places[query]] = value
    for pool in np.unique(judged.pool_size).tolist():  # one less for queries that are passages
        some = {ids[n]: qrels[ids[n]] for n in np.flatnonzero(judged.pool_size == pool).tolist()}
        asked = {
            measure: _in_pool(measure, pool)
            for measure in of_bias
            if not measure.NEEDS_ALL_LANGUAGES
        }
        values = {measure: np.full(len(ids), np.nan) for measure in asked.values()}
        for metric in BiasEvaluator(list(values), some).iter_calc(kept):
            values[metric.measure][places[metric.query_id]] = metric.value
        for measure, pooled in asked.items():  # two may come to the same
            found[measure] = np.where(np.isnan(values[pooled]), found[measure], values[pooled])
    if any(measure.NEEDS_ALL_LANGUAGES for measure in of_bias):
        rankings = _placed(view.collection, rankings, ids, kept)
    return [(rankings, found)]


def _rankings(view: View, judgements: Judgements) -> Rankings:
    """Return the rankings of a setting, whose judged passages stand nowhere."""
    collection = view.collection
    if view.kind == "mixed" and view.query_languages == (IMAGE,):
        raise BadOption(
            f"{view.name} is no setting: pictures are ranked for captions, and these for pictures"
        )
    mine = judgements.select_queries(collection.find_query_rows(view.query_languages[0]))
    nowhere = Places(*np.zeros((3, len(mine.query)), np.int64))
    ranked = Ranked(np.zeros(len(mine.query), np.float32), nowhere, nowhere, nowhere, {})
    found = scored(mine, view.kind, ranked)
    target = SETTING_KINDS[view.kind].pool or view.passage_languages[0]
    found = found.select(found.targets == judgements.targets.index(target))
    if not len(found.query_rows):
        raise BadData(f"{collection.name} has no relevant passage in {view.name}: nothing to score")
    return found


def _without_itself(view: View, judgements: Judgements, run: _Run) -> dict[str, dict[str, float]]:
    """Return a run without the queries themselves among what they found."""
    itself = judgements.select(judgements.relevance == SELF_MATCH)
    tables = view.collection.queries, view.collection.passages
    pairs = zip(_ids(tables[0], itself.query), _ids(tables[1], itself.passage), strict=True)
    kept = {query: dict(documents) for query, documents in run.items()}
    for query, passage in pairs:
        kept.get(query, {}).pop(passage, None)
    return kept


def _placed(collection: Collection, rankings: Rankings, ids: Sequence[str], run: _Run) -> Rankings:
    """Return rankings with the places that the judged passages have in a run."""
    judged, found = rankings.judgements, [sort_passages(query, run.get(query, {})) for query in ids]
    places = [{passage: place for place, passage in enumerate(some, 1)} for some in found]
    passages = _ids(collection.passages, rankings.passage_rows)
    rank = [places[of].get(one, 0) for of, one in zip(judged.query.tolist(), passages, strict=True)]
    retrieved = np.array([len(some) for some in found], np.int64)
    return replace(
        rankings,
        judgements=replace(judged, rank=np.array(rank, np.int64), ranking_length=retrieved),
    )


def _ids(table: pa.Table, rows: np.ndarray) -> list[str]:
    names: list[str] = table["id"].take(to_arrow(rows.astype(np.int64))).to_pylist()
    return names


def _in_pool(measure: Measure, pool: int) -> Measure:
    """Tell a rank distance how many passages there are: a run does not hold them all."""
    if isinstance(measure, BiasMeasure) and "pool" in measure.SUPPORTED_PARAMS:
        return measure(pool=measure["pool"] or pool)
    return measure
