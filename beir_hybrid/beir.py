"""A model in, a retriever out that works inside BEIR's own ``EvaluateRetrieval``."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa

from beir_hybrid.checks import check_positive
from beir_hybrid.encoding import Embeddings, Encoder, as_encoder, encode
from beir_hybrid.errors import BadData, BadOption, lookup
from beir_hybrid.retrieval import rank
from beir_hybrid.retrieval.runs import Run, best_to_run

ScoreFunction = Literal["cos_sim", "dot"]
Corpus = Mapping[str, Mapping[str, str]]

_SCORES = {"cos_sim": "cos_sim", "dot": "dot"}
_PIECE = 1 << 14  # passages whose joined texts become Arrow's at a time


class _Encoded(NamedTuple):
    """Ids and vectors of both sides."""

    query_ids: list[str]
    queries: Embeddings
    passage_ids: list[str]
    passages: Embeddings


class Retriever:
    """What BEIR calls a retriever: ``EvaluateRetrieval(Retriever(model), score_function="dot")``.

    Results are those of BEIR's ``DenseRetrievalExactSearch``, from vectors that are encoded once
    and stay on disk. A passage's text is its title and text with a space between. With ``cos_sim``
    vectors get unit length; with ``dot`` they are as the model makes them, and an encoder object
    that gives them unit length itself is refused. Unlike BEIR's own wrapper of
    sentence-transformers models, this one uses the prompts that a model brings along.

    Parameters
    ----------
    model
        What `beir_hybrid.encoding.as_encoder` takes: a hub name, a folder, a
        ``SentenceTransformer``, an mteb model or an `Encoder`.
    folder
        Where the vectors lie; in the cache by default.
    options
        Options of the encoder, such as ``query_prompt`` or ``batch_size``; ``normalize`` is not
        among them, for the score function decides it.
    """

    def __init__(self, model: Any, *, folder: str | Path | None = None, **options: Any) -> None:
        if hasattr(model, "encode_corpus"):
            raise BadOption(
                f"{type(model).__name__} is BEIR's wrapper of a model; name the model itself"
            )
        if "normalize" in options:
            raise BadOption("normalize follows from the score function; leave it out")
        self.model, self.options = model, options
        self.folder = Path(folder) if folder else None
        self.results: Run = {}
        self._encoders: dict[str, Encoder] = {}
        self._last: _Encoded | None = None

    def search(
        self,
        corpus: Corpus,
        queries: Mapping[str, str],
        top_k: int,
        score_function: ScoreFunction,
        return_sorted: bool = False,  # noqa: ARG002 - BEIR's; results are always sorted
        **_: Any,
    ) -> Run:
        """Return the scores of each query's best passages, best first.

        A passage with the query's own id is no result, as in BEIR.
        """
        encoded = self._encode(corpus, queries, score_function, self.folder)
        self.results = dict(_best(encoded, top_k, own_ids=False))
        return self.results

    def encode(
        self,
        corpus: Corpus,
        queries: Mapping[str, str],
        encode_output_path: str = "./embeddings/",
        overwrite: bool = False,  # noqa: ARG002 - BEIR's; what has changed is encoded anew
        query_filename: str = "",  # noqa: ARG002 - BEIR's; the store names its files itself
        corpus_filename: str = "",  # noqa: ARG002
        score_function: ScoreFunction = "dot",
        **_: Any,
    ) -> None:
        """Encode into a folder, so that `search_from_files` can rank without encoding.

        ``EvaluateRetrieval.encode_and_retrieve`` calls both. The vectors are kept as our store
        keeps them, not as BEIR's pickles.
        """
        self._last = self._encode(corpus, queries, score_function, Path(encode_output_path))

    def search_from_files(
        self,
        query_embeddings_file: str = "",  # noqa: ARG002 - BEIR's; the store knows its files
        corpus_embeddings_files: Sequence[str] = (),  # noqa: ARG002
        top_k: int = 1000,
        **_: Any,
    ) -> Run:
        """Rank what `encode` was last called with; like BEIR's, a query's own id included."""
        if self._last is None:
            raise BadOption("nothing is encoded: call encode() first, or search() for both at once")
        self.results = dict(_best(self._last, top_k, own_ids=True))
        return self.results

    def _encode(
        self, corpus: Corpus, queries: Mapping[str, str], score_function: str, folder: Path | None
    ) -> _Encoded:
        for kind, given in (("corpus", corpus), ("set of queries", queries)):
            if not given:
                raise BadData(f"the {kind} is empty: there is nothing to rank")
        score_function = lookup("score function", score_function, _SCORES)
        encoder = self._encoders.get(score_function)
        if encoder is None:
            encoder = self._encoders[score_function] = self._encoder(score_function)
        asked = pa.chunked_array([pa.array(list(queries.values()), pa.string())])
        passages = encode(encoder, pa.chunked_array(_texts(corpus)), "passages", folder=folder)
        found = encode(encoder, asked, "queries", folder=folder)
        return _Encoded(list(queries), found, list(corpus), passages)

    def _encoder(self, score_function: str) -> Encoder:
        unit = score_function == "cos_sim"
        if not isinstance(self.model, Encoder):
            return as_encoder(self.model, normalize=unit, **self.options)
        encoder = as_encoder(self.model, **self.options)
        normalizes = getattr(encoder, "normalize", None)
        if normalizes and not unit:
            raise BadOption(
                "this encoder's vectors have unit length, so their dot products are cosines: "
                "ask for score_function='cos_sim', or make the encoder with normalize=False"
            )
        return encoder if normalizes or not unit else _Unit(encoder)


class _Unit:
    """An encoder whose rows are given unit length."""

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder
        self.fingerprint = {**encoder.fingerprint, "unit": True}

    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        return _unit(self.encoder.encode_queries(texts))

    def encode_passages(self, texts: Sequence[str]) -> np.ndarray:
        return _unit(self.encoder.encode_passages(texts))


def _unit(rows: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    scaled: np.ndarray = rows / np.maximum(lengths, 1e-12)
    return scaled


def _texts(corpus: Corpus) -> Iterator[pa.Array]:
    """Yield what a model reads of the passages, joined as BEIR joins it."""
    rest = iter(corpus.items())
    while piece := list(islice(rest, _PIECE)):
        for key, passage in piece:
            if not isinstance(passage.get("text"), str):
                raise BadData(f"passage {key!r} of the corpus has no text")
        yield pa.array(
            [f"{passage.get('title') or ''} {passage['text']}".strip() for _, passage in piece],
            pa.string(),
        )


def _best(encoded: _Encoded, k: int, *, own_ids: bool) -> Iterator[tuple[str, dict[str, float]]]:
    """Yield each query's k best passages; one more is looked at where its own may be among them."""
    check_positive(top_k=k)
    query_ids, queries, passage_ids, passages = encoded
    n = len(passage_ids)
    spare = not own_ids and not set(query_ids).isdisjoint(passage_ids)
    order = np.empty(n, np.int32)
    order[sorted(range(n), key=passage_ids.__getitem__)] = np.arange(n, dtype=np.int32)
    nothing = np.empty(0, np.int64), np.empty(0, np.int64)
    ranked = rank(queries, passages, nothing, {"corpus": range(n)}, order, k=k + spare)
    for query, found in best_to_run(ranked.best[""], query_ids, passage_ids):
        yield query, dict([pair for pair in found if own_ids or pair[0] != query][:k])
