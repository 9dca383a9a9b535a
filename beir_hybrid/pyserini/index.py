"""A model and a collection in, a folder that Pyserini's `FaissSearcher` opens out."""

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from beir_hybrid.collection import Collection, View
from beir_hybrid.collection.collection import retrieval_texts
from beir_hybrid.collection.shards import Problems, note_duplicates
from beir_hybrid.encoding import Embeddings, Encoder, as_encoder, encode
from beir_hybrid.encoding.jobs import check_texts_only
from beir_hybrid.errors import BadData, BadOption
from beir_hybrid.evaluation.evaluate import checked
from beir_hybrid.files import replacing_folder, sha256
from beir_hybrid.pyserini.dense import (
    DOCID,
    INDEX,
    MANIFEST,
    DenseIndex,
    lasting,
    open_index,
    read_manifest,
    verify,
)
from beir_hybrid.pyserini.faiss_files import Kind, check_path, check_size, write_faiss
from beir_hybrid.results.machine import list_versions
from beir_hybrid.results.provenance import describe_collection
from beir_hybrid.results.records import to_record
from beir_hybrid.results.request import describe_dataset

__all__ = ["DenseIndex", "build_index", "open_index", "read_manifest", "verify", "write_index"]

FORMAT = 1
_BATCH = 1 << 16  # ids written together
_SPACE = r"[\s\p{Z}\x{85}\x00-\x1f\x7f]"  # what Python's `rstrip` and `split` take for white space


def build_index(
    model: Any,
    collection: Collection,
    output: str | Path,
    *,
    kind: Kind = "flat",
    languages: str | Iterable[str] | None = None,
    shards: int = 1,
    store: str | Path | None = None,
    **options: Any,
) -> Path:
    """Encode a collection's passages and write an index of them that Pyserini searches.

    Vectors come from the store of embeddings: what an evaluation has encoded is not encoded again,
    and a killed build goes on where it stopped. An index that is there already, of the same model,
    passages and kind, is left as it is.

    Parameters
    ----------
    model
        What `evaluate` takes: a hub name, a folder, a ``SentenceTransformer``, an `Encoder`, ...
    output
        The folder to make.
    kind
        ``flat`` (exact), ``sq8`` (a byte a number), ``hnsw`` (a graph) or ``ivfpq`` (lists of short
        codes). The first two need memory for some thousand vectors only.
    languages
        Those of the passages; all by default.
    shards
        How many indexes to cut the passages into: folders ``shard-00``, ``shard-01``, ... in the
        output, each of which can be opened by itself.
    store
        The folder that embeddings are kept in; the cache's by default.
    options
        Of the encoder; see `SentenceTransformerEncoder`.

    Examples
    --------
    >>> import beir_hybrid as bh
    >>> collection = bh.load("xquad-r")  # doctest: +SKIP
    >>> build_index("intfloat/multilingual-e5-small", collection, "e5")  # doctest: +SKIP
    """
    check_texts_only(checked(collection), "an index for Pyserini")
    view = collection.view(None, languages)
    documents = view.documents
    check_path(output)
    _check_ids(documents["id"], view)
    places = _places(Path(output), len(documents), shards)
    for rows in places.values():
        check_size(kind, len(rows))
    encoder = as_encoder(model, **options)
    common = _recipe(encoder, options, view, kind)
    recipes = {
        place: common | {"shard": {"number": number, "of": len(places)}}
        for number, place in enumerate(places)
    }
    missing = [place for place, recipe in recipes.items() if not _is_there(place, recipe)]
    if not missing:
        return Path(output)
    folder = Path(store) if store is not None else None
    vectors = encode(encoder, retrieval_texts(documents), "passages", folder=folder)
    for place in missing:
        rows = places[place]
        ids = documents["id"].slice(rows.start, len(rows))
        write_index(vectors.part(rows), ids, place, kind, recipes[place])
    return Path(output)


class _Ready(Exception):  # noqa: N818 - it is no error
    """Another process was faster."""


def write_index(
    vectors: Embeddings,
    ids: pa.ChunkedArray,
    folder: Path,
    kind: Kind = "flat",
    recipe: Mapping[str, Any] | None = None,
) -> None:
    """Write one index folder, whole or not at all; `recipe` is what its manifest is to say."""
    recipe = recipe or {"kind": kind}
    with suppress(_Ready), replacing_folder(folder) as temporary:
        if _is_there(folder, recipe):
            raise _Ready
        parameters = write_faiss(vectors, temporary / INDEX, kind)
        with (temporary / DOCID).open("w", encoding="utf-8", newline="\n") as file:
            for start in range(0, len(ids), _BATCH):
                batch = ids.slice(start, _BATCH).to_pylist()
                file.write("".join(f"{key}\n" for key in batch))
        files = {
            name: {"bytes": (temporary / name).stat().st_size, "sha256": sha256(temporary / name)}
            for name in (INDEX, DOCID)
        }
        about = {
            **recipe,
            "passages": len(vectors),
            "dim": vectors.dim,
            "faiss": parameters,
            "versions": list_versions(),
            "files": files,
        }
        text = json.dumps(about, ensure_ascii=False, indent=1)
        (temporary / MANIFEST).write_text(text, "utf-8")


def _check_ids(ids: pa.ChunkedArray, view: View) -> None:
    name = f"{view.collection.name}, {view.name}"
    if not len(ids):
        raise BadData(f"{name}: there are no passages to index")
    problems = Problems()
    for chunk in ids.chunks:
        bad = pc.or_(pc.match_substring_regex(chunk, _SPACE), pc.equal(chunk, ""))
        if count := pc.sum(bad).as_py():
            first = chunk[pc.index(bad, value=True).as_py()].as_py()
            problems.note("passage ids are empty or hold white space", first, count)
    note_duplicates(ids, "passage", problems)
    problems.raise_for(name)


def _places(output: Path, n: int, shards: int) -> dict[Path, range]:
    """Return the folders to make and the rows of each."""
    if not isinstance(shards, int) or not 1 <= shards <= n:
        raise BadOption(f"shards is {shards!r}; it must be a whole number from 1 to {n:,} passages")
    if shards == 1:
        return {output: range(n)}
    if (output / INDEX).exists():
        raise BadOption(f"{output} holds an index already; name a new folder or remove it")
    edges = [n * number // shards for number in range(shards + 1)]
    width = max(2, len(str(shards - 1)))
    return {
        output / f"shard-{number:0{width}}": range(*edge)
        for number, edge in enumerate(pairwise(edges))
    }


def _recipe(encoder: Encoder, options: Mapping[str, Any], view: View, kind: Kind) -> dict[str, Any]:
    """Return what an index is made of: equal recipes make equal indexes."""
    name = getattr(encoder, "name", "") or type(encoder).__name__
    model = {
        "name": str(Path(name).resolve()) if Path(name).is_dir() else name,
        "revision": getattr(encoder, "revision", ""),
        "options": {key: value for key, value in options.items() if value is not None},
        "fingerprint": dict(encoder.fingerprint),
    }
    return {
        "format": FORMAT,
        "kind": kind,
        "model": model,
        "collection": to_record(describe_collection(view.collection)),
        "dataset": to_record(describe_dataset(view.collection)),
        "languages": list(view.passage_langs),
    }


def _is_there(folder: Path, recipe: Mapping[str, Any]) -> bool:
    """Tell whether a folder holds the index of a recipe; raise `BadOption` if it holds another."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return False
    with suppress(BadData):
        found = read_manifest(folder)
        if _identity(found) == _identity(lasting(recipe)):
            return True
    raise BadOption(
        f"{folder} is there already and holds something else; name a new folder or remove it"
    )


def _identity(about: Mapping[str, Any]) -> dict[str, Any]:
    """Return what tells one index from another; the model may go by several names."""
    known = {key: about.get(key) for key in ("format", "kind", "collection", "languages", "shard")}
    return known | {"model": about.get("model", {}).get("fingerprint")}
