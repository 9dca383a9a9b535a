"""TREC run files: the ranked documents of each query and their scores, written and read."""

import gzip
import logging
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from io import BufferedWriter
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from beir_hybrid.collection import View
from beir_hybrid.collection.arrays import take_rows
from beir_hybrid.collection.lines import COMMENT, read_lines
from beir_hybrid.collection.view import Prefixes
from beir_hybrid.errors import BadData, BadOption
from beir_hybrid.files import atomic_file, explain_read_errors
from beir_hybrid.integrity import compute_checksum
from beir_hybrid.retrieval.results import TopPassages
from beir_hybrid.retrieval.run_columns import IdColumn, parse_score

Run = dict[str, dict[str, float]]  # query ids to document ids to scores
RunRows = Iterable[tuple[str, Iterable[tuple[str, float]]]]

logger = logging.getLogger(__name__)

TAG = "beir-hybrid"  # in the last column of our runs
_N_COLUMNS = 6  # query, Q0, document, rank, score, tag
_QUERY_CHUNK = 256  # queries whose documents' ids are looked up together


def make_run_rows(
    top: TopPassages, query_ids: Sequence[str], passage_ids: Sequence[str] | pa.ChunkedArray
) -> Iterator[tuple[str, list[tuple[str, float]]]]:
    """Yield each query's id and its best passages' ids and scores, best first.

    Parameters
    ----------
    top
        The best passages; rows of -1 are past the last one.
    query_ids
        An id for each row of `top`.
    passage_ids
        The ids of all passages, which the row numbers in `top` count.
    """
    for start in range(0, len(top.rows), _QUERY_CHUNK):
        rows = top.rows[start : start + _QUERY_CHUNK]
        sizes = (rows >= 0).sum(axis=1).tolist()
        distinct, indexes = np.unique(np.maximum(rows, 0), return_inverse=True)
        if isinstance(passage_ids, pa.ChunkedArray):
            ids = take_rows(passage_ids, distinct).to_pylist()
        else:
            ids = [passage_ids[row] for row in distinct.tolist()]
        for offset, row_indexes in enumerate(indexes.reshape(rows.shape)):
            size, query = sizes[offset], start + offset
            scores = top.scores[query].tolist()[:size]
            pairs = zip(row_indexes[:size].tolist(), scores, strict=True)
            yield query_ids[query], [(ids[index], score) for index, score in pairs]


def write_run(
    path: str | Path,
    run: RunRows | Mapping[str, Mapping[str, float]],
    tag: str = TAG,
    *,
    view: View | None = None,
) -> Path:
    """Write a run as a TREC file, gzipped if the name ends in ``.gz``.

    Documents are in trec_eval's order: by their scores as float32, ties by descending id. A score
    is the shortest decimal that reads back to the same float32. A hidden file beside it holds its
    checksum, for `read_run`. A file that is no such run is not replaced.

    Parameters
    ----------
    run
        Each query's id and its documents' ids and scores, in any order; one query at a time is
        held in memory.
    view
        The setting that was ranked: if its origin has ids of its own, those are written.

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
    path, prefixes = Path(path), view.prefixes if view else Prefixes()
    if tag.split() != [tag]:
        raise BadOption(f"the tag {tag!r} must be one word")
    written_ids: set[str] = set()
    check_run_place(path)
    with atomic_file(path) as temporary, _open_for_writing(temporary, path.suffix) as file:
        for query_id, documents in run.items() if isinstance(run, Mapping) else run:
            if query_id in written_ids:
                raise BadData(f"the run holds query {query_id!r} twice")
            written_ids.add(query_id)
            pairs = list(documents.items() if isinstance(documents, Mapping) else documents)
            lines = _format_lines(query_id, pairs, prefixes, tag)
            file.write("".join(lines).encode())
        # Only now: a run that cannot be written leaves the old one with its checksum.
        file.close()
        name_checksum_file(path).unlink(missing_ok=True)
    with atomic_file(name_checksum_file(path)) as temporary:
        temporary.write_text(f"{compute_checksum(path)}  {path.name}\n", "utf-8")
    return path


def check_run_place(path: Path) -> None:
    """Raise `BadOption` if a file is there that `write_run` did not write.

    Its runs have a checksum beside them or, after a kill, the tag of beir-hybrid alone.
    """
    checksum_file = name_checksum_file(path)
    if not path.is_file() or not path.stat().st_size:
        return  # folders and devices are refused when they are written
    with suppress(BadData):
        if checksum_file.exists():
            verify_run(path)
            return
    try:
        columns = next((line.split() for _, line in read_lines(path)), [])
    except BadData:
        columns = []
    if len(columns) == _N_COLUMNS and columns[-1] == TAG.encode():
        return
    raise BadOption(f"{path} is no run of beir-hybrid's; name another file, or remove this one")


def name_checksum_file(path: Path) -> Path:
    """Return the path of the file with the checksum of a run, as ``xxh128sum -c`` reads it."""
    if not path.name:
        raise BadOption(f"a run is a file, and {str(path)!r} is the name of none")
    return path.with_name(f".{path.name}.xxh3")


def verify_run(path: Path) -> None:
    """Raise `BadData` if a run of `write_run` was changed; runs of other tools have no checksum."""
    checksum_file = name_checksum_file(path)
    with explain_read_errors(checksum_file, "is no checksum"):
        if not checksum_file.exists():
            return
        if not checksum_file.is_file():  # a pipe would be read for ever
            raise BadData(f"{checksum_file} is a folder, device or pipe; remove it")
        checksum = checksum_file.read_text("utf-8").partition(" ")[0]
    with explain_read_errors(path, "is no run"):
        if compute_checksum(path) != checksum:
            raise BadData(
                f"{path} is damaged or was edited: its checksum is another; make it again, or "
                f"remove {checksum_file.name} if you edited it"
            )


def _format_lines(
    query_id: str, pairs: list[tuple[str, float]], prefixes: Prefixes, tag: str
) -> Iterator[str]:
    """Yield the lines of one query."""
    query = query_id.removeprefix(prefixes.queries)
    _check_word("query", query)
    if query.startswith(COMMENT.decode()):
        raise BadData(f"the query id {query!r} starts as comments do: no run file takes it")
    for rank, (document_id, score) in enumerate(_sort_documents(query_id, pairs), start=1):
        document = document_id.removeprefix(prefixes.passages)
        _check_word("document", document)
        yield f"{query} Q0 {document} {rank} {score} {tag}\n"


def _sort_documents(query_id: str, pairs: list[tuple[str, float]]) -> Iterator[tuple[str, str]]:
    """Yield documents and their scores as text, best first."""
    ids = [document_id for document_id, _ in pairs]
    if len(set(ids)) < len(ids):
        duplicate = next(document_id for document_id in ids if ids.count(document_id) > 1)
        raise BadData(f"the run holds document {duplicate!r} twice for query {query_id!r}")
    with np.errstate(over="ignore"):
        scores = np.array([score for _, score in pairs], dtype=np.float32)
    if not np.isfinite(scores).all():
        document_id, score = pairs[int(np.flatnonzero(~np.isfinite(scores))[0])]
        raise BadData(
            f"query {query_id!r}: document {document_id!r} has the score {score}, no float32"
        )
    texts, numbers = scores.astype(str), scores.tolist()
    for i in sorted(range(len(ids)), key=lambda i: (numbers[i], ids[i]), reverse=True):
        yield ids[i], str(texts[i])


def _check_word(kind: str, text: str) -> None:
    if text.split() != [text]:
        raise BadData(f"the {kind} id {text!r} is empty or holds white space: no run file takes it")


@contextmanager
def _open_for_writing(path: Path, suffix: str) -> Iterator[BufferedWriter | gzip.GzipFile]:
    with path.open("wb") as file:
        if suffix != ".gz":
            yield file
            return
        # Without name and time in its header: equal runs make equal files.
        with gzip.GzipFile("", "wb", fileobj=file, mtime=0) as archive:
            yield archive


class RunFile(NamedTuple):
    """The run in a file, and how many queries of the file are left out as unknown."""

    run: Run
    ignored: int


def read_run(
    path: str | Path,
    *,
    view: View | None = None,
    known_passages: Collection[str] | None = None,
    known_queries: Collection[str] | None = None,
) -> Run:
    """Read a TREC run file, plain or gzipped: each query's documents and their scores.

    A run of `write_run` is compared with its checksum. As in trec_eval, lines that start with ``#``
    are comments, and text behind the sixth column is ignored, as are the ranks.

    Queries and documents are in the order of the file. Scores are the numbers in the file, in
    double precision: those of `write_run` equal the written ones as float32, and order documents
    as they did.

    Parameters
    ----------
    view
        The setting of the run: if its origin has ids of its own, the file may hold those, or the
        collection's if `known_passages` and `known_queries` tell them apart.
    known_passages, known_queries
        All ids there are (sets, or mappings with them as keys). Other queries are left out, with a
        warning; another passage of a known query is an error, as is a run without known queries.
    """
    return read_run_file(path, view, known_passages, known_queries).run


def read_run_file(
    path: str | Path,
    view: View | None = None,
    known_passages: Collection[str] | None = None,
    known_queries: Collection[str] | None = None,
    aliases: tuple[Mapping[str, str], Mapping[str, str]] = ({}, {}),
) -> RunFile:
    """Read a run as `read_run` does, and count the queries that are left out.

    `aliases` are other names of known queries and passages.
    """
    path, prefixes = Path(path), view.prefixes if view else Prefixes()
    queries = IdColumn("queries", prefixes.queries, known_queries, aliases[0])
    documents = IdColumn("documents", prefixes.passages, known_passages, aliases[1])
    verify_run(path)
    run: Run = {}
    for number, line in read_lines(path):
        columns = line.split(maxsplit=_N_COLUMNS)
        if not columns or columns[0].startswith(COMMENT):
            continue
        place = f"{path} line {number}"
        if len(columns) < _N_COLUMNS:
            raise BadData(f"{place} has {len(columns)} columns; a run has {_N_COLUMNS}")
        query = queries.translate(columns[0], number, place)
        if query in queries.unknown_ids:
            continue
        document = documents.translate(columns[2], number, place)
        score = parse_score(columns[4], place)
        scores = run.setdefault(query, {})
        if document in scores:
            raise BadData(f"{place}: document {document!r} is there twice for query {query!r}")
        scores[document] = score
    documents.check_unknown_ids(path)
    if not run:
        queries.check_unknown_ids(path)
    elif queries.unknown_ids:
        logger.warning("%s; they are ignored", queries.describe_unknown_ids(path))
    return RunFile(run, len(queries.unknown_ids))
