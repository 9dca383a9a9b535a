"""The command that evaluates models, vectors or runs in every setting."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from beir_hybrid.cli.flatten import Group, list_changes
from beir_hybrid.cli.options import (
    LoadOptions,
    OptionalDataset,
    ResultsOptions,
    check_choices,
    parse_measure_names,
    set_offline,
    split_commas,
)
from beir_hybrid.cli.system_checks import BM25, BM25_OPTIONS, check_models
from beir_hybrid.cli.systems import EvaluationOptions, RankingOptions, Systems
from beir_hybrid.encoding.options import EncoderOptions
from beir_hybrid.errors import BadOption

if TYPE_CHECKING:
    from beir_hybrid.collection import Collection

Models = Annotated[
    list[str] | None,
    typer.Argument(
        help="One or several: names on the Hugging Face Hub, folders, openai:MODEL@URL, or bm25.",
        metavar="MODEL",
    ),
]


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
    models: Models = None,
    load: LoadOptions,
    ranking: RankingOptions,
    evaluation: EvaluationOptions,
    results: ResultsOptions,
    external: ExternalOptions,
    encoder: Annotated[EncoderOptions, Group("The model")],
) -> None:
    """Evaluate models in every setting: effectiveness, and bias towards languages.

    Texts are encoded once and kept in the cache: a killed evaluation can be resumed. Results of
    several models go to a folder each, in --output.

    Examples
    --------
    `beir-hybrid evaluate intfloat/multilingual-e5-small --dataset xquad-r --output e5`

    `beir-hybrid evaluate my-model my-splade bm25 --dataset xquad-r --output systems`

    `beir-hybrid evaluate my-model --dataset mlqa-r --languages de,en --measures "RR nDCG@10"`

    `beir-hybrid evaluate --run de-all.trec --dataset xquad-r`

    `beir-hybrid evaluate --run mine.trec --qrels qrels.txt --measures "nDCG@10 RankDistance"`
    """
    models = models or []
    _check_sources(models, external, encoder, ranking, results, resume=evaluation.resume)
    if len(models) > 1 and evaluation.name:
        raise BadOption("--name names one model, and several keep their own names")
    measures = parse_measure_names(evaluation.measures)
    check_choices(ranking.settings, ranking.calibration)
    set_offline(load.offline)
    check_models(models)
    files = [path.stem for path in (*(external.run or ()), external.vectors) if path]
    results.check(models or files[:1])  # several runs are one system
    collection = _load_collection(dataset, load, external)
    if external.run:
        # It imports torch, for which a wrong name should not wait.
        from beir_hybrid.evaluation.external_runs import evaluate_runs

        results.show(evaluate_runs(external.run, collection, name=evaluation.name, **measures))
        return
    systems = Systems(collection, encoder, ranking, evaluation)
    if len(models) > 1:
        systems.evaluate_all(models, results)
    else:
        results.show(systems.evaluate(next(iter(models), None), results, external.vectors))


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
    if load.option:
        raise BadOption("--option is an option of a --dataset, and --qrels is none")
    from beir_hybrid.sources import load as load_by_name

    return load_by_name(
        "trec",
        languages=split_commas(load.languages),
        qrels=external.qrels,
        runs=tuple(map(str, external.run)),
        id_languages=external.id_languages or "",
        unanswered=external.unanswered or "refuse",
    )


def _check_sources(
    models: Sequence[str],
    external: ExternalOptions,
    encoder: EncoderOptions,
    ranking: RankingOptions,
    results: ResultsOptions,
    *,
    resume: bool,
) -> None:
    """Raise `BadOption` unless there are models, or runs, or vectors, with options that fit."""
    sources = {"MODEL": models, "--run": external.run, "--vectors": external.vectors}
    names = [name for name, value in sources.items() if value]
    if len(names) != 1:
        raise BadOption(f"name one of MODEL, --run, --vectors; found {names or 'none'}")
    if external.run and not resume:
        raise BadOption(
            "--no-resume encodes all texts anew, and a --run has its ranking already; leave it out"
        )
    model_options, ranking_options = [*list_changes(encoder)], [*list_changes(ranking)]
    if results.runs_folder is not None:
        ranking_options.append("runs")
    for owner, options, is_unused in (
        ("a model", model_options, not models),
        ("a ranking", ranking_options, bool(external.run)),
    ):
        if options and is_unused:
            name = options[0].replace("_", "-")
            raise BadOption(f"--{name} is an option of {owner}, and {names[0]} needs none")
    unread = [name for name in model_options + ranking_options if name not in BM25_OPTIONS]
    unread += [] if resume else ["no_resume"]
    if BM25 in models and unread:
        name = unread[0].replace("_", "-")
        raise BadOption(
            f"{BM25} reads no --{name}; leave it out, or evaluate {BM25} in a command of its own"
        )
