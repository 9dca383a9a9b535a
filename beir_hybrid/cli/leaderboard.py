"""The command that makes pages of results."""

from pathlib import Path
from typing import Annotated

import typer

Results = Annotated[
    list[Path],
    typer.Argument(
        help="Folders of results, folders that hold some, or result files of mteb's.",
        metavar="RESULTS...",
    ),
]
Site = Annotated[
    Path, typer.Option(help="The folder to write; an earlier leaderboard is replaced.")
]


def leaderboard(results: Results, output: Site) -> None:
    """Make a leaderboard of results: pages that open from disk and load nothing from elsewhere.

    Results are what `evaluate --output` and `ablate --output` write. A TREC run becomes results by
    `beir-hybrid evaluate --run FILE --dataset NAME --output DIR`.

    Examples
    --------
    `beir-hybrid leaderboard e5-small labse --output site`

    `beir-hybrid leaderboard ablation --output site`
    """
    from beir_hybrid.report.site import leaderboard as make

    typer.echo(f"open {make(results, output)}")
