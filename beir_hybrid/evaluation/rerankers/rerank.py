"""The best passages of each ranking in, the same in a reranker's order out."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
import pyarrow as pa

from beir_hybrid.collection import Collection
from beir_hybrid.collection.arrays import join_titles, to_arrow
from beir_hybrid.collection.judgements import number_languages
from beir_hybrid.collection.setting import KindName
from beir_hybrid.encoding import Encoded, Encoder, encode
from beir_hybrid.encoding.encoder import Role
from beir_hybrid.encoding.parts import find_long, parts_of
from beir_hybrid.errors import BadData, BadOption
from beir_hybrid.evaluation.rerankers.matchers import BlipMatcher
from beir_hybrid.evaluation.rerankers.matching import Matcher
from beir_hybrid.measures.ranked_judgements import Rankings
from beir_hybrid.progress import hide_progress_bars
from beir_hybrid.results.provenance import RerankerProvenance
from beir_hybrid.results.request import resolve_path
from beir_hybrid.retrieval import Best

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder


_BLIP = "blip:"  # before the name of a matcher that is named where a text is expected


class PairScores(Encoder, Protocol):
    """What scores pairs, as the store sees it: a pair is a text, its score a vector."""

    @property
    def name(self) -> str:
        """What results call it."""

    @property
    def kinds(self) -> tuple[KindName, ...]:
        """The kinds of settings whose queries and passages it can read."""

    @property
    def compares(self) -> str:
        """What these are."""

    def pairs(
        self, collection: Collection, kind: KindName, query: np.ndarray, passage: np.ndarray
    ) -> list[str]:
        """Return a text for each query and passage, by rows."""


def scores_of(rerank: Any, collection: Collection) -> PairScores:
    """Return what scores a collection's pairs, by a matcher, a cross-encoder or its name."""
    if isinstance(rerank, str) and rerank.startswith(_BLIP):
        rerank = BlipMatcher(rerank.removeprefix(_BLIP))
    return rerank.of(collection) if isinstance(rerank, Matcher) else CrossEncoderScores(rerank)


def name_of(rerank: Any) -> str | None:
    """Return by which name a reranker can be asked for again; nothing if it has none."""
    if isinstance(rerank, BlipMatcher):
        rerank = f"{_BLIP}{rerank.asked}"
    if not isinstance(rerank, str | Path):
        return None
    name = str(rerank)
    if name.startswith(_BLIP):
        return f"{_BLIP}{resolve_path(name.removeprefix(_BLIP))}"
    return resolve_path(name)


def kinds_for(scores: PairScores, kinds: Sequence[KindName], *, asked: bool) -> list[KindName]:
    """Return the kinds of settings to rerank: all if they were asked for, else those it reads."""
    fit = [kind for kind in kinds if kind in scores.kinds]
    if unfit := [kind for kind in kinds if kind not in scores.kinds and (asked or not fit)]:
        raise BadOption(
            f"{', '.join(unfit)} settings cannot be reranked by {scores.name}: it compares "
            f"{scores.compares}, in {', '.join(scores.kinds)}"
        )
    return fit


class CrossEncoderScores:
    """A cross-encoder as the store sees it: a pair of texts is a text, its score a vector."""

    kinds: ClassVar[tuple[KindName, ...]] = ("mono", "cross", "multi")
    compares: ClassVar[str] = "texts"

    def __init__(self, model: "str | CrossEncoder", batch_size: int = 32) -> None:
        from sentence_transformers import CrossEncoder

        loaded: Any = model if isinstance(model, CrossEncoder) else _loaded(str(model))
        self.model = loaded  # untyped: its own types name every kind of input
        self.name = type(model).__name__ if isinstance(model, CrossEncoder) else str(model)
        if self.model.num_labels != 1:
            raise BadData(
                f"{self.name} gives {self.model.num_labels} labels; a reranker gives one score"
            )
        self.batch_size = batch_size
        self.fingerprint: Mapping[str, Any] = {
            "kind": "cross-encoder",
            **parts_of(self.model),
            "prompt": self.model.prompts.get(self.model.default_prompt_name, ""),
            "activation": str(self.model.activation_fn),
        }

    def pairs(
        self, collection: Collection, kind: KindName, query: np.ndarray, passage: np.ndarray
    ) -> list[str]:
        """Return the texts of each query and passage, by rows."""
        del kind
        questions = collection.queries["text"].take(to_arrow(query)).to_pylist()
        distinct, place = np.unique(passage, return_inverse=True)
        documents = collection.view().passages.take(to_arrow(distinct))
        texts = join_titles(documents).to_pylist()
        return [
            json.dumps([question, texts[at]], ensure_ascii=False)
            for question, at in zip(questions, place.tolist(), strict=True)
        ]

    def encode_passages(self, texts: Sequence[str]) -> np.ndarray:
        """Return the score of each pair, (n, 1)."""
        scores = self.model.predict(
            _pairs(texts), batch_size=self.batch_size, show_progress_bar=False
        )
        return np.asarray(scores, np.float32).reshape(-1, 1)

    encode_queries = encode_passages

    def find_cut(self, texts: Sequence[str], _role: Role) -> list[int] | None:
        """Return the places of the pairs that are longer than the model reads."""
        return find_long(self.model, _pairs(texts), self.fingerprint["prompt"])


def _pairs(texts: Sequence[str]) -> list[tuple[str, str]]:
    return [(query, passage) for query, passage in map(json.loads, texts)]


def _loaded(name: str) -> "CrossEncoder":
    from sentence_transformers import CrossEncoder

    try:
        with hide_progress_bars():
            return CrossEncoder(name)
    except (OSError, ValueError) as error:
        first = str(error).strip().splitlines()[0]
        raise BadData(f"cannot load the cross-encoder {name!r}: {first}") from error


@dataclass(frozen=True)
class Reranker:
    """Puts the `depth` best passages of a ranking into another order."""

    scores: PairScores
    depth: int = 100
    store: Path | None = None

    def describe(self) -> RerankerProvenance:
        """Return the provenance of reranked results."""
        return RerankerProvenance(self.scores.name, self.depth, self.scores.fingerprint)

    def reranked(
        self,
        collection: Collection,
        scored: Rankings,
        best: Best,
        order: np.ndarray,
        encoded: Encoded,
    ) -> tuple[Rankings, Best]:
        """Return rankings whose first `depth` passages are reranked, and those passages.

        `best` has the best passages of each ranking, which keeps its order behind the first
        `depth`: none from there rises, whichever way a measure breaks ties.
        """
        rows = best.rows[:, : self.depth]
        ranking, place = np.nonzero(rows >= 0)
        if not len(ranking):
            return scored, best
        passage, sizes = rows[ranking, place], (rows >= 0).sum(axis=1)
        pairs = self.scores.pairs(collection, scored.kind, scored.query_rows[ranking], passage)
        found = self._scored(pairs, encoded)
        descending = _places(ranking, found, order[passage], sizes)
        ascending = _places(ranking, found, -order[passage], sizes)
        judged = scored.judgements
        at = _find(ranking, passage, judged.query, scored.passage_rows)
        ranks: dict[str, Any] = {
            name: np.where(at < 0, judged.rank, places[at] + 1)
            for name, places in (("rank", descending), ("rank_ascending", ascending))
        }
        rows, scores = np.full_like(rows, -1), np.full(rows.shape, -np.inf, np.float32)
        rows[ranking, descending], scores[ranking, descending] = passage, found
        top = judged.top_languages
        if top.shape[1]:
            top = top.copy()
            cut = min(top.shape[1], rows.shape[1])
            top[:, :cut] = number_languages(rows[:, :cut], collection.passage_ranges)
        judged = replace(judged, top_languages=top, **ranks)
        return replace(scored, judgements=judged), Best(rows, scores)

    def _scored(self, pairs: list[str], encoded: Encoded) -> np.ndarray:
        column = pa.chunked_array([pa.array(pairs, pa.large_string())])
        rows = encode(self.scores, column, "passages", folder=self.store, encoded=encoded)
        return rows.take(slice(None))[:, 0]


def _places(
    ranking: np.ndarray, scores: np.ndarray, order: np.ndarray, sizes: np.ndarray
) -> np.ndarray:
    """Return each passage's place from 0 in its ranking; of equal scores the later id first."""
    by_score = np.lexsort((-order, -scores, ranking))
    places = np.empty(len(scores), np.int64)
    starts = np.repeat(np.cumsum(sizes) - sizes, sizes)
    places[by_score] = np.arange(len(scores)) - starts
    return places


def _find(
    ranking: np.ndarray, passage: np.ndarray, of: np.ndarray, wanted: np.ndarray
) -> np.ndarray:
    """Return where (ranking, passage) is each wanted pair, -1 where it is not."""
    width = 1 + max(int(passage.max(initial=0)), int(wanted.max(initial=0)))
    code = ranking * width + passage
    order = np.argsort(code)
    at = np.minimum(np.searchsorted(code, of * width + wanted, sorter=order), len(code) - 1)
    hit = code[order[at]] == of * width + wanted
    return np.where(hit, order[at], -1)
