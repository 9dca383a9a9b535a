"""Columns of TREC run files: ids that are translated to the collection's, and scores."""

import math
from collections.abc import Collection, Mapping
from pathlib import Path

from beir_hybrid.errors import BadData


class IdColumn:
    """The ids in one column of a run file, translated to those of the collection.

    `aliases` are other names of known ids.
    """

    def __init__(
        self,
        kind: str,
        prefix: str,
        known_ids: Collection[str] | None,
        aliases: Mapping[str, str] | None = None,
    ) -> None:
        self.kind, self.prefix, self.known_ids = kind, prefix, known_ids
        self.aliases = aliases or {}
        self.ids: dict[bytes, str] = {}  # each id is held once
        self.unknown_ids: dict[str, int] = {}  # and the first line of each

    def translate(self, raw_id: bytes, number: int, place: str) -> str:
        """Return the collection's id of an id in the file: with the prefix, unless unknown."""
        if raw_id in self.ids:
            return self.ids[raw_id]
        try:
            file_id = raw_id.decode("utf-8")
        except UnicodeDecodeError as error:
            raise BadData(f"{place} is not UTF-8: {error}") from error
        identity = self.prefix + file_id
        if self.known_ids is not None and identity not in self.known_ids:
            identity = file_id if file_id in self.known_ids else self.aliases.get(file_id, file_id)
            if identity not in self.known_ids:
                self.unknown_ids[file_id] = number
        self.ids[raw_id] = identity
        return identity

    def check_unknown_ids(self, path: Path) -> None:
        """Raise `BadData` if the file has ids that are not among the known ones."""
        if self.unknown_ids:
            raise BadData(self.describe_unknown_ids(path))

    def describe_unknown_ids(self, path: Path) -> str:
        """Count the unknown ids of a file, and name the first with its line."""
        first_id, line = next(iter(self.unknown_ids.items()))
        return (
            f"{path} names {len(self.unknown_ids):,} {self.kind} that are not there, "
            f"first {first_id!r} in line {line}"
        )


def parse_score(raw_score: bytes, place: str) -> float:
    """Return the score in a line, or raise `BadData`."""
    try:
        score = float(raw_score)
    except ValueError:
        score = math.nan
    if math.isnan(score):
        raise BadData(f"{place}: the score {raw_score.decode(errors='replace')!r} is no number")
    return score
