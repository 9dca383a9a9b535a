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
from beir_hybrid.encoding import Embeddings, Encoded
from beir_hybrid.errors import BadOption
from beir_hybrid.evaluation import bias
from beir_hybrid.evaluation.effectiveness import RankProvider
from beir_hybrid.evaluation.effectiveness import values as effectiveness
from beir_hybrid.evaluation.measures import BiasMeasure
from beir_hybrid.evaluation.rerank import Reranker
from beir_hybrid.evaluation.settings import Judgements, Kind, Scored, id_order, passage_groups
from beir_hybrid.retrieval import Best, Ranked, rank
from beir_hybrid.retrieval.runs import best_to_run, write_run

_RANKS = RankProvider()
Rows = list[tuple[Scored, dict[Measure, np.ndarray]]]


@dataclass(frozen=True)
class Scoring:
    """What is asked of rankings: measures, kinds of settings, runs, reranking."""

    measures: Sequence[Measure]
    kinds: Sequence[Kind]
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
        """How many best passages of the pool measures of bias look at."""
        reading = [m for m in self.measures if isinstance(m, BiasMeasure) and m.NEEDS_CUTOFF]
        return max((measure["cutoff"] for measure in reading), default=0) * ("multi" in self.kinds)

    def scored(self, queries: Embeddings, passages: Embeddings, judgements: Judgements) -> Rows:
        """Rank and score all queries at once, or language by language where runs are long."""
        collection = judgements.collection
        deep = bool(self._on_run) or self.runs is not None or self.reranker is not None
        parts = [range(len(collection.queries))]
        if deep:  # runs of all languages at once would fill the memory
            parts = [collection.query_rows(lang) for lang in collection.languages]
        order = id_order(collection.passages["id"])
        groups = passage_groups(collection)
        rows: Rows = []
        for part in parts:
            some = judgements.among(part)
            if not len(some.query):
                continue
            ranked = self.ranking(
                queries.part(part),
                passages,
                (some.query - part.start, some.passage),
                groups,
                order,
                k=max(self.depth, self._top) if deep else self._top,
                per_group=deep and list(self.kinds) != ["multi"],
            )
            for kind in self.kinds:
                scored = some.scored(kind, ranked, part.start)
                best = None
                if deep and kind != "one-target":
                    best = _best(collection, ranked, scored, part.start)
                if self.reranker and best:
                    scored, best = self.reranker.reranked(
                        collection, scored, best, order, self.encoded
                    )
                rows.append((scored, self._values(collection, scored, best)))
        return rows

    def _values(
        self, collection: Collection, scored: Scored, best: Best | None
    ) -> dict[Measure, np.ndarray]:
        found = {}
        for measure in self.measures:
            if _RANKS.supports(measure):
                found[measure] = effectiveness(measure, scored.judged)
            elif scored.kind == "multi" and isinstance(measure, BiasMeasure):
                found[measure] = bias.values(measure, scored.judged)
            else:  # one language of passages knows no preference
                found[measure] = np.full(len(scored.row), np.nan)
        if best:
            self._from_runs(collection, scored, best, found)
        return found

    def _from_runs(
        self,
        collection: Collection,
        scored: Scored,
        best: Best,
        found: dict[Measure, np.ndarray],
    ) -> None:
        """Score each setting's run of the best passages, and write it if there is a folder."""
        langs = collection.languages
        pairs = np.stack([scored.judged.query_lang, scored.target], axis=1)
        for asked, target in np.unique(pairs, axis=0).tolist():
            mine = np.flatnonzero((pairs == (asked, target)).all(axis=1))
            view = collection.view(langs[asked], langs[target] if target < len(langs) else None)
            # As many for each query of a setting.
            there = min(int((best.rows[mine[0]] >= 0).sum()), self.depth)
            part = Best(best.rows[mine, :there], best.scores[mine, :there])
            ids = collection.queries["id"].take(to_arrow(scored.row[mine])).to_pylist()
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


def _best(collection: Collection, ranked: Ranked, scored: Scored, start: int) -> Best:
    """Return the best passages of each ranking, -1 past the last.

    `start` is the row of the first query that was ranked.
    """
    names = [*collection.languages, ""]
    width = max((found.rows.shape[1] for found in ranked.best.values()), default=0)
    best = Best(
        np.full((len(scored.row), width), -1),
        np.full((len(scored.row), width), -np.inf, np.float32),
    )
    for target in np.unique(scored.target).tolist():
        mine = np.flatnonzero(scored.target == target)
        found = ranked.best[names[target]]
        rows = scored.row[mine] - start
        best.rows[mine, : found.rows.shape[1]] = found.rows[rows]
        best.scores[mine, : found.rows.shape[1]] = found.scores[rows]
    return best


def unbiased(rows: Rows, measures: Sequence[Measure]) -> dict[str, float]:
    """Return what each measure of bias would be without bias, averaged as the measure is."""
    found = {}
    pools = [scored for scored, _ in rows if scored.kind == "multi"]
    for measure in measures:
        if pools and isinstance(measure, BiasMeasure):
            value = np.concatenate([bias.unbiased(measure, one.judged) for one in pools])
            lang = np.concatenate([one.judged.query_lang for one in pools])
            there = ~np.isnan(value)
            if there.any():
                sums = np.bincount(lang[there], value[there])
                counts = np.bincount(lang[there])
                found[str(measure)] = float(np.mean(sums[counts > 0] / counts[counts > 0]))
    return found
