"""The command that shows all of it, on a small scale and with no network."""

from pathlib import Path
from typing import Annotated

import typer

from beir_hybrid.cli.shared import print_table

Output = Annotated[Path, typer.Option(help="The folder for all that it makes.", metavar="DIR")]


def quickstart(output: Output = Path("quickstart")) -> None:
    """Train three small encoders, judge and compare them, index the best, write the leaderboard.

    Needs no network and about a minute on two cores; a second time it finds everything there.
    Questions and answers in 11 languages are made by rule: a demonstration, and no benchmark.

    Example: `beir-hybrid quickstart`
    """
    from beir_hybrid.extras.demonstration import list_notes, make_table
    from beir_hybrid.extras.demonstration import quickstart as run

    results = run(output)
    print_table(*make_table(results))
    for note in list_notes(results, output):
        typer.echo(note)
