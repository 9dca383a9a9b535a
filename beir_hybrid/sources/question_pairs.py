"""Pairs of a question and its passage become a collection for training; equal texts are one."""

from xxhash import xxh3_128_intdigest

from beir_hybrid.collection import CollectionWriter
from beir_hybrid.sources.bad_rows import BadRows

CAVEAT = "the corpus holds relevant passages only: for training, not for evaluation"


class PairWriter:
    """Writes questions of a language with their passages; each question and passage once.

    Parameters
    ----------
    bad_rows
        Counts pairs without question or passage.
    limit
        How many questions to take, in the order in which they come; 0 takes all. Further passages
        of these questions are taken, too.
    """

    def __init__(self, writer: CollectionWriter, lang: str, limit: int, bad_rows: BadRows) -> None:
        self.writer, self.lang, self.limit, self.bad_rows = writer, lang, limit, bad_rows
        self._queries: dict[int, str] = {}  # ids by checksum of the text
        self._passages: dict[int, str] = {}
        self._pairs: set[tuple[str, str]] = set()

    def add(self, question: str, title: str, passage: str, location: str) -> None:
        """Write a pair; one without question or passage is left out, and counted."""
        if not question.strip() or not passage.strip():
            self.bad_rows.note("pairs without question or passage", location)
            return
        key = xxh3_128_intdigest(question.encode())
        if key not in self._queries:
            if self.limit and len(self._queries) == self.limit:
                return
            number = str(len(self._queries))
            # Languages number their questions independently: equal ids are no translations.
            self._queries[key] = self.writer.add_query(
                self.lang, number, question, f"{self.lang}:{number}"
            )
        pair = self._queries[key], self._add_passage(title, passage)
        if pair not in self._pairs:
            self._pairs.add(pair)
            self.writer.add_judgement(*pair)

    def _add_passage(self, title: str, passage: str) -> str:
        """Return the id of a passage, which is written if it is new."""
        key = xxh3_128_intdigest(f"{title}\0{passage}".encode())
        if key not in self._passages:
            number = str(len(self._passages))
            self._passages[key] = self.writer.add_passage(self.lang, number, title, passage)
        return self._passages[key]
