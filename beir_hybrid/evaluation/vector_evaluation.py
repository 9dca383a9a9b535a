"""Evaluates vectors: ranks a collection's passages for its queries, and measures the rankings."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from beir_hybrid.collection.judgements import SELF_MATCH, Judgements, sort_ids
from beir_hybrid.collection.setting import IMAGE, SETTING_KINDS, KindName, Setting
from beir_hybrid.encoding.stored_rows import StoredRows
from beir_hybrid.errors import BadOption
from beir_hybrid.evaluation.measured_rankings import (
    MeasuredRankings,
    build_qrels,
    measure_across,
    measure_ranks,
)
from beir_hybrid.evaluation.plan import EvaluationPlan
from beir_hybrid.evaluation.rankings import (
    build_rankings,
    count_self_matches,
    find_best,
    remove_queries,
)
from beir_hybrid.evaluation.rerankers.reranker import Reranker
from beir_hybrid.evaluation.run_writer import RunWriter
from beir_hybrid.measures.ranked_judgements import Rankings
from beir_hybrid.measures.run_values import measure_run
from beir_hybrid.retrieval import RankedPassages, RankRequest, TopPassages, rank
from beir_hybrid.retrieval.merging import MergeMethod
from beir_hybrid.retrieval.runs import make_run_rows
from beir_hybrid.retrieval.scorer import Scorer
from beir_hybrid.retrieval.scorers import announce_cost, make_scorer


@dataclass(frozen=True)
class VectorEvaluation:
    """An evaluation by vectors: its plan, and where runs and reranked passages go.

    Attributes
    ----------
    run_writer, reranker
        None where runs are not written and not reranked.
    rank
        The function that ranks, `rank` or one with the same arguments on a cluster.
    merge
        How the rankings of languages are merged into a pool; None compares scores as they are.
    """

    plan: EvaluationPlan
    run_writer: RunWriter | None = None
    reranker: Reranker | None = None
    rank: Callable[[Scorer, RankRequest], RankedPassages] = rank
    merge: MergeMethod | None = None

    def evaluate(
        self, queries: StoredRows[Any], passages: StoredRows[Any]
    ) -> list[MeasuredRankings]:
        """Return the measured rankings of all kinds of settings.

        All queries are ranked at once or, where runs are collected, language by language: runs of
        all languages at once would fill the memory.
        """
        if self.merge:
            self._check_merge(self.merge)
        if self.run_writer:
            self.run_writer.clear()
        judgements, passage_ranges = self.plan.judgements, self.plan.judgements.passage_ranges
        if not self.plan.has_images:
            judgements = judgements.select_texts()
            passage_ranges = {lang: rows for lang, rows in passage_ranges.items() if lang != IMAGE}
        passage_count = max((rows.stop for rows in passage_ranges.values()), default=0)
        id_order = sort_ids(judgements.passage_ids.slice(0, passage_count))
        passages = passages.slice_rows(range(passage_count))
        announce_cost(make_scorer(queries, passages))
        parts: list[MeasuredRankings] = []
        for rows in self._list_query_ranges():
            selection = judgements.select_queries(rows)
            if not len(selection.query):
                continue
            depth = max(self.plan.depth * self.plan.collects_runs, self.plan.top_size)
            request = self._make_request(selection, rows.start, passage_ranges, id_order, depth)
            ranks = self.rank(make_scorer(queries.slice_rows(rows), passages), request)
            ranks = remove_queries(selection, ranks, rows.start, depth)
            for kind in self.plan.kinds:
                part = self._measure_kind(selection, kind, ranks, rows.start, id_order)
                if len(part.rankings.query_rows):
                    parts.append(part)
        measure_across(parts, self.plan.measures)
        measure_across(
            [part.before_reranking for part in parts if part.before_reranking], self.plan.measures
        )
        return parts

    def _make_request(
        self,
        judgements: Judgements,
        first_row: int,
        passage_ranges: Mapping[str, range],
        id_order: np.ndarray,
        depth: int,
    ) -> RankRequest:
        """Return the request to rank the judged passages and collect the best ones."""
        return RankRequest(
            gold_queries=judgements.query - first_row,
            gold_passages=judgements.passage,
            languages=passage_ranges,
            id_order=id_order,
            k=depth + count_self_matches(judgements) if depth else 0,
            collects_languages=self.plan.collects_runs and not self.plan.has_only_pools,
            image_language=IMAGE if IMAGE in passage_ranges else "",
            method=self.merge,
        )

    def _check_merge(self, method: MergeMethod) -> None:
        """Raise `BadOption` for settings in which the rankings of languages cannot be merged."""
        kinds = [SETTING_KINDS[kind] for kind in self.plan.kinds]
        if any(kind.drops_other_golds for kind in kinds) or self.plan.has_images:
            raise BadOption(
                f"{method} merges all passages of texts; leave out settings of images and those "
                "that drop passages, such as one-target"
            )
        if (self.plan.judgements.relevance == SELF_MATCH).any():
            raise BadOption(
                f"{method} compares passages with the best of their language, and queries of "
                f"{self.plan.judgements.name} are passages themselves"
            )

    def _list_query_ranges(self) -> list[range]:
        """Return the rows of queries that are ranked together."""
        if self.plan.collects_runs:
            return list(self.plan.judgements.query_ranges.values())
        return [range(len(self.plan.judgements.query_ids))]

    def _measure_kind(
        self,
        judgements: Judgements,
        name: KindName,
        ranks: RankedPassages,
        first_row: int,
        id_order: np.ndarray,
    ) -> MeasuredRankings:
        """Measure the settings of one kind."""
        kind = SETTING_KINDS[name]
        rankings = build_rankings(judgements, kind, ranks, first_row)
        best = before_reranking = None
        if self.plan.collects_runs and kind.is_rerankable:
            best = _collect_best(judgements, ranks, rankings, first_row)
            if self.reranker:
                before_reranking = MeasuredRankings(
                    rankings, measure_ranks(rankings, self.plan.measures)
                )
                groups = judgements.passage_ranges
                rankings, best = self.reranker.rerank(rankings, best, groups, id_order)
        part = MeasuredRankings(
            rankings, measure_ranks(rankings, self.plan.measures), before_reranking
        )
        if best:
            self._measure_runs(part, best)
        return part

    def _measure_runs(self, part: MeasuredRankings, best: TopPassages) -> None:
        """Fill in the values of measures of runs, and write each setting's run."""
        rankings, judgements = part.rankings, self.plan.judgements
        languages, targets = judgements.codes, judgements.targets
        settings = np.stack([rankings.judgements.query_language, rankings.targets], axis=1)
        for language, target in np.unique(settings, axis=0).tolist():
            is_in_setting = (settings == (language, target)).all(axis=1)
            index = np.flatnonzero(is_in_setting)
            setting = Setting(rankings.kind, languages[language], targets[target])
            query_ids = judgements.list_query_ids(rankings.query_rows[index])
            depth = self.plan.depth
            setting_best = TopPassages(best.rows[index, :depth], best.scores[index, :depth])
            hits = make_run_rows(setting_best, query_ids, judgements.passage_ids)
            run = {query_id: dict(documents) for query_id, documents in hits}
            if self.run_writer:
                self.run_writer.write(setting, run)
            if self.plan.run_measures:
                qrels = build_qrels(rankings.select(is_in_setting), judgements, query_ids)
                for measure, query, value in measure_run(self.plan.run_measures, qrels, run):
                    part.values[measure][index[query]] = value


def _collect_best(
    judgements: Judgements, ranks: RankedPassages, rankings: Rankings, first_row: int
) -> TopPassages:
    """Return the best passages of each ranking, -1 past the last."""
    width = max((best.rows.shape[1] for best in ranks.top.values()), default=0)
    collected = TopPassages(
        np.full((len(rankings.query_rows), width), -1),
        np.full((len(rankings.query_rows), width), -np.inf, np.float32),
    )
    for target in np.unique(rankings.targets).tolist():
        index = np.flatnonzero(rankings.targets == target)
        rows = rankings.query_rows[index] - first_row
        if best := find_best(ranks, judgements.targets[target]):
            collected.rows[index, : best.rows.shape[1]] = best.rows[rows]
            collected.scores[index, : best.rows.shape[1]] = best.scores[rows]
    return collected
