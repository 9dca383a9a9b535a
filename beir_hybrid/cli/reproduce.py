"""The command that prints the commands that reproduce results, or runs and checks them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from beir_hybrid.cli.printing import Json, echo, print_json, print_table
from beir_hybrid.errors import BadOption, NotWritable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from beir_hybrid.report.reproduction_check import CheckedAverage
    from beir_hybrid.results.results import Results

Folder = Annotated[Path, typer.Argument(help="A folder of results.", metavar="RESULTS")]
Output = Annotated[
    Path, typer.Option(help="The folder into which the commands write.", metavar="DIR")
]
Hits = Annotated[
    int | None,
    typer.Option(help="Passages to search for; by default as many as the measures need."),
]


Check = Annotated[
    bool,
    typer.Option(
        "--check",
        help="Run the commands and compare the averages. The results name the model and the files "
        "that are loaded: only for results that you trust.",
    ),
]


def reproduce(
    results: Folder,
    output: Output = Path("reproduced"),
    hits: Hits = None,
    check: Check = False,
    as_json: Json = False,
) -> None:
    """Print the commands that reproduce results: fetch, index, search, score.

    `index` encodes, each text once. Pyserini searches. Measures that need more passages than it
    returns are left to `beir-hybrid evaluate`.

    Examples
    --------
    `beir-hybrid reproduce e5-results`

    `beir-hybrid reproduce e5-results --hits 5000 > again.sh`

    `beir-hybrid reproduce e5-results --check`
    """
    if as_json and not check:
        raise BadOption("--json prints the comparison of --check")
    from beir_hybrid.pyserini.topics import check_topics_folder
    from beir_hybrid.report.reproduce import reproduce_commands
    from beir_hybrid.results.machine import list_versions
    from beir_hybrid.results.results import Results

    check_topics_folder(output)
    saved_results = Results.load(results)
    if check:
        _check_results(results, saved_results, output, hits, as_json=as_json)
        return
    for line in reproduce_commands(saved_results, folder=output, hits=hits):
        echo(line)
    versions, saved_versions = list_versions(), saved_results.provenance.versions
    differences = [
        f"{name} {version}"
        for name, version in saved_versions.items()
        if version != versions.get(name)
    ]
    if differences:
        echo(f"note: these were made with {', '.join(differences)}", err=True)


def _check_results(
    folder: Path, results: "Results", output: Path, hits: int | None, *, as_json: bool
) -> None:
    """Print and keep the outcome of a check; exit with 1 if an average is not reproduced."""
    from beir_hybrid.report.reproduction_check import check_reproduction
    from beir_hybrid.report.reproduction_record import write_reproduction

    rows = check_reproduction(
        results, folder=output, hits=hits, announce=lambda line: echo(line, err=True)
    )
    _print_check(rows, as_json=as_json)
    try:
        write_reproduction(folder, rows)
    except NotWritable as error:  # the outcome counts, kept or not
        echo(f"note: the outcome is not kept: {error}", err=True)
    if any(row.verdict in ("different", "missing") for row in rows):
        raise typer.Exit(1)


def _print_check(rows: "Sequence[CheckedAverage]", *, as_json: bool) -> None:
    from beir_hybrid.report.reproduction_check import CLOSE, EQUAL

    if as_json:
        tolerance = {"equal": EQUAL, "close": CLOSE}
        print_json({"tolerance": tolerance, "averages": [row._asdict() for row in rows]})
        return
    cells = [
        [
            row.measure,
            row.kind,
            f"{row.stored:.6f}",
            "" if row.reproduced is None else f"{row.reproduced:.6f}",
            row.verdict,
        ]
        for row in rows
    ]
    print_table(["measure", "setting", "stored", "reproduced", "verdict"], cells)
    n_equal = sum(row.verdict == "equal" for row in rows)
    n_close = sum(row.verdict == "close" for row in rows)
    echo(
        f"{n_equal} of {len(rows)} averages are equal (to {EQUAL:g}), {n_close} close (to "
        f"{CLOSE:g}, of values above 1 in shares), {len(rows) - n_equal - n_close} different or "
        "missing"
    )
