"""The first passages of some queries, read from saved runs without reading the runs."""

import mmap
from collections.abc import Iterable
from pathlib import Path

from beir_hybrid.report.plain_files import is_plain_file
from beir_hybrid.retrieval.runs import verify_run

TOP = 3  # passages of a query
_TAG = b"beir-hybrid"  # of our own runs, where a query's lines lie together, best first
_COLUMNS = 6  # of a TREC run


def read_top_passages(
    folder: Path, queries: Iterable[tuple[str, str, str]]
) -> dict[tuple[str, str], list[str]]:
    """Return the first passages of queries, by the setting's passages and the query's id.

    Parameters
    ----------
    folder
        Holds runs as an evaluation names them, such as ``en-all.trec``.
    queries
        The two sides of a setting and a query's id. Queries that no run holds are left out.
    """
    ids: dict[tuple[str, str], list[str]] = {}
    for language, passages, query in queries:
        ids.setdefault((language, passages), []).append(query)
    rankings: dict[tuple[str, str], list[str]] = {}
    for (language, passages), names in ids.items():
        path = folder / f"{language}-{passages}.trec"
        if is_plain_file(path) and path.stat().st_size:
            verify_run(path)
            top = _search_run(path, names)
            rankings |= {(passages, query): ranking for query, ranking in top.items()}
    return rankings


def _search_run(path: Path, queries: Iterable[str]) -> dict[str, list[str]]:
    rankings: dict[str, list[str]] = {}
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
        for query in queries:
            prefix = f"{query} ".encode()
            position = 0 if text[: len(prefix)] == prefix else text.find(b"\n" + prefix, 0) + 1
            if position == 0 and text[: len(prefix)] != prefix:
                continue
            text.seek(position)
            lines = [text.readline().split() for _ in range(TOP)]
            rankings[query] = [
                words[2].decode("utf-8", "replace")
                for words in lines
                if len(words) == _COLUMNS and words[0] == query.encode() and words[5] == _TAG
            ]
    return rankings
