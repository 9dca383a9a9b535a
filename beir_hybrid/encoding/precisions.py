"""Vectors as a smaller index keeps them: in fewer dimensions, and in fewer bits a number.

An index keeps passages; queries come in single precision, except where both sides are bits.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from beir_hybrid.array_files import map_array
from beir_hybrid.checks import check_positive_or_none
from beir_hybrid.encoding.embeddings import Embeddings, check_rows
from beir_hybrid.errors import BadOption, lookup
from beir_hybrid.files import explain_write_errors

Conversion = Callable[[np.ndarray], np.ndarray]  # of rows, (n, dim) float32
_UNIT = 1e-3  # by which the length of vectors of unit length may differ from 1


@dataclass(frozen=True)
class Precision:
    """How an index keeps a number of a vector.

    Attributes
    ----------
    summary
        In a few words, for help and pages.
    fit_passages
        Returns the conversion of passages for the least and the largest number of each of their
        dimensions, (2, dim).
    convert_queries
        None where queries stay as they are.
    rescoring
        The precision of the vectors beside it that order its best passages; empty if none do.
    """

    name: str
    bits: int
    summary: str
    fit_passages: Callable[[np.ndarray], Conversion]
    convert_queries: Conversion | None = None
    rescoring: str = ""


def _fit_identity(_bounds: np.ndarray) -> Conversion:
    return lambda rows: rows


def _fit_half(_bounds: np.ndarray) -> Conversion:
    return lambda rows: rows.astype(np.float16).astype(np.float32)


def _fit_bytes(bounds: np.ndarray) -> Conversion:
    """Return faiss's scalar quantizer with 256 steps between the bounds of each dimension."""
    import faiss

    quantizer = faiss.ScalarQuantizer(bounds.shape[1], faiss.ScalarQuantizer.QT_8bit)
    quantizer.train(np.ascontiguousarray(bounds, np.float32))
    return lambda rows: quantizer.decode(quantizer.compute_codes(np.ascontiguousarray(rows)))


def take_signs(rows: np.ndarray) -> np.ndarray:
    """Return 1 for positive numbers and -1 for others; inner products count equal bits."""
    return np.where(rows > 0, np.float32(1), np.float32(-1))


PRECISIONS: dict[str, Precision] = {
    precision.name: precision
    for precision in (
        Precision("float32", 32, "single precision", _fit_identity),
        Precision("float16", 16, "half precision", _fit_half),
        Precision("int8", 8, "256 steps between the bounds of each dimension", _fit_bytes),
        Precision("binary", 1, "signs, compared by equal bits", lambda _: take_signs, take_signs),
        Precision(
            "binary+rescoring",
            1,
            "signs of passages, and queries in single precision: as if all passages were rescored",
            lambda _: take_signs,
        ),
        *(
            Precision(
                f"binary+{name}",
                1 + bits,
                f"signs, compared by equal bits, find candidates, which {name} puts in order",
                lambda _: take_signs,
                take_signs,
                rescoring=name,
            )
            for name, bits in (("int8", 8), ("float32", 32))
        ),
    )
}


@dataclass(frozen=True)
class VectorForm:
    """The number of dimensions of vectors in an index, None for all, and their precision."""

    dim: int | None = None
    precision: str = "float32"

    def __post_init__(self) -> None:
        lookup("precision", self.precision, PRECISIONS)
        check_positive_or_none(dimensions=self.dim)

    def describe(self, *, has_precision: bool = True) -> list[str]:
        """Name the number of dimensions, unless all are kept, and the precision."""
        dimensions = [] if self.dim is None else [f"{self.dim} dimensions"]
        return dimensions + [self.precision] * has_precision

    def check_dimensions(self, dim: int) -> None:
        """Raise `BadOption` if vectors have fewer dimensions than this form."""
        if self.dim is not None and self.dim > dim:
            raise BadOption(f"{self.dim} dimensions are wanted, and vectors have only {dim}")

    @property
    def rescoring(self) -> "VectorForm | None":
        """The form of the vectors that put candidates in order, if there are any."""
        name = PRECISIONS[self.precision].rescoring
        return VectorForm(self.dim, name) if name else None

    def count_bytes(self, n_passages: int, dim: int) -> int:
        """Return the bytes of the passages of an index, whose vectors have `dim` dimensions."""
        bits = (self.dim or dim) * PRECISIONS[self.precision].bits
        return n_passages * -(-bits // 8)

    def convert(
        self, queries: Embeddings, passages: Embeddings, folder: Path
    ) -> tuple[Embeddings, Embeddings]:
        """Return queries and passages in this form, in a folder unless they have it already.

        Vectors of unit length get unit length again after they are cut.
        """
        if self.precision == "float32" and self.dim in (None, passages.dim):
            return queries, passages
        precision = PRECISIONS[self.precision]
        cut = _Cut(self.dim or passages.dim, _have_unit_length(passages))
        convert_passages = precision.fit_passages(_find_bounds(passages, cut))
        convert_queries = precision.convert_queries or (lambda rows: rows)
        return (
            _map_shards(queries, lambda rows: convert_queries(cut(rows)), folder / "queries"),
            _map_shards(passages, lambda rows: convert_passages(cut(rows)), folder / "passages"),
        )


@dataclass(frozen=True)
class _Cut:
    """Keeps the first dimensions of vectors and, where they have it, their unit length."""

    dim: int
    is_unit: bool

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        is_whole = self.dim == rows.shape[1]
        rows = rows[:, : self.dim].astype(np.float32, copy=False)
        if is_whole or not self.is_unit:
            return rows
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        unit_rows: np.ndarray = rows / np.where(lengths > 0, lengths, 1)
        return unit_rows


def _list_used(embeddings: Embeddings) -> Iterator[np.ndarray]:
    """Yield the rows of each shard that some text has."""
    for number in np.unique(embeddings.shard_numbers):
        rows = np.unique(embeddings.shard_rows[embeddings.shard_numbers == number])
        yield embeddings.shards[number][rows]


def _have_unit_length(embeddings: Embeddings) -> bool:
    return all(
        (np.abs(lengths[lengths > 0] - 1) < _UNIT).all()
        for rows in _list_used(embeddings)
        if len(lengths := np.linalg.norm(rows, axis=1))
    )


def _find_bounds(embeddings: Embeddings, cut: Conversion) -> np.ndarray:
    """Return the least and the largest number of each dimension, (2, dim)."""
    bounds = [(rows.min(axis=0), rows.max(axis=0)) for rows in map(cut, _list_used(embeddings))]
    lows, highs = zip(*bounds, strict=True)
    return np.stack([np.min(lows, axis=0), np.max(highs, axis=0)])


def _map_shards(embeddings: Embeddings, convert: Conversion, folder: Path) -> Embeddings:
    """Convert the shards that have rows of some texts, one after another, on disk."""
    folder.mkdir()
    numbers, places = np.unique(embeddings.shard_numbers, return_inverse=True)
    shards = []
    for number in numbers.tolist():
        rows = convert(np.asarray(embeddings.shards[number], np.float32))
        with explain_write_errors(folder):
            np.save(folder / f"{number}.npy", check_rows(rows, len(rows)))
        shards.append(map_array(folder / f"{number}.npy"))
    return Embeddings(shards, places.astype(np.int32), embeddings.shard_rows, embeddings.truncated)
