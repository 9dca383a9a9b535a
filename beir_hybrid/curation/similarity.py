"""Similarity of translations to their sources by a multilingual encoder, judged by quantiles."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from beir_hybrid.curation.rules import Verdict
from beir_hybrid.curation.text_groups import PARTS, Part
from beir_hybrid.encoding import Embeddings, encode
from beir_hybrid.encoding.encoder import Encoder, Role

_BLOCK = 4096  # pairs whose vectors are in memory
_ROLES: dict[Part, Role] = {"query": "queries", "positive": "passages"}


@dataclass(frozen=True)
class Similarities:
    """Scores of translations and the least score to keep, by part and language.

    Attributes
    ----------
    numbers
        The groups whose translations have scores, ascending, by their number in the file.
    thresholds
        The quantile of the scores; lower ones are too low.
    """

    numbers: dict[tuple[Part, str], np.ndarray]  # (n,) int64
    scores: dict[tuple[Part, str], np.ndarray]  # (n,) float32
    thresholds: dict[tuple[Part, str], float]

    def add_reasons(self, number: int, verdict: Verdict) -> None:
        """Add reasons against texts of a group whose scores are too low."""
        for place, numbers in self.numbers.items():
            i = int(np.searchsorted(numbers, number))
            has_score = i < len(numbers) and numbers[i] == number
            if has_score and self.scores[place][i] < self.thresholds[place]:
                verdict.texts[place] = "similarity"
        if not verdict.reason and not verdict.rest.is_complete:
            verdict.reason = "incomplete"


def measure_similarities(
    verdicts: Iterable[Verdict], encoder: Encoder, source: str, quantile: float
) -> Similarities:
    """Score all translations that no rule is against, and take a quantile for each language.

    Equal scores are all kept or all left out: the threshold is a score itself, and is kept.
    """
    columns: dict[tuple[Part, str], _PairColumns] = {}
    for number, verdict in enumerate(verdicts):
        if verdict.reason:
            continue
        rest = verdict.rest
        for part in PARTS:
            texts = rest.get_texts(part)
            for lang in texts if source in texts else ():
                if lang != source:
                    pairs = columns.setdefault((part, lang), _PairColumns())
                    pairs.add(number, texts[source], texts[lang])
    numbers, scores, thresholds = {}, {}, {}
    for place, pairs in columns.items():
        numbers[place] = np.array(pairs.numbers, np.int64)
        scores[place] = pairs.score(encoder, _ROLES[place[0]])
        thresholds[place] = float(np.quantile(scores[place], quantile, method="lower"))
    return Similarities(numbers, scores, thresholds)


class _PairColumns:
    """Columns of sources and translations, which become Arrow arrays piece by piece."""

    def __init__(self) -> None:
        self.numbers: list[int] = []
        self._chunks: tuple[list[pa.Array], list[pa.Array]] = ([], [])
        self._texts: tuple[list[str], list[str]] = ([], [])

    def add(self, number: int, source: str, translation: str) -> None:
        """Add a pair of texts of a group."""
        self.numbers.append(number)
        for texts, text in zip(self._texts, (source, translation), strict=True):
            texts.append(text)
        if len(self._texts[0]) == _BLOCK:
            self._flush()

    def score(self, encoder: Encoder, role: Role) -> np.ndarray:
        """Return the inner products of the vectors of sources and translations, (n,) float32."""
        self._flush()
        sources, translations = (
            encode(encoder, pa.chunked_array(chunks, pa.string()), role) for chunks in self._chunks
        )
        return _multiply_rows(sources, translations)

    def _flush(self) -> None:
        for chunks, texts in zip(self._chunks, self._texts, strict=True):
            chunks.append(pa.array(texts, pa.string()))
            texts.clear()


def _multiply_rows(first: Embeddings, second: Embeddings) -> np.ndarray:
    """Return the inner product of each two rows, (n,) float32, block by block."""
    products = [np.empty(0, np.float32)]
    for start in range(0, len(first), _BLOCK):
        rows = slice(start, start + _BLOCK)
        products.append(np.einsum("ij,ij->i", first.take(rows), second.take(rows)))
    return np.concatenate(products)
