"""Images for encoders: files are decoded ahead of the model, and batches resized ahead of it."""

import os
from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from beir_hybrid.errors import BadData, BeirHybridError
from beir_hybrid.files import sha256
from beir_hybrid.images import open_image

if TYPE_CHECKING:
    from PIL.Image import Image

_THREADS = 2
# Limits of a batch, and of the images decoded ahead: in number, and in pixels of three bytes each.
IMAGES_PER_BATCH, _PIXELS_PER_BATCH = 128, 1 << 26


def encode_image_batches(
    model: Any,
    images: Sequence["Image"],
    batch_size: int,
    normalize: bool,
    truncate_dim: int | None,
) -> np.ndarray:
    """Return the vectors that a model of sentence-transformers makes of images, (n, dim).

    They equal those of its `encode`, which would let the model wait while it resizes each batch.
    """
    import torch
    from sentence_transformers.util import batch_to_device, truncate_embeddings

    starts = range(0, len(images), batch_size)
    batches = [list(images[start : start + batch_size]) for start in starts]
    model.eval()
    rows = []
    with ThreadPoolExecutor(max(1, (os.cpu_count() or 1) // 2)) as threads, torch.inference_mode():
        for features in threads.map(model.preprocess, batches):
            vectors = model(batch_to_device(features, model.device))["sentence_embedding"]
            if truncate_dim is not None:
                vectors = truncate_embeddings(vectors, truncate_dim)
            if normalize:
                vectors = torch.nn.functional.normalize(vectors, p=2, dim=1)
            rows.append(vectors.float().cpu().numpy())
    all_rows: np.ndarray = np.concatenate(rows)
    return all_rows


def decode_batches(keys: Sequence[str], paths: Sequence[str]) -> Generator[list["Image"]]:
    """Yield the images of files in their order, in batches, while the next ones are decoded.

    The keys are the checksums of the files when they were listed, as ``sha256:`` and the digits.
    """
    queue: deque[Future[Image]] = deque()
    remaining = iter(list(zip(keys, paths, strict=True)))
    capacity, largest, batch, pixels = _THREADS, 1, [], 0
    pool = ThreadPoolExecutor(_THREADS)
    try:
        while True:
            while len(queue) < capacity and (pair := next(remaining, None)):
                queue.append(pool.submit(open_unchanged_image, *pair))
            if not queue:
                break
            image = queue.popleft().result()
            size = image.width * image.height
            batch.append(image)
            largest, pixels = max(largest, size), pixels + size
            capacity = min(max(_THREADS, _PIXELS_PER_BATCH // largest), IMAGES_PER_BATCH)
            if len(batch) == IMAGES_PER_BATCH or pixels >= _PIXELS_PER_BATCH:
                yield batch
                batch, pixels = [], 0
        if batch:
            yield batch
    finally:
        pool.shutdown(cancel_futures=True)


def open_unchanged_image(key: str, path: str | Path) -> "Image":
    """Decode an image, or raise `BadData` if its file has changed since its key was made."""
    try:
        current_key = f"sha256:{sha256(Path(path))}"
    except BeirHybridError as error:
        raise BadData(f"{error}; load the collection or pairs anew") from error
    if current_key != key:
        raise BadData(
            f"{path} is no longer the image that was loaded; load the collection or pairs anew"
        )
    return open_image(path)
