"""Tip cache: training captions and their images as a cache that moves queries, without training."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from beir_hybrid.collection.setting import IMAGE
from beir_hybrid.encoding.encoder import EncoderWrapper
from beir_hybrid.encoding.images import open_unchanged_image
from beir_hybrid.encoding.models import as_encoder
from beir_hybrid.errors import BadData, BadOption
from beir_hybrid.pairs.images import IMAGE_PATH
from beir_hybrid.pairs.parallel_pairs import ParallelPairs

_QUERY_CHUNK = 1024  # queries whose similarities to all keys are in memory at once
_IMAGE_CHUNK = 64


class TipCache(EncoderWrapper):
    """An encoder that moves queries towards the images of captions that are similar to them.

    An adaptation to retrieval of Tip-Adapter, a classifier that needs no training (Zhang et al.,
    arXiv 2207.09519): keys k are captions, values v their images, and a query q scores a passage
    or image d as ::

        s(q, d) = q.d + alpha * sum_i exp(-beta * (1 - q.k_i)) * (v_i.d)

    This is linear in d, so it is the inner product of d with another query,
    ``q + alpha * sum_i exp(-beta * (1 - q.k_i)) * v_i``, which `encode_queries` returns. Passages
    and images are encoded by the encoder alone, captions in the role of passages included.

    Parameters
    ----------
    encoder
        A model, or an `Encoder`, whose vectors have unit length.
    keys, values
        Unit vectors of captions, encoded as queries, and of the image of each, (captions, dim).
    alpha
        The weight of the cache.
    beta
        The larger, the more the most similar captions dominate.

    Examples
    --------
    >>> cache = bh.TipCache.from_pairs("clip", train_pairs, alpha=0.1)  # doctest: +SKIP
    >>> bh.evaluate(cache, collection)  # doctest: +SKIP
    """

    def __init__(
        self,
        encoder: object,
        keys: np.ndarray,
        values: np.ndarray,
        *,
        alpha: float = 1.0,
        beta: float = 5.5,
    ) -> None:
        super().__init__(as_encoder(encoder))
        self.keys, self.values = (np.asarray(rows, np.float32) for rows in (keys, values))
        self.alpha, self.beta = float(alpha), float(beta)
        if self.keys.ndim != 2 or self.keys.shape != self.values.shape or not len(self.keys):  # noqa: PLR2004
            raise BadOption(
                f"keys of shape {self.keys.shape} and values of shape {self.values.shape}; a cache "
                "has a row of each, for every caption"
            )
        for name, rows in (("keys", self.keys), ("values", self.values)):
            _check_unit_length(rows, name)
        self.name, self.revision = f"{self.encoder.name} with a cache", ""

    @classmethod
    def from_pairs(
        cls, encoder: object, pairs: ParallelPairs, *, alpha: float = 1.0, beta: float = 5.5
    ) -> "TipCache":
        """Make a cache of the captions, in all languages, and the images of pairs."""
        base = as_encoder(encoder)
        if not pairs.has_images:
            raise BadData("a cache is of captions and their images; these pairs have no images")
        table = pairs.data.table
        checksums, paths = table[f"positive.{IMAGE}"].to_pylist(), table[IMAGE_PATH].to_pylist()
        images = {
            checksum: path
            for checksum, path in zip(checksums, paths, strict=True)
            if checksum is not None
        }
        image_rows = {checksum: row for row, checksum in enumerate(images)}
        captions: dict[tuple[str, str], None] = {}  # each caption of an image once
        for lang in pairs.languages[:-1]:
            for caption, checksum in zip(
                table[f"query.{lang}"].to_pylist(), checksums, strict=True
            ):
                if caption is not None and checksum is not None:
                    captions[caption, checksum] = None
        files = list(images.items())
        vectors = np.concatenate(
            [
                base.encode_images(
                    [open_unchanged_image(*file) for file in files[i : i + _IMAGE_CHUNK]]
                )
                for i in range(0, len(files), _IMAGE_CHUNK)
            ]
        )
        keys = base.encode_queries([caption for caption, _ in captions])
        values = vectors[[image_rows[checksum] for _, checksum in captions]]
        return cls(base, keys, values, alpha=alpha, beta=beta)

    @property
    def fingerprint(self) -> Mapping[str, Any]:
        """The encoder's fingerprint and the cache; no prompts: roles differ in more."""
        checksum = hashlib.sha256(self.keys.tobytes() + self.values.tobytes()).hexdigest()
        return {
            "kind": "tip cache",
            "encoder": dict(self.encoder.fingerprint),
            "cache": checksum,
            "alpha": self.alpha,
            "beta": self.beta,
        }

    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        """Return (n, dim) vectors of queries, moved by the cache."""
        queries = np.asarray(self.encoder.encode_queries(texts), np.float32)
        _check_unit_length(queries, "queries")
        for i in range(0, len(queries), _QUERY_CHUNK):
            chunk = queries[i : i + _QUERY_CHUNK]
            weights = np.exp(-self.beta * (1 - chunk @ self.keys.T))
            queries[i : i + _QUERY_CHUNK] = chunk + self.alpha * (weights @ self.values)
        return queries


def _check_unit_length(rows: np.ndarray, name: str) -> None:
    lengths = np.linalg.norm(rows, axis=1)
    if (wrong := np.flatnonzero(~(np.abs(lengths - 1) < 1e-2))).size:  # noqa: PLR2004
        raise BadOption(
            f"{name} of a cache have unit length; row {wrong[0]} has {lengths[wrong[0]]:.3g}"
        )
