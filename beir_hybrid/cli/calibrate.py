"""The commands that take language bias out: calibrate a model, merge runs of several languages."""

from pathlib import Path
from typing import Annotated

import typer

from beir_hybrid.cli.flatten import Group, list_changes
from beir_hybrid.cli.options import (
    Dataset,
    LoadOptions,
    Model,
    check_dataset,
    check_model,
    set_offline,
)
from beir_hybrid.cli.printing import echo
from beir_hybrid.encoding.options import EncoderOptions
from beir_hybrid.files import check_writable
from beir_hybrid.text import plural

Method = Annotated[
    str,
    typer.Option(
        help="A method for vectors (centre, mean-language, shift:to=en, lir:k=1, subspace:r=10), "
        "one that merges languages by scores (local:k=3, zscore, min-max, round-robin, rrf, "
        "quota), or both: mean-language+local:k=3. Methods for vectors have a strength and a "
        "side: mean-language:alpha=0.5,on=passages.",
        metavar="METHOD",
    ),
]
CalibrationFolder = Annotated[
    Path, typer.Option("--output", help="The folder for the calibration.", metavar="DIR")
]
RunFiles = Annotated[
    list[Path],
    typer.Argument(help="TREC runs, each with passages of one language.", metavar="RUN"),
]
MergeMethodName = Annotated[
    str,
    typer.Option(
        "--method", help="local:k=3, zscore, min-max, round-robin, rrf or quota.", metavar="METHOD"
    ),
]
RunOutput = Annotated[Path, typer.Option("--output", help="The file for the run.", metavar="FILE")]
MergedDepth = Annotated[int, typer.Option("--depth", help="Passages to keep for each query.")]


def calibrate(
    model: Model,
    dataset: Dataset,
    output: CalibrationFolder,
    load: LoadOptions,
    encoder: Annotated[EncoderOptions, Group("The model")],
    method: Method = "mean-language",
) -> None:
    """Fit a correction of language bias to a model, for `evaluate --calibration`.

    Statistics of each language are taken from a dataset's queries and passages. Nothing is trained.

    Examples
    --------
    `beir-hybrid calibrate intfloat/multilingual-e5-small --dataset xquad-r --output e5-mean`

    `beir-hybrid evaluate intfloat/multilingual-e5-small --dataset xquad-r --calibration e5-mean`
    """
    check_model(model)
    check_dataset(dataset)
    from beir_hybrid.calibration import calibrate as fit_calibration
    from beir_hybrid.calibration.calibration import check_calibration_folder
    from beir_hybrid.calibration.methods import parse_method
    from beir_hybrid.encoding import as_encoder
    from beir_hybrid.evaluation.dtype_choice import choose_dtype

    calibration_method = parse_method(method)
    check_writable(output)
    set_offline(load.offline)
    collection = load.load(dataset)
    system = None
    if calibration_method.vectors:
        system = choose_dtype(as_encoder(model, **list_changes(encoder)), collection)
    fingerprint = system.fingerprint if system else {}
    check_calibration_folder(output, calibration_method, fingerprint, collection.name)
    calibration = fit_calibration(system, collection, calibration_method)
    calibration.save(output)
    if sizes := calibration.data.passages:
        languages = plural(len(sizes), "languages")
        fewest = f"{min(sizes.values()):,} passages or more in each"
        statistics = f"{languages} of {collection.name}, {fewest}"
    else:
        statistics = "no statistics are needed"
    echo(f"{calibration}: {statistics}; saved in {output}")


def merge(
    runs: RunFiles,
    output: RunOutput,
    method: MergeMethodName = "local:k=3",
    depth: MergedDepth = 1000,
) -> None:
    """Merge runs of several languages into one run of their pool, whatever system made them.

    Examples
    --------
    `beir-hybrid merge bm25/runs/en-de.trec bm25/runs/en-en.trec --output en-all.trec`

    `beir-hybrid evaluate --run en-all.trec --dataset xquad-r`
    """
    from beir_hybrid.retrieval.merge_runs import merge as merge_rankings
    from beir_hybrid.retrieval.runs import check_run_place, write_run

    check_run_place(output)
    run = merge_rankings(runs, method, depth=depth)
    write_run(output, run)
    echo(f"{len(run):,} queries in {output}")
