"""Search of a dense index for one query, with texts and gold marks, for people to look at."""

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from beir_hybrid.checks import check_positive
from beir_hybrid.collection import Collection
from beir_hybrid.collection.arrays import join_titles, take_rows, to_numpy
from beir_hybrid.collection.shards import find_rows
from beir_hybrid.encoding import Encoder, as_encoder
from beir_hybrid.encoding.endpoint import PREFIX
from beir_hybrid.encoding.options import TRUST, read_recorded_options
from beir_hybrid.errors import BadData, BadOption
from beir_hybrid.languages import choose_languages
from beir_hybrid.pyserini.dense import DenseIndex, check_model, open_index
from beir_hybrid.pyserini.impact import search_impacts
from beir_hybrid.pyserini.index_calibration import find_query_languages
from beir_hybrid.pyserini.language_search import Hits, merge_hits, sort_hits
from beir_hybrid.pyserini.manifest import (
    IMPACT,
    MANIFEST,
    IndexManifest,
    list_shards,
    read_manifest,
    verify_index_files,
)
from beir_hybrid.sources import load_recorded


@dataclass(frozen=True)
class SearchHit:
    """A passage of a search; `gold` where it is judged relevant to the query."""

    rank: int
    lang: str
    score: float
    id: str
    text: str
    gold: bool


@dataclass(frozen=True)
class SearchResults:
    """The best passages for a query.

    Attributes
    ----------
    relevant
        How many passages of the collection are relevant to the query, of the language of the search
        if it is limited to one; ``None`` if the collection does not have the query.
    query_language
        The language of the query, where a calibrated index corrects its vector; ``None`` if that
        did not matter, or is not known.
    """

    hits: list[SearchHit]
    relevant: int | None
    query_language: str | None = None


def search_index(
    folder: str | Path,
    query: str,
    *,
    language: str | None = None,
    query_language: str | None = None,
    k: int = 10,
    collection: Collection | None = None,
    model: object = None,
    force: bool = False,
    **options: object,
) -> SearchResults:
    """Search all shards of an index that `build_index` made.

    Parameters
    ----------
    language
        The language of passages to look for; all by default.
    query_language
        The language of the query, by which a calibrated index corrects its vector; by default it is
        detected, as `DenseIndex.search` says.
    collection
        What the index was built from; by default the dataset that the index names is loaded.
    model, options
        Of the query encoder; by default what the index was built with. An index cannot trust the
        code that comes with its model: only ``trust_remote_code=True`` here can.
    force
        Accept another model than the index was built with.
    """
    check_positive(k=k)
    if not query.strip():
        raise BadOption("the query is empty")
    folder = Path(folder)
    shards = list_shards(folder)
    manifest = read_manifest(shards[0])
    if language is not None:
        languages = _read_entry(folder, manifest, "languages")
        (language,) = choose_languages(f"language of {folder}", language, languages)
    if collection is None:
        collection = _load_collection(folder, manifest)
    if model is None:
        encoder = _load_encoder(folder, manifest, options)
    else:
        encoder = as_encoder(model, **options)
    if manifest["kind"] == IMPACT and query_language is not None:
        raise BadOption("an impact index has no calibration: leave the language of the query out")
    if manifest["kind"] == IMPACT:
        search = _search_terms(folder, manifest, encoder, query, language, k, force=force)
    else:
        indexes = (open_index(shard, encoder, force=force) for shard in shards)
        search = _search_shards(indexes, query, query_language, language, k)
    relevant_rows = _find_relevant(collection, query, language)
    results = _describe_hits(folder, search.hits, collection, relevant_rows)
    return replace(results, query_language=search.query_language)


def _read_entry(folder: Path, manifest: IndexManifest, key: str) -> Any:
    """Return an entry that the manifests of `build_index` have."""
    if key not in manifest:
        raise BadData(f"the manifest of {folder} lacks {key!r}; build the index anew")
    return manifest[key]  # type: ignore[literal-required]


def _load_encoder(folder: Path, manifest: IndexManifest, options: Mapping[str, object]) -> Encoder:
    """Load the model that an index was built with; the index may be a stranger's."""
    model = _read_entry(folder, manifest, "model")
    name = model["name"]
    _check_model_name(folder, name)
    recorded = read_recorded_options(model["options"], f"{folder / MANIFEST}")
    if model["options"].get(TRUST) and not options.get(TRUST):
        raise BadOption(
            f"{folder} was built with code that comes with {name!r}; if you trust that code, say "
            "so with --trust-remote-code (trust_remote_code=True)"
        )
    if model["revision"] and not Path(name).is_dir():
        recorded.setdefault("revision", model["revision"])
    options = {name: value for name, value in options.items() if value is not None}
    return as_encoder(name, **(recorded | options))


def _check_model_name(folder: Path, name: str) -> None:
    """Raise `BadOption` if a stranger's index could choose the reader of the queries.

    That is a folder that came with the index, or an endpoint. `build_index` records whole paths. A
    relative one, or one that leads through links, would mean another folder for each user.
    """
    if name.startswith(PREFIX):
        raise BadOption(
            f"{folder} was built with an endpoint, and no index sends queries to others; if you "
            f"trust it, name it: --model {name}"
        )
    path = Path(name)
    if not os.path.lexists(path):
        return
    is_own = path.is_absolute() and path.resolve() == path
    if not is_own or path.is_relative_to(folder.resolve()):
        raise BadOption(
            f"{folder} names the folder {name!r} as its model, which may have come with the index; "
            f"if you trust it, name it: --model {name}"
        )


def _load_collection(folder: Path, manifest: IndexManifest) -> Collection:
    """Load the dataset that an index was built from."""
    cure = "name the dataset, such as --dataset jsonl -o path=FILE"
    try:
        dataset, name = manifest.get("dataset"), manifest["collection"]["name"]
        checksums = [origin["sha256"] for origin in manifest["collection"]["provenance"]]
    except KeyError as error:
        raise BadData(f"the manifest of {folder} lacks {error}; {cure}") from error
    if not dataset:
        raise BadOption(f"{folder} was built from {name!r}, which was given as an object; {cure}")
    collection = load_recorded(dataset["name"], dataset["languages"], dataset["options"])
    if [origin.sha256 for origin in collection.provenance] != checksums:
        raise BadData(
            f"{name} has changed since {folder} was built from it; build it anew, or {cure}"
        )
    return collection


class _QueryHits(NamedTuple):
    """The best passages for a query, and its language if its vector depends on that."""

    hits: Hits
    query_language: str | None


def _search_shards(
    indexes: Iterable[DenseIndex],
    query: str,
    query_language: str | None,
    language: str | None,
    k: int,
) -> _QueryHits:
    """Return the k best passages of several indexes, of one language if that is not None."""
    shards = iter(indexes)  # one at a time is in memory
    index = next(shards)
    codes = find_query_languages([query], query_language, index.calibration)
    vectors = index.encode_queries([query], codes)
    method = index.merge if language is None else None
    depth = max(k, method.k) if method else k
    hits_by_language: dict[str, Hits] = {}
    sizes: Counter[str] = Counter()
    for shard in chain([index], shards):
        if method is None and language is None:
            shard_hits = {"": shard.search_vectors(vectors, k)[0]}
        else:
            languages = [language] if language else list(shard.language_rows)
            shard_hits = {
                code: shard.search_language(vectors, depth, code)[0] for code in languages
            }
            sizes.update({code: len(rows) for code, rows in shard.language_rows.items()})
        for code, hits in shard_hits.items():
            hits_by_language[code] = sort_hits(hits_by_language.get(code, []) + hits, depth)
    if method:
        return _QueryHits(merge_hits(hits_by_language, sizes, method, k), codes[0])
    (best,) = hits_by_language.values()
    return _QueryHits(best, codes[0])


def _search_terms(
    folder: Path,
    manifest: IndexManifest,
    encoder: Encoder,
    query: str,
    language: str | None,
    k: int,
    *,
    force: bool,
) -> _QueryHits:
    """Return the k best passages of an impact index, of one language if that is not None."""
    if not force:
        check_model(folder, manifest, encoder)
    verify_index_files(folder, manifest)
    depth = k if language is None else manifest["passages"]
    hits = search_impacts(folder, encoder, query, depth)
    prefix = "" if language is None else f"{language}:"
    return _QueryHits([hit for hit in hits if hit[0].startswith(prefix)][:k], None)


def _describe_hits(
    folder: Path, hits: Hits, collection: Collection, relevant_rows: set[int] | None
) -> SearchResults:
    """Add texts and gold marks to hits."""
    ids = [passage_id for passage_id, _ in hits]
    rows = find_rows(collection.passages["id"], pa.array(ids, pa.string()))
    if (rows < 0).any():
        missing_id = ids[int(np.argmin(rows))]
        raise BadData(
            f"{folder} holds {missing_id!r}, which {collection.name} lacks: name its dataset"
        )
    texts = join_titles(take_rows(collection.view().passages, rows)).to_pylist()
    columns = zip(hits, rows.tolist(), texts, strict=True)
    return SearchResults(
        [
            SearchHit(
                rank=rank,
                lang=passage_id.partition(":")[0],
                score=score,
                id=passage_id,
                text=text,
                gold=row in (relevant_rows or ()),
            )
            for rank, ((passage_id, score), row, text) in enumerate(columns, start=1)
        ],
        None if relevant_rows is None else len(relevant_rows),
    )


def _find_relevant(collection: Collection, query: str, language: str | None) -> set[int] | None:
    """Return the rows of relevant passages, or None if the collection does not have the query."""
    is_same = pc.equal(pc.utf8_trim_whitespace(collection.queries["text"]), query.strip())
    same_queries = np.flatnonzero(is_same.to_numpy())
    if not len(same_queries):
        return None
    query_column, passage_column, relevance = (
        to_numpy(collection.judgements[name]) for name in ("query", "passage", "relevance")
    )
    rows = passage_column[np.isin(query_column, same_queries) & (relevance > 0)]
    if language is not None:
        span = collection.find_passage_rows(language)
        rows = rows[(rows >= span.start) & (rows < span.stop)]
    return set(rows.tolist())
