"""Lucene indexes of a collection's passages, one for each language and one for the pool.

Pyserini's ``LuceneSearcher`` opens them as well. They are written here and not by Anserini's
indexer, so that every analyzer can be used, and that documents lie in descending order of their
ids: Lucene breaks ties by the order of documents, so it ranks as trec_eval does.
"""

import hashlib
import json
import logging
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from beir_hybrid.collection import Collection
from beir_hybrid.collection.arrays import join_titles, take_rows
from beir_hybrid.collection.judgements import sort_ids
from beir_hybrid.encoding.partition import check_texts_only
from beir_hybrid.errors import BadData, NotReadable, NotWritable
from beir_hybrid.files import atomic_folder, cache_folder, explain_write_errors, file_lock
from beir_hybrid.pyserini.analyzers import NEUTRAL, Analyzer, find_analyzer
from beir_hybrid.pyserini.java import find_jar, start_java

logger = logging.getLogger(__name__)

FORMAT = 1  # of indexes; to be changed together with the neutral analyzer
ID_FIELD, TEXT_FIELD = "id", "contents"  # named as Anserini names them
# Java's exceptions for a right that is missing, too many open files, a failing disk, no memory.
_REFUSALS = (
    "java.nio.file.AccessDeniedException",
    "java.nio.file.FileSystemException",
    "java.io.IOException",
    "java.lang.OutOfMemoryError",
)
_BATCH_SIZE = 1 << 13  # passages that are held as Python objects


@dataclass(frozen=True)
class LuceneIndex:
    """An index on disk, and the collection's passages in it.

    Attributes
    ----------
    ids
        The ids of the passages, in the order of the collection.
    order
        For each document of the index, the number of its passage in `ids`.
    analyzer
        The analyzer of the passages, and of queries to them.
    """

    folder: Path
    ids: pa.ChunkedArray
    order: np.ndarray
    analyzer: Analyzer


def build_lucene_index(
    collection: Collection, language: str | None = None, *, store: str | Path | None = None
) -> LuceneIndex:
    """Index the passages of a language, or of all languages; reuse an existing index.

    Parameters
    ----------
    store
        The folder for indexes; one in the cache by default.
    """
    check_texts_only(collection, "an index of Lucene's")
    start_java()
    analyzer = NEUTRAL if language is None else find_analyzer(language)
    documents = collection.view(None, language).passages
    order = np.argsort(sort_ids(documents["id"]))[::-1]
    recipe = {
        "format": FORMAT,
        "analyzer": analyzer.path,
        "passages": _hash_documents(documents),
        **list_java_versions(),
    }
    digest = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:16]
    folder = (Path(store) if store is not None else cache_folder() / "lucene") / digest
    with file_lock(folder.with_name(f"{digest}.building")):  # `atomic_folder` locks the folder too
        if folder.is_dir() and (damage := _find_damage(folder, len(order))):
            logger.warning("%s is damaged (%s); it is made anew", folder, damage)
            with explain_write_errors(folder):
                shutil.rmtree(folder)
        if not folder.is_dir():
            with atomic_folder(folder) as temporary:
                _write_documents(temporary, documents, order, analyzer)
    return LuceneIndex(folder, documents["id"], order, analyzer)


def list_java_versions() -> dict[str, str]:
    """Return the versions on which terms and scores depend; Java has to run."""
    from jnius import autoclass

    java = autoclass("java.lang.System").getProperty("java.version")
    return {"anserini": find_jar().name.split("-")[1], "java": java}


def open_reader(folder: Path) -> Any:
    """Return a reader of an index, a Java object."""
    from jnius import autoclass

    return autoclass("org.apache.lucene.index.DirectoryReader").open(_open_directory(folder))


def describe_java_error(error: Any) -> str:
    """Return the message of a Java exception in one line."""
    return " ".join(str(error.innermessage or error.classname or error).split())


def check_refusal(folder: Path, error: Any) -> None:
    """Raise `NotReadable` for a Java exception of a system that refuses to read: no damage."""
    if error.classname in _REFUSALS:
        raise NotReadable(f"cannot read {folder}: {describe_java_error(error)}") from error


def explain_search_error(folder: Path, error: Any) -> BadData:
    """Return the error of an index that Lucene cannot search; raise `NotReadable` for a refusal."""
    check_refusal(folder, error)
    return BadData(
        f"{folder} cannot be searched: {describe_java_error(error)}; where it is damaged, remove "
        "it, and it is made anew"
    )


def _find_damage(folder: Path, passage_count: int) -> str:
    """Describe the damage of an index, by the checksums in its files; empty if intact.

    Raises `NotReadable` where the system does not let the files be read.
    """
    from jnius import JavaException

    try:
        reader = open_reader(folder)
        try:
            for number in range(reader.leaves().size()):
                reader.leaves().get(number).reader().checkIntegrity()
            document_count: int = reader.numDocs()
        finally:
            reader.close()
    except JavaException as error:
        check_refusal(folder, error)
        return describe_java_error(error)
    if document_count == passage_count:
        return ""
    return f"{document_count:,} of {passage_count:,} passages"


def _hash_documents(documents: pa.Table) -> str:
    digest = hashlib.sha256()
    for batch in documents.select(["id", "title", "text"]).to_batches(max_chunksize=_BATCH_SIZE):
        digest.update(json.dumps(batch.to_pylist()).encode())
    return digest.hexdigest()


def _write_documents(
    folder: Path, documents: pa.Table, order: np.ndarray, analyzer: Analyzer
) -> None:
    from jnius import autoclass

    fields = "org.apache.lucene.document"
    store = autoclass(f"{fields}.Field$Store")
    id_field = autoclass(f"{fields}.StringField")(ID_FIELD, "", store.YES)
    no_bytes = autoclass("org.apache.lucene.util.BytesRef")()
    # Anserini breaks ties by this field.
    key_field = autoclass(f"{fields}.BinaryDocValuesField")(ID_FIELD, no_bytes)
    text_field = autoclass(f"{fields}.TextField")(TEXT_FIELD, "", store.NO)
    document = autoclass(f"{fields}.Document")()
    for field in (id_field, key_field, text_field):
        document.add(field)
    with open_writer(folder, analyzer.create()) as writer:
        for start in range(0, len(order), _BATCH_SIZE):
            batch = take_rows(documents, order[start : start + _BATCH_SIZE])
            columns = batch["id"].to_pylist(), join_titles(batch).to_pylist()
            for passage_id, text in zip(*columns, strict=True):
                id_field.setStringValue(passage_id)
                key_field.setBytesValue(passage_id.encode())
                text_field.setStringValue(text)
                writer.addDocument(document)


@contextmanager
def open_writer(folder: Path, analyzer: Any) -> Iterator[Any]:
    """Open a writer of an index with a Java analyzer; it commits and closes at the end."""
    from jnius import JavaException, autoclass

    package = "org.apache.lucene.index"
    config = autoclass(f"{package}.IndexWriterConfig")(analyzer)
    # This policy merges neighbours only; under the default one documents would lose their order.
    config.setMergePolicy(autoclass(f"{package}.LogDocMergePolicy")())
    try:
        writer = autoclass(f"{package}.IndexWriter")(_open_directory(folder), config)
        try:
            yield writer
            writer.commit()
        finally:
            writer.rollback()  # drops changes that are not committed, and closes
    except JavaException as error:
        trace = "\n".join([str(error), *(error.stacktrace or [])])
        if cause := re.search(r"java\.(?:io|nio)\.[\w.]*(?:IO|FileSystem)Exception.*", trace):
            raise NotWritable(f"cannot write {folder}: {cause[0]}; free some room") from error
        raise


def _open_directory(folder: Path) -> Any:
    from jnius import autoclass

    path = autoclass("java.io.File")(str(folder)).toPath()
    return autoclass("org.apache.lucene.store.FSDirectory").open(path)
