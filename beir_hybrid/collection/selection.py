"""Some languages of a collection, as a collection of its own."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from beir_hybrid.collection.arrays import is_in_ranges, to_numpy
from beir_hybrid.collection.cache import load_or_build
from beir_hybrid.collection.checksum import hash_collection
from beir_hybrid.collection.collection import Collection
from beir_hybrid.collection.setting import IMAGE
from beir_hybrid.collection.store import describe_collection
from beir_hybrid.collection.writer import CollectionWriter
from beir_hybrid.errors import BadData
from beir_hybrid.text import plural


def select_languages(collection: Collection, languages: str | Iterable[str]) -> Collection:
    """Return the queries and passages of a collection that are in some languages.

    Queries whose relevant passages are all in other languages are left out, with a warning. Images
    stay.

    Examples
    --------
    >>> import beir_hybrid as bh
    >>> corpus = {f"{lang}:1": {"text": "Berlin"} for lang in ("de", "en", "fr")}
    >>> qrels = {"de:q:1": dict.fromkeys(corpus, 1), "de:q:2": {"fr:1": 1}}
    >>> collection = bh.from_beir(corpus, dict.fromkeys(qrels, "Wo?"), qrels, name="tiny")
    >>> select_languages(collection, ["de", "en"])
    Collection('tiny', 2 languages, 1 query, 2 passages)
    """
    codes = [*collection.parse_codes(languages), *[IMAGE] * collection.has_images]
    is_kept, lost_rows = _select_judgements(collection, codes)
    if not is_kept.any():
        raise BadData(f"{collection.name} has no judgements in {', '.join(codes)}")

    def build(writer: CollectionWriter) -> None:
        writer.keeps_variants = True  # the codes are ours already
        writer.keeps_unanswered = True  # if the collection has queries without a gold
        _write_rows(writer, collection, codes, is_kept, lost_rows)
        if lost_rows:
            writer.warnings.append(
                f"{collection.name}: left out {plural(len(lost_rows), 'queries')} whose relevant "
                f"passages are in other languages than {', '.join(codes)}"
            )
        writer.finish(
            licence=collection.licence,
            citation=collection.citation,
            provenance=collection.provenance,
            options=collection.options,
            title_policy=collection.title_policy,
            original_ids=collection.original_ids,
            caveat=collection.caveat,
        )

    recipe = {
        "languages": codes,
        "of": hash_collection(collection),
        "attributes": describe_collection(collection),
    }
    return load_or_build(collection.name, recipe, build, has_images=collection.has_images)


def _read_judgements(collection: Collection) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    query, passage, relevance = (
        to_numpy(collection.judgements[name]) for name in ("query", "passage", "relevance")
    )
    return query, passage, relevance


def _select_judgements(collection: Collection, codes: Iterable[str]) -> tuple[np.ndarray, set[int]]:
    """Select the judgements that stay, and the rows of queries without any of these."""
    query, passage, relevance = _read_judgements(collection)
    codes = list(codes)
    is_query = is_in_ranges(query, map(collection.find_query_rows, codes))
    is_passage = is_in_ranges(passage, map(collection.find_passage_rows, codes))
    is_answered = np.isin(query, query[is_query & is_passage & (relevance > 0)])
    # A query without any relevant passage counts as 0, here as in the whole collection.
    is_kept = is_query & is_passage & (is_answered | ~np.isin(query, query[relevance > 0]))
    return is_kept, {*query[is_query].tolist()} - {*query[is_kept].tolist()}


def _write_rows(
    writer: CollectionWriter,
    collection: Collection,
    codes: Iterable[str],
    is_kept: np.ndarray,
    lost_rows: set[int],
) -> None:
    """Write the queries, passages and judgements that stay."""
    query_ids, passage_ids, codes = {}, {}, list(codes)
    for row, values in _list_rows(collection.queries, collection.query_ranges, codes):
        if row not in lost_rows:
            query_ids[row] = writer.add_query(
                values["lang"], values["id"].partition(":q:")[2], values["text"],
                values["group"], values.get("image"),
            )  # fmt: skip
    for row, values in _list_rows(collection.passages, collection.passage_ranges, codes):
        passage_ids[row] = writer.add_passage(
            values["lang"], values["id"].partition(":")[2], values["title"], values["text"],
            values.get("image"),
        )  # fmt: skip
    columns = (column[is_kept].tolist() for column in _read_judgements(collection))
    for query_row, passage_row, grade in zip(*columns, strict=True):
        writer.add_judgement(query_ids[query_row], passage_ids[passage_row], grade)


def _list_rows(
    table: pa.Table, ranges: dict[str, range], codes: Iterable[str]
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the rows of some languages, each with its number."""
    for code in codes:
        start = ranges[code].start
        for batch in table.slice(start, len(ranges[code])).to_batches(max_chunksize=1024):
            for values in batch.to_pylist():
                yield start, values
                start += 1
