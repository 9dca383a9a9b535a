"""The command that evaluates a model, vectors or runs in every setting."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from beir_hybrid.cli.flatten import Group, list_changes
from beir_hybrid.cli.options import (
    Engine,
    LoadOptions,
    Measures,
    OptionalDataset,
    OptionalModel,
    ResultsOptions,
    Settings,
    check_model,
    parse_measure_names,
    set_offline,
)
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
class ExternalOptions:
    """Runs or vectors that are evaluated in place of a model."""

    run: Annotated[
        list[Path] | None,
        typer.Option(help="Evaluate a TREC run, not a model; may be repeated.", metavar="FILE"),
    ] = None
    qrels: Annotated[
        Path | None,
        typer.Option(
            help="Judge the runs by a file of TREC's qrels, with no dataset.", metavar="FILE"
        ),
    ] = None
    id_languages: Annotated[
        str | None,
        typer.Option(
            help="With --qrels, the language of all ids, or a file with an id and its language in "
            "each line. Default: ids begin with their language, as in de:12-3.",
            metavar="LANG or FILE",
        ),
    ] = None
    unanswered: Annotated[
        str | None,
        typer.Option(
            help="With --qrels, queries without a relevant passage: zero (as trec_eval), or drop.",
            metavar="WORD",
        ),
    ] = None
    vectors: Annotated[
        Path | None,
        typer.Option(
            help="Evaluate vectors: queries.npy, queries.txt (ids), passages.npy, passages.txt.",
            metavar="DIR",
        ),
    ] = None


def evaluate(
    *,
    dataset: OptionalDataset = None,
    model: OptionalModel = None,
    load: LoadOptions,
    ranking: RankingOptions,
    evaluation: EvaluationOptions,
    results: ResultsOptions,
    external: ExternalOptions,
    encoder: Annotated[EncoderOptions, Group("The model")],
) -> None:
    """Evaluate a model in every setting: effectiveness, and bias towards languages.

    Texts are encoded once and kept in the cache: a killed evaluation can be resumed.

    Examples
    --------
    `beir-hybrid evaluate intfloat/multilingual-e5-small --dataset xquad-r --output e5`

    `beir-hybrid evaluate my-model --dataset mlqa-r --languages de,en --measures "RR nDCG@10"`

    `beir-hybrid evaluate --run de-all.trec --dataset xquad-r`

    `beir-hybrid evaluate --run mine.trec --qrels qrels.txt --measures "nDCG@10 RankDistance"`
    """
    arguments = ranking.make_arguments()
    if results.runs_folder is not None:
        arguments["runs"] = results.runs_folder
    encoder_arguments = list_changes(encoder)
    _check_sources(model, external, encoder_arguments, arguments)
    measures = parse_measure_names(evaluation.measures)
    results.check()
    set_offline(load.offline)
    if model:
        check_model(model)
    collection = _load_collection(dataset, load, external)
    # They import torch, for which a wrong name should not wait.
    from beir_hybrid.evaluation.evaluate import evaluate as evaluate_model
    from beir_hybrid.evaluation.external_runs import evaluate_runs

    values: Results
    if external.run:
        values = evaluate_runs(external.run, collection, name=evaluation.name, **measures)
    else:
        # Without --resume vectors go to a temporary store, and the cache stays as it is.
        with nullcontext() if evaluation.resume else _temporary_store() as store:
            system = _open_system(model, encoder_arguments, external.vectors, collection, store)
            if results.has_results:
                name, facts = _describe_system(system, evaluation.name, ranking, collection)
                results.check_system(name, facts, collection)
            values = evaluate_model(
                system, collection, store=store, name=evaluation.name, **measures, **arguments
            )
    results.show(values)


@contextmanager
def _temporary_store() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        try:
            yield folder
        except KeyboardInterrupt as error:
            raise KeyboardInterrupt("nothing is kept, because of --no-resume") from error


def _load_collection(
    dataset: str | None, load: LoadOptions, external: ExternalOptions
) -> "Collection":
    """Load the dataset, or make a collection of the judgements and the runs themselves."""
    if external.qrels is None:
        if dataset is None:
            raise BadOption("name a --dataset, or the --qrels of a --run")
        for name in ("id_languages", "unanswered"):
            if getattr(external, name):
                raise BadOption(f"--{name.replace('_', '-')} belongs to --qrels")
        return load.load(dataset)
    if dataset or not external.run:
        raise BadOption("--qrels judges a --run, and takes no --dataset")
    from beir_hybrid.sources import load as load_by_name

    return load_by_name(
        "trec",
        qrels=external.qrels,
        runs=tuple(map(str, external.run)),
        id_languages=external.id_languages or "",
        unanswered=external.unanswered or "refuse",
    )


def _open_system(
    model: str | None,
    options: Mapping[str, object],
    vectors: Path | None,
    data: "Collection",
    store: str | None,
) -> object:
    """Load a model, or the vectors that stand for one."""
    from beir_hybrid.encoding import as_encoder
    from beir_hybrid.evaluation.dtype_choice import choose_dtype
    from beir_hybrid.evaluation.external_vectors import read_vectors

    if vectors is not None:
        return read_vectors(vectors, data)
    return choose_dtype(as_encoder(model, **options), data, store)


def _describe_system(
    system: Any, name: str, ranking: RankingOptions, collection: "Collection"
) -> tuple[str | None, dict[str, Any]]:
    """Return a system's name in results and facts in which others differ, as far as known."""
    from beir_hybrid.calibration import as_calibration
    from beir_hybrid.evaluation.plan import DEPTH, RERANKING_DEPTH, choose_kinds
    from beir_hybrid.evaluation.vectors import CollectionVectors, name_model
    from beir_hybrid.results.replacement import list_request_facts

    if isinstance(system, CollectionVectors):
        default_name, fingerprint = system.model.name, system.model.fingerprint
    else:
        default_name, fingerprint = name_model(system), system.fingerprint
    settings, rerank = ranking.make_arguments().get("settings"), ranking.rerank
    calibration = as_calibration(ranking.calibration)
    facts = list_request_facts(
        calibration=None if calibration is None else str(calibration),
        reranker=rerank,
        # A reranker may not read all settings of the collection.
        kinds=choose_kinds(collection.resolve(), settings) if settings or not rerank else None,
        depth=ranking.depth or (RERANKING_DEPTH if rerank else DEPTH),
    )
    if rerank and rerank.startswith("blip:"):
        del facts["reranker"]  # results describe a matcher in more words
    # The calibration names itself in the default name, once it is fitted.
    return name or (None if calibration else default_name), {**fingerprint, **facts}


def _check_sources(
    model: str | None,
    external: ExternalOptions,
    encoder: Mapping[str, object],
    ranking: Mapping[str, object],
) -> None:
    """Raise `BadOption` unless there is a model, or runs, or vectors, with options that fit."""
    sources = {"MODEL": model, "--run": external.run, "--vectors": external.vectors}
    names = [name for name, value in sources.items() if value]
    if len(names) != 1:
        raise BadOption(f"name one of MODEL, --run, --vectors; found {names or 'none'}")
    for owner, options, is_unused in (
        ("a model", encoder, not model),
        ("a ranking", ranking, bool(external.run)),
    ):
        if options and is_unused:
            name = next(iter(options)).replace("_", "-")
            raise BadOption(f"--{name} is an option of {owner}, and {names[0]} needs none")
