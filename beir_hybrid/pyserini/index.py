"""Builds indexes that Pyserini's searchers open, dense or sparse, from a model and a collection."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import cast

import pyarrow as pa
import pyarrow.compute as pc

from beir_hybrid.calibration import Calibration, as_calibration
from beir_hybrid.collection import Collection, View
from beir_hybrid.collection.arrays import join_titles
from beir_hybrid.collection.shards import Problems, note_duplicates
from beir_hybrid.encoding import Embeddings, Encoder, as_encoder, encode
from beir_hybrid.encoding.arithmetic import AUTO
from beir_hybrid.encoding.fingerprint import to_json_facts
from beir_hybrid.encoding.partition import check_texts_only
from beir_hybrid.encoding.sparse_embeddings import SparseEmbeddings
from beir_hybrid.encoding.store import encode_rows
from beir_hybrid.errors import BadData, BadOption
from beir_hybrid.evaluation.arguments import check_collection
from beir_hybrid.evaluation.dtype_choice import choose_dtype
from beir_hybrid.files import atomic_folder
from beir_hybrid.pyserini.faiss_files import (
    IndexKind,
    check_index_path,
    check_index_size,
    write_faiss,
)
from beir_hybrid.pyserini.impact import check_impact_options, write_impacts
from beir_hybrid.pyserini.index_calibration import (
    calibrate_passages,
    check_calibration,
    describe_calibration,
)
from beir_hybrid.pyserini.manifest import (
    CALIBRATION,
    DOCID,
    IMPACT,
    INDEX,
    IndexRecipe,
    list_files,
    read_fingerprint,
    read_manifest,
    verify_index_files,
    write_manifest,
)
from beir_hybrid.records import to_record
from beir_hybrid.results.provenance import describe_collection
from beir_hybrid.results.request import describe_dataset

FORMAT = 2
_BATCH_SIZE = 1 << 16  # ids that are written together
_WHITE_SPACE = r"[\s\p{Z}\x{85}\x00-\x1f\x7f]"  # for Python's `rstrip` and `split`


# Longer than others: it is the one place that shows all steps of an index in their order.
def build_index(
    model: object,
    collection: Collection,
    output: str | Path,
    *,
    kind: IndexKind = "flat",
    languages: str | Iterable[str] | None = None,
    shards: int = 1,
    store: str | Path | None = None,
    calibration: object = None,
    **options: object,
) -> Path:
    """Encode a collection's passages and write an index for Pyserini's searches.

    That of a sparse model is an impact index of Lucene's, for Pyserini's ``LuceneImpactSearcher``.

    Vectors come from the store of embeddings: passages that an evaluation has encoded are not
    encoded again, and a killed build goes on where it stopped. An existing index of the same model,
    passages and kind is left as it is.

    Parameters
    ----------
    model
        As for `evaluate`: a hub name, a folder, a ``SentenceTransformer``, an `Encoder`, ...
    output
        The folder to make.
    kind
        ``flat`` (exact), ``sq8`` (a byte a number), ``hnsw`` (a graph) or ``ivfpq`` (lists of short
        codes). The first two need memory for some thousand vectors only.
    languages
        The passage languages; all by default.
    shards
        How many indexes to split the passages into: folders ``shard-00``, ``shard-01``, ... in the
        output, each of which can be opened by itself.
    store
        The folder for embeddings; the cache by default.
    calibration
        What takes language bias out: a `Calibration`, its folder, or a method such as
        ``mean-language+local:k=3``. A method is fitted to the passages of the index and the
        collection's queries. Vectors are stored corrected. The calibration stands in the folder
        ``calibration`` of the index, where `QueryEncoder` and `write_topics` find it.
    options
        Of the encoder; see `EncoderOptions`.

    Examples
    --------
    >>> import beir_hybrid as bh
    >>> collection = bh.load("xquad-r")  # doctest: +SKIP
    >>> build_index("intfloat/multilingual-e5-small", collection, "e5")  # doctest: +SKIP
    """
    check_texts_only(check_collection(collection), "an index for Pyserini")
    view = collection.view(None, languages)
    documents = view.passages
    check_index_path(output)
    _check_passage_ids(documents["id"], view)
    rows_by_folder = _plan_shards(Path(output), len(documents), shards)
    for rows in rows_by_folder.values():
        check_index_size(kind, len(rows))
    encoder, correction = as_encoder(model, **options), as_calibration(calibration)
    encoder = choose_dtype(encoder, collection, store)
    if options.get("dtype") == AUTO:
        options["dtype"] = encoder.fingerprint["dtype"]
    if encoder.family == "sparse":
        check_impact_options(kind, shards, correction)
    check_calibration(correction, encoder)
    recipe = _describe_recipe(encoder, options, view, kind)
    if correction is not None:
        recipe["calibration"] = describe_calibration(correction)
    missing_recipes = _list_missing(rows_by_folder, recipe)
    if not missing_recipes:
        return Path(output)
    store_folder = Path(store) if store is not None else None
    if encoder.family == "sparse":
        terms = encode_rows(encoder, join_titles(documents), "passages", folder=store_folder)
        ((folder, shard_recipe),) = missing_recipes.items()
        _write_impact_index(
            cast("SparseEmbeddings", terms), documents["id"], encoder, folder, shard_recipe
        )
        return Path(output)
    vectors = encode(encoder, join_titles(documents), "passages", folder=store_folder)
    if correction is not None:
        vectors, correction = calibrate_passages(
            correction, vectors, view, encoder, collection.resolve(), store_folder
        )
    for folder, shard_recipe in missing_recipes.items():
        rows = rows_by_folder[folder]
        ids = documents["id"].slice(rows.start, len(rows))
        write_index(vectors.slice_rows(rows), ids, folder, kind, shard_recipe, correction)
    return Path(output)


class _IndexExists(Exception):  # noqa: N818 - a signal, no error
    """Another process has written the index in the meantime."""


def write_index(
    vectors: Embeddings,
    ids: pa.ChunkedArray,
    folder: Path,
    kind: IndexKind = "flat",
    recipe: IndexRecipe | None = None,
    calibration: Calibration | None = None,
) -> None:
    """Write the folder of an index, completely or not at all.

    `recipe` goes into the manifest; the calibration that corrected the vectors, into a folder.
    """
    recipe = {**(recipe or {"kind": kind})}
    with suppress(_IndexExists), atomic_folder(folder) as temporary:
        if _has_index(folder, recipe):
            raise _IndexExists
        parameters = write_faiss(vectors, temporary / INDEX, kind)
        with (temporary / DOCID).open("w", encoding="utf-8", newline="\n") as file:
            for start in range(0, len(ids), _BATCH_SIZE):
                batch = ids.slice(start, _BATCH_SIZE).to_pylist()
                file.write("".join(f"{passage_id}\n" for passage_id in batch))
        if calibration is not None:
            calibration.save(temporary / CALIBRATION)
            record = recipe.get("calibration") or describe_calibration(calibration)
            recipe["calibration"] = {**record, "data": to_record(calibration.data)}
        write_manifest(temporary, recipe, vectors, list_files(recipe), faiss=parameters)


def _write_impact_index(
    vectors: SparseEmbeddings,
    ids: pa.ChunkedArray,
    encoder: Encoder,
    folder: Path,
    recipe: IndexRecipe,
) -> None:
    """Write the folder of a sparse model's index, completely or not at all."""
    with suppress(_IndexExists), atomic_folder(folder) as temporary:
        if _has_index(folder, recipe):
            raise _IndexExists
        write_impacts(vectors, ids, encoder, temporary)
        names = sorted(path.name for path in temporary.iterdir())
        write_manifest(temporary, recipe, vectors, names)


def _check_passage_ids(ids: pa.ChunkedArray, view: View) -> None:
    name = f"{view.collection.name}, {view.name}"
    if not len(ids):
        raise BadData(f"{name}: there are no passages to index")
    problems = Problems()
    for chunk in ids.chunks:
        is_bad = pc.or_(pc.match_substring_regex(chunk, _WHITE_SPACE), pc.equal(chunk, ""))
        if count := pc.sum(is_bad).as_py():
            first_id = chunk[pc.index(is_bad, value=True).as_py()].as_py()
            problems.note("passage ids are empty or hold white space", first_id, count)
    note_duplicates(ids, "passage", problems)
    problems.raise_if_any(name)


def _plan_shards(output: Path, n: int, shards: int) -> dict[Path, range]:
    """Return the folders to make and the rows of each."""
    if not isinstance(shards, int) or not 1 <= shards <= n:
        raise BadOption(f"shards is {shards!r}; it must be a whole number from 1 to {n:,} passages")
    if shards == 1:
        return {output: range(n)}
    if (output / INDEX).exists():
        raise BadOption(f"{output} holds an index already; name a new folder or remove it")
    bounds = [n * number // shards for number in range(shards + 1)]
    width = max(2, len(str(shards - 1)))
    return {
        output / f"shard-{number:0{width}}": range(start, stop)
        for number, (start, stop) in enumerate(pairwise(bounds))
    }


def _describe_recipe(
    encoder: Encoder, options: Mapping[str, object], view: View, kind: IndexKind
) -> IndexRecipe:
    """Return the facts that determine an index: equal recipes make equal indexes."""
    name = encoder.name
    return {
        "format": FORMAT,
        "kind": IMPACT if encoder.family == "sparse" else kind,
        "model": {
            "name": str(Path(name).resolve()) if Path(name).is_dir() else name,
            "revision": encoder.revision,
            "options": {key: value for key, value in options.items() if value is not None},
            "fingerprint": dict(encoder.fingerprint),
        },
        "collection": to_record(describe_collection(view.collection)),
        "dataset": to_record(describe_dataset(view.collection)),
        "languages": list(view.passage_languages),
    }


def _list_missing(folders: Iterable[Path], recipe: IndexRecipe) -> dict[Path, IndexRecipe]:
    """Return the folders that hold no index yet, with the recipe of each shard."""
    shards = list(folders)
    recipes: dict[Path, IndexRecipe] = {
        folder: {**recipe, "shard": {"number": number, "of": len(shards)}}
        for number, folder in enumerate(shards)
    }
    return {folder: shard for folder, shard in recipes.items() if not _has_index(folder, shard)}


def _has_index(folder: Path, recipe: IndexRecipe) -> bool:
    """Return whether a folder holds the index of a recipe.

    Raises `BadOption` for other content, and `BadData` for a damaged index of the recipe.
    """
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return False
    manifest = None
    with suppress(BadData):
        manifest = read_manifest(folder)
    if manifest and _identify(manifest) == _identify(to_json_facts(recipe)):
        verify_index_files(folder, manifest)
        return True
    raise BadOption(
        f"{folder} is there already and holds something else; name a new folder or remove it"
    )


def _identify(manifest: IndexRecipe) -> dict[str, object]:
    """Return the facts by which indexes differ; the same model may have several names."""
    keys = ("format", "kind", "collection", "languages", "shard")
    correction = manifest.get("calibration", {})
    return {
        **{key: manifest.get(key) for key in keys},
        "model": read_fingerprint(manifest),
        "calibration": [correction.get("method"), correction.get("statistics")],
    }
