"""The commands that write training groups in layouts of other tools, and read these."""

from pathlib import Path
from typing import Annotated

import typer

from beir_hybrid.cli.curation import GroupsOutput, Pairs, show_record
from beir_hybrid.cli.printing import Json


def export_rows(
    pairs: Pairs,
    output: GroupsOutput,
    layout: Annotated[
        str,
        typer.Option(
            "--to", help="flag-embedding, tevatron or sentence-transformers.", metavar="LAYOUT"
        ),
    ],
    cross: Annotated[
        bool, typer.Option("--cross", help="Also write rows of two languages.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Write training groups in the layout of another tool, a row for each language of a group.

    Example: `beir-hybrid export-pairs mined.jsonl --to tevatron --output tevatron.jsonl`
    """
    from beir_hybrid.curation.conversion import export_pairs

    record = export_pairs(pairs, output, layout, crosses_languages=cross)
    show_record(record, output, as_json=as_json)


def import_rows(
    source: Annotated[
        Path,
        typer.Argument(
            help="JSON lines of FlagEmbedding, Tevatron or sentence-transformers.", metavar="FILE"
        ),
    ],
    output: GroupsOutput,
    language: Annotated[
        str, typer.Option("--language", help="The language of the texts.", metavar="LANG")
    ],
    as_json: Json = False,
) -> None:
    """Write another tool's training data as groups.

    Example: `beir-hybrid import-pairs msmarco.jsonl --language en --output groups.jsonl`
    """
    from beir_hybrid.curation.conversion import import_pairs

    show_record(import_pairs(source, output, language), output, as_json=as_json)
