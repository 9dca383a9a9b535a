"""Systems of known quality on a few images with captions."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import beir_hybrid as bh
from beir_hybrid.collection import Collection
from beir_hybrid.encoding import Embeddings
from beir_hybrid.evaluation.vectors import CollectionVectors
from beir_hybrid.results.provenance import ModelProvenance
from tests.boards import HOSTILE

LANGUAGES = ("ar", "de", "en")
IMAGES = 12
_CAPTIONS = {"ar": "مربع رقم {}", "de": "Quadrat Nummer {}", "en": "square number {} {hostile}"}


def compute_colour(number: int) -> tuple[int, int, int]:
    """Return the colour of all pixels of an image."""
    return 20 * number, 255 - 20 * number, (97 * number) % 256


def write_squares(folder: Path, size: tuple[int, int] = (200, 100)) -> Path:
    """Write images of one colour each, with captions in three languages, some of them HTML."""
    (folder / "png").mkdir(parents=True)
    rows = []
    for i in range(IMAGES):
        Image.new("RGB", size, compute_colour(i)).save(folder / "png" / f"s{i:02}.png")
        captions = {
            lang: text.format(i, hostile=HOSTILE[i % 2]) for lang, text in _CAPTIONS.items()
        }
        rows.append({"id": f"s{i:02}", "image": f"png/s{i:02}.png", "captions": captions})
    lines = "".join(f"{json.dumps(row)}\n" for row in rows)
    (folder / "captions.jsonl").write_text(lines, "utf-8")
    return folder


def load_squares(folder: Path) -> Collection:
    """Load the images of a folder."""
    return bh.load("jsonl-image-text", path=str(folder))


def evaluate_image_system(
    name: str,
    collection: Collection,
    *,
    failures: Iterable[tuple[str, int]] = (),
    caption_bonus: float = 0.0,
    **options: Any,
) -> bh.Results:
    """Evaluate vectors that rank all relevant passages first.

    Parameters
    ----------
    failures
        Queries whose relevant passages come last, by language or ``image`` and by number.
    caption_bonus
        Added to the scores of captions, not of images.
    """
    failures, count = set(failures), len(collection.passages)
    ids = collection.passages["id"].to_pylist()
    numbers = np.array([int(key.partition(":s")[2][:2]) for key in ids])
    bonus = [0.0 if key.startswith("image:") else caption_bonus for key in ids]
    vectors = np.array([bonus] * len(collection.queries))
    for vector, query in zip(vectors, collection.queries.to_pylist(), strict=True):
        number = int(query["group"].removeprefix("s"))
        vector[numbers == number] += -1 if (query["lang"], number) in failures else 1
    model = ModelProvenance(name, fingerprint={"kind": "vectors"})
    queries = Embeddings.from_array(vectors.astype(np.float32))
    passages = Embeddings.from_array(np.eye(count, dtype=np.float32))
    return bh.evaluate(CollectionVectors(queries, passages, model), collection, **options)
