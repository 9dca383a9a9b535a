"""The folder of a dense index in, nearest passages out; or what is wrong with it.

The folder holds ``index`` (faiss), ``docid`` (an id a line) and ``manifest.json``, which says what
both were made of.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from beir_hybrid.collection import Collection
from beir_hybrid.collection.arrays import to_arrow
from beir_hybrid.collection.collection import retrieval_texts
from beir_hybrid.collection.shards import rows_of
from beir_hybrid.encoding import Encoder, as_encoder
from beir_hybrid.encoding.embeddings import check_rows
from beir_hybrid.errors import BadData, BadOption
from beir_hybrid.files import sha256
from beir_hybrid.pyserini.faiss_files import read_faiss
from beir_hybrid.retrieval import Best

INDEX, DOCID, MANIFEST = "index", "docid", "manifest.json"
# Facts about an encoder that leave the meaning of its vectors as it is.
_PASSING = {"versions", "device", "dtype", "max_length", "max_seq_length", "transformers_version"}
_SAMPLE = 16  # vectors that `verify` encodes anew
# The cosine that a vector keeps with its copy in an index.
_LIKENESS = {"flat": 0.9999, "hnsw": 0.9999, "sq8": 0.99, "ivfpq": 0.5}


@dataclass(frozen=True, eq=False)
class DenseIndex:
    """An open index and the encoder of its queries."""

    folder: Path
    faiss: Any
    ids: list[str]
    manifest: dict[str, Any]
    encoder: Encoder

    def nearest(self, vectors: np.ndarray, k: int) -> Best:
        """Return the k best rows and their scores for (n, dim) queries; -1 where there are less."""
        scores, rows = self.faiss.search(np.ascontiguousarray(vectors, np.float32), k)
        return Best(rows, scores)

    def hits(self, vectors: np.ndarray, k: int) -> list[list[tuple[str, float]]]:
        """Return the ids of the k best passages of each row of queries, and their scores."""
        best, ids = self.nearest(vectors, min(k, len(self.ids))), self.ids
        return [
            [(ids[row], score) for row, score in zip(rows, scores, strict=True) if row >= 0]
            for rows, scores in zip(best.rows.tolist(), best.scores.tolist(), strict=True)
        ]

    def search(self, queries: Sequence[str], k: int = 10) -> list[list[tuple[str, float]]]:
        """Return the ids of the k best passages of each query, and their scores."""
        found = self.encoder.encode_queries(queries)
        return self.hits(check_rows(found, len(queries), self.faiss.d), k)


def open_index(
    folder: str | Path, model: Any, *, force: bool = False, **options: Any
) -> DenseIndex:
    """Open an index for the queries of the model that it was built with.

    Parameters
    ----------
    model
        The query encoder, or what makes one with `options`, as in `build_index`.
    force
        Take another model than the index was built with, too.

    Examples
    --------
    >>> index = open_index("e5-index", "intfloat/multilingual-e5-small")  # doctest: +SKIP
    >>> index.search(["Who ruled the duchy of Normandy?"], k=3)  # doctest: +SKIP
    """
    folder = Path(folder)
    about = read_manifest(folder)
    encoder = as_encoder(model, **options)
    if not force:
        _check_model(folder, about, encoder)
    index = read_faiss(folder / INDEX)
    return DenseIndex(folder, index, _read_ids(folder, index.ntotal), about, encoder)


def read_manifest(folder: str | Path) -> dict[str, Any]:
    """Return what an index says of itself; its files are there, in the sizes that it names."""
    path = Path(folder) / MANIFEST
    try:
        about: dict[str, Any] = json.loads(path.read_text("utf-8"))
        sizes = {name: known["bytes"] for name, known in about["files"].items()}
        if lost := [name for name in ("kind", "passages", "dim") if name not in about]:
            raise KeyError(lost)  # noqa: TRY301 - one way out for all damage
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadData(
            f"{path} is missing or damaged; name a folder that `beir-hybrid index` made, or one of "
            "its shards"
        ) from error
    for name, size in sizes.items():
        file = path.with_name(name)
        if not file.is_file() or file.stat().st_size != size:
            raise BadData(f"{file} is missing or cut short; build the index anew")
    return about


def _check_model(folder: Path, about: Mapping[str, Any], encoder: Encoder) -> None:
    """Raise `BadOption` if an index was built with another model."""
    model = about.get("model", {})
    built = lasting(model.get("fingerprint", {}), _PASSING)
    asked = lasting(encoder.fingerprint, _PASSING)
    other = [key for key in {**built, **asked} if built.get(key) != asked.get(key)]
    if other:
        raise BadOption(
            f"{folder} was built with {model.get('name')}; the query encoder differs in its "
            f"{' and '.join(other)}: take that model, or force it"
        )


def lasting(known: Any, passing: set[str] | None = None) -> Any:
    """Return facts as JSON gives them back, those of some names left out wherever they stand."""
    if isinstance(known, Mapping):
        kept = [key for key in known if key not in (passing or ())]
        return {str(key): lasting(known[key], passing) for key in kept}
    if isinstance(known, list | tuple):
        return [lasting(value, passing) for value in known]
    return known


def _read_ids(folder: Path, n: int) -> list[str]:
    try:
        ids = (folder / DOCID).read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadData(f"{folder / DOCID} is missing or damaged: {error}") from error
    if len(ids) != n:
        raise BadData(f"{folder / DOCID} has {len(ids):,} ids, {INDEX} beside it {n:,} vectors")
    return ids


def verify(
    folder: str | Path, model: Any = None, collection: Collection | None = None, **options: Any
) -> list[dict[str, Any]]:
    """Check an index, or each of its shards, and return the manifests; `BadData` if not whole.

    Checksums, the number of ids and of vectors, and the dimension; with the model and the
    collection at hand, some passages are encoded anew as well and compared.
    """
    found = []
    encoder = None if model is None else as_encoder(model, **options)
    for part in parts_of(folder):
        about = read_manifest(part)
        for name, known in about["files"].items():
            if sha256(part / name) != known["sha256"]:
                raise BadData(f"{part / name} is damaged: its checksum is another; build it anew")
        index = read_faiss(part / INDEX, mapped=True)
        ids = _read_ids(part, index.ntotal)
        if (index.ntotal, index.d) != (about["passages"], about["dim"]):
            raise BadData(f"{part / INDEX} is not what {MANIFEST} beside it describes")
        if encoder is not None and collection is not None:
            _check_model(part, about, encoder)
            _compare(part, index, ids, about, encoder, collection)
        found.append(about)
    return found


def parts_of(folder: str | Path) -> list[Path]:
    """Return an index's folder, or those of its shards; `BadData` unless they are one whole set."""
    whole = Path(folder)
    parts = sorted(whole.glob("shard-*"))
    if not parts:
        return [whole]
    found = [read_manifest(part) for part in parts]
    shards = [about.get("shard", {}) for about in found]
    if len(parts) != (wanted := shards[0].get("of", 1)):
        raise BadData(f"{whole} has {len(parts)} of {wanted} shards; build the others")
    numbers = [shard.get("number") for shard in shards]
    if numbers != list(range(wanted)) or any(_set(one) != _set(found[0]) for one in found):
        raise BadData(f"{whole} holds shards of different indexes; build it anew")
    return parts


def _set(about: Mapping[str, Any]) -> list[Any]:
    """Return what the shards of one index have in common."""
    known = [about.get(key) for key in ("kind", "dim", "collection", "languages")]
    return [*known, about.get("model", {}).get("fingerprint"), about.get("shard", {}).get("of")]


def _compare(
    folder: Path,
    index: Any,
    ids: list[str],
    about: Mapping[str, Any],
    encoder: Encoder,
    collection: Collection,
) -> None:
    """Encode some passages anew and compare them with the vectors in the index."""
    documents = collection.view(None, about["languages"]).documents
    places = np.unique(np.linspace(0, len(ids) - 1, _SAMPLE).astype(np.int64))
    rows = rows_of(documents["id"], pa.array([ids[place] for place in places]))
    if (rows < 0).any():
        lost = ids[places[int(np.argmin(rows))]]
        raise BadData(f"{folder} holds {lost!r}, which {collection.name} lacks")
    texts = retrieval_texts(documents.take(to_arrow(rows))).to_pylist()
    wanted = encoder.encode_passages(texts)
    if about["kind"] == "ivfpq":
        index.make_direct_map()
    for place, vector in zip(places.tolist(), wanted, strict=True):
        stored = index.reconstruct(place)
        lengths = float(np.linalg.norm(stored)) * float(np.linalg.norm(vector))
        if float(stored @ vector) < _LIKENESS[about["kind"]] * lengths:
            raise BadData(
                f"{folder}: the vector of {ids[place]!r} is not what the model makes of its text"
            )
