"""The command that makes a leaderboard of results."""

from pathlib import Path
from typing import Annotated

import typer

from beir_hybrid.cli.printing import echo

Results = Annotated[
    list[Path],
    typer.Argument(
        help="Folders of results, folders of such folders, or result files of mteb.",
        metavar="RESULTS...",
    ),
]
Site = Annotated[
    Path, typer.Option(help="The folder to write; an earlier leaderboard is replaced.")
]
LocalFiles = Annotated[
    bool,
    typer.Option(
        "--local-files",
        help="Show texts and images of files of this machine that results name, and records of "
        "trainings. Only for results of your own: others may name any file.",
    ),
]


Title = Annotated[str, typer.Option(help="The heading of the first page.", metavar="TEXT")]


def leaderboard(
    results: Results, output: Site, local_files: LocalFiles = False, title: Title = "Leaderboard"
) -> None:
    """Make a leaderboard of results: pages that open from disk and load nothing from elsewhere.

    `evaluate --output` and `ablate --output` write results. For a TREC run use
    `beir-hybrid evaluate --run FILE --dataset NAME --output DIR`.

    Examples
    --------
    `beir-hybrid leaderboard e5-small labse --output site`

    `beir-hybrid leaderboard ablation --output site --title "Strategies of training"`
    """
    from beir_hybrid.report.site import leaderboard as make_leaderboard

    page = make_leaderboard(results, output, local_files=local_files, title=title)
    echo(f"open {page}")
