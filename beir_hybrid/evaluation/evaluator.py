"""A collection in, an evaluator for sentence-transformers' trainer out."""

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ir_measures import Measure
from sentence_transformers.base.evaluation import BaseEvaluator

from beir_hybrid.collection import Collection
from beir_hybrid.collection.setting import SETTING_KINDS, KindName
from beir_hybrid.encoding.options import check_option_names
from beir_hybrid.errors import BadOption, lookup
from beir_hybrid.evaluation.evaluate import default_measures, evaluate, parsed
from beir_hybrid.measures.base import BiasMeasure, is_higher_better


class HybridEvaluator(BaseEvaluator):
    """Scores a model in every setting while it trains.

    Values are named ``KIND_MEASURE``, such as ``mono_AP`` and ``multi_RankDistance``, with the name
    of the evaluator before them, and the trainer logs them. Nothing is kept in the embedding store,
    for the weights change from call to call.

    Parameters
    ----------
    measures, settings
        As for `evaluate`.
    primary
        The value that chooses the best checkpoint, such as ``multi_AP``; the first by default.
    name
        What stands before the values' names; the collection's by default.
    options
        Of the encoder; see `SentenceTransformerEncoder`.

    Examples
    --------
    >>> dev = bh.load("mlqa-r", languages=["de", "en"])  # doctest: +SKIP
    >>> evaluator = HybridEvaluator(dev, primary="multi_AP")  # doctest: +SKIP
    >>> SentenceTransformerTrainer(  # doctest: +SKIP
    ...     model, args, train_dataset=pairs, evaluator=evaluator
    ... )
    """

    def __init__(
        self,
        collection: Collection,
        *,
        measures: Iterable[Measure | str] | None = None,
        settings: Iterable[KindName] | None = None,
        primary: str | None = None,
        name: str = "",
        **options: Any,
    ) -> None:
        check_option_names(options)
        super().__init__()  # type: ignore[no-untyped-call] # theirs has no types
        self.collection, self.options = collection, options
        self.name = name or collection.name
        self.measures = parsed(default_measures(collection) if measures is None else measures)
        self.kinds = collection.resolve().list_kinds(settings)
        table = {
            f"{kind}_{measure}": measure
            for kind in self.kinds
            for measure in self.measures
            if not isinstance(measure, BiasMeasure) or kind in measure.SETTINGS
        }
        if not table:
            named = ", ".join(map(str, self.measures))
            kinds = sorted({kind for m in self.measures for kind in getattr(m, "SETTINGS", ())})
            wanted = " or ".join(map(repr, [kind for kind in SETTING_KINDS if kind in kinds]))
            raise BadOption(f"there is nothing to measure: {named} needs the settings {wanted}")
        first = primary or next(iter(table))
        self.greater_is_better = is_higher_better(lookup("value to choose by", first, table))
        self.primary_metric = f"{self.name}_{first}"

    def __call__(
        self,
        model: Any,  # a SentenceTransformer; the base class says less
        output_path: str | None = None,
        epoch: float = -1,
        steps: int = -1,
    ) -> dict[str, float]:
        """Return every value's average; save the results in `output_path` if there is one."""
        with tempfile.TemporaryDirectory(prefix="beir-hybrid-") as store:
            results = evaluate(
                model,
                self.collection,
                measures=self.measures,
                settings=self.kinds,
                store=store,
                **self.options,
            )
        if output_path is not None:
            results.save(Path(output_path) / f"{self.name}-{epoch:g}-{steps}")
        metrics = self.prefix_name_to_metrics(
            {
                f"{kind}_{measure}": found.mean
                for kind, row in results.summary().items()
                for measure, found in row.items()
            },
            self.name,
        )
        self.store_metrics_in_model_card_data(model, metrics, int(epoch), steps)
        return metrics

    def get_config_dict(self) -> dict[str, Any]:
        """Return what the model card says of it."""
        return {"collection": self.collection.name, "settings": list(self.kinds)}
