"""Data that the runs of an experiment share: pairs, collections, texts, lexicon."""

from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from benchmarks.hybrid import ntrex
from benchmarks.hybrid.article_split import ArticleSplit, load_mlqa_r, load_test_collection
from benchmarks.hybrid.experiment import Experiment, Variant
from benchmarks.hybrid.lexicon import build_lexicon, compute_coverage

if TYPE_CHECKING:
    from beir_hybrid.batches.strategies import Strategy
    from beir_hybrid.collection import Collection
    from beir_hybrid.pairs.code_switching import Lexicon
    from beir_hybrid.pairs.parallel_pairs import ParallelPairs


class Material:
    """Data that the runs of an experiment share, each built when it is first needed.

    Parameters
    ----------
    split
        A smaller collection to train and evaluate on, whatever the experiment says.
    """

    def __init__(self, experiment: Experiment, split: ArticleSplit | None = None) -> None:
        self.experiment, self._small_split = experiment, split
        self._splits: dict[str, ArticleSplit] = {}
        self._pairs: dict[str, ParallelPairs] = {}
        self._collections: dict[tuple[str, str], Collection] = {}

    def load_split(self, passage_text: str) -> ArticleSplit:
        """Return MLQA-R, split by article."""
        if passage_text not in self._splits:
            self._splits[passage_text] = self._small_split or load_mlqa_r(passage_text)
        return self._splits[passage_text]

    @property
    def _has_ntrex(self) -> bool:
        return self.experiment.arm != "A" and self._small_split is None

    def load_pairs(self, passage_text: str) -> "ParallelPairs":
        """Return the training pairs of the experiment's arm."""
        import beir_hybrid as bh

        if passage_text not in self._pairs:
            parts = [self.load_split(passage_text).build_pairs("train")]
            if self._has_ntrex:
                lines = ntrex.read_lines()
                if self.experiment.arm == "B":
                    parts.append(ntrex.pair_translations(lines))
                parts.append(ntrex.pair_neighbours(lines, ntrex.read_documents()))
            self._pairs[passage_text] = bh.join_pairs(parts)
        return self._pairs[passage_text]

    def load_collection(self, name: str, passage_text: str) -> "Collection":
        """Return a collection to evaluate on."""
        key = name, passage_text
        if key not in self._collections:
            self._collections[key] = (
                self._small_split.hold_out(name.rpartition("-")[2])
                if self._small_split
                else load_test_collection(name, passage_text)
            )
        return self._collections[key]

    @cached_property
    def texts(self) -> list[tuple[str, str]]:
        """The training texts, each with its language; of MLQA-R all passages of the articles."""
        texts = self.load_split("sentence").list_texts("train")
        if self._has_ntrex:
            for language, lines in ntrex.read_lines().items():
                texts += [(line, language) for line in lines]
        return texts

    @cached_property
    def lexicon(self) -> "Lexicon":
        """The lexicon of NTREX in the languages of the arm; arm A must not see other languages."""
        languages = ntrex.LANGUAGES
        if self.experiment.arm == "A":
            arm = self.load_split("sentence").collection.languages
            languages = tuple(language for language in languages if language in arm)
        return build_lexicon(ntrex.read_lines(languages))

    def compute_coverage(self, language: str | None = None) -> float:
        """Return the share of MLQA-R's training words, of a language or all, in the lexicon."""
        texts = self.load_split("sentence").list_texts("train")
        if language is not None:
            texts = [pair for pair in texts if pair[1] == language]
        return compute_coverage(self.lexicon, texts)

    def build_strategy(self, variant: Variant) -> "Strategy":
        """Return a variant's strategy, with its code switching."""
        from beir_hybrid.pairs.code_switching import code_switch

        strategy = variant.parse_strategy()
        if not variant.switch:
            return strategy
        return replace(strategy, code_switch=code_switch(variant.switch, self.lexicon))
