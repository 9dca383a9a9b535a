"""Collections of images and their captions in several languages.

A caption is a query and a passage in its language; an image is both in the group of images.
"""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from beir_hybrid.collection import Collection, CollectionWriter
from beir_hybrid.collection.cache import load_or_build
from beir_hybrid.collection.judgements import SELF_MATCH
from beir_hybrid.collection.setting import IMAGE
from beir_hybrid.errors import BadData
from beir_hybrid.images import ImageFacts, inspect_image
from beir_hybrid.languages import normalise
from beir_hybrid.progress import progress_bar
from beir_hybrid.sources.spec import Dataset, announce
from beir_hybrid.text import plural

_CHUNK = 512  # images decoded at a time, so that interrupts are noticed in between
# The endings of texts that models take for the path of an image.
_IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".gif", ".bmp", ".tif", ".tiff", ".webp", ".avif")


class CaptionedImage(NamedTuple):
    """An image with its captions.

    Attributes
    ----------
    key
        Identifies the image in the collection.
    captions
        The captions by language; languages without a caption may be absent.
    where
        The place that complaints name.
    """

    key: str
    path: Path
    captions: Mapping[str, Sequence[str]]
    location: str


def build_image_collection(
    name: str,
    rows: Iterable[CaptionedImage],
    recipe: Mapping[str, object],
    dataset: Dataset | None = None,
    **attributes: Any,
) -> Collection:
    """Return the collection of some images, built anew when an image's file changes.

    Parameters
    ----------
    recipe
        Everything else that the collection depends on.
    dataset
        The dataset whose licence and citation the collection has, if there is one.
    attributes
        Other arguments of `CollectionWriter.finish`.
    """
    rows = list(rows)
    # Reading every image to see whether it changed would take as long as building.
    states = [_get_file_state(row.path) for row in rows]
    digest = hashlib.sha256(json.dumps(states).encode()).hexdigest()

    def build(writer: CollectionWriter) -> None:
        if dataset:
            announce(dataset)
            attributes.update(licence=dataset.licence, citation=dataset.citation)
        write_images(name, rows, writer)
        writer.finish(**attributes)

    return load_or_build(name, {**recipe, "name": name, "pictures": digest}, build, has_images=True)


def _get_file_state(path: Path) -> tuple[str, int, int]:
    """Return the path, size and time of a file; zeros if there is none, of which building warns."""
    try:
        state = path.stat()
    except (OSError, ValueError):
        return str(path.absolute()), 0, 0
    return str(path.absolute()), state.st_size, state.st_mtime_ns


def write_images(name: str, rows: Iterable[CaptionedImage], writer: CollectionWriter) -> None:
    """Write images, captions and judgements; on each load, oddities are logged with counts.

    An image and its captions are relevant to each other, and so are its captions in all languages.
    Images of equal files count as one: neither can be told from the other.
    """
    images: dict[str, CaptionedImage] = {}
    for row in rows:
        if row.key in images:
            raise BadData(f"{row.location}: the id {row.key!r} is there twice")
        images[row.key] = row._replace(path=row.path.absolute(), captions=normalise_captions(row))
    facts = _inspect_images(name, list(dict.fromkeys(image.path for image in images.values())))
    rows_by_checksum: dict[str, list[_ImageRows]] = {}
    for image in images.values():
        checksum = facts[image.path].sha256
        rows_by_checksum.setdefault(checksum, []).append(_write_rows(image, checksum, writer))
    for equal_images in rows_by_checksum.values():
        _write_judgements(equal_images, writer)
    duplicates = [equal for equal in rows_by_checksum.values() if len(equal) > 1]
    lines = _describe_oddities(facts, list(images.values()), duplicates)
    writer.warnings += [f"{name}: {line}" for line in lines]


def normalise_captions(row: CaptionedImage) -> dict[str, list[str]]:
    """Return an image's captions by language code, or raise `BadData` where one is unusable."""
    captions: dict[str, list[str]] = {}
    for tag, texts in row.captions.items():
        try:
            lang = normalise(tag)
        except BadData as error:
            raise BadData(f"{row.location}: {error}") from error
        if lang in captions:
            raise BadData(f"{row.location}: there are captions in {lang!r} twice, under two codes")
        for text in texts:
            if not text.strip():
                raise BadData(f"{row.location}: a caption in {tag!r} is empty")
            if _is_image_path(text, row.path):
                raise BadData(
                    f"{row.location}: the caption {text!r:.80} in {tag!r} is the path or address "
                    "of an image; models would read the image instead"
                )
        if texts:
            captions[lang] = list(texts)
    return captions


def _is_image_path(text: str, image: Path) -> bool:
    """Return whether a text is the address of an image, or its path from here or from `image`."""
    if text.startswith("data:image/"):
        return True
    if text.startswith(("http://", "https://")) and " " not in text:
        try:
            return urlsplit(text).path.lower().endswith(_IMAGE_SUFFIXES)
        except ValueError:  # no address after all
            return False
    if not text.lower().endswith(_IMAGE_SUFFIXES):
        return False
    # Paths may start from here, or from one of the folders above the image.
    return any(_is_file(folder / text) for folder in (Path(), *image.parents))


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # too long for a path, or no right to look
        return False


def _inspect_images(name: str, paths: Sequence[Path]) -> dict[Path, ImageFacts]:
    """Decode every image once; raise `BadData` with the first bad one and their number."""
    missing = [path for path in paths if not _exists(name, path)]
    if missing:
        raise BadData(f"{name}: {_count_images(missing, paths)} missing, first {missing[0]}")
    facts: dict[Path, ImageFacts] = {}
    errors: list[BadData] = []

    def inspect(path: Path) -> ImageFacts | BadData:
        try:
            return inspect_image(path)
        except BadData as error:
            return error

    with (
        ThreadPoolExecutor(os.cpu_count()) as pool,
        progress_bar(f"{name}: images", len(paths), unit="images") as advance,
    ):
        for start in range(0, len(paths), _CHUNK):
            chunk = paths[start : start + _CHUNK]
            for path, outcome in zip(chunk, pool.map(inspect, chunk), strict=True):
                if isinstance(outcome, BadData):
                    errors.append(outcome)
                else:
                    facts[path] = outcome
                advance(1)
    if errors:
        raise BadData(f"{name}: {_count_images(errors, paths)} unusable: {errors[0]}")
    return facts


def _exists(name: str, path: Path) -> bool:
    try:
        return path.exists()
    except OSError as error:  # too long for a path, or no right to look
        reason = f"cannot be looked for: {error.strerror}"
        raise BadData(f"{name}: the image {str(path)!r:.200} {reason}") from error


def _count_images(part: Sequence[object], images: Sequence[object]) -> str:
    verb = "is" if len(part) == 1 else "are"
    return f"{len(part):,} of {plural(len(images), 'images')} {verb}"


class _ImageRows(NamedTuple):
    """The ids that were written of an image and its captions."""

    key: str
    image: str
    queries: list[str]
    captions: list[str]  # as passages, in the order of `queries`


def _write_rows(image: CaptionedImage, checksum: str, writer: CollectionWriter) -> _ImageRows:
    key, path, text = image.key, str(image.path), f"sha256:{checksum}"
    image_id = writer.add_passage(IMAGE, key, "", text, path)
    queries, captions = [], []
    for lang, texts in image.captions.items():
        for number, caption in enumerate(texts):
            captions.append(writer.add_passage(lang, f"{key}-{number}", "", caption))
            queries.append(writer.add_query(lang, f"{key}-{number}", caption, key))
    if image.captions:
        writer.add_query(IMAGE, key, text, key, path)
    return _ImageRows(key, image_id, queries, captions)


def _write_judgements(equal_images: Sequence[_ImageRows], writer: CollectionWriter) -> None:
    """Write the judgements of an image and its captions, or of images of equal files."""
    queries = list(chain.from_iterable(rows.queries for rows in equal_images))
    captions = list(chain.from_iterable(rows.captions for rows in equal_images))
    for query, same_caption in zip(queries, captions, strict=True):
        for caption in captions:
            relevance = SELF_MATCH if caption is same_caption else 1
            writer.add_judgement(query, caption, relevance)
        for rows in equal_images:
            writer.add_judgement(query, rows.image)
    for rows in equal_images:
        if rows.queries:  # an image without captions of its own is a passage only
            query = f"{IMAGE}:q:{rows.key}"
            writer.add_judgement(query, rows.image, SELF_MATCH)
            for caption in captions:
                writer.add_judgement(query, caption)


def _describe_oddities(
    facts: Mapping[Path, ImageFacts],
    images: Sequence[CaptionedImage],
    duplicates: Sequence[Sequence[_ImageRows]],
) -> Iterator[str]:
    """Yield the oddities of images and captions that users should know, with counts."""
    oddities = Counter(chain.from_iterable(image.oddities for image in facts.values()))
    if oddities:
        counts = ", ".join(f"{count:,} {oddity}" for oddity, count in oddities.most_common())
        yield f"images that are converted: {counts}"
    if duplicates:
        keys = ", ".join(repr(rows.key) for rows in duplicates[0])
        count = f"{sum(map(len, duplicates)):,} ids share {plural(len(duplicates), 'images')}"
        yield f"{count}, first {keys}: captions of one are taken to fit the others"
    languages = Counter(chain.from_iterable(image.captions for image in images))
    gaps = {lang: len(images) - count for lang, count in sorted(languages.items())}
    if any(gaps.values()):
        counts = ", ".join(f"{lang} {count:,}" for lang, count in gaps.items() if count)
        yield f"images without a caption in a language: {counts}"
