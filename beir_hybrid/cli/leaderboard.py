"""The command that makes a leaderboard of results."""

from pathlib import Path
from typing import Annotated

import typer

from beir_hybrid.cli.printing import echo

Results = Annotated[
    list[Path],
    typer.Argument(
        help="Folders of results, folders of such folders, or result files of mteb.",
        metavar="RESULTS",
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

    `evaluate --output` and `ablate --output` write results. Results below other results are left
    out, unless they are named. For a TREC run use
    `beir-hybrid evaluate --run FILE --dataset NAME --output DIR`.

    Examples
    --------
    `beir-hybrid leaderboard e5-results labse-results --output site`

    `beir-hybrid leaderboard ablation --output site --title "Strategies of training"`
    """
    from beir_hybrid.report.site import leaderboard as make_leaderboard

    page = make_leaderboard(results, output, local_files=local_files, title=title)
    if hidden := _list_hidden_results(results):
        rest = f" and {len(hidden) - 1} more" if hidden[1:] else ""
        echo(f"note: {hidden[0]}{rest} left out: results below other results; name them, too")
    echo(f"open {page}")


def _list_hidden_results(sources: list[Path]) -> list[Path]:
    """List folders of results that lie in folders of results, and are not named themselves."""
    from beir_hybrid.report.entry_files import is_leaderboard
    from beir_hybrid.results.storage import RESULTS, is_results_folder

    roots = {source.resolve() for source in sources}
    folders = {
        path.parent.resolve(): path.parent
        for source in sources
        if source.is_dir()
        for path in sorted(source.rglob(RESULTS))
        if is_results_folder(path.parent) and not any(map(is_leaderboard, path.parents))
    }
    return [
        path
        for folder, path in folders.items()
        # The nearest folder above that is named or holds results decides.
        if folder not in roots
        and next((p for p in folder.parents if p in folders or p in roots), None) in folders
    ]
