"""The command that prints how to make results again."""

from pathlib import Path
from typing import Annotated

import typer

Folder = Annotated[Path, typer.Argument(help="A folder of results.", metavar="RESULTS")]
Output = Annotated[Path, typer.Option(help="The folder for what the commands make.", metavar="DIR")]
Hits = Annotated[
    int | None,
    typer.Option(
        help="Passages to search for; by default as many as measures look at, where that can be."
    ),
]


def reproduce(results: Folder, output: Output = Path("reproduced"), hits: Hits = None) -> None:
    """Print the commands that make results again: fetch, index, search, score.

    `index` encodes, each text once. Pyserini searches. Measures that look further than the passages
    it returns are left to `beir-hybrid evaluate`.

    Examples
    --------
    `beir-hybrid reproduce e5-small`

    `beir-hybrid reproduce e5-small --hits 5000 > again.sh`
    """
    from beir_hybrid.pyserini.topics import check_topics_folder
    from beir_hybrid.report.reproduce import reproduce_commands
    from beir_hybrid.results.machine import list_versions
    from beir_hybrid.results.results import Results

    check_topics_folder(output)
    found = Results.load(results)
    for line in reproduce_commands(found, folder=output, hits=hits):
        typer.echo(line)
    now, then = list_versions(), found.provenance.versions
    other = [f"{name} {then[name]}" for name in then if then[name] != now.get(name)]
    if other:
        typer.echo(f"note: these were made with {', '.join(other)}", err=True)
