"""Vectors of a collection's queries and passages, of a model or of another tool."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from beir_hybrid.calibration import Calibration
from beir_hybrid.collection import Collection
from beir_hybrid.collection.arrays import join_titles
from beir_hybrid.collection.setting import IMAGE
from beir_hybrid.encoding import Embeddings, EncodingStats, as_encoder
from beir_hybrid.encoding.cluster import Cluster
from beir_hybrid.encoding.encoder import Encoder, Role, check_reads_images
from beir_hybrid.encoding.engines import parallel_encoder
from beir_hybrid.encoding.sparse_embeddings import SparseEmbeddings
from beir_hybrid.encoding.store import encode_rows
from beir_hybrid.encoding.stored_rows import StoredRows
from beir_hybrid.encoding.trained_models import MODEL, RECORD, read_trained_queries
from beir_hybrid.errors import BadData, BadOption
from beir_hybrid.evaluation.arguments import ComputeOptions
from beir_hybrid.evaluation.dtype_choice import choose_dtype
from beir_hybrid.files import is_file
from beir_hybrid.results.provenance import ModelProvenance
from beir_hybrid.retrieval.merging import MergeMethod


@dataclass(frozen=True)
class CollectionVectors:
    """A vector for each query and each passage of a collection, by row.

    Attributes
    ----------
    stats
        How many texts and images were encoded, and not found in the store.
    merge
        How the rankings of languages are merged into a pool; None compares scores as they are.
    load_request
        The model's name or folder and the options that make its vectors again, if these do.
    """

    queries: StoredRows[Any]
    passages: StoredRows[Any]
    model: ModelProvenance
    stats: EncodingStats = field(default_factory=EncodingStats)
    merge: MergeMethod | None = None
    load_request: tuple[str | Path, Mapping[str, object]] | None = None


def find_vectors(
    model: object,
    collection: Collection,
    options: ComputeOptions,
    cluster: Cluster | None = None,
    *,
    image_cure: str | None = None,
) -> CollectionVectors:
    """Return the vectors of a collection, by a model or from existing vectors.

    Parameters
    ----------
    model
        As for `evaluate`.
    image_cure
        What to do if the model reads no images, for the message. If it is None, only texts are
        encoded.
    """
    if not isinstance(model, CollectionVectors):
        return _encode_collection(model, collection, options, cluster, image_cure)
    if options.encoder:
        raise BadOption(f"options {sorted(options.encoder)} do not apply to vectors")
    for role, vectors, table in (
        ("queries", model.queries, collection.queries),
        ("passages", model.passages, collection.passages),
    ):
        if len(vectors) != len(table):
            raise BadData(f"{len(vectors)} vectors for {collection.name}'s {len(table)} {role}")
    return model


def name_model(encoder: Encoder) -> str:
    """Return the name of a model for results, which may travel to other machines."""
    return shorten_name(encoder.name)


def shorten_name(name: str) -> str:
    """Return the name of a model without the folders of this machine.

    Names on the hub stay as they are; of a folder the last part remains, of a model that `bh.train`
    saved that of the whole training.
    """
    folder = Path(name)
    if not folder.is_dir():
        return name
    folder = folder if folder.name.strip(".") else folder.resolve()
    is_trained = folder.name == MODEL and is_file(folder.parent / RECORD)
    return folder.parent.name if is_trained else folder.name


def _encode_collection(
    model: object,
    collection: Collection,
    options: ComputeOptions,
    cluster: Cluster | None,
    image_cure: str | None,
) -> CollectionVectors:
    stats = EncodingStats()
    model_encoder = as_encoder(model, **options.encoder)
    model_encoder = choose_dtype(model_encoder, collection, options.store)
    with parallel_encoder(model_encoder, cluster) as encoder:
        if isinstance(options.calibration, Calibration):  # fails before all work
            options.calibration.check_model(encoder.fingerprint, None, name_model(encoder))
        has_images = image_cure is not None
        if image_cure is not None:
            check_reads_images(encoder, image_cure)  # fails at once if the model reads no images
        encode_column = partial(encode_rows, encoder, folder=options.store, stats=stats)
        texts = join_titles(collection.view().passages)
        images = collection.passages.slice(len(texts)) if has_images else None
        passages = _encode_texts_and_images(encode_column, texts, "passages", images)
        texts = collection.queries["text"]
        texts = texts.slice(0, len(texts) - collection.query_counts.get(IMAGE, 0))
        images = collection.queries.slice(len(texts)) if has_images else None
        queries = _encode_texts_and_images(encode_column, texts, "queries", images)
        provenance = ModelProvenance(
            name=name_model(encoder),
            revision=encoder.revision,
            fingerprint=dict(encoder.fingerprint),
            parameters=model_encoder.n_parameters,
            licence=model_encoder.licence,
            terms=_count_terms(queries, passages),
            trained_on=_measure_training(model_encoder, texts),
        )
    request = model_encoder.load_request
    return CollectionVectors(queries, passages, provenance, stats, load_request=request)


def _measure_training(encoder: Encoder, queries: pa.ChunkedArray) -> Mapping[str, int]:
    """Count the queries that the model was trained on; empty where that is not recorded."""
    sketch = read_trained_queries(Path(encoder.load_request[0])) if encoder.load_request else None
    return {} if sketch is None else sketch.measure_overlap(queries)


def _encode_texts_and_images(
    encode_column: Callable[..., Any],
    texts: pa.ChunkedArray,
    role: Role,
    images: pa.Table | None,
) -> Any:
    """Encode texts and, behind these, the images of a table, if there are any."""
    if images is None or not len(images):
        return encode_column(texts, role)
    image_vectors = encode_column(images["text"], "images", paths=images["image"])
    return Embeddings.concatenate([encode_column(texts, role), image_vectors])


def _count_terms(queries: object, passages: object) -> Mapping[str, float] | None:
    """Count the terms of sparse queries and passages, on average; None for other vectors."""
    if isinstance(queries, SparseEmbeddings) and isinstance(passages, SparseEmbeddings):
        return {"queries": queries.count_terms(), "passages": passages.count_terms()}
    return None
