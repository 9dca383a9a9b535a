"""Translations on disk: each text is translated once, and a killed run goes on where it was."""

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from beir_hybrid.errors import BadData, NotWritable
from beir_hybrid.files import cache_folder, explain_write_errors

_TABLE = "CREATE TABLE IF NOT EXISTS translations (key BLOB PRIMARY KEY, text TEXT, time TEXT)"
_PATIENCE = 600.0  # seconds to wait for another process that writes
_LOOKUPS = 500  # keys of one SELECT


class TranslationCache:
    """The translations of an engine from one language to another, by the text's hash.

    Parameters
    ----------
    request
        Everything that a translation depends on: the engine, its options, the languages.
    """

    def __init__(self, request: Mapping[str, object], folder: Path | None = None) -> None:
        text = json.dumps(request, sort_keys=True, ensure_ascii=False)
        name = hashlib.sha256(text.encode()).hexdigest()[:16]
        self.path = (folder or cache_folder() / "translations") / f"{name}.sqlite"

    def find(self, texts: Sequence[str]) -> dict[str, str]:
        """Return the translations of those texts that have been translated."""
        keys = {_hash_text(text): text for text in texts}
        translations = {}
        with self._connect() as database:
            for part in _split(list(keys), _LOOKUPS):
                marks = ",".join("?" * len(part))
                query = f"SELECT key, text FROM translations WHERE key IN ({marks})"  # noqa: S608
                for key, translation in database.execute(query, part):
                    translations[keys[bytes(key)]] = translation
        return translations

    def add(self, translations: Mapping[str, str]) -> None:
        """Store translations by text, with the time."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        rows = [(_hash_text(text), value, now) for text, value in translations.items()]
        with self._connect() as database, database:
            database.executemany("INSERT OR IGNORE INTO translations VALUES (?, ?, ?)", rows)

    @contextmanager
    def _connect(self) -> Iterator[sqlite3.Connection]:
        """Open the database; turn its errors into ours."""
        with explain_write_errors(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with closing(sqlite3.connect(self.path, timeout=_PATIENCE)) as database:
                database.execute(_TABLE)
                yield database
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise NotWritable(
                    f"cannot write {self.path}: {error}; free some room, or set BEIR_HYBRID_CACHE "
                    "if the cache should live elsewhere"
                ) from error
            raise BadData(f"{self.path} is damaged: {error}; remove it and run again") from error


def _hash_text(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def _split(keys: list[bytes], size: int) -> Iterable[list[bytes]]:
    for start in range(0, len(keys), size):
        yield keys[start : start + size]
