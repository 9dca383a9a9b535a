"""The provider through which ir-measures scores the measures of language bias."""
# mypy: allow-untyped-calls
# (ir_measures says that it is typed, and leaves most functions without types.)

from collections.abc import Iterable, Sequence
from typing import Any

import ir_measures
from ir_measures.measures import Measure, register, registry
from ir_measures.providers import Evaluator, Provider

from beir_hybrid.measures.base import BiasMeasure


class BiasProvider(Provider):
    """Scores measures of bias; the evaluator is imported when it is needed, for it is not light."""

    NAME = "beir_hybrid"

    def __init__(self, measures: Iterable[Measure]) -> None:
        super().__init__()
        self.SUPPORTED_MEASURES = list(measures)

    def _evaluator(self, measures: Iterable[Measure], qrels: Any) -> Evaluator:
        from beir_hybrid.measures.bias_evaluator import BiasEvaluator

        return BiasEvaluator(list(measures), qrels)


def register_measures(measures: Sequence[BiasMeasure]) -> None:
    """Make measures and their provider known to ir-measures; twice does no harm."""
    for measure in measures:
        registry.pop(measure.NAME, None)
        register(measure, name=measure.NAME)
    providers = ir_measures.DefaultPipeline.providers
    providers[:] = [provider for provider in providers if provider.NAME != BiasProvider.NAME]
    providers.append(BiasProvider(measures))
