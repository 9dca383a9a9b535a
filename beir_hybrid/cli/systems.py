"""The systems that ``beir-hybrid evaluate`` names: models, vectors of other tools, and BM25."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from beir_hybrid.cli.flatten import list_changes
from beir_hybrid.cli.options import (
    Engine,
    Measures,
    ResultsOptions,
    Settings,
    parse_measure_names,
)
from beir_hybrid.cli.printing import print_json, to_json
from beir_hybrid.cli.search import BM25Options, check_bm25, evaluate_bm25
from beir_hybrid.cli.system_checks import BM25, describe_unloaded
from beir_hybrid.encoding.options import EncoderOptions
from beir_hybrid.errors import BadOption

if TYPE_CHECKING:
    from beir_hybrid.collection import Collection
    from beir_hybrid.results.results import Results


@dataclass(frozen=True)
class EvaluationOptions:
    """Measures, the model's name in the results, and the use of cached vectors."""

    measures: Measures = None
    name: Annotated[str, typer.Option(help="The model's name in the results.")] = ""
    resume: Annotated[
        bool, typer.Option(help="Use the vectors in the cache, or encode everything anew.")
    ] = True


@dataclass(frozen=True)
class RankingOptions:
    """How passages are ranked, and in which settings."""

    settings: Settings = None
    depth: Annotated[
        int | None,
        typer.Option(
            help="Passages to keep (or rerank) per query. Default: 1000; 100 with --rerank."
        ),
    ] = None
    rerank: Annotated[
        str | None,
        typer.Option(
            help="A cross-encoder, late-interaction model, openai:MODEL@URL or blip:MODEL that "
            "reorders the best passages.",
            metavar="MODEL",
        ),
    ] = None
    engine: Engine = "local"
    calibration: Annotated[
        str | None,
        typer.Option(
            help="Take language bias out: a folder of `beir-hybrid calibrate`, or a method such as "
            "mean-language+local:k=3, fitted to the dataset itself.",
            metavar="DIR or METHOD",
        ),
    ] = None

    def make_arguments(self) -> dict[str, Any]:
        """Return arguments of `bh.evaluate`."""
        arguments = list_changes(self)
        if self.settings is not None:
            arguments["settings"] = " ".join(self.settings)
        return arguments


@dataclass(frozen=True)
class Systems:
    """Evaluates systems on a collection, all with the same options."""

    collection: "Collection"
    encoder: EncoderOptions
    ranking: RankingOptions
    evaluation: EvaluationOptions

    def evaluate_all(self, models: Sequence[str], results: ResultsOptions) -> None:
        """Evaluate models one after another, and save each as soon as it is finished.

        All are checked before the first is loaded.
        """
        places = dict(zip(models, self._list_places(models, results), strict=True))
        self._check_calibration()
        for model, own_results in places.items():
            self._check(model, own_results)
        records: list[dict[str, Any]] = []
        try:
            for model, own_results in places.items():
                values = self.evaluate(model, own_results)
                own_results.show(values)
                records.append(to_json(values))
        finally:
            # Those that are finished, where a later one fails or the user ends the command.
            if results.as_json and records:
                print_json(records)

    def _list_places(
        self, models: Sequence[str], results: ResultsOptions
    ) -> Iterator[ResultsOptions]:
        """Yield where the results of each model go."""
        from beir_hybrid.evaluation.vectors import shorten_name
        from beir_hybrid.text import make_slugs

        for slug in make_slugs(map(shorten_name, models)):
            folder = results.output / slug if results.output else None
            # With --json stdout is JSON alone, of all models; their tables go to stderr.
            yield replace(results, output=folder, as_json=False)

    def _check_calibration(self) -> None:
        """Raise `BadOption` for a calibration of one model's vectors, which others do not have."""
        from beir_hybrid.calibration import Calibration, as_calibration

        calibration = as_calibration(self.ranking.calibration)
        if isinstance(calibration, Calibration) and calibration.corrections:
            raise BadOption(
                f"the calibration {self.ranking.calibration} is of one model; evaluate that in a "
                f"command of its own, or give the method, {calibration}"
            )

    def _check(self, model: str, results: ResultsOptions) -> None:
        """Raise an error for what is known to fail, before any model is loaded."""
        results.check([model])
        if model == BM25:
            check_bm25(self.collection, self._choose_bm25_options(), results)
            return
        is_calibrated = self.ranking.calibration is not None
        options = list_changes(self.encoder)
        name, facts = describe_unloaded(model, options, is_calibrated=is_calibrated)
        if results.has_results:
            self._check_results(name, facts, results)

    def evaluate(
        self, model: str | None, results: ResultsOptions, vectors: Path | None = None
    ) -> "Results":
        """Evaluate a model, BM25, or vectors that stand for a model."""
        if model == BM25:
            return evaluate_bm25(self.collection, self._choose_bm25_options(), results)
        # It imports torch, for which a wrong name should not wait.
        from beir_hybrid.evaluation.evaluate import evaluate

        arguments = self.ranking.make_arguments()
        if results.runs_folder is not None:
            arguments["runs"] = results.runs_folder
        name, measures = self.evaluation.name, parse_measure_names(self.evaluation.measures)
        # Without --resume vectors go to a temporary store, and the cache stays as it is.
        with nullcontext() if self.evaluation.resume else _temporary_store() as store:
            system = self._open(model, vectors, store)
            if results.has_results:
                self._check_results(*_identify(system), results)
            return evaluate(
                system, self.collection, store=store, name=name, **measures, **arguments
            )

    def _choose_bm25_options(self) -> BM25Options:
        options = BM25Options(self.ranking.settings, self.evaluation.measures)
        if self.evaluation.name:
            options = replace(options, name=self.evaluation.name)
        return options if self.ranking.depth is None else replace(options, depth=self.ranking.depth)

    def _open(self, model: str | None, vectors: Path | None, store: str | None) -> object:
        """Load a model, or the vectors that stand for one."""
        from beir_hybrid.encoding import as_encoder
        from beir_hybrid.evaluation.dtype_choice import choose_dtype
        from beir_hybrid.evaluation.external_vectors import read_vectors

        if vectors is not None:
            return read_vectors(vectors, self.collection)
        return choose_dtype(as_encoder(model, **list_changes(self.encoder)), self.collection, store)

    def _check_results(
        self, default_name: str, fingerprint: Mapping[str, object], results: ResultsOptions
    ) -> None:
        """Raise an error, before all work, if the folder's results may not be replaced."""
        from beir_hybrid.calibration import as_calibration
        from beir_hybrid.evaluation.plan import DEPTH, RERANKING_DEPTH, choose_kinds
        from beir_hybrid.evaluation.rerankers.selection import list_reranker_facts
        from beir_hybrid.results.replacement import list_request_facts

        settings, rerank = self.ranking.make_arguments().get("settings"), self.ranking.rerank
        calibration = as_calibration(self.ranking.calibration)
        facts = list_request_facts(
            calibration=None if calibration is None else str(calibration),
            reranker=rerank,
            # A reranker may not read all settings of the collection.
            kinds=choose_kinds(self.collection.resolve(), settings)
            if settings or not rerank
            else None,
            depth=self.ranking.depth or (RERANKING_DEPTH if rerank else DEPTH),
        )
        if rerank:
            del facts["reranker"]
            facts |= list_reranker_facts(rerank)
        # The calibration names itself in the default name, once it is fitted.
        name = self.evaluation.name or (None if calibration else default_name)
        results.check_system(name, {**fingerprint, **facts}, self.collection)


def _identify(system: Any) -> tuple[str, Mapping[str, object]]:
    """Return the name and the fingerprint of an encoder, or of the vectors of one."""
    from beir_hybrid.evaluation.vectors import CollectionVectors, name_model

    if isinstance(system, CollectionVectors):
        return system.model.name, system.model.fingerprint
    return name_model(system), system.fingerprint


@contextmanager
def _temporary_store() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        try:
            yield folder
        except KeyboardInterrupt as error:
            raise KeyboardInterrupt("nothing is kept, because of --no-resume") from error
