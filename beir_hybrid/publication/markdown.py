"""Parts of cards in Markdown, from texts that anybody may have chosen."""

from collections.abc import Sequence

from beir_hybrid.report.formats import escape_markdown
from beir_hybrid.results.local_paths import hide_path
from beir_hybrid.results.render import build_cells, format_interval, list_notes
from beir_hybrid.results.results import Results
from beir_hybrid.text import escape_unprintable


def show_text(text: str) -> str:
    """Return an untrusted text as one line that Markdown shows unchanged, without local folders."""
    return escape_markdown(escape_unprintable(hide_path(text)))


def write_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table whose first column holds words and all others figures."""
    alignment = [":--", *["--:"] * (len(headings) - 1)]
    lines = [
        list(map(show_text, headings)),
        alignment,
        *(list(map(show_text, row)) for row in rows),
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def describe_scores(results: Results) -> str:
    """Return the averages of results as a table with intervals, and the notes that belong to it."""
    headings, rows = build_cells(results, format_interval)
    pools = [pool.describe() for pool in results.pools.values()]
    notes = [note for note in (*list_notes(results), *pools) if note]
    lines = "\n".join(f"- {show_text(note)}" for note in notes)
    return "\n\n".join(part for part in (write_table(headings, rows), lines) if part)


def fence(lines: Sequence[str]) -> str:
    """Return lines of code in a block that they cannot end."""
    text = "\n".join(escape_unprintable(line) for line in lines)
    ticks = "```"
    while ticks in text:
        ticks += "`"
    return f"{ticks}sh\n{text}\n{ticks}"
