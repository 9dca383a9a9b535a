"""Convert training groups into the layouts of other tools, and their files into groups."""

from collections import Counter
from pathlib import Path
from typing import TextIO

from beir_hybrid.collection import Collection
from beir_hybrid.collection.lines import read_json_lines
from beir_hybrid.curation.layouts import LAYOUTS, Layout, make_groups, split_group
from beir_hybrid.curation.steps import Counts, StepRecord, run_step
from beir_hybrid.curation.text_groups import read_groups, write_row
from beir_hybrid.errors import BadData, BadOption, lookup
from beir_hybrid.files import atomic_file, check_writable, file_lock, is_file
from beir_hybrid.integrity import record_file
from beir_hybrid.languages import normalise
from beir_hybrid.pairs.collection_groups import group_queries


def export_pairs(
    pairs: str | Path, output: str | Path, layout: str, *, crosses_languages: bool = False
) -> StepRecord:
    """Write the groups of a file in the layout of another tool.

    A group becomes a row for each language that it has query and passage in, with the hard
    negatives of that language. Groups without such a language are counted.

    Parameters
    ----------
    pairs
        A file of groups, as `read_pairs` reads it.
    output
        The file to write, ``.jsonl``.
    layout
        ``flag-embedding``, ``tevatron`` or ``sentence-transformers``.
    crosses_languages
        Whether a group has rows for queries and passages in different languages, too.
    """
    target = lookup("layout", layout, LAYOUTS)
    path = Path(pairs)
    if target is LAYOUTS["sentence-transformers"]:
        _check_negatives(path, crosses_languages=crosses_languages)

    def write(rows: TextIO, dropped: TextIO) -> Counts:
        counts: Counter[str] = Counter()
        for group in read_groups(path):
            counts["groups"] += 1
            n_rows = 0
            for row in split_group(group, crosses_languages=crosses_languages):
                write_row(rows, target.write(row))
                n_rows += 1
            counts["rows"] += n_rows
            counts["dropped"] += not n_rows
            if not n_rows:
                write_row(dropped, {"id": group.id, "reason": "no language of both"})
        return {name: counts[name] for name in ("groups", "rows", "dropped")}

    options = {"layout": layout, "crosses languages": crosses_languages}
    return run_step("export", path, Path(output), options, write)


def import_pairs(source: str | Path, output: str | Path, language: str) -> StepRecord:
    """Write the rows of another tool's file as groups; the first row tells the layout.

    Parameters
    ----------
    source
        A file of JSON lines of FlagEmbedding, Tevatron or sentence-transformers. Titles become the
        beginning of passages.
    output
        The file to write, ``.jsonl``.
    language
        The language of its texts.
    """
    path, lang = Path(source), normalise(language)
    layout = _find_layout(path)

    def write(groups: TextIO, dropped: TextIO) -> Counts:
        counts = {"rows": 0, "groups": 0, "dropped": 0}
        for number, row in read_json_lines(path):
            counts["rows"] += 1
            plain = layout.read(row, str(number), f"{path} line {number}")
            n_groups = 0
            for group in make_groups(plain, lang):
                write_row(groups, group.to_row())
                n_groups += 1
            counts["groups"] += n_groups
            if not n_groups:
                counts["dropped"] += 1
                reason = "no positive" if plain.query.strip() else "no query"
                write_row(dropped, {"id": plain.id, "reason": reason, "row": row})
        return {**counts}

    return run_step("import", path, Path(output), {"language": lang}, write)


def export_groups(collection: Collection, output: str | Path) -> int:
    """Write the queries of a collection with their relevant passages as groups for training.

    Returns how many groups there are. A file that is there already is replaced only by its equal.

    Parameters
    ----------
    collection
        A collection without images.
    output
        The file to write, ``.jsonl``.
    """
    path = Path(output)
    if collection.has_images:
        raise BadOption(f"{collection.name} has images, which groups of texts cannot hold")
    if path.suffix != ".jsonl":
        raise BadOption(f"the output is {path}; its name must end in .jsonl")
    check_writable(path)
    groups = group_queries(collection, None).groups
    with file_lock(path), atomic_file(path) as temporary:
        with temporary.open("w", encoding="utf-8") as file:
            for group in groups:
                write_row(file, group)
        if is_file(path) and record_file(path) != record_file(temporary):
            raise BadOption(f"{path} is there, and has other groups; remove it, or name another")
    return len(groups)


def _find_layout(path: Path) -> Layout:
    """Return the layout of a file by the keys of its first row."""
    row = next((row for _, row in read_json_lines(path)), {})
    for layout in LAYOUTS.values():
        if layout.key in row:
            return layout
    keys = ", ".join(f"{layout.key!r} ({name})" for name, layout in LAYOUTS.items())
    raise BadData(f"{path} is in no layout that is known here: its first row has none of {keys}")


def _check_negatives(path: Path, *, crosses_languages: bool) -> None:
    """Raise `BadOption` unless all rows have as many negatives: each is a column of a table."""
    counts = {
        len(row.negatives)
        for group in read_groups(path)
        for row in split_group(group, crosses_languages=crosses_languages)
    }
    if len(counts) > 1:
        raise BadOption(
            f"{path} has passages with {min(counts)} hard negatives and with {max(counts)}; rows "
            "of sentence-transformers have as many each: mine again, or choose another layout"
        )
