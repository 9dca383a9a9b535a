"""Pictures and their captions in several languages in, a collection of both out.

Captions and pictures are asked and found alike: a caption is a query and a passage in its language,
a picture both in the group of pictures.
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

_SLICE = 512  # pictures decoded before whoever wants to stop is heard
# What models take for pictures where it is given to them as text.
_PICTURES = (".jpg", ".jpeg", ".png", ".gif", ".bmp", ".tif", ".tiff", ".webp", ".avif")


class Captioned(NamedTuple):
    """A picture: its key, its file, its captions by language, and the place that complaints name.

    A language that has no caption for it may be absent.
    """

    key: str
    path: Path
    captions: Mapping[str, Sequence[str]]
    where: str


def image_text(
    name: str,
    rows: Iterable[Captioned],
    recipe: Mapping[str, object],
    dataset: Dataset | None = None,
    **facts: Any,
) -> Collection:
    """Return the collection of some pictures, built anew when a picture's file changes.

    `recipe` says what else it depends on, and `facts` are what `CollectionWriter.finish` takes;
    licence and citation are those of `dataset`, if there is one.
    """
    rows = list(rows)
    # Reading every picture to see whether it changed would take as long as building.
    seen = [_state(row.path) for row in rows]
    digest = hashlib.sha256(json.dumps(seen).encode()).hexdigest()

    def build(writer: CollectionWriter) -> None:
        if dataset:
            announce(dataset)
            facts.update(licence=dataset.licence, citation=dataset.citation)
        write(name, rows, writer)
        writer.finish(**facts)

    return load_or_build(name, {**recipe, "name": name, "pictures": digest}, build, has_images=True)


def _state(path: Path) -> tuple[str, int, int]:
    try:
        found = path.stat()
    except (OSError, ValueError):  # building says what is wrong with it
        return str(path), 0, 0
    return str(path), found.st_size, found.st_mtime_ns


def write(name: str, rows: Iterable[Captioned], writer: CollectionWriter) -> None:
    """Write pictures, captions and judgements; warn on each load, with counts, of what is odd.

    A picture and its captions are relevant to each other, and so are its captions in all
    languages. Pictures of equal files count as one: neither can be told from the other.
    """
    captioned: dict[str, tuple[Path, dict[str, list[str]]]] = {}
    for row in rows:
        if row.key in captioned:
            raise BadData(f"{row.where}: the id {row.key!r} is there twice")
        captioned[row.key] = row.path.absolute(), by_language(row)
    pictures = _pictures(name, list(dict.fromkeys(path for path, _ in captioned.values())))
    same: dict[str, list[_Written]] = {}
    for key, (path, captions) in captioned.items():
        checksum = pictures[path].sha256
        same.setdefault(checksum, []).append(_written(key, path, checksum, captions, writer))
    for alike in same.values():
        _judge(alike, writer)
    twins = [alike for alike in same.values() if len(alike) > 1]
    writer.warnings += [f"{name}: {line}" for line in _odd(pictures, captioned, twins)]


def by_language(row: Captioned) -> dict[str, list[str]]:
    """Return the captions by the languages' codes, or raise `BadData` where one is none."""
    found: dict[str, list[str]] = {}
    for tag, texts in row.captions.items():
        try:
            lang = normalise(tag)
        except BadData as error:
            raise BadData(f"{row.where}: {error}") from error
        if lang in found:
            raise BadData(f"{row.where}: there are captions in {lang!r} twice, under two codes")
        for text in texts:
            if not text.strip():
                raise BadData(f"{row.where}: a caption in {tag!r} is empty")
            if _names_picture(text, row.path):
                raise BadData(
                    f"{row.where}: the caption {text!r:.80} in {tag!r} is where a picture lies; "
                    "models would read the picture instead"
                )
        if texts:
            found[lang] = list(texts)
    return found


def _names_picture(text: str, picture: Path) -> bool:
    """Tell whether a text is the path or address of a picture, seen from here or from `picture`."""
    if text.startswith("data:image/"):
        return True
    if text.startswith(("http://", "https://")) and " " not in text:
        try:
            return urlsplit(text).path.lower().endswith(_PICTURES)
        except ValueError:  # no address after all
            return False
    if not text.lower().endswith(_PICTURES):
        return False
    # Paths of pictures start from here, or from one of the folders above them.
    return any(_is_file(folder / text) for folder in (Path(), *picture.parents))


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # too long for a path, or no right to look
        return False


def _pictures(name: str, paths: Sequence[Path]) -> dict[Path, ImageFacts]:
    """Decode every picture once; raise `BadData` with the first that is no good and the count."""
    missing = [path for path in paths if not _exists(name, path)]
    if missing:
        raise BadData(f"{name}: {_of(missing, paths)} missing, first {missing[0]}")
    found: dict[Path, ImageFacts] = {}
    refused: list[BadData] = []

    def look(path: Path) -> ImageFacts | BadData:
        try:
            return inspect_image(path)
        except BadData as error:
            return error

    with (
        ThreadPoolExecutor(os.cpu_count()) as pool,
        progress_bar(f"{name}: pictures", len(paths), unit="pictures") as advance,
    ):
        for start in range(0, len(paths), _SLICE):
            some = paths[start : start + _SLICE]
            for path, seen in zip(some, pool.map(look, some), strict=True):
                if isinstance(seen, BadData):
                    refused.append(seen)
                else:
                    found[path] = seen
                advance(1)
    if refused:
        raise BadData(f"{name}: {_of(refused, paths)} no good: {refused[0]}")
    return found


def _exists(name: str, path: Path) -> bool:
    try:
        return path.exists()
    except OSError as error:  # too long for a path, or no right to look
        reason = f"cannot be looked for: {error.strerror}"
        raise BadData(f"{name}: the picture {str(path)!r:.200} {reason}") from error


def _of(some: Sequence[object], all_: Sequence[object]) -> str:
    return f"{len(some):,} of {plural(len(all_), 'pictures')} {'is' if len(some) == 1 else 'are'}"


class _Written(NamedTuple):
    """The ids of a picture and of its captions."""

    key: str
    picture: str
    asked: list[str]
    found: list[str]


def _written(
    key: str,
    path: Path,
    checksum: str,
    captions: Mapping[str, Sequence[str]],
    writer: CollectionWriter,
) -> _Written:
    picture = writer.add_passage(IMAGE, key, "", f"sha256:{checksum}", str(path))
    asked, found = [], []
    for lang, texts in captions.items():
        for number, text in enumerate(texts):
            found.append(writer.add_passage(lang, f"{key}-{number}", "", text))
            asked.append(writer.add_query(lang, f"{key}-{number}", text, key))
    if captions:
        writer.add_query(IMAGE, key, f"sha256:{checksum}", key, str(path))
    return _Written(key, picture, asked, found)


def _judge(alike: Sequence[_Written], writer: CollectionWriter) -> None:
    """Judge a picture and its captions, or those of several pictures of equal files."""
    pictures = [one.picture for one in alike]
    asked = list(chain.from_iterable(one.asked for one in alike))
    found = list(chain.from_iterable(one.found for one in alike))
    for query, itself in zip(asked, found, strict=True):
        for passage in found:
            writer.add_judgement(query, passage, SELF_MATCH if passage is itself else 1)
        for picture in pictures:
            writer.add_judgement(query, picture)
    for one in alike:
        if one.asked:  # without captions of its own it is only found
            query = f"{IMAGE}:q:{one.key}"
            writer.add_judgement(query, one.picture, SELF_MATCH)
            for passage in found:
                writer.add_judgement(query, passage)


def _odd(
    pictures: Mapping[Path, ImageFacts],
    captioned: Mapping[str, tuple[Path, Mapping[str, Sequence[str]]]],
    twins: Sequence[Sequence[_Written]],
) -> Iterator[str]:
    """Yield what a user should know of the pictures and captions, with counts."""
    odd = Counter(chain.from_iterable(picture.oddities for picture in pictures.values()))
    if odd:
        counts = ", ".join(f"{count:,} {what}" for what, count in odd.most_common())
        yield f"pictures that are converted: {counts}"
    if twins:
        first = ", ".join(repr(one.key) for one in twins[0])
        shared = f"{sum(map(len, twins)):,} ids share {plural(len(twins), 'pictures')}"
        yield f"{shared}, first {first}: captions of one are taken to fit the others"
    spoken = Counter(chain.from_iterable(captions for _, captions in captioned.values()))
    lacking = {lang: len(captioned) - count for lang, count in sorted(spoken.items())}
    if any(lacking.values()):
        counts = ", ".join(f"{lang} {count:,}" for lang, count in lacking.items() if count)
        yield f"pictures without a caption in a language: {counts}"
