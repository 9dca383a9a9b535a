"""Systems of known quality on a few pictures with captions, to be put on a leaderboard."""

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

LANGS = ("ar", "de", "en")
PICTURES = 12
_TEXTS = {"ar": "مربع رقم {}", "de": "Quadrat Nummer {}", "en": "square number {} {hostile}"}


def colour(n: int) -> tuple[int, int, int]:
    """Return the colour that a picture is full of."""
    return 20 * n, 255 - 20 * n, (97 * n) % 256


def folder_of(folder: Path, size: tuple[int, int] = (200, 100)) -> Path:
    """Write pictures of one colour each, with captions in three languages, some of them HTML."""
    (folder / "png").mkdir(parents=True)
    rows = []
    for n in range(PICTURES):
        Image.new("RGB", size, colour(n)).save(folder / "png" / f"s{n:02}.png")
        captions = {k: text.format(n, hostile=HOSTILE[n % 2]) for k, text in _TEXTS.items()}
        rows.append({"id": f"s{n:02}", "image": f"png/s{n:02}.png", "captions": captions})
    lines = "".join(f"{json.dumps(row)}\n" for row in rows)
    (folder / "captions.jsonl").write_text(lines, "utf-8")
    return folder


def collection(folder: Path) -> Collection:
    """Return the pictures of a folder."""
    return bh.load("jsonl-image-text", path=str(folder))


def system(
    name: str,
    on: Collection,
    *,
    lost: Iterable[tuple[str, int]] = (),
    apart: float = 0.0,
    **options: Any,
) -> bh.Results:
    """Evaluate vectors that put all that is relevant first.

    For what is `lost`, by language or ``image`` and number, it comes last. Captions score higher
    than pictures where they are `apart`.
    """
    wrong, n = set(lost), len(on.passages)
    ids = on.passages["id"].to_pylist()
    numbers = np.array([int(key.partition(":s")[2][:2]) for key in ids])
    rows = np.array([[0.0 if key.startswith("image:") else apart for key in ids]] * len(on.queries))
    for row, query in zip(rows, on.queries.to_pylist(), strict=True):
        number = int(query["group"].removeprefix("s"))
        row[numbers == number] += -1 if (query["lang"], number) in wrong else 1
    model = ModelProvenance(name, fingerprint={"kind": "vectors"})
    vectors = CollectionVectors(
        Embeddings.from_array(rows.astype(np.float32)),
        Embeddings.from_array(np.eye(n, dtype=np.float32)),
        model,
    )
    return bh.evaluate(vectors, on, **options)
