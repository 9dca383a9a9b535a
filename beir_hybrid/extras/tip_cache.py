"""An encoder and pairs of captions and pictures in, the same encoder with a cache of them out."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from beir_hybrid.collection.setting import IMAGE
from beir_hybrid.encoding.encoder import Encoder, as_encoder
from beir_hybrid.encoding.images import opened_as
from beir_hybrid.errors import BadData, BadOption
from beir_hybrid.pairs.images import PATH
from beir_hybrid.pairs.parallel_pairs import ParallelPairs

_AT_ONCE = 1024  # queries, whose similarities to all keys are in memory
_PICTURES = 64
_PASSED = ("encode_images", "find_cut", "in_flight", "n_parameters")


class TipCache:
    """An encoder whose queries are drawn towards the pictures of captions that are like them.

    An adaptation to retrieval of Tip-Adapter, which is a classifier without training (Zhang et al.,
    arXiv 2207.09519): keys k are captions, values v their pictures, and a query q scores a passage
    or picture d as ::

        s(q, d) = q.d + alpha * sum_i exp(-beta * (1 - q.k_i)) * (v_i.d)

    This is linear in d, and so the inner product of d with another query,
    ``q + alpha * sum_i exp(-beta * (1 - q.k_i)) * v_i``: what `encode_queries` returns, exactly.
    Passages and pictures are those of the encoder, and so are captions that are found as passages.

    Parameters
    ----------
    encoder
        A model, or an `Encoder`, whose rows have unit length.
    keys, values
        Unit rows of captions, as the encoder has them as queries, and of the picture of each.
    alpha
        The weight of the cache.
    beta
        How much closer captions count for more.

    Examples
    --------
    >>> cached = bh.TipCache.of("clip", train_pairs, alpha=0.1)  # doctest: +SKIP
    >>> bh.evaluate(cached, collection)  # doctest: +SKIP
    """

    def __init__(
        self,
        encoder: Any,
        keys: np.ndarray,
        values: np.ndarray,
        *,
        alpha: float = 1.0,
        beta: float = 5.5,
    ) -> None:
        self.encoder: Encoder = as_encoder(encoder)
        self.keys, self.values = (np.asarray(rows, np.float32) for rows in (keys, values))
        self.alpha, self.beta = float(alpha), float(beta)
        if self.keys.ndim != 2 or self.keys.shape != self.values.shape or not len(self.keys):  # noqa: PLR2004
            raise BadOption(
                f"keys of shape {self.keys.shape} and values of shape {self.values.shape}; a cache "
                "has a row of each, for every caption"
            )
        for name, rows in (("keys", self.keys), ("values", self.values)):
            _check(rows, name)
        self.name = f"{getattr(encoder, 'name', type(self.encoder).__name__)} with a cache"

    @classmethod
    def of(
        cls, encoder: Any, pairs: ParallelPairs, *, alpha: float = 1.0, beta: float = 5.5
    ) -> "TipCache":
        """Make one of the captions, in all languages, and the pictures of pairs."""
        encoder = as_encoder(encoder)
        if not pairs.images:
            raise BadData("a cache is of captions and their pictures; these pairs have no pictures")
        table = pairs.data.table
        texts, paths = table[f"positive.{IMAGE}"].to_pylist(), table[PATH].to_pylist()
        files = {text: path for text, path in zip(texts, paths, strict=True) if text is not None}
        numbers = {text: at for at, text in enumerate(files)}
        captions: dict[tuple[str, str], None] = {}  # of each picture, each once
        for lang in pairs.languages[:-1]:
            for caption, text in zip(table[f"query.{lang}"].to_pylist(), texts, strict=True):
                if caption is not None and text is not None:
                    captions[caption, text] = None
        every = list(files.items())
        rows = np.concatenate(
            [encoder.encode_images([opened_as(*pair) for pair in every[at : at + _PICTURES]])
             for at in range(0, len(every), _PICTURES)]
        )  # fmt: skip
        keys = encoder.encode_queries([caption for caption, _ in captions])
        values = rows[[numbers[text] for _, text in captions]]
        return cls(encoder, keys, values, alpha=alpha, beta=beta)

    @property
    def fingerprint(self) -> Mapping[str, Any]:
        """That of the encoder, and the cache; no prompts, for queries are not as passages are."""
        cache = hashlib.sha256(self.keys.tobytes() + self.values.tobytes()).hexdigest()
        return {
            "kind": "tip cache",
            "encoder": dict(self.encoder.fingerprint),
            "cache": cache,
            "alpha": self.alpha,
            "beta": self.beta,
        }

    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        """Return a row for each query, with what the cache adds."""
        queries = np.asarray(self.encoder.encode_queries(texts), np.float32)
        _check(queries, "queries")
        for at in range(0, len(queries), _AT_ONCE):
            some = queries[at : at + _AT_ONCE]
            near = np.exp(-self.beta * (1 - some @ self.keys.T))
            queries[at : at + _AT_ONCE] = some + self.alpha * (near @ self.values)
        return queries

    def encode_passages(self, texts: Sequence[str]) -> np.ndarray:
        """Return a row for each passage, as the encoder has it."""
        return self.encoder.encode_passages(texts)

    def __getattr__(self, name: str) -> Any:
        """Return what the encoder has, of what encoders need not have."""
        if name in _PASSED:
            return getattr(self.encoder, name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")


def _check(rows: np.ndarray, name: str) -> None:
    lengths = np.linalg.norm(rows, axis=1)
    if (wrong := np.flatnonzero(~(np.abs(lengths - 1) < 1e-2))).size:  # noqa: PLR2004
        raise BadOption(
            f"{name} of a cache have unit length; row {wrong[0]} has {lengths[wrong[0]]:.3g}"
        )
