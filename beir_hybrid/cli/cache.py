"""Commands about the cache: list it, prune it."""

from dataclasses import asdict
from typing import Annotated

import typer

from beir_hybrid.cli.printing import Json, echo, print_json, print_table
from beir_hybrid.errors import BadOption, lookup
from beir_hybrid.extras.cache import KINDS, CacheEntry, list_cache, remove_entry
from beir_hybrid.files import cache_folder
from beir_hybrid.text import plural

_KINDS = ", ".join(KINDS)
KindNames = Annotated[
    list[str] | None,
    typer.Argument(
        help=f"Only these: {_KINDS}. Default: all.",
        metavar="KIND",
        autocompletion=lambda: list(KINDS),
    ),
]
Age = Annotated[
    float, typer.Option("--older-than", help="Days without use; 0 takes all.", metavar="DAYS")
]
Consent = Annotated[bool, typer.Option("--yes", help="Remove them; without this nothing is.")]

cache = typer.Typer(
    help="List and prune the cache.", no_args_is_help=True, rich_markup_mode="markdown"
)


@cache.command("list")
def list_entries(as_json: Json = False) -> None:
    """List the vectors, datasets and downloads of the cache, with their sizes and ages.

    Example: `beir-hybrid cache list`
    """
    entries = list_cache()
    if as_json:
        print_json([_describe(entry) for entry in entries])
        return
    _print_entries(entries)
    echo(f"{_sum_sizes(entries)}, in {cache_folder()}")


@cache.command()
def prune(
    kinds: KindNames = None,
    older_than: Age = 30,
    yes: Consent = False,
    as_json: Json = False,
) -> None:
    """Remove entries that were not used for a time; all can be made or fetched again.

    Examples
    --------
    `beir-hybrid cache prune`

    `beir-hybrid cache prune embeddings --older-than 7 --yes`
    """
    if older_than < 0:
        raise BadOption(f"--older-than is a number of days, not {older_than:g}")
    chosen_kinds = [kind for kind in kinds or KINDS if lookup("kind", kind, KINDS)]
    entries = [
        entry for entry in list_cache() if entry.kind in chosen_kinds and entry.age >= older_than
    ]
    for entry in entries if yes else ():
        remove_entry(entry)
    if as_json:
        print_json({"removed": yes, "entries": [_describe(entry) for entry in entries]})
        return
    _print_entries(entries)
    if yes:
        echo(f"removed {_sum_sizes(entries)}")
    elif entries:
        echo(f"--yes removes these {_sum_sizes(entries)}; nothing was removed")
    else:
        echo(f"nothing was unused for {older_than:g} days")


def _describe(entry: CacheEntry) -> dict[str, object]:
    return asdict(entry) | {"path": str(entry.path), "age": round(entry.age, 2)}


def _print_entries(entries: list[CacheEntry]) -> None:
    if entries:
        rows = [
            [entry.kind, entry.name, f"{entry.size / 1e6:,.1f}", f"{entry.age:.0f}"]
            for entry in entries
        ]
        print_table(["kind", "what", "MB", "days unused"], rows)


def _sum_sizes(entries: list[CacheEntry]) -> str:
    size = sum(entry.size for entry in entries) / 1e6
    return f"{plural(len(entries), 'parts')}, {size:,.1f} MB"
