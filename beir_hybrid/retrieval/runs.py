"""Rankings in, TREC run files out; and back, with the same scores."""

import gzip
import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BufferedWriter
from pathlib import Path

import numpy as np
import pyarrow as pa

from beir_hybrid.collection import View
from beir_hybrid.collection.arrays import to_arrow
from beir_hybrid.collection.collection import Prefixes
from beir_hybrid.collection.lines import read_lines
from beir_hybrid.errors import BadData, BadOption
from beir_hybrid.files import atomic_file
from beir_hybrid.retrieval.rank import Best

Run = dict[str, dict[str, float]]
Rows = Iterable[tuple[str, Iterable[tuple[str, float]]]]

_COLUMNS = 6  # query, Q0, document, rank, score, tag
_BATCH = 256  # queries whose documents' ids are looked up together


def best_to_run(
    best: Best, query_ids: Sequence[str], passage_ids: Sequence[str] | pa.ChunkedArray
) -> Iterator[tuple[str, list[tuple[str, float]]]]:
    """Yield each query's id and its best passages' ids and scores, best first.

    Parameters
    ----------
    best
        Rows of -1 are past the last passage.
    query_ids
        An id for each row of `best`.
    passage_ids
        The ids of all passages that were ranked: what the row numbers in `best` count.
    """
    for start in range(0, len(best.rows), _BATCH):
        rows = best.rows[start : start + _BATCH]
        there = (rows >= 0).sum(axis=1).tolist()
        distinct, places = np.unique(np.maximum(rows, 0), return_inverse=True)
        if isinstance(passage_ids, pa.ChunkedArray):
            names = passage_ids.take(to_arrow(distinct)).to_pylist()
        else:
            names = [passage_ids[row] for row in distinct.tolist()]
        for offset, at in enumerate(places.reshape(rows.shape)):
            scores = best.scores[start + offset].tolist()
            yield (
                query_ids[start + offset],
                [
                    (names[place], score)
                    for place, score in zip(
                        at[: there[offset]].tolist(), scores[: there[offset]], strict=True
                    )
                ],
            )


def write_run(
    path: str | Path,
    run: Rows | Mapping[str, Mapping[str, float]],
    tag: str = "beir-hybrid",
    *,
    view: View | None = None,
) -> Path:
    """Write a run as TREC lays it out, gzipped if the name ends in ``.gz``.

    Documents stand in trec_eval's order: by their scores as float32, ties by descending id. A
    score is the shortest decimal that reads back to the same float32.

    Parameters
    ----------
    run
        Each query's id and its documents' ids and scores, in any order; one query at a time is
        held in memory.
    view
        The setting that was ranked: where its origin had ids of its own, those are written.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> path = write_run(Path(mkdtemp()) / "run.trec", {"q1": {"d1": 0.5, "d2": 0.75}})
    >>> print(path.read_text(), end="")
    q1 Q0 d2 1 0.75 beir-hybrid
    q1 Q0 d1 2 0.5 beir-hybrid
    >>> read_run(path)
    {'q1': {'d2': 0.75, 'd1': 0.5}}
    """
    path, cut = Path(path), view.prefixes if view else Prefixes()
    if tag.split() != [tag]:
        raise BadOption(f"the tag {tag!r} must be one word")
    seen: set[str] = set()
    with atomic_file(path) as temporary, _written(temporary, packed=path.suffix == ".gz") as file:
        for query, found in run.items() if isinstance(run, Mapping) else run:
            if query in seen:
                raise BadData(f"the run holds query {query!r} twice")
            seen.add(query)
            pairs = list(found.items() if isinstance(found, Mapping) else found)
            name = _word("query", query.removeprefix(cut.queries))
            lines = [
                f"{name} Q0 {_word('document', key.removeprefix(cut.passages))} {rank} {score} "
                f"{tag}\n"
                for rank, (key, score) in enumerate(_ordered(query, pairs), start=1)
            ]
            file.write("".join(lines).encode())
    return path


def _ordered(query: str, pairs: list[tuple[str, float]]) -> Iterator[tuple[str, str]]:
    """Yield documents and their scores as text, best first."""
    ids = [key for key, _ in pairs]
    if len(set(ids)) < len(ids):
        twice = next(key for key in ids if ids.count(key) > 1)
        raise BadData(f"the run holds document {twice!r} twice for query {query!r}")
    with np.errstate(over="ignore"):
        scores = np.array([score for _, score in pairs], dtype=np.float32)
    if not np.isfinite(scores).all():
        bad = pairs[int(np.flatnonzero(~np.isfinite(scores))[0])]
        raise BadData(f"query {query!r}: document {bad[0]!r} has the score {bad[1]}, no float32")
    texts, numbers = scores.astype(str), scores.tolist()
    for at in sorted(range(len(ids)), key=lambda at: (numbers[at], ids[at]), reverse=True):
        yield ids[at], str(texts[at])


def _word(kind: str, key: str) -> str:
    if key.split() != [key]:
        raise BadData(f"the {kind} id {key!r} is empty or holds white space: no run file takes it")
    return key


@contextmanager
def _written(path: Path, *, packed: bool) -> Iterator[BufferedWriter | gzip.GzipFile]:
    with path.open("wb") as file:
        if not packed:
            yield file
            return
        # Neither a name nor a time in it: equal runs make equal files.
        with gzip.GzipFile("", "wb", fileobj=file, mtime=0) as pack:
            yield pack


def read_run(
    path: str | Path,
    *,
    view: View | None = None,
    known_documents: Collection[str] | None = None,
    known_queries: Collection[str] | None = None,
) -> Run:
    """Read a TREC run file, plain or gzipped: each query's documents and their scores.

    Queries and documents stand in the order of the file; its ranks do not count, as they do not
    for trec_eval. Scores are the numbers in the file, in double precision: those of `write_run`
    equal the written ones as float32, and order documents as they did.

    Parameters
    ----------
    view
        The setting that the run is for: where its origin had ids of its own, the file may hold
        those, or ours if `known_documents` and `known_queries` tell them apart.
    known_documents, known_queries
        All ids that the run may name (sets, or mappings with them as keys).
    """
    path, before = Path(path), view.prefixes if view else Prefixes()
    queries = _Ids("queries", before.queries, known_queries)
    documents = _Ids("documents", before.passages, known_documents)
    run: Run = {}
    for number, line in read_lines(path):
        if line.isspace():
            continue
        where = f"{path} line {number}"
        parts = line.split()
        if len(parts) != _COLUMNS:
            raise BadData(f"{where} has {len(parts)} columns; a run has {_COLUMNS}")
        query = queries.get(parts[0], number, where)
        document = documents.get(parts[2], number, where)
        score = _number(parts[4], where)
        found = run.setdefault(query, {})
        if document in found:
            raise BadData(f"{where}: document {document!r} is there twice for query {query!r}")
        found[document] = score
    for ids in (queries, documents):
        ids.check(path)
    return run


class _Ids:
    """The ids of one column: bytes to ours, each held once, and which of them are unknown."""

    def __init__(self, kind: str, prefix: str, known: Collection[str] | None) -> None:
        self.kind, self.prefix, self.known = kind, prefix, known
        self.ours: dict[bytes, str] = {}
        self.unknown: dict[str, int] = {}  # and the line where each occurs first

    def get(self, raw: bytes, number: int, where: str) -> str:
        if raw in self.ours:
            return self.ours[raw]
        try:
            key = raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise BadData(f"{where} is not UTF-8: {error}") from error
        mine = self.prefix + key
        if self.known is not None and mine not in self.known:
            mine = key
            if key not in self.known:
                self.unknown[key] = number
        self.ours[raw] = mine
        return mine

    def check(self, path: Path) -> None:
        if self.unknown:
            first, line = next(iter(self.unknown.items()))
            raise BadData(
                f"{path} names {len(self.unknown):,} {self.kind} that are not there, "
                f"first {first!r} in line {line}"
            )


def _number(raw: bytes, where: str) -> float:
    try:
        score = float(raw)
    except ValueError:
        score = math.nan
    if math.isnan(score):
        raise BadData(f"{where}: the score {raw.decode(errors='replace')!r} is no number")
    return score
