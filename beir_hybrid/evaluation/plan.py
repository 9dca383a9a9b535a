"""The plan of an evaluation: measures, kinds of settings and depth, checked against each other."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ir_measures import Measure

from beir_hybrid.checks import check_positive
from beir_hybrid.collection import Collection
from beir_hybrid.collection.judgements import Judgements
from beir_hybrid.collection.setting import SETTING_KINDS, KindName, Setting
from beir_hybrid.encoding.pair_scorer import PairScorer
from beir_hybrid.errors import BadOption
from beir_hybrid.evaluation.arguments import check_collection
from beir_hybrid.evaluation.default_measures import default_measures
from beir_hybrid.evaluation.measured_rankings import needs_run
from beir_hybrid.evaluation.rerankers.selection import open_pair_scorer, select_reranked_kinds
from beir_hybrid.evaluation.rerankers.vectors import VectorScorer
from beir_hybrid.measures.base import BiasMeasure
from beir_hybrid.measures.parsing import MeasureNames, parse_measures
from beir_hybrid.results.pool_languages import TOP, list_pool_kinds
from beir_hybrid.text import split_words

DEPTH, RERANKING_DEPTH = 1000, 100  # passages of a run, and of a reranked run

SettingNames = str | Iterable[KindName]  # one or several kinds of settings, as people name them


@dataclass(frozen=True)
class EvaluationPlan:
    """The judgements, measures, kinds of settings and depth of an evaluation.

    Attributes
    ----------
    depth
        How many passages a run keeps of each query.
    scorer
        The scorer of pairs by which the best passages are reranked; None where they are not.
    writes_runs
        Whether runs are written.
    """

    judgements: Judgements
    measures: Sequence[Measure]
    kinds: Sequence[KindName]
    depth: int = DEPTH
    scorer: PairScorer | VectorScorer | None = None
    writes_runs: bool = False

    @property
    def run_measures(self) -> list[Measure]:
        """The measures that are computed from runs, not from ranks alone."""
        return [measure for measure in self.measures if needs_run(measure)]

    @property
    def largest_cutoff(self) -> int:
        """How many of the best passages of pools the measures of bias look at."""
        cutoffs = [
            measure["cutoff"]
            for measure in self.measures
            if isinstance(measure, BiasMeasure)
            and measure.NEEDS_CUTOFF
            and measure.SETTINGS & {*self.kinds}
        ]
        return max(cutoffs, default=0)

    @property
    def top_size(self) -> int:
        """How many of the best passages of pools are collected for their languages."""
        return max(self.largest_cutoff, TOP if list_pool_kinds(self.kinds) else 0)

    @property
    def collects_runs(self) -> bool:
        """Whether the best passages of each ranking are collected."""
        return bool(self.scorer or self.writes_runs or self.run_measures)

    @property
    def has_images(self) -> bool:
        """Whether a setting has images."""
        return any(SETTING_KINDS[kind].has_images for kind in self.kinds)

    @property
    def has_only_pools(self) -> bool:
        """Whether all settings rank the passages of several languages together."""
        return all(SETTING_KINDS[kind].is_pool for kind in self.kinds)

    @property
    def image_cure(self) -> str | None:
        """What to do if the model reads no images, or an empty text; None if there are none."""
        if not self.has_images:
            return None
        kinds = [k for k in self.judgements.list_kinds() if not SETTING_KINDS[k].has_images]
        if self.scorer or not kinds:
            return ""
        return f"; or ask for settings of captions alone: settings={' '.join(kinds)!r}"

    def list_settings(self) -> list[Setting]:
        """Return the settings of all kinds."""
        return self.judgements.list_settings(self.kinds)


def plan_evaluation(
    collection: Collection,
    measures: MeasureNames | None = None,
    settings: SettingNames | None = None,
    depth: int | None = None,
    *,
    rerank: object = None,
    store: Path | None = None,
    writes_runs: bool = False,
) -> EvaluationPlan:
    """Plan an evaluation, or raise `BadOption` for arguments that do not fit together.

    Parameters
    ----------
    measures, settings, rerank
        As for `evaluate`.
    depth
        `DEPTH` by default, and `RERANKING_DEPTH` where passages are reranked.
    store
        The folder for what a reranker stores; the cache where it is None.
    """
    judgements = check_collection(collection).resolve()
    measure_list = None if measures is None else parse_measures(measures)
    kinds = choose_kinds(judgements, settings)
    scorer = None if rerank is None else open_pair_scorer(rerank, collection, store)
    if scorer:
        kinds = select_reranked_kinds(scorer, kinds, must_have_all=settings is not None)
    if depth is None:
        depth = RERANKING_DEPTH if scorer else DEPTH
    check_positive(depth=depth)
    measure_list = measure_list or default_measures(judgements.has_images, kinds)
    plan = EvaluationPlan(judgements, measure_list, kinds, int(depth), scorer, writes_runs)
    _check_plan(plan)
    return plan


def _check_plan(plan: EvaluationPlan) -> None:
    """Raise `BadOption` for parts of a plan that do not fit together."""
    if plan.writes_runs and not any(SETTING_KINDS[kind].is_rerankable for kind in plan.kinds):
        raise BadOption(
            f"{' and '.join(plan.kinds)} settings have no runs to write; name others, or leave "
            "runs out"
        )
    if plan.scorer and plan.depth < plan.largest_cutoff:
        raise BadOption(
            f"measures see {plan.largest_cutoff} passages, and {plan.depth} are reranked"
        )
    check_cutoffs(plan.run_measures, plan.depth)


def choose_kinds(judgements: Judgements, settings: SettingNames | None) -> list[KindName]:
    """Return the named kinds of settings, or all that the collection has."""
    return judgements.list_kinds(split_words(settings) if isinstance(settings, str) else settings)


def check_cutoffs(measures: Iterable[Measure], depth: int) -> None:
    """Raise `BadOption` for a measure that looks deeper than the passages of a run."""
    for measure in measures:
        if measure.params.get("cutoff", 1) > depth:
            raise BadOption(f"{measure} sees more than the {depth} passages of a run")
