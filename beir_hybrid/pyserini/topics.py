"""A collection's queries in, topics files and encoded queries that Pyserini reads out."""

import logging
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from beir_hybrid.collection import Collection
from beir_hybrid.collection.setting import ALL
from beir_hybrid.encoding import as_encoder, encode
from beir_hybrid.encoding.jobs import check_texts_only
from beir_hybrid.errors import BadData, BadOption
from beir_hybrid.evaluation.evaluate import checked
from beir_hybrid.files import replacing_folder
from beir_hybrid.languages import choose
from beir_hybrid.pyserini.faiss_files import check_path

logger = logging.getLogger(__name__)

ENCODED = "encoded"  # the folder that --encoded-queries takes
_PICKLE = "embedding.pkl"
# A line of topics is split at tabs; what is left of it loses what stands before a space in ASCII.
_BREAKS = re.compile(r"[\t\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]+")
_TRIMMED = "".join(map(chr, range(0x21)))


def write_topics(
    collection: Collection,
    folder: str | Path,
    model: Any = None,
    *,
    languages: str | Iterable[str] | None = None,
    store: str | Path | None = None,
    **options: Any,
) -> list[Path]:
    """Write ``LANG.tsv`` for each query language, and with a model ``encoded/embedding.pkl``.

    The former are for Pyserini's ``--topics``, and so is ``all.tsv``, their sum, where there are
    several; the folder of the latter is for ``--encoded-queries`` and holds the queries of all
    these languages. Pyserini insists on a pickle there; nothing of ours reads it. Returns the files
    written.

    Parameters
    ----------
    model
        The query encoder: what `evaluate` takes.
    languages
        Those of the queries; all by default.
    store
        The folder that embeddings are kept in; the cache's by default.
    options
        Of the encoder; see `SentenceTransformerEncoder`.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> import beir_hybrid as bh
    >>> corpus, qrels = {"en:1": {"text": "Here."}}, {"en:q:1": {"en:1": 1}}
    >>> collection = bh.from_beir(corpus, {"en:q:1": "Where?"}, qrels)
    >>> [path] = write_topics(collection, Path(mkdtemp()) / "topics")
    >>> path.name, path.read_text().split()
    ('en.tsv', ['en:q:1', 'Where?'])
    """
    collection, folder = checked(collection), Path(folder)
    check_texts_only(collection, "a file of topics")
    check_folder(folder)
    known = collection.languages
    chosen = (
        known if languages is None else choose(f"language of {collection.name}", languages, known)
    )
    tables = {lang: _queries(collection, lang) for lang in chosen}
    lines = {lang: _lines(table) for lang, table in tables.items() if len(table)}
    if not lines:
        raise BadData(f"{collection.name} has no queries in {', '.join(chosen)}")
    every = [row for some in lines.values() for row in some]
    files = {f"{name}.tsv": rows for name, rows in lines.items()}
    if len(lines) > 1:
        files[f"{ALL}.tsv"] = every
    frame = None
    if model is not None:
        asked = pa.concat_tables(tables[lang] for lang in lines)
        frame = _encoded(asked["text"], every, as_encoder(model, **options), store)
    return [folder / name for name in _write(folder, files, frame)]


class _Moved(Exception):  # noqa: N818 - it is no error
    """What was written stands in a folder that was there already."""


def _write(folder: Path, files: Mapping[str, list[tuple[str, str]]], frame: Any) -> list[str]:
    """Write all files or, where the disk refuses one, none; return their names."""
    written = [*files, *([f"{ENCODED}/{_PICKLE}"] if frame is not None else [])]
    with suppress(_Moved), replacing_folder(folder) as temporary:
        for name, rows in files.items():
            text = "".join(f"{key}\t{text}\n" for key, text in rows)
            (temporary / name).write_text(text, "utf-8")
        if frame is not None:
            (temporary / ENCODED).mkdir()
            frame.to_pickle(temporary / ENCODED / _PICKLE)
        if folder.exists():  # with something else in it, perhaps, which stays
            for name in written:
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (temporary / name).replace(folder / name)
            raise _Moved
    return written


def check_folder(folder: str | Path) -> None:
    """Raise `BadOption` for a folder of topics that Pyserini would read something into."""
    check_path(folder)
    if "cacm" in str(folder):
        raise BadOption(f"Pyserini takes {folder} for CACM's topics, by its 'cacm'; name another")


def _queries(collection: Collection, lang: str) -> pa.Table:
    rows = collection.query_rows(lang)
    return collection.queries.slice(rows.start, len(rows))


def _lines(queries: pa.Table) -> list[tuple[str, str]]:
    """Return ids and texts as they come back from a topics file."""
    found = []
    for row in queries.select(["id", "text"]).to_pylist():
        text = _BREAKS.sub(" ", row["text"]).strip(_TRIMMED)
        if not text:
            raise BadData(f"the query {row['id']!r} has no text; Pyserini cannot read such a topic")
        found.append((row["id"], text))
    return found


def _encoded(
    texts: pa.ChunkedArray, rows: list[tuple[str, str]], encoder: Any, store: str | Path | None
) -> Any:
    """Return the data frame from which Pyserini looks vectors up by the text of a topic."""
    import pandas as pd

    folder = Path(store) if store is not None else None
    vectors = encode(encoder, texts, "queries", folder=folder).take(slice(None))
    _warn_of_lost(rows, vectors)
    return pd.DataFrame(
        {
            "id": pd.Series([key for key, _ in rows], dtype=object),
            "text": pd.Series([text for _, text in rows], dtype=object),
            "embedding": pd.Series(list(vectors), dtype=object),
        }
    )


def _warn_of_lost(rows: list[tuple[str, str]], vectors: np.ndarray) -> None:
    """Say which queries have another vector than the one that stands under their text.

    That is the last one of those who have the text; they differ in white space alone.
    """
    last = {text: number for number, (_, text) in enumerate(rows)}
    for number, (key, text) in enumerate(rows):
        if not np.allclose(vectors[number], vectors[last[text]], rtol=0, atol=1e-6):
            logger.warning(
                "topics cannot tell %r from %r, which differs in white space alone: Pyserini "
                "will search for the latter twice",
                key,
                rows[last[text]][0],
            )
