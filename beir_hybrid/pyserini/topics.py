"""Topics files and encoded queries that Pyserini reads, written from a collection's queries."""

import logging
import os
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from beir_hybrid.collection import Collection
from beir_hybrid.collection.setting import ALL
from beir_hybrid.encoding import as_encoder, encode
from beir_hybrid.encoding.partition import check_texts_only
from beir_hybrid.errors import BadData, BadOption
from beir_hybrid.evaluation.arguments import check_collection
from beir_hybrid.evaluation.dtype_choice import choose_dtype
from beir_hybrid.files import atomic_folder
from beir_hybrid.languages import choose_languages
from beir_hybrid.pyserini.faiss_files import check_index_path
from beir_hybrid.pyserini.impact import format_impacts
from beir_hybrid.pyserini.index_calibration import correct_queries, find_calibration

if TYPE_CHECKING:
    from pandas import DataFrame

logger = logging.getLogger(__name__)

Topic = tuple[str, str]  # the id and the text of a query

ENCODED = "encoded"  # the folder for Pyserini's --encoded-queries
_PICKLE = "embedding.pkl"
_JSON = "encoded.jsonl"  # for Pyserini's --encoder
# Pyserini splits a line of topics at tabs, and strips ASCII white space and controls off the text.
_LINE_BREAKS = re.compile(r"[\t\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]+")
_STRIPPED_CHARACTERS = "".join(map(chr, range(0x21)))


# Longer than others: it is the one place that shows all files of a folder of topics.
def write_topics(
    collection: Collection,
    folder: str | Path,
    model: object = None,
    *,
    languages: str | Iterable[str] | None = None,
    store: str | Path | None = None,
    calibration: object = None,
    **options: object,
) -> list[Path]:
    """Write ``LANG.tsv`` for each query language, and with a model its encoded queries.

    These are ``encoded/embedding.pkl`` or, of a sparse model, ``encoded.jsonl``.

    The former are for Pyserini's ``--topics``, and so is ``all.tsv`` with the queries of all
    languages, where there are several; the folder of the latter is for ``--encoded-queries`` and
    holds the queries of all these languages. Pyserini requires a pickle there; this library never
    reads it. A folder that is there already is left as it is, and refused if it lacks these files.

    Parameters
    ----------
    model
        The query encoder, as for `evaluate`.
    languages
        The query languages; all by default.
    store
        The folder for embeddings; the cache by default.
    calibration
        What the index was calibrated with: a `Calibration`, its folder, or the index itself.
        Encoded queries are corrected by their languages.
    options
        Of the encoder; see `EncoderOptions`.

    Returns
    -------
    The files, in the order in which they were written.

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
    collection, folder = check_collection(collection), Path(folder)
    check_texts_only(collection, "a file of topics")
    check_topics_folder(folder)
    query_languages = collection.languages
    if languages is not None:
        query_languages = choose_languages(
            f"language of {collection.name}", languages, query_languages
        )
    tables = {lang: _slice_queries(collection, lang) for lang in query_languages}
    topics = {lang: _list_topics(table) for lang, table in tables.items() if len(table)}
    if not topics:
        raise BadData(f"{collection.name} has no queries in {', '.join(query_languages)}")
    all_topics = [topic for language_topics in topics.values() for topic in language_topics]
    files = {f"{lang}.tsv": _format_topics(entries) for lang, entries in topics.items()}
    if len(topics) > 1:
        files[f"{ALL}.tsv"] = _format_topics(all_topics)
    _check_files(folder, files)  # before all work
    if model is not None:
        encoder = choose_dtype(as_encoder(model, **options), collection, store)
        if encoder.family == "sparse":
            if calibration is not None:
                raise BadOption("a calibration corrects dense vectors, and this is a sparse model")
            files[_JSON] = format_impacts(encoder, [text for _, text in all_topics])
            _write_files(folder, files)
            return [folder / name for name in files]
        correction = find_calibration(calibration, encoder)
        texts = pa.concat_tables(tables[lang] for lang in topics)["text"]
        vectors = encode(encoder, texts, "queries", folder=None if store is None else Path(store))
        codes = [lang for lang, entries in topics.items() for _ in entries]
        rows = correct_queries(vectors.take(slice(None)), codes, correction)
        files[f"{ENCODED}/{_PICKLE}"] = _format_frame(_make_frame(all_topics, rows))
    elif calibration is not None:
        raise BadOption("a calibration corrects encoded queries; name the model that encodes them")
    _write_files(folder, files)
    return [folder / name for name in files]


class _TopicsExist(Exception):  # noqa: N818 - a signal, no error
    """The folder has these files already: a kill came just before that could be said."""


def _check_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Raise `BadOption` for a folder that is neither empty nor has just these files."""
    if not os.path.lexists(folder) or (folder.is_dir() and not any(folder.iterdir())):
        return
    for name, content in files.items():
        if (folder / name).is_file() and (folder / name).read_bytes() == content:
            continue
        raise BadOption(f"{folder} is there already; name a new folder or remove it")


def _write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write all files into a new folder or, where the disk refuses one, none."""
    with suppress(_TopicsExist), atomic_folder(folder) as temporary:
        for name, content in files.items():
            (temporary / name).parent.mkdir(exist_ok=True)
            (temporary / name).write_bytes(content)
        _check_files(folder, files)
        if (folder / next(iter(files))).exists():
            raise _TopicsExist


def _format_topics(topics: list[Topic]) -> bytes:
    return "".join(f"{query_id}\t{text}\n" for query_id, text in topics).encode()


def _format_frame(frame: "DataFrame") -> bytes:
    file = BytesIO()
    frame.to_pickle(file)
    return file.getvalue()


def check_topics_folder(folder: str | Path) -> None:
    """Raise `BadOption` for a folder whose name has a special meaning for Pyserini."""
    check_index_path(folder)
    if "cacm" in str(folder):
        raise BadOption(f"Pyserini takes {folder} for CACM's topics, by its 'cacm'; name another")


def _slice_queries(collection: Collection, language: str) -> pa.Table:
    rows = collection.find_query_rows(language)
    return collection.queries.slice(rows.start, len(rows))


def _list_topics(queries: pa.Table) -> list[Topic]:
    """Return ids and texts as Pyserini reads a topics file."""
    topics = []
    for row in queries.select(["id", "text"]).to_pylist():
        text = _LINE_BREAKS.sub(" ", row["text"]).strip(_STRIPPED_CHARACTERS)
        if not text:
            raise BadData(f"the query {row['id']!r} has no text; Pyserini cannot read such a topic")
        topics.append((row["id"], text))
    return topics


def _make_frame(topics: list[Topic], vectors: np.ndarray) -> "DataFrame":
    """Return the data frame in which Pyserini looks up vectors by the text of a topic."""
    import pandas as pd

    _warn_of_ambiguous_texts(topics, vectors)
    return pd.DataFrame(
        {
            "id": pd.Series([query_id for query_id, _ in topics], dtype=object),
            "text": pd.Series([text for _, text in topics], dtype=object),
            "embedding": pd.Series(list(vectors), dtype=object),
        }
    )


def _warn_of_ambiguous_texts(topics: list[Topic], vectors: np.ndarray) -> None:
    """Warn of queries that Pyserini will search with the vector of another query.

    It looks vectors up by text and takes the last one. Such queries differ in white space alone or,
    if they are calibrated, in their language alone.
    """
    last_topic = {text: number for number, (_, text) in enumerate(topics)}
    for number, (query_id, text) in enumerate(topics):
        if not np.allclose(vectors[number], vectors[last_topic[text]], rtol=0, atol=1e-6):
            logger.warning(
                "topics cannot tell %r from %r, which differs in white space or language alone: "
                "Pyserini will search for the latter twice",
                query_id,
                topics[last_topic[text]][0],
            )
