"""Texts of test collections, which training data must not have: equal texts and n-grams."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow.compute as pc
import xxhash

from beir_hybrid.collection import Collection
from beir_hybrid.collection.arrays import join_titles
from beir_hybrid.collection.setting import IMAGE
from beir_hybrid.curation.unit_hashes import HashSet, UnitHashes

MIN_WORDS = 3  # of a text that is compared as a whole: shorter ones are equal by chance
_CHUNK = 1 << 14  # texts that are hashed at once


@dataclass(frozen=True)
class TestTexts:
    """Hashes of the texts of a test collection.

    Attributes
    ----------
    name
        That of the collection.
    n
        How many words an n-gram has.
    sequences, ngrams
        Hashes of whole texts and of n-grams.
    """

    __test__ = False  # pytest takes classes of such a name for tests

    name: str
    n: int
    sequences: HashSet
    ngrams: HashSet

    @classmethod
    def from_collection(cls, collection: Collection, n: int) -> "TestTexts":
        """Hash all queries and passages of a collection, in all its languages."""
        query_rows = collection.queries.filter(pc.not_equal(collection.queries["lang"], IMAGE))
        passages = collection.view().passages
        is_titled = pc.not_equal(passages["title"], "")  # training data may lack the titles
        columns = (query_rows["text"], None), (join_titles(passages), None)
        sequences, ngrams = [], []
        for column, mask in (*columns, (passages["text"], is_titled)):
            for start in range(0, len(column), _CHUNK):
                texts = column.slice(start, _CHUNK)
                texts = texts if mask is None else texts.filter(mask.slice(start, _CHUNK))
                hashes = UnitHashes.from_texts(texts.to_pylist())
                sequences.append(hashes.hash_sequences()[hashes.counts >= MIN_WORDS])
                ngrams.append(hashes.hash_ngrams(n))
        return cls(collection.name, n, HashSet.from_parts(sequences), HashSet.from_parts(ngrams))

    def digest(self) -> str:
        """Return a checksum of all hashes."""
        return xxhash.xxh3_128_hexdigest(
            self.sequences.values.tobytes() + self.ngrams.values.tobytes()
        )

    def find_texts(self, hashes: UnitHashes) -> np.ndarray:
        """Mark the texts that are equal to one of the collection or share an n-gram, (n,) bool."""
        is_equal = self.sequences.match(hashes.hash_sequences()) & (hashes.counts >= MIN_WORDS)
        return is_equal | hashes.match_ngrams(self.n, self.ngrams)


def find_contamination(texts: Sequence[str], tests: Iterable[TestTexts]) -> list[str]:
    """Return the name of the first test collection that has each text, empty without any."""
    hashes = UnitHashes.from_texts(texts)
    names = [""] * len(texts)
    for test in tests:
        for i in np.flatnonzero(test.find_texts(hashes)).tolist():
            names[i] = names[i] or test.name
    return names
