"""Vectors and judgements in, the values of measures in every setting out."""
# mypy: allow-untyped-calls
# (ir_measures says that it is typed, and leaves most functions without types.)

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from ir_measures import DefaultPipeline, Measure

from beir_hybrid.collection import Collection, View
from beir_hybrid.collection.arrays import to_arrow
from beir_hybrid.collection.judgements import Judgements, sort_ids
from beir_hybrid.collection.setting import IMAGE, SETTING_KINDS, KindName, Setting, list_targets
from beir_hybrid.encoding import Embeddings, Encoded
from beir_hybrid.errors import BadOption
from beir_hybrid.evaluation.rankings import best_of, scored, spare, without_itself
from beir_hybrid.evaluation.rerankers.rerank import Reranker
from beir_hybrid.measures.base import BiasMeasure
from beir_hybrid.measures.effectiveness import RankProvider
from beir_hybrid.measures.effectiveness import compute_effectiveness as effectiveness
from beir_hybrid.measures.ranked_judgements import Rankings, join_rankings
from beir_hybrid.retrieval import Best, Ranked, rank
from beir_hybrid.retrieval.runs import best_to_run, write_run

_RANKS = RankProvider()
Rows = list[tuple[Rankings, dict[Measure, np.ndarray]]]


@dataclass(frozen=True)
class Scoring:
    """What is asked of rankings: measures, kinds of settings, runs, reranking."""

    measures: Sequence[Measure]
    kinds: Sequence[KindName]
    depth: int
    runs: Path | None = None
    reranker: Reranker | None = None
    ranking: Callable[..., Ranked] = rank
    encoded: Encoded = field(default_factory=Encoded)  # told what the reranker scores

    def __post_init__(self) -> None:
        if self.reranker and "one-target" in self.kinds:
            raise BadOption("one-target settings cannot be reranked")
        if self.reranker and self.depth < self._top:
            raise BadOption(f"measures see {self._top} passages, and {self.depth} are reranked")
        for measure in self._on_run:
            if "cutoff" in measure.params and measure["cutoff"] > self.depth:
                raise BadOption(f"{measure} sees more than the {self.depth} passages of a run")

    @property
    def _on_run(self) -> list[Measure]:
        """Measures that see a run, not ranks alone."""
        return [
            measure
            for measure in self.measures
            if not isinstance(measure, BiasMeasure) and not _RANKS.supports(measure)
        ]

    @property
    def _top(self) -> int:
        """How many best passages of pools measures of bias look at."""
        reading = [m for m in self.measures if isinstance(m, BiasMeasure) and m.NEEDS_CUTOFF]
        return max((m["cutoff"] for m in reading if m.SETTINGS & {*self.kinds}), default=0)

    def scored(
        self,
        queries: Embeddings,
        passages: Embeddings,
        judgements: Judgements,
        collection: Collection,
    ) -> Rows:
        """Rank and score all queries at once, or language by language where runs are long."""
        groups = judgements.passage_ranges
        if not any(SETTING_KINDS[kind].has_images for kind in self.kinds):
            judgements, groups = judgements.select_texts(), _texts(groups)
        total = max((rows.stop for rows in groups.values()), default=0)
        order = sort_ids(judgements.passage_ids.slice(0, total))
        rows: Rows = []
        for part in self._parts(collection):
            some = judgements.select_queries(part)
            if not len(some.query):
                continue
            kept = max(self.depth, self._top) if self._deep else self._top
            ranked = self.ranking(
                queries.part(part),
                passages.part(range(total)),
                (some.query - part.start, some.passage),
                groups,
                order,
                k=kept + spare(some) * bool(kept),
                per_group=self._deep and not all(SETTING_KINDS[kind].pool for kind in self.kinds),
                **({"apart": IMAGE} if IMAGE in groups else {}),
            )
            ranked = without_itself(some, ranked, part.start, kept)
            found = [self._row(collection, some, kind, ranked, part, order) for kind in self.kinds]
            rows += [row for row in found if len(row[0].query_rows)]
        return across(rows, self.measures)

    @property
    def _deep(self) -> bool:
        """Whether runs are wanted, and not ranks alone."""
        return bool(self._on_run) or self.runs is not None or self.reranker is not None

    def _parts(self, collection: Collection) -> list[range]:
        if not self._deep:
            return [range(len(collection.queries))]
        # Runs of all languages at once would fill the memory.
        return [collection.find_query_rows(lang) for lang in collection.codes]

    def _row(
        self,
        collection: Collection,
        judgements: Judgements,
        kind: KindName,
        ranked: Ranked,
        part: range,
        order: np.ndarray,
    ) -> tuple[Rankings, dict[Measure, np.ndarray]]:
        """Score a kind of settings of some queries."""
        found, best = scored(judgements, kind, ranked, part.start), None
        if self._deep and SETTING_KINDS[kind].is_rerankable:
            best = _best(judgements, ranked, found, part.start)
        if self.reranker and best:
            found, best = self.reranker.reranked(collection, found, best, order, self.encoded)
        return found, self._values(collection, found, best)

    def _values(
        self, collection: Collection, scored: Rankings, best: Best | None
    ) -> dict[Measure, np.ndarray]:
        found = {}
        for measure in self.measures:
            if _RANKS.supports(measure):
                found[measure] = effectiveness(measure, scored.judgements)
            elif isinstance(measure, BiasMeasure) and scored.kind in measure.SETTINGS:
                found[measure] = measure.compute(scored.judgements)
            else:  # one language of passages knows no preference
                found[measure] = np.full(len(scored.query_rows), np.nan)
        if best:
            self._from_runs(collection, scored, best, found)
        return found

    def _from_runs(
        self,
        collection: Collection,
        scored: Rankings,
        best: Best,
        found: dict[Measure, np.ndarray],
    ) -> None:
        """Score each setting's run of the best passages, and write it if there is a folder."""
        langs, names = collection.codes, list_targets(collection.codes)
        pairs = np.stack([scored.judgements.query_language, scored.targets], axis=1)
        for asked, target in np.unique(pairs, axis=0).tolist():
            mine = np.flatnonzero((pairs == (asked, target)).all(axis=1))
            view = collection.view_setting(Setting(scored.kind, langs[asked], names[target]))
            part = Best(best.rows[mine, : self.depth], best.scores[mine, : self.depth])
            ids = collection.queries["id"].take(to_arrow(scored.query_rows[mine])).to_pylist()
            run = dict(best_to_run(part, ids, collection.passages["id"]))
            if self.runs is not None:
                write_run(self.runs / f"{view.name}.trec", run.items(), view=view)
            if self._on_run:
                qrels = qrels_of(view, ids)
                places = dict(zip(ids, mine.tolist(), strict=True))
                scores = {key: dict(documents) for key, documents in run.items()}
                for measure, query, value in from_pipeline(self._on_run, qrels, scores):
                    found[measure][places[query]] = value


def qrels_of(view: View, queries: Sequence[str]) -> dict[str, dict[str, int]]:
    """Return the judgements of a setting as ir-measures takes them, none below 0.

    trec_eval's code has no room for negative relevance, which means the same to it as 0: it may
    crash, and take the process with it.
    """
    qrels: dict[str, dict[str, int]] = {key: {} for key in queries}
    for row in view.qrels.to_pylist():
        qrels[row["query_id"]][row["passage_id"]] = max(row["relevance"], 0)
    return qrels


def from_pipeline(
    measures: Sequence[Measure],
    qrels: Mapping[str, Mapping[str, int]],
    run: Mapping[str, Mapping[str, float]],
) -> Iterator[tuple[Measure, str, float]]:
    """Yield what ir-measures says of each query; some of its providers take only numbers as ids."""
    queries = list(qrels)
    numbered = [
        {str(n): dict(table.get(query, {})) for n, query in enumerate(queries, start=1)}
        for table in (qrels, run)
    ]
    for metric in DefaultPipeline.iter_calc(measures, *numbered):
        yield metric.measure, queries[int(metric.query_id) - 1], metric.value


def _best(judgements: Judgements, ranked: Ranked, scored: Rankings, start: int) -> Best:
    """Return the best passages of each ranking, -1 past the last.

    `start` is the row of the first query that was ranked.
    """
    names = judgements.targets
    width = max((found.rows.shape[1] for found in ranked.best.values()), default=0)
    best = Best(
        np.full((len(scored.query_rows), width), -1),
        np.full((len(scored.query_rows), width), -np.inf, np.float32),
    )
    for target in np.unique(scored.targets).tolist():
        mine = np.flatnonzero(scored.targets == target)
        rows = scored.query_rows[mine] - start
        if found := best_of(ranked, names[target]):
            best.rows[mine, : found.rows.shape[1]] = found.rows[rows]
            best.scores[mine, : found.rows.shape[1]] = found.scores[rows]
    return best


def _texts(groups: dict[str, range]) -> dict[str, range]:
    """Leave pictures out."""
    return {name: rows for name, rows in groups.items() if name != IMAGE}


def across(rows: Rows, measures: Sequence[Measure]) -> Rows:
    """Fill in the measures that look at queries of several languages together."""
    for measure in measures:
        if not (isinstance(measure, BiasMeasure) and measure.NEEDS_ALL_LANGUAGES):
            continue
        for kind in measure.SETTINGS:
            some = [(scored.judgements, found) for scored, found in rows if scored.kind == kind]
            if some:
                values = measure.compute(join_rankings([judged for judged, _ in some]))
                ends = np.cumsum([len(judged) for judged, _ in some])[:-1]
                for (_, found), mine in zip(some, np.split(values, ends), strict=True):
                    found[measure] = mine
    return rows


def unbiased(rows: Rows, measures: Sequence[Measure]) -> dict[str, dict[str, float]]:
    """Return the unbiased value of measures of bias, by kind of setting and name of measure."""
    by_kind = {kind: _unbiased(rows, measures, kind) for kind in SETTING_KINDS}
    return {str(kind): values for kind, values in by_kind.items() if values}


def _unbiased(rows: Rows, measures: Sequence[Measure], kind: KindName) -> dict[str, float]:
    """Return what each measure of bias would be in a kind of settings, averaged as it is."""
    found = {}
    pools = [scored.judgements for scored, _ in rows if scored.kind == kind]
    judged = join_rankings(pools) if pools else None
    for measure in measures:
        if judged and isinstance(measure, BiasMeasure) and kind in measure.SETTINGS:
            value, lang = measure.compute_unbiased(judged), judged.query_language
            there = ~np.isnan(value)
            if there.any():
                sums = np.bincount(lang[there], value[there])
                counts = np.bincount(lang[there])
                found[str(measure)] = float(np.mean(sums[counts > 0] / counts[counts > 0]))
    return found
