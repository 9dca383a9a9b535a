"""Row codes: one number for a group, the languages of its query and passage, and a variant."""

from typing import NamedTuple

import numpy as np

SWITCH_LIMIT = 256  # ways to switch the texts of one set of pairs, none of them included
TURN_BITS = 16


class SampledRow(NamedTuple):
    """A group, and the languages of query and passage in which a row shows it."""

    group: int
    query_language: str
    passage_language: str


class RowCodes(NamedTuple):
    """The codes of all rows that groups in some languages can be shown as.

    Numbers below the number of groups are no codes but plain indices. Variants tell apart the
    texts of a row that code switching changes: a turn and the number of the switch from 1 on,
    joined by `join_variant`; the texts as they are stored are variant 0.

    Examples
    --------
    >>> codes = RowCodes(n_groups=3, n_languages=2)
    >>> code = codes.encode(1, 0, 1)
    >>> int(code)
    8
    >>> codes.decode(np.array([code]))
    (array([1]), array([0]), array([1]), array([0]))
    """

    n_groups: int
    n_languages: int

    def encode(
        self,
        groups: np.ndarray | int,
        query_languages: np.ndarray | int,
        passage_languages: np.ndarray | int,
        variant: int = 0,
    ) -> np.ndarray:
        """Return the codes of groups in languages, both by number, int64."""
        rows = variant * self.n_groups + np.asarray(groups)
        pairs = (rows * self.n_languages + query_languages) * self.n_languages + passage_languages
        codes: np.ndarray = self.n_groups + pairs
        return codes

    def decode(self, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return the groups, query languages, passage languages and variants of codes."""
        rest, passage_languages = np.divmod(codes - self.n_groups, self.n_languages)
        rest, query_languages = np.divmod(rest, self.n_languages)
        variants, groups = np.divmod(rest, max(self.n_groups, 1))
        return groups, query_languages, passage_languages, variants

    def check(self, codes: np.ndarray, *, has_variants: bool) -> None:
        """Raise `IndexError` for numbers that are neither codes nor plain indices."""
        n_variants = SWITCH_LIMIT << TURN_BITS if has_variants else 1
        limit = self.n_groups + n_variants * self.n_groups * self.n_languages**2
        wrong = codes[(codes < 0) | (codes >= limit)]
        if len(wrong):
            raise IndexError(
                f"{wrong[0]} is no number of these {self.n_groups} groups in {self.n_languages} "
                "languages"
            )


def join_variant(turn: int, switch: int) -> int:
    """Return the variant of texts that a switch, by its number from 0 on, changes in a turn."""
    return turn * SWITCH_LIMIT + switch + 1


def get_switch_number(variant: int) -> int:
    """Return the number of the switch of a variant other than 0."""
    return variant % SWITCH_LIMIT - 1
