"""How the vectors of each family are kept in arrays on disk, and how they are read again."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from beir_hybrid.encoding.embeddings import Embeddings, check_rows
from beir_hybrid.encoding.families import Family
from beir_hybrid.encoding.sparse_embeddings import (
    SparseEmbeddings,
    check_sparse_rows,
    join_matrix,
    split_matrix,
    stack_matrices,
)
from beir_hybrid.encoding.stored_rows import StoredRows
from beir_hybrid.encoding.token_embeddings import (
    TokenEmbeddings,
    check_token_vectors,
    join_vectors,
    split_vectors,
)


@dataclass(frozen=True)
class Layout:
    """The arrays of a family's vectors.

    Attributes
    ----------
    parts
        The names of the arrays, which are those of their files.
    rows
        The class of many rows in several shards.
    check
        Returns what an encoder made of n texts as a shard; raises `BadRows` unless it has n rows
        and, if that is not 0, so many dimensions.
    stack
        Puts outputs of an encoder behind each other.
    take
        Picks texts by their places.
    split, join
        Turn a shard into its arrays, and back.
    """

    parts: tuple[str, ...]
    rows: type[StoredRows[Any]]
    check: Callable[[Any, int, int], Any]
    stack: Callable[[Sequence[Any]], Any]
    take: Callable[[Any, np.ndarray], Any]
    split: Callable[[Any], Mapping[str, np.ndarray]]
    join: Callable[[Mapping[str, np.ndarray]], Any]

    def merge(self, batches: Sequence[tuple[np.ndarray, Any]]) -> Any:
        """Put batches, each with the places of its texts, into the order of these places."""
        places = np.concatenate([places for places, _ in batches])
        vectors = batches[0][1] if len(batches) == 1 else self.stack([rows for _, rows in batches])
        is_sorted = (places[:-1] < places[1:]).all()
        return vectors if is_sorted else self.take(vectors, np.argsort(places))


LAYOUTS: dict[Family, Layout] = {
    "dense": Layout(
        parts=("vectors",),
        rows=Embeddings,
        check=check_rows,
        stack=np.concatenate,
        take=lambda vectors, places: vectors[places],
        split=lambda vectors: {"vectors": vectors},
        join=lambda arrays: arrays["vectors"],
    ),
    "sparse": Layout(
        parts=("weights", "terms", "bounds", "shape"),
        rows=SparseEmbeddings,
        check=check_sparse_rows,
        stack=stack_matrices,
        take=lambda matrix, places: matrix[places],
        split=split_matrix,
        join=join_matrix,
    ),
    "late-interaction": Layout(
        parts=("tokens", "bounds"),
        rows=TokenEmbeddings,
        check=check_token_vectors,
        stack=lambda lists: [vectors for texts in lists for vectors in texts],
        take=lambda vectors, places: [vectors[place] for place in places],
        split=split_vectors,
        join=join_vectors,
    ),
}
