"""Passages in, a Lucene index on disk out; queries in, each one's best passages by BM25 out.

The index is one that Pyserini's ``LuceneSearcher`` opens as well. It is written here and not by
Anserini's indexer, so that any analyzer will do, and that documents lie in descending order of
their ids: Lucene breaks ties by the order of documents, so it ranks as trec_eval does.
"""

import hashlib
import json
import logging
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from beir_hybrid.collection import Collection
from beir_hybrid.collection.arrays import to_arrow
from beir_hybrid.collection.collection import retrieval_texts
from beir_hybrid.collection.judgements import sort_ids
from beir_hybrid.encoding.jobs import check_texts_only
from beir_hybrid.errors import BadData, NotWritable
from beir_hybrid.files import cache_folder, locked, replacing_folder, writing
from beir_hybrid.pyserini.analyzers import NEUTRAL, Analyzer, analyzer_of
from beir_hybrid.pyserini.java import boot, find_jar

logger = logging.getLogger(__name__)

FORMAT = 1  # of indexes; another where the neutral analyzer becomes another
_ID, _TEXT = "id", "contents"  # fields, as Anserini calls them
_BATCH = 1 << 13  # passages held as Python objects
_CLAUSES = 1 << 20  # terms of a query; by default Lucene takes no more than 1024


@dataclass(frozen=True)
class LuceneIndex:
    """An index on disk, and the collection's passages in it.

    Attributes
    ----------
    ids
        The ids of the passages, in the order of the collection.
    order
        Which of them each document of the index is.
    analyzer
        What its passages were analyzed with, and queries have to be.
    """

    folder: Path
    ids: pa.ChunkedArray
    order: np.ndarray
    analyzer: Analyzer


def lucene_index(
    collection: Collection, lang: str | None = None, *, store: str | Path | None = None
) -> LuceneIndex:
    """Index the passages of a language, or of all of them; what has been indexed before is reused.

    Parameters
    ----------
    store
        The folder for indexes; one in the cache by default.
    """
    check_texts_only(collection, "an index of Lucene's")
    boot()
    view = collection.view(None, lang)
    analyzer = NEUTRAL if lang is None else analyzer_of(lang)
    documents = view.documents
    order = np.argsort(sort_ids(documents["id"]))[::-1]
    recipe = {
        "format": FORMAT,
        "analyzer": analyzer.path,
        "passages": _digest(documents),
        **java_versions(),
    }
    digest = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:16]
    folder = (Path(store) if store is not None else cache_folder() / "lucene") / digest
    with locked(folder.with_name(f"{digest}.building")):  # `replacing_folder` locks it, too
        if folder.is_dir() and (damage := _damage(folder, len(order))):
            logger.warning("%s is damaged (%s); it is made anew", folder, damage)
            with writing(folder):
                shutil.rmtree(folder)
        if not folder.is_dir():
            with replacing_folder(folder) as building:
                _write(building, documents, order, analyzer)
    return LuceneIndex(folder, documents["id"], order, analyzer)


def _damage(folder: Path, passages: int) -> str:
    """Return what is wrong with an index, by the checksums in its files; nothing if it is whole."""
    from jnius import JavaException

    try:
        reader = _reader(folder)
        try:
            for number in range(reader.leaves().size()):
                reader.leaves().get(number).reader().checkIntegrity()
            there: int = reader.numDocs()
        finally:
            reader.close()
    except JavaException as error:
        return _told(error)
    return "" if there == passages else f"{there:,} of {passages:,} passages"


def java_versions() -> dict[str, str]:
    """Return the versions that terms and scores depend on; Java has to run."""
    from jnius import autoclass

    java = autoclass("java.lang.System").getProperty("java.version")
    return {"anserini": find_jar().name.split("-")[1], "java": java}


def _digest(documents: pa.Table) -> str:
    digest = hashlib.sha256()
    for batch in documents.select([_ID, "title", "text"]).to_batches(max_chunksize=_BATCH):
        digest.update(json.dumps(batch.to_pylist()).encode())
    return digest.hexdigest()


def _write(folder: Path, documents: pa.Table, order: np.ndarray, analyzer: Analyzer) -> None:
    from jnius import autoclass

    fields = "org.apache.lucene.document"
    store = autoclass(f"{fields}.Field$Store")
    name = autoclass(f"{fields}.StringField")(_ID, "", store.YES)
    empty = autoclass("org.apache.lucene.util.BytesRef")()
    key = autoclass(f"{fields}.BinaryDocValuesField")(_ID, empty)  # by which Anserini breaks ties
    text = autoclass(f"{fields}.TextField")(_TEXT, "", store.NO)
    document = autoclass(f"{fields}.Document")()
    for field in (name, key, text):
        document.add(field)
    with _writer(folder, analyzer) as writer:
        for start in range(0, len(order), _BATCH):
            batch = documents.take(to_arrow(order[start : start + _BATCH]))
            columns = batch["id"].to_pylist(), retrieval_texts(batch).to_pylist()
            for identity, words in zip(*columns, strict=True):
                name.setStringValue(identity)
                key.setBytesValue(identity.encode())
                text.setStringValue(words)
                writer.addDocument(document)


@contextmanager
def _writer(folder: Path, analyzer: Analyzer) -> Iterator[Any]:
    """Give what writes an index; it is closed whatever happens."""
    from jnius import JavaException, autoclass

    index = "org.apache.lucene.index"
    config = autoclass(f"{index}.IndexWriterConfig")(analyzer.make())
    # Merges neighbours only; by default documents would lose their order.
    config.setMergePolicy(autoclass(f"{index}.LogDocMergePolicy")())
    try:
        writer = autoclass(f"{index}.IndexWriter")(_directory(folder), config)
        try:
            yield writer
            writer.commit()
        finally:
            writer.rollback()  # what is not committed; and closes
    except JavaException as error:
        told = "\n".join([str(error), *(error.stacktrace or [])])
        if refusal := re.search(r"java\.(?:io|nio)\.[\w.]*(?:IO|FileSystem)Exception.*", told):
            raise NotWritable(f"cannot write {folder}: {refusal[0]}; free some room") from error
        raise


def _directory(folder: Path) -> Any:
    from jnius import autoclass

    place = autoclass("java.io.File")(str(folder)).toPath()
    return autoclass("org.apache.lucene.store.FSDirectory").open(place)


Hits = tuple[np.ndarray, np.ndarray]  # places in `LuceneIndex.ids`, and scores as float32


class Searcher:
    """Finds the best passages of an index by BM25."""

    def __init__(self, index: LuceneIndex, reader: Any, k1: float, b: float) -> None:
        from jnius import autoclass, cast

        self.index = index
        search = autoclass("org.apache.lucene.search.IndexSearcher")
        search.setMaxClauseCount(_CLAUSES)
        similarity = autoclass("org.apache.lucene.search.similarities.BM25Similarity")
        self._searcher = search(cast("org.apache.lucene.index.IndexReader", reader))
        self._searcher.setSimilarity(similarity(k1, b))
        self._queries = autoclass("io.anserini.search.query.BagOfWordsQueryGenerator")()
        # One text for all hits of a query: fetching each from Java takes ten times as long.
        self._json = autoclass("com.fasterxml.jackson.databind.ObjectMapper")()

    def search(self, texts: Sequence[str], depth: int) -> Iterator[Hits]:
        """Yield each text's best passages, at most `depth`, best first; ties by descending id.

        Only passages that share a term with the text are found.
        """
        analyzer = self.index.analyzer.make()
        for text in texts:
            hits = self._hits(text, analyzer, depth)
            places = np.array([hit["doc"] for hit in hits], np.int64)
            yield self.index.order[places], np.array([hit["score"] for hit in hits], np.float32)

    def _hits(self, text: str, analyzer: Any, depth: int) -> list[dict[str, Any]]:
        from jnius import JavaException

        try:
            query = self._queries.buildQuery(_TEXT, analyzer, text)
            found = self._json.writeValueAsString(self._searcher.search(query, depth))
        except JavaException as error:
            raise _unusable(self.index.folder, error) from error
        hits: list[dict[str, Any]] = json.loads(found)["scoreDocs"]
        return hits


@contextmanager
def searching(index: LuceneIndex, k1: float, b: float) -> Iterator[Searcher]:
    """Open an index to search in it."""
    from jnius import JavaException

    try:
        reader = _reader(index.folder)
    except JavaException as error:
        raise _unusable(index.folder, error) from error
    try:
        yield Searcher(index, reader, float(k1), float(b))
    finally:
        reader.close()


def _reader(folder: Path) -> Any:
    from jnius import autoclass

    return autoclass("org.apache.lucene.index.DirectoryReader").open(_directory(folder))


def _unusable(folder: Path, error: Any) -> BadData:
    return BadData(
        f"{folder} cannot be searched: {_told(error)}; where it is damaged, remove it, and it is "
        "made anew"
    )


def _told(error: Any) -> str:
    """Return what an exception of Java's says, in one line."""
    return " ".join(str(error.innermessage or error.classname or error).split())
