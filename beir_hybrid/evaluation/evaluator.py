"""An evaluator for the trainer of sentence-transformers: every setting, while a model trains."""

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ir_measures import Measure
from sentence_transformers.base.evaluation import BaseEvaluator

from beir_hybrid.calibration import as_calibration
from beir_hybrid.calibration.methods import CalibrationMethod
from beir_hybrid.collection import Collection
from beir_hybrid.collection.setting import SETTING_KINDS, KindName
from beir_hybrid.encoding.options import check_option_names
from beir_hybrid.errors import BadOption, lookup
from beir_hybrid.evaluation.arguments import check_collection
from beir_hybrid.evaluation.default_measures import default_measures
from beir_hybrid.evaluation.evaluate import evaluate
from beir_hybrid.evaluation.plan import SettingNames, choose_kinds
from beir_hybrid.measures.base import BiasMeasure, is_higher_better
from beir_hybrid.measures.parsing import MeasureNames, parse_measures


class HybridEvaluator(BaseEvaluator):
    """Evaluates a model in every setting while it trains.

    Values have names ``KIND_MEASURE``, such as ``mono_AP`` and ``multi_RankDistance``, with the
    name of the evaluator before them, and the trainer logs them. Nothing is kept in the embedding
    store, for the weights change from call to call.

    Parameters
    ----------
    measures, settings
        As for `evaluate`.
    primary
        The value that selects the best checkpoint, such as ``multi_AP``; the first by default.
    calibration
        A method that takes language bias out, such as ``mean-language``; it is fitted to the
        collection in each call, for the model changes.
    name
        The prefix of the values' names; the collection's name by default.
    options
        Of the encoder; see `EncoderOptions`.

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
        measures: MeasureNames | None = None,
        settings: SettingNames | None = None,
        primary: str | None = None,
        name: str = "",
        calibration: str | CalibrationMethod | None = None,
        **options: object,
    ) -> None:
        check_option_names(options)
        collection = check_collection(collection)
        self.calibration = _parse_calibration(calibration)
        super().__init__()  # type: ignore[no-untyped-call] # untyped in sentence-transformers
        self.collection = collection
        self.options: dict[str, Any] = options
        self.name = name or collection.name
        judgements = collection.resolve()
        self.measures = parse_measures(
            default_measures(judgements.has_images) if measures is None else measures
        )
        self.kinds = choose_kinds(judgements, settings)
        value_measures = {
            f"{kind}_{measure}": measure
            for kind in self.kinds
            for measure in self.measures
            if not isinstance(measure, BiasMeasure) or kind in measure.SETTINGS
        }
        if not value_measures:
            raise _explain_no_values(self.measures)
        primary_value = primary or next(iter(value_measures))
        primary_measure = lookup("value to choose by", primary_value, value_measures)
        self.greater_is_better = is_higher_better(primary_measure)
        self.primary_metric = f"{self.name}_{primary_value}"

    def __call__(
        self,
        model: Any,  # a SentenceTransformer; the base class has a narrower type
        output_path: str | None = None,
        epoch: float = -1,
        steps: int = -1,
    ) -> dict[str, float]:
        """Return the average of every value; save the results in `output_path` if there is one."""
        with tempfile.TemporaryDirectory(prefix="beir-hybrid-") as store:
            results = evaluate(
                model,
                self.collection,
                measures=self.measures,
                settings=self.kinds,
                store=store,
                calibration=self.calibration,
                **self.options,
            )
        if output_path is not None:
            results.save(Path(output_path) / f"{self.name}-{epoch:g}-{steps}", replace=True)
        metrics = self.prefix_name_to_metrics(
            {
                f"{kind}_{measure}": estimate.mean
                for kind, estimates in results.summary().items()
                for measure, estimate in estimates.items()
            },
            self.name,
        )
        self.store_metrics_in_model_card_data(model, metrics, int(epoch), steps)
        return metrics

    def list_values(self) -> list[str]:
        """Return the names of all values that a call may return, in their order."""
        names = [f"{kind}_{measure}" for kind in self.kinds for measure in self.measures]
        return [f"{self.name}_{name}" for name in names]

    def get_config_dict(self) -> dict[str, Any]:
        """Return the facts that the model card shows of the evaluator."""
        facts = {"collection": self.collection.name, "settings": list(self.kinds)}
        return facts | ({"calibration": str(self.calibration)} if self.calibration else {})


def _parse_calibration(calibration: object) -> CalibrationMethod | None:
    """Return a calibration method; raise `BadOption` for statistics, which training outdates."""
    choice = as_calibration(calibration)
    if choice is None or isinstance(choice, CalibrationMethod):
        return choice
    if choice.corrections:
        raise BadOption(
            f"the calibration {choice} is of a model that training changes: name its method, such "
            "as mean-language, which is fitted anew in each evaluation"
        )
    return choice.method


def _explain_no_values(measures: Iterable[Measure]) -> BadOption:
    """Return an error that names the settings to which the measures apply."""
    names = ", ".join(map(str, measures))
    applicable = {kind for m in measures if isinstance(m, BiasMeasure) for kind in m.SETTINGS}
    kinds: list[KindName] = [kind for kind in SETTING_KINDS if kind in applicable]
    return BadOption(
        f"there is nothing to measure: {names} needs the settings {' or '.join(map(repr, kinds))}"
    )
