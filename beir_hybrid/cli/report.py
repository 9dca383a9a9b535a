"""The commands that set results beside each other: tables of differences, and plots."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from beir_hybrid.cli.evaluate import Measures, chosen
from beir_hybrid.cli.shared import Json, console, print_json
from beir_hybrid.errors import BadOption, lookup
from beir_hybrid.files import atomic_file

if TYPE_CHECKING:
    from collections.abc import Callable

    from beir_hybrid.results.compare import By
    from beir_hybrid.results.results import Results
    from beir_hybrid.results.statistics import Test

_BY, _TESTS = ("kind", "setting"), ("randomisation", "t")
_SUFFIXES = {".txt": "table", ".md": "markdown", ".tex": "latex", ".csv": "csv", ".json": "json"}
_PLOTS = ("matrix", "bias", "scatter", "languages")

Folders = Annotated[
    list[Path], typer.Argument(help="Folders that `evaluate --output` made.", metavar="RESULTS...")
]
Baseline = Annotated[
    str | None,
    typer.Option(help="A model or folder of these to compare with; the first by default."),
]
WayBy = Annotated[
    str,
    typer.Option(
        "--by", help="kind, or setting: every pair of languages.", autocompletion=lambda: _BY
    ),
]
WhichTest = Annotated[
    str, typer.Option("--test", help="randomisation, or t.", autocompletion=lambda: _TESTS)
]
Format = Annotated[
    str | None,
    typer.Option(
        "--format",
        help="table, markdown, latex, csv or json; by default what FILE's name says, or table.",
        autocompletion=lambda: [*_SUFFIXES.values()],
    ),
]
Target = Annotated[
    Path | None, typer.Option(help="Write a file, and not to the screen.", metavar="FILE")
]
WhichPlot = Annotated[
    str,
    typer.Argument(
        help="matrix, bias, scatter or languages.", metavar="PLOT", autocompletion=lambda: _PLOTS
    ),
]
Picture = Annotated[
    Path, typer.Option("--output", help="An .svg, .png or .pdf to write.", metavar="FILE")
]
OneMeasure = Annotated[str, typer.Option(help="A measure of the results.", metavar="NAME")]
BiasMeasure = Annotated[
    str | None,
    typer.Option(help="Of scatter: what lies across; RankDistance by default.", metavar="NAME"),
]
OneTarget = Annotated[
    bool,
    typer.Option("--one-target", help="Of matrix: without other languages' relevant passages."),
]


def read(folders: list[Path]) -> dict[str, "Results"]:
    """Read results, by their models' names, or by their folders where those are not distinct."""
    from beir_hybrid.results.results import Results

    seen: set[Path] = set()
    for folder in folders:
        if folder.resolve() in seen:
            raise BadOption(f"{folder} is named twice")
        seen.add(folder.resolve())
    results = [Results.load(folder) for folder in folders]
    names = [one.model for one in results]
    if len(set(names)) < len(names):
        names = [str(folder) for folder in folders]
    return dict(zip(names, results, strict=True))


def compare(
    results: Folders,
    baseline: Baseline = None,
    by: WayBy = "kind",
    measures: Measures = None,
    test: WhichTest = "randomisation",
    form: Format = None,
    output: Target = None,
    as_json: Json = False,
) -> None:
    """Compare systems on the same data, question by question, with the first or with --baseline.

    Differences come with 95% intervals, p after Holm's correction, and effect sizes; systems that
    cannot be told apart share a rank.

    Examples
    --------
    `beir-hybrid compare e5 bge --measures "AP R@1"`

    `beir-hybrid compare hybrid x-y x-x-mono --baseline x-y --output table.tex`
    """
    from beir_hybrid.report.compared import compared
    from beir_hybrid.report.tables import FORMATS, as_record, terminal

    suffix = _SUFFIXES.get(output.suffix.lower(), "table") if output else "table"
    write = lookup("format", form or suffix, FORMATS)
    if as_json and form not in (None, "json") and output is None:
        raise BadOption(f"name --json or --format {form}, not both")
    if len(results) < 2:  # noqa: PLR2004 - to compare is to have two
        raise BadOption("compare takes two folders of results or more")
    systems = read(results)
    known = dict(zip(map(str, results), systems, strict=True)) | {name: name for name in systems}
    found = compared(
        systems,
        baseline=None if baseline is None else lookup("system", baseline, known),
        by=cast("By", by),
        test=cast("Test", test),
        **chosen(measures),
    )
    if output is not None:
        with atomic_file(output) as temporary:
            temporary.write_text(write(found), "utf-8")
    if as_json:
        print_json(as_record(found))
    elif output is None and write is FORMATS["table"]:
        console().print(terminal(found))
    elif output is None:
        typer.echo(write(found), nl=False)
    if output is not None:
        typer.echo(f"saved in {output}")


def plot(
    kind: WhichPlot,
    results: Folders,
    output: Picture,
    measure: OneMeasure = "AP",
    bias: BiasMeasure = None,
    one_target: OneTarget = False,
) -> None:
    """Draw results: a matrix of languages, bias, effectiveness against bias, or bars by language.

    A matrix of two results is of what the first gains on the second.

    Examples
    --------
    `beir-hybrid plot matrix e5 --output e5.svg`

    `beir-hybrid plot scatter e5 bge bm25 --output bias.pdf`
    """
    from beir_hybrid.report import plots

    draw: dict[str, tuple[int, Callable[..., Any]]] = {
        "matrix": (2, lambda *of: plots.matrix(of[0], measure, one_target=one_target,
                                               less=of[1] if of[1:] else None)),
        "bias": (1, plots.bias),
        "scatter": (1000, lambda *_: plots.scatter(systems, measure, bias or "RankDistance")),
        "languages": (1, lambda of: plots.languages(of, measure)),
    }  # fmt: skip
    most, drawn = lookup("plot", kind, draw)
    if len(results) > most:
        raise BadOption(
            f"{kind} takes {most} folder{'s' * (most > 1)} of results, not {len(results)}"
        )
    for name, given, taker in (("bias", bias, "scatter"), ("one-target", one_target, "matrix")):
        if given and kind != taker:
            raise BadOption(f"--{name} is an option of {taker}")
    plots.plot_suffix(output)
    systems = read(results)
    plots.write(drawn(*systems.values()), output)
    typer.echo(f"saved in {output}")
