"""Models behind OpenAI-compatible servers (vLLM, TEI, infinity, Ollama, OpenAI) as encoders."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, partial
from typing import Any

import numpy as np

from beir_hybrid.encoding.encoder import Encoder, Role
from beir_hybrid.encoding.endpoint import Endpoint, EndpointSession, read_indexed
from beir_hybrid.encoding.model_settings import choose_prompts
from beir_hybrid.encoding.options import PROMPT_OPTIONS, EncoderOptions
from beir_hybrid.encoding.presets import BY_MODEL, Preset
from beir_hybrid.errors import BadData

REQUESTS = 4  # at once


class EndpointEncoder(Encoder):
    """A model behind a server, ``openai:MODEL@URL``, as an `Encoder`.

    The fingerprint has the model's name and the address: what the server computes with is not
    known. Of a folder of the server, name and fingerprint have the last part alone. Prompts are put
    before texts here, and `truncate_dim` is sent as ``dimensions``. Scores are cosines, unless
    `normalize` is False.

    Parameters
    ----------
    options
        Fields of `EncoderOptions`; those of the model's computation are the server's to decide.

    Examples
    --------
    >>> EndpointEncoder("openai:bge-m3@http://localhost:8000/v1", query_prompt="q: ").prompts
    {'queries': 'q: ', 'passages': ''}
    """

    OPTIONS = PROMPT_OPTIONS | {"normalize", "truncate_dim", "batch_size"}

    def __init__(self, name: str, **options: object) -> None:
        self.endpoint, self.options = Endpoint.parse(name), EncoderOptions.parse(options)
        self.name = str(self.endpoint.public)
        self.options.check_applicable(self.OPTIONS, f"{self.name}: its server decides that")
        hub_preset = BY_MODEL.get(self.endpoint.model, Preset())
        self.prompts = choose_prompts(self.options, Preset(), hub_preset)
        self.normalize: bool = self.options.normalize is not False
        self._dim = self.options.truncate_dim

    @cached_property
    def fingerprint(self) -> Mapping[str, object]:
        """The address, the model's name there, and the options that change vectors."""
        return {
            "kind": "endpoint",
            **self.endpoint.facts,
            "prompts": dict(self.prompts),
            "normalize": self.normalize,
            "truncate_dim": self.options.truncate_dim,
        }

    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        """Return the vectors of queries."""
        return self._join_batches(texts, "queries")

    def encode_passages(self, texts: Sequence[str]) -> np.ndarray:
        """Return the vectors of passages."""
        return self._join_batches(texts, "passages")

    def _join_batches(self, texts: Sequence[str], role: Role) -> np.ndarray:
        parts = [rows for _, rows in self.encode_batches(texts, role)]
        return np.concatenate([np.empty((0, self._dim or 0), np.float32), *parts])

    def encode_batches(self, texts: Sequence[str], role: Role) -> Iterator[tuple[np.ndarray, Any]]:
        """Yield the indexes of the texts of a request, and their vectors."""
        inputs = [self.prompts[role] + text for text in texts]
        size = self.options.batch_size
        batches = [inputs[start : start + size] for start in range(0, len(inputs), size)]
        first = 0
        # The session ends first: threads that wait for the server then wait no longer.
        with (
            ThreadPoolExecutor(REQUESTS) as pool,
            EndpointSession(self.endpoint, "embeddings") as session,
        ):
            ask = partial(session.ask, make_body=self._make_body, read_rows=_read_vectors)
            for rows in pool.map(ask, batches):
                self._check_dimensions(rows.shape[1])
                yield np.arange(first, first + len(rows)), self._normalize(rows)
                first += len(rows)

    def _normalize(self, rows: np.ndarray) -> np.ndarray:
        """Give vectors unit length, unless scores are inner products."""
        if not self.normalize:
            return rows
        lengths = np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True)
        unit_rows: np.ndarray = (rows / np.where(lengths > 0, lengths, 1)).astype(np.float32)
        return unit_rows

    def _make_body(self, texts: Sequence[str]) -> dict[str, object]:
        dim = self.options.truncate_dim
        return {
            "model": self.endpoint.model,
            "input": list(texts),
            "encoding_format": "float",
            **({} if dim is None else {"dimensions": dim}),
        }

    def _check_dimensions(self, dim: int) -> None:
        """Raise `BadData` for vectors of other dimensions than were asked for or came before."""
        if self._dim is not None and dim != self._dim:
            cure = "another model answers now"
            if self.options.truncate_dim is not None:
                cure = "this server cannot cut vectors, leave truncate_dim out"
            raise BadData(
                f"{self.name} gives vectors of {dim} dimensions where {self._dim} are expected: "
                f"{cure}"
            )
        self._dim = dim


def _read_vectors(answer: Any, n: int) -> np.ndarray:
    """Return the vectors of an answer, (n, dim) float32."""
    rows = read_indexed(answer, n, "data", "embedding")
    if rows.ndim != 2:  # noqa: PLR2004
        raise ValueError(f"embeddings have shape {rows.shape}")
    return rows
