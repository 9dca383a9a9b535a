"""Commands that compare results: tables of differences, and plots."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from beir_hybrid.cli.options import Measures, parse_measure_names
from beir_hybrid.cli.printing import Json, echo, make_console, print_json
from beir_hybrid.errors import BadOption, lookup
from beir_hybrid.files import atomic_file

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.figure import Figure

    from beir_hybrid.results.compare import By as Grouping
    from beir_hybrid.results.results import Results
    from beir_hybrid.results.statistics import Test as TestName

_GROUPINGS, _TESTS = ("kind", "setting"), ("randomisation", "t")
_PLOTS = ("matrix", "bias", "scatter", "languages")


def list_formats() -> list[str]:
    """Return the names of the formats of a comparison."""
    from beir_hybrid.report.formats import FORMATS

    return list(FORMATS)


Folders = Annotated[
    list[Path], typer.Argument(help="Folders that `evaluate --output` made.", metavar="RESULTS")
]
Baseline = Annotated[
    str | None,
    typer.Option(help="The model or folder to compare the others with; the first by default."),
]
By = Annotated[
    str,
    typer.Option(
        "--by",
        help="kind (one row for each kind) or setting (one for each pair of languages).",
        autocompletion=lambda: _GROUPINGS,
    ),
]
Test = Annotated[
    str,
    typer.Option(
        "--test",
        help="Significance test: randomisation or t (paired t-test).",
        autocompletion=lambda: _TESTS,
    ),
]
Format = Annotated[
    str | None,
    typer.Option(
        "--format",
        help="table, markdown, latex, csv or json; by default by FILE's ending, or table.",
        autocompletion=list_formats,
    ),
]
TableFile = Annotated[
    Path | None, typer.Option(help="Write a file instead of printing.", metavar="FILE")
]
PlotKind = Annotated[
    str,
    typer.Argument(
        help="matrix, bias, scatter or languages.", metavar="PLOT", autocompletion=lambda: _PLOTS
    ),
]
PlotFile = Annotated[
    Path, typer.Option("--output", help="An .svg, .png or .pdf to write.", metavar="FILE")
]
PlotMeasure = Annotated[
    str | None,
    typer.Option(help="A measure of the results; AP by default. Not of bias.", metavar="NAME"),
]
BiasMeasure = Annotated[
    str | None,
    typer.Option(
        help="Of scatter: the measure of the x axis; RankDistance by default.", metavar="NAME"
    ),
]
OneTarget = Annotated[
    bool,
    typer.Option("--one-target", help="Of matrix: without relevant passages in other languages."),
]


def read_results(folders: list[Path]) -> dict[str, "Results"]:
    """Read results, by their models' names, or by their folders if the names are not unique."""
    from beir_hybrid.results.results import Results

    paths: set[Path] = set()
    for folder in folders:
        if folder.resolve() in paths:
            raise BadOption(f"{folder} is named twice")
        paths.add(folder.resolve())
    results = [Results.load(folder) for folder in folders]
    candidates = (
        [system.model for system in results],
        [folder.name for folder in folders],
        [str(folder) for folder in folders],
    )
    unique = (
        names
        for names in candidates
        if len(set(names)) == len(names) and all(name.strip(".") for name in names)
    )
    return dict(zip(next(unique, candidates[-1]), results, strict=True))


def compare(
    results: Folders,
    baseline: Baseline = None,
    by: By = "kind",
    measures: Measures = None,
    test: Test = "randomisation",
    form: Format = None,
    output: TableFile = None,
    as_json: Json = False,
) -> None:
    """Compare systems on the same data, query by query, with the first or with --baseline.

    Differences come with 95% intervals, p-values with Holm's correction, and effect sizes; systems
    that the test does not tell apart share a rank.

    Examples
    --------
    `beir-hybrid compare e5 bge --measures "AP R@1"`

    `beir-hybrid compare hybrid x-y x-x-mono --baseline x-y --output table.tex`
    """
    from beir_hybrid.report.comparison_tables import build_comparison_record
    from beir_hybrid.report.formats import FORMATS, render_terminal
    from beir_hybrid.report.system_comparison import compare_systems

    file_format = _find_format(output)
    name = form or file_format
    write = lookup("format", name, FORMATS).write
    if as_json and form not in (None, "json") and output is None:
        raise BadOption(f"name --json or --format {form}, not both")
    if len(results) < 2:  # noqa: PLR2004 - a comparison takes two
        raise BadOption("compare takes two folders of results or more")
    systems = read_results(results)
    aliases = dict(zip(map(str, results), systems, strict=True)) | {name: name for name in systems}
    comparison = compare_systems(
        systems,
        baseline=None if baseline is None else lookup("system", baseline, aliases),
        by=cast("Grouping", by),
        test=cast("TestName", test),
        **parse_measure_names(measures),
    )
    if output is not None:
        with atomic_file(output) as temporary:
            temporary.write_text(write(comparison), "utf-8")
        echo(f"saved in {output}")
    if as_json:
        print_json(build_comparison_record(comparison))
    elif output is None and name == "table":
        make_console().print(render_terminal(comparison))
    elif output is None:
        echo(write(comparison), nl=False)


def _find_format(output: Path | None) -> str:
    """Return the name of the format that a file's ending says; by default the table's.

    Raises `BadOption` for a file of others.
    """
    from beir_hybrid.report.formats import FORMATS, check_table_file

    if output is not None:
        check_table_file(output)
    suffix = output.suffix.lower() if output else ""
    return next((name for name, form in FORMATS.items() if form.suffix == suffix), "table")


def plot(
    kind: PlotKind,
    results: Folders,
    output: PlotFile,
    measure: PlotMeasure = None,
    bias: BiasMeasure = None,
    one_target: OneTarget = False,
) -> None:
    """Plot results: a matrix of languages, bias, effectiveness against bias, or bars by language.

    A matrix of two results shows the first minus the second.

    Examples
    --------
    `beir-hybrid plot matrix e5 --output e5.svg`

    `beir-hybrid plot scatter e5 bge bm25 --output bias.pdf`
    """
    from beir_hybrid.report.figures import check_suffix, write_figure
    from beir_hybrid.report.plots import plot_bias, plot_languages, plot_matrix
    from beir_hybrid.report.scatter import plot_scatter

    if measure and kind == "bias":
        raise BadOption("bias shows the measures of bias; leave --measure out")
    name = measure or "AP"

    def draw_matrix(first: "Results", second: "Results | None" = None) -> "Figure":
        return plot_matrix(first, name, one_target=one_target, less=second)

    def draw_scatter(*_: "Results") -> "Figure":
        return plot_scatter(systems, name, bias or "RankDistance")

    plots: dict[str, tuple[int, Callable[..., Figure]]] = {
        "matrix": (2, draw_matrix),
        "bias": (1, plot_bias),
        "scatter": (1000, draw_scatter),
        "languages": (1, lambda results: plot_languages(results, name)),
    }
    limit, draw = lookup("plot", kind, plots)
    if len(results) > limit:
        raise BadOption(
            f"{kind} takes {limit} folder{'s' * (limit > 1)} of results, not {len(results)}"
        )
    for option, value, owner in (("bias", bias, "scatter"), ("one-target", one_target, "matrix")):
        if value and kind != owner:
            raise BadOption(f"--{option} is an option of {owner}")
    check_suffix(output)
    systems = read_results(results)
    write_figure(draw(*systems.values()), output)
    echo(f"saved in {output}")
