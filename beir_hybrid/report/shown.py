"""Ids in, what a page shows of them out: texts, and small pictures that stand in the page."""

import base64
import hashlib
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from beir_hybrid.collection import Collection
from beir_hybrid.collection.setting import IMAGE
from beir_hybrid.errors import BeirHybridError
from beir_hybrid.images import open_image

SIDE = 96  # pixels at most


@dataclass(frozen=True)
class Thumbnail:
    """A small picture, as an address that holds it; nothing if its file is gone or another."""

    key: str
    alt: str  # a caption
    address: str = ""
    size: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class Known:
    """What is known of ids: texts, or thumbnails of what is a picture."""

    texts: Mapping[str, str]
    pictures: Mapping[str, Thumbnail]


def known_of(collection: Collection, queries: Iterable[str], passages: Iterable[str]) -> Known:
    """Return what is shown of some queries and passages."""
    texts, rows = dict[str, str](), dict[str, tuple[str, str]]()
    for table, ids in ((collection.queries, queries), (collection.passages, passages)):
        for row in _rows(table, ids):
            if row["id"].startswith(f"{IMAGE}:"):
                rows[row["id"]] = row["text"], row["image"]
            else:
                texts[row["id"]] = row["text"]
    captions = _captions(collection, {_key(name) for name in rows})
    small = {file: _small(*file) for file in set(rows.values())}
    pictures = {name: Thumbnail(_key(name), captions.get(_key(name), ""), *small[file])
                for name, file in rows.items()}  # fmt: skip
    return Known(texts, pictures)


def _rows(table: pa.Table, ids: Iterable[str]) -> list[dict[str, str]]:
    wanted = pa.array(sorted(set(ids)), pa.string())
    columns = [name for name in ("id", "text", "image") if name in table.column_names]
    found: list[dict[str, str]] = (
        table.select(columns).filter(pc.is_in(table["id"], wanted)).to_pylist()
    )
    return found


def _key(name: str) -> str:
    """Return the key of a picture, by its id as a passage or as a query."""
    return name.removeprefix(f"{IMAGE}:").removeprefix("q:")


def _captions(collection: Collection, keys: set[str]) -> dict[str, str]:
    """Return a caption for each picture: English, or that in the first language that has one."""
    found: dict[str, str] = {}
    if not keys:
        return found
    langs = sorted(collection.languages, key=lambda lang: (lang != "en", lang))
    for lang in langs:
        names = {f"{lang}:{key}-0": key for key in keys - found.keys()}
        found |= {names[row["id"]]: row["text"] for row in _rows(collection.passages, names)}
    return found


def _small(content: str, path: str) -> tuple[str, tuple[int, int]]:
    """Return the address and size of a small picture, if its file is what was judged."""
    try:
        if content != f"sha256:{hashlib.sha256(Path(path).read_bytes()).hexdigest()}":
            return "", (0, 0)
        picture = open_image(path)
    except (BeirHybridError, OSError, ValueError):
        return "", (0, 0)
    picture.thumbnail((SIDE, SIDE))
    file = io.BytesIO()
    picture.save(file, "WEBP", quality=80)
    data = base64.b64encode(file.getvalue()).decode()
    return f"data:image/webp;base64,{data}", picture.size
