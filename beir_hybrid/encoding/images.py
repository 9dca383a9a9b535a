"""Files of pictures in, decoded pictures and their rows out, made ready ahead of the model."""

import os
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from beir_hybrid.errors import BadData, BadOption
from beir_hybrid.files import sha256
from beir_hybrid.images import open_image

if TYPE_CHECKING:
    from PIL.Image import Image

_THREADS = 2
# What is given out together, and what is decoded ahead: so many pictures or, if they are large, so
# many that they have this many pixels (three bytes each).
_PICTURES, _PIXELS = 128, 1 << 26


def image_encoder(encoder: Any, cure: str = "") -> Callable[[Sequence["Image"]], np.ndarray]:
    """Return an encoder's `encode_images`; raise `BadOption`, with a cure, if it reads none."""
    found: Callable[[Sequence[Image]], np.ndarray] | None
    found = getattr(encoder, "encode_images", None)
    if found is None:
        name = getattr(encoder, "name", "") or type(encoder).__name__
        raise BadOption(
            f"{name} reads no pictures; name a model of texts and images, such as CLIP or SigLIP"
            f"{cure}"
        )
    return found


def rows_of(
    model: Any,
    pictures: Sequence["Image"],
    batch_size: int,
    normalize: bool,
    truncate_dim: int | None,
) -> np.ndarray:
    """Return what a model of sentence-transformers makes of pictures.

    These are the rows of its `encode`, which lets the model wait while the next batch is resized.
    """
    import torch
    from sentence_transformers.util import batch_to_device, truncate_embeddings

    starts = range(0, len(pictures), batch_size)
    batches = [list(pictures[start : start + batch_size]) for start in starts]
    model.eval()
    rows = []
    with ThreadPoolExecutor(max(1, (os.cpu_count() or 1) // 2)) as threads, torch.inference_mode():
        for features in threads.map(model.preprocess, batches):
            found = model(batch_to_device(features, model.device))["sentence_embedding"]
            if truncate_dim is not None:
                found = truncate_embeddings(found, truncate_dim)
            if normalize:
                found = torch.nn.functional.normalize(found, p=2, dim=1)
            rows.append(found.float().cpu().numpy())
    whole: np.ndarray = np.concatenate(rows)
    return whole


def windows(keys: Sequence[str], paths: Sequence[str]) -> Generator[list["Image"]]:
    """Yield the pictures of some files in their order, while the next ones are being decoded.

    The keys say what the files held when they were listed, as ``sha256:`` and a checksum.
    """
    ahead: deque[Future[Image]] = deque()
    waiting = iter(list(zip(keys, paths, strict=True)))
    room, largest, window, pixels = _THREADS, 1, [], 0
    pool = ThreadPoolExecutor(_THREADS)
    try:
        while True:
            while len(ahead) < room and (pair := next(waiting, None)):
                ahead.append(pool.submit(opened_as, *pair))
            if not ahead:
                break
            picture = ahead.popleft().result()
            size = picture.width * picture.height
            window.append(picture)
            largest, pixels = max(largest, size), pixels + size
            room = min(max(_THREADS, _PIXELS // largest), _PICTURES)
            if len(window) == _PICTURES or pixels >= _PIXELS:
                yield window
                window, pixels = [], 0
        if window:
            yield window
    finally:
        pool.shutdown(cancel_futures=True)


def opened_as(key: str, path: str | Path) -> "Image":
    """Open a picture, or raise `BadData` if it has changed since its key was made."""
    try:
        found = f"sha256:{sha256(Path(path))}"
    except OSError as error:
        raise BadData(
            f"{path} cannot be read ({error.strerror}); load the collection or pairs anew"
        ) from error
    if found != key:
        raise BadData(
            f"{path} is no longer the picture that was loaded; load the collection or pairs anew"
        )
    return open_image(path)
