"""The command that prints the commands that reproduce results."""

from pathlib import Path
from typing import Annotated

import typer

from beir_hybrid.cli.printing import echo

Folder = Annotated[Path, typer.Argument(help="A folder of results.", metavar="RESULTS")]
Output = Annotated[
    Path, typer.Option(help="The folder into which the commands write.", metavar="DIR")
]
Hits = Annotated[
    int | None,
    typer.Option(help="Passages to search for; by default as many as the measures need."),
]


def reproduce(results: Folder, output: Output = Path("reproduced"), hits: Hits = None) -> None:
    """Print the commands that reproduce results: fetch, index, search, score.

    `index` encodes, each text once. Pyserini searches. Measures that need more passages than it
    returns are left to `beir-hybrid evaluate`.

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
    saved_results = Results.load(results)
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
