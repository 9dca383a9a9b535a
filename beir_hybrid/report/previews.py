"""Texts and thumbnails of queries and passages, to be shown inside a page."""

import base64
import hashlib
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from beir_hybrid.collection import Collection
from beir_hybrid.collection.setting import IMAGE
from beir_hybrid.errors import BeirHybridError
from beir_hybrid.images import open_image

SIDE = 96  # pixels of a thumbnail's longer side


@dataclass(frozen=True)
class Thumbnail:
    """A small image inside a page.

    Attributes
    ----------
    key
        The image's id without what marks it as a passage or a query.
    alt
        A caption.
    address
        A ``data:`` address that holds the image; empty if its file is missing or has changed.
    size
        Width and height in pixels.
    """

    key: str
    alt: str
    address: str = ""
    size: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class Previews:
    """Texts and thumbnails by the ids of queries and passages."""

    texts: Mapping[str, str] = field(default_factory=dict)
    thumbnails: Mapping[str, Thumbnail] = field(default_factory=dict)


def load_previews(
    collection: Collection, queries: Iterable[str], passages: Iterable[str]
) -> Previews:
    """Return the texts and thumbnails of some queries and passages."""
    texts: dict[str, str] = {}
    files: dict[str, tuple[str, str]] = {}  # checksum and path of an image's file
    for table, ids in ((collection.queries, queries), (collection.passages, passages)):
        for row in _find_text_rows(table, ids):
            if row["id"].startswith(f"{IMAGE}:"):
                files[row["id"]] = row["text"], row["image"]
            else:
                texts[row["id"]] = row["text"]
    captions = _find_captions(collection, {_image_key(name) for name in files})
    thumbnails = {file: _make_thumbnail(*file) for file in set(files.values())}
    return Previews(
        texts,
        {
            name: Thumbnail(_image_key(name), captions.get(_image_key(name), ""), *thumbnails[file])
            for name, file in files.items()
        },
    )


def _find_text_rows(table: pa.Table, ids: Iterable[str]) -> list[dict[str, str]]:
    columns = [name for name in ("id", "text", "image") if name in table.column_names]
    is_named = pc.is_in(table["id"], pa.array(sorted(set(ids)), pa.string()))
    rows: list[dict[str, str]] = table.select(columns).filter(is_named).to_pylist()
    return rows


def _image_key(name: str) -> str:
    """Return the key of an image, from its id as a passage or as a query."""
    return name.removeprefix(f"{IMAGE}:").removeprefix("q:")


def _find_captions(collection: Collection, keys: set[str]) -> dict[str, str]:
    """Return a caption for each image: English, or that in the first language that has one."""
    captions: dict[str, str] = {}
    if not keys:
        return captions
    for language in sorted(collection.languages, key=lambda code: (code != "en", code)):
        names = {f"{language}:{key}-0": key for key in keys - captions.keys()}
        rows = _find_text_rows(collection.passages, names)
        captions |= {names[row["id"]]: row["text"] for row in rows}
    return captions


def _make_thumbnail(checksum: str, path: str) -> tuple[str, tuple[int, int]]:
    """Return the address and size of a thumbnail, if the file is the one that was evaluated."""
    try:
        if checksum != f"sha256:{hashlib.sha256(Path(path).read_bytes()).hexdigest()}":
            return "", (0, 0)
        image = open_image(path)
    except (BeirHybridError, OSError, ValueError):
        return "", (0, 0)
    image.thumbnail((SIDE, SIDE))
    file = io.BytesIO()
    image.save(file, "WEBP", quality=80)
    data = base64.b64encode(file.getvalue()).decode()
    return f"data:image/webp;base64,{data}", image.size
