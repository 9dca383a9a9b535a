"""The plan of an evaluation: measures, kinds of settings and depth, checked against each other."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ir_measures import Measure

from beir_hybrid.checks import check_positive
from beir_hybrid.collection.judgements import Judgements
from beir_hybrid.collection.setting import SETTING_KINDS, KindName
from beir_hybrid.errors import BadOption
from beir_hybrid.evaluation.measured_rankings import needs_run
from beir_hybrid.measures.base import BiasMeasure
from beir_hybrid.results.pool_languages import TOP, list_pool_kinds
from beir_hybrid.text import split_words

DEPTH, RERANKING_DEPTH = 1000, 100  # passages of a run, and of a reranked run

SettingNames = str | Iterable[KindName]  # one or several kinds of settings, as people name them


@dataclass(frozen=True)
class EvaluationPlan:
    """The measures, kinds of settings and depth of an evaluation.

    Attributes
    ----------
    depth
        How many passages a run keeps of each query.
    is_reranked, writes_runs
        Whether the best passages are reranked, and whether runs are written.
    """

    measures: Sequence[Measure]
    kinds: Sequence[KindName]
    depth: int = DEPTH
    is_reranked: bool = False
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
        return self.is_reranked or self.writes_runs or bool(self.run_measures)

    @property
    def has_images(self) -> bool:
        """Whether a setting has images."""
        return any(SETTING_KINDS[kind].has_images for kind in self.kinds)

    @property
    def has_only_pools(self) -> bool:
        """Whether all settings rank the passages of several languages together."""
        return all(SETTING_KINDS[kind].is_pool for kind in self.kinds)


def plan_evaluation(
    measures: Sequence[Measure],
    kinds: Sequence[KindName],
    depth: int | None = None,
    *,
    is_reranked: bool = False,
    writes_runs: bool = False,
) -> EvaluationPlan:
    """Plan an evaluation, or raise `BadOption` for arguments that do not fit together.

    Parameters
    ----------
    depth
        `DEPTH` by default, and `RERANKING_DEPTH` where passages are reranked.
    """
    if depth is None:
        depth = RERANKING_DEPTH if is_reranked else DEPTH
    check_positive(depth=depth)
    if writes_runs and not any(SETTING_KINDS[kind].is_rerankable for kind in kinds):
        raise BadOption(
            f"{' and '.join(kinds)} settings have no runs to write; name others, or leave runs out"
        )
    plan = EvaluationPlan(measures, kinds, int(depth), is_reranked, writes_runs)
    if is_reranked and depth < plan.largest_cutoff:
        raise BadOption(f"measures see {plan.largest_cutoff} passages, and {depth} are reranked")
    check_cutoffs(plan.run_measures, depth)
    return plan


def choose_kinds(judgements: Judgements, settings: SettingNames | None) -> list[KindName]:
    """Return the named kinds of settings, or all that the collection has."""
    return judgements.list_kinds(split_words(settings) if isinstance(settings, str) else settings)


def check_cutoffs(measures: Iterable[Measure], depth: int) -> None:
    """Raise `BadOption` for a measure that looks deeper than the passages of a run."""
    for measure in measures:
        if measure.params.get("cutoff", 1) > depth:
            raise BadOption(f"{measure} sees more than the {depth} passages of a run")
