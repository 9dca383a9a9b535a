"""The command that publishes: a model's card, a dataset of results, files for mteb."""

from pathlib import Path
from typing import Annotated

import typer

from beir_hybrid.cli.printing import Json, echo, print_json

_KINDS = ("model", "results", "mteb")

Kind = Annotated[
    str,
    typer.Argument(help="model, results or mteb.", metavar="KIND", autocompletion=lambda: _KINDS),
]
Results = Annotated[
    list[Path] | None,
    typer.Argument(
        help="Folders that `evaluate --output` made, or folders of these. Without any, the folder "
        "of --output is uploaded as it stands.",
        metavar="RESULTS",
    ),
]
Output = Annotated[Path, typer.Option(help="A new folder to write, or one to upload as it stands.")]
Model = Annotated[
    Path | None,
    typer.Option(help="Of model: a folder with the model, copied beside the card.", metavar="DIR"),
]
Repository = Annotated[
    str | None,
    typer.Option("--repo", help="The name on the hub; a new one is private.", metavar="OWNER/NAME"),
]
Upload = Annotated[
    bool,
    typer.Option("--upload", help="Upload the folder. By default nothing leaves this machine."),
]


def push(
    kind: Kind,
    output: Output,
    results: Results = None,
    model: Model = None,
    repository: Repository = None,
    upload: Upload = False,
    as_json: Json = False,
) -> None:
    """Write a model's card with its scores, a dataset of results, or files for mteb.

    The files are for you to look at and change. Nothing is uploaded without --upload.

    Examples
    --------
    `beir-hybrid push model results/mine --model trained/model --output card`

    `beir-hybrid push results results --output dataset`

    `beir-hybrid push model --output card --repo me/mine --upload`
    """
    from beir_hybrid.publication.push import push as write_and_upload

    paths = write_and_upload(
        kind, results or [], output, model=model, repository=repository, upload=upload
    )
    if as_json:
        files = [{"file": str(path), "bytes": path.stat().st_size} for path in paths]
        print_json({"files": files, "uploaded to": repository if upload else None})
        return
    for path in paths:
        echo(f"{path}  {path.stat().st_size:,} bytes")
    if upload:
        echo(f"uploaded to {repository}")
    else:
        target = repository or "OWNER/NAME"
        echo(
            "nothing is uploaded; to do so: "
            f"beir-hybrid push {kind} --output {output} --repo {target} --upload"
        )
