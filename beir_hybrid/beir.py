"""A retriever for BEIR's ``EvaluateRetrieval``, with our store of vectors and exact ranks."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import pyarrow as pa

from beir_hybrid.checks import check_positive
from beir_hybrid.encoding import Embeddings, Encoder, as_encoder, encode
from beir_hybrid.encoding.encoder import EncoderWrapper, is_encoder_like
from beir_hybrid.errors import BadData, BadOption, lookup
from beir_hybrid.retrieval import DenseScorer, RankRequest, rank
from beir_hybrid.retrieval.results import POOL
from beir_hybrid.retrieval.runs import Run, make_run_rows

ScoreFunction = Literal["cos_sim", "dot"]
Corpus = Mapping[str, Mapping[str, str]]

_SCORE_FUNCTIONS = {"cos_sim": "cos_sim", "dot": "dot"}
_CHUNK = 1 << 14  # passages whose texts are joined and become an Arrow array at a time


class _EncodedData(NamedTuple):
    """Ids and vectors of queries and passages."""

    query_ids: list[str]
    queries: Embeddings
    passage_ids: list[str]
    passages: Embeddings


class Retriever:
    """A retriever for BEIR: ``EvaluateRetrieval(Retriever(model), score_function="dot")``.

    Results are those of BEIR's ``DenseRetrievalExactSearch``, from vectors that are encoded once
    and stay on disk. A passage's text is its title and text with a space between. With ``cos_sim``
    vectors get unit length; with ``dot`` they are as the model makes them, and an encoder object
    that gives them unit length itself is refused. Unlike BEIR's own wrapper of
    sentence-transformers models, this one uses the prompts that are saved with a model.

    Parameters
    ----------
    model
        A hub name, a folder, a ``SentenceTransformer``, an mteb model or an `Encoder`, as
        `beir_hybrid.encoding.as_encoder` takes them.
    folder
        The folder of the vectors; in the cache by default.
    options
        Options of the encoder, such as ``query_prompt`` or ``batch_size``; ``normalize`` is not
        among them, because the score function decides it.
    """

    def __init__(
        self, model: object, *, folder: str | Path | None = None, **options: object
    ) -> None:
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
        self._last: _EncodedData | None = None

    def search(
        self,
        corpus: Corpus,
        queries: Mapping[str, str],
        top_k: int,
        score_function: ScoreFunction,
        return_sorted: bool = False,  # noqa: ARG002 - BEIR's; results are always sorted
        **_: object,
    ) -> Run:
        """Return the scores of each query's best passages, best first.

        A passage with the query's own id is no result, as in BEIR.
        """
        data = self._encode(corpus, queries, score_function, self.folder)
        self.results = dict(_rank_passages(data, top_k, keeps_own_id=False))
        return self.results

    def encode(
        self,
        corpus: Corpus,
        queries: Mapping[str, str],
        encode_output_path: str = "./embeddings/",
        overwrite: bool = False,  # noqa: ARG002 - BEIR's; the store encodes what has changed
        query_filename: str = "",  # noqa: ARG002 - BEIR's; the store names its files itself
        corpus_filename: str = "",  # noqa: ARG002
        score_function: ScoreFunction = "dot",
        **_: object,
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
        **_: object,
    ) -> Run:
        """Rank the data of the last `encode`; like BEIR's, a query's own id included."""
        if self._last is None:
            raise BadOption("nothing is encoded: call encode() first, or search() for both at once")
        self.results = dict(_rank_passages(self._last, top_k, keeps_own_id=True))
        return self.results

    def _encode(
        self, corpus: Corpus, queries: Mapping[str, str], score_function: str, folder: Path | None
    ) -> _EncodedData:
        for kind, table in (("corpus", corpus), ("set of queries", queries)):
            if not table:
                raise BadData(f"the {kind} is empty: there is nothing to rank")
        score_function = lookup("score function", score_function, _SCORE_FUNCTIONS)
        encoder = self._encoders.get(score_function)
        if encoder is None:
            encoder = self._encoders[score_function] = self._make_encoder(score_function)
        query_texts = pa.chunked_array([pa.array(list(queries.values()), pa.string())])
        passage_texts = pa.chunked_array(_join_texts(corpus))
        passages = encode(encoder, passage_texts, "passages", folder=folder)
        query_vectors = encode(encoder, query_texts, "queries", folder=folder)
        return _EncodedData(list(queries), query_vectors, list(corpus), passages)

    def _make_encoder(self, score_function: str) -> Encoder:
        wants_unit = score_function == "cos_sim"
        if not isinstance(self.model, Encoder) and not is_encoder_like(self.model):
            return as_encoder(self.model, normalize=wants_unit, **self.options)
        encoder = as_encoder(self.model, **self.options)
        if encoder.normalize and not wants_unit:
            raise BadOption(
                "this encoder's vectors have unit length, so their dot products are cosines: "
                "ask for score_function='cos_sim', or make the encoder with normalize=False"
            )
        return encoder if encoder.normalize or not wants_unit else _UnitEncoder(encoder)


class _UnitEncoder(EncoderWrapper):
    """An encoder whose vectors are scaled to unit length."""

    @cached_property
    def fingerprint(self) -> Mapping[str, object]:
        return {**self.encoder.fingerprint, "unit": True}

    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        return _scale_to_unit(self.encoder.encode_queries(texts))

    def encode_passages(self, texts: Sequence[str]) -> np.ndarray:
        return _scale_to_unit(self.encoder.encode_passages(texts))


def _scale_to_unit(rows: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    scaled: np.ndarray = rows / np.maximum(lengths, 1e-12)
    return scaled


def _join_texts(corpus: Corpus) -> Iterator[pa.Array]:
    """Yield the texts of passages as BEIR joins titles and texts, in chunks."""
    items = iter(corpus.items())
    while chunk := list(islice(items, _CHUNK)):
        for passage_id, passage in chunk:
            if not isinstance(passage.get("text"), str):
                raise BadData(f"passage {passage_id!r} of the corpus has no text")
        yield pa.array(
            [f"{passage.get('title') or ''} {passage['text']}".strip() for _, passage in chunk],
            pa.string(),
        )


def _rank_passages(
    data: _EncodedData, k: int, *, keeps_own_id: bool
) -> Iterator[tuple[str, dict[str, float]]]:
    """Yield the k best passages of each query, without the query's own id unless wanted."""
    check_positive(top_k=k)
    query_ids, queries, passage_ids, passages = data
    n = len(passage_ids)
    needs_extra = not keeps_own_id and not set(query_ids).isdisjoint(passage_ids)
    id_order = np.empty(n, np.int32)
    id_order[sorted(range(n), key=passage_ids.__getitem__)] = np.arange(n, dtype=np.int32)
    no_golds = np.empty(0, np.int64)
    request = RankRequest(no_golds, no_golds, {"corpus": range(n)}, id_order, k=k + needs_extra)
    ranking = rank(DenseScorer(queries, passages), request)
    for query_id, pairs in make_run_rows(ranking.top[POOL], query_ids, passage_ids):
        kept_pairs = [pair for pair in pairs if keeps_own_id or pair[0] != query_id]
        yield query_id, dict(kept_pairs[:k])
