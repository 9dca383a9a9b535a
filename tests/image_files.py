"""Small images and folders of captions for tests."""

import json
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

import beir_hybrid as bh

Row = dict[str, Any]
CATS: list[Row] = [
    {"id": "cat", "image": "a/cat.png", "captions": {"en": ["A cat", "Puss"], "de": "Katze"}},
    {"id": "sun", "image": "sun.png", "captions": {"zza": "Roc", "eng": "The sun"}, "keywords": 3},
]


def make_image(number: int, kind: str = "PNG") -> bytes:
    """Return an image of two times two pixels of its own colour."""
    file = BytesIO()
    Image.new("RGB", (2, 2), (number >> 8, number & 255, 7)).save(file, kind)
    return file.getvalue()


def list_judgements(collection: bh.Collection) -> dict[str, dict[str, int]]:
    """Return all judgements by id, as they are stored."""
    queries, passages = (
        table["id"].to_pylist() for table in (collection.queries, collection.passages)
    )
    judgements: dict[str, dict[str, int]] = {}
    for row in collection.judgements.to_pylist():
        judgements.setdefault(queries[row["query"]], {})[passages[row["passage"]]] = row[
            "relevance"
        ]
    return judgements


def write_images_folder(path: Path, rows: list[Row], images: dict[str, int] | None = None) -> Path:
    """Write a folder of images and captions; by default, images are numbered like rows."""
    path.mkdir(exist_ok=True)
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (path / "captions.jsonl").write_text(lines, "utf-8")
    if images is None:
        images = {row["image"]: number for number, row in enumerate(rows)}
    for name, number in images.items():
        (path / name).parent.mkdir(exist_ok=True)
        (path / name).write_bytes(make_image(number))
    return path


def load(path: Path, **options: Any) -> bh.Collection:
    return bh.load("jsonl-image-text", path=path, **options)
