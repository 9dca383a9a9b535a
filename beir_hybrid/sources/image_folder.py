"""A dataset of one's own images: a folder with captions in JSON lines."""

from collections.abc import Iterator
from pathlib import Path

from beir_hybrid.collection import Collection, Origin
from beir_hybrid.collection.lines import read_json_lines, require_text
from beir_hybrid.errors import BadData, UnknownName
from beir_hybrid.files import sha256
from beir_hybrid.languages import normalise_all
from beir_hybrid.sources.image_text import (
    CaptionedImage,
    build_image_collection,
    normalise_captions,
)
from beir_hybrid.sources.spec import Dataset

CAPTIONS = "captions.jsonl"


def load(
    languages: tuple[str, ...] | None = None,
    *,
    path: str | Path,
    name: str = "",
    licence: str = "",
) -> Collection:
    """Return the images of a folder and their captions, in all languages or in some.

    A line of ``captions.jsonl`` is ``{"id": "cat", "image": "cats/1.png", "captions": {"en": "A
    cat", "de": ["Eine Katze", "Ein Kater"]}}``. Paths start in the folder and stay in it. Other
    fields are ignored. An image without a caption in `languages` is a passage and no query.
    """
    languages = None if languages is None else normalise_all(languages)
    folder = Path(path).resolve()
    if not folder.is_dir():
        raise BadData(f"there is no folder {path}")
    file = folder / CAPTIONS
    if not file.is_file():
        raise BadData(f"{path} lacks {CAPTIONS}, a line for each image")
    name = name or folder.name
    origin = Origin(str(file), sha256(file))
    rows = list(_read_rows(file, languages))
    caption_languages = {lang for row in rows for lang in row.captions}
    if languages and (absent := [lang for lang in languages if lang not in caption_languages]):
        raise UnknownName(f"{file} has no captions in {', '.join(absent)}")
    recipe = {"captions": origin.sha256, "path": str(folder), "licence": licence}
    recipe["languages"] = ",".join(languages or ())
    return build_image_collection(name, rows, recipe, licence=licence, provenance=[origin])


def _read_rows(file: Path, languages: tuple[str, ...] | None) -> Iterator[CaptionedImage]:
    for number, row in read_json_lines(file):
        location = f"{file} line {number}"
        key, image = require_text(row, "id", location), require_text(row, "image", location)
        path = _resolve_image(file.parent, image, location)
        captions = normalise_captions(
            CaptionedImage(key, path, _parse_captions(row, location), location)
        )
        if languages is not None:
            captions = {lang: texts for lang, texts in captions.items() if lang in languages}
        yield CaptionedImage(key, path, captions, location)


def _parse_captions(row: dict[str, object], location: str) -> dict[str, list[str]]:
    table = row.get("captions")
    if not isinstance(table, dict):
        raise BadData(f"{location}: 'captions' must map languages to texts")
    captions: dict[str, list[str]] = {}
    for tag, value in table.items():
        texts = [value] if isinstance(value, str) else value
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise BadData(f"{location}: the captions in {tag!r} are {value!r:.60}, not texts")
        captions[tag] = texts
    return captions


def _resolve_image(folder: Path, image: str, location: str) -> Path:
    """Return the path of an image; no link may lead out of the folder."""
    try:
        path = (folder / image).resolve()
        is_outside = Path(image).is_absolute() or not path.is_relative_to(folder)
    except (OSError, RuntimeError, ValueError) as error:  # links in a circle, a NUL
        raise BadData(f"{location}: 'image' is {image!r:.80}, which is no path: {error}") from error
    if is_outside or path == folder:
        raise BadData(f"{location}: 'image' is {image!r:.80}; it must be a path inside of {folder}")
    return path


IMAGE_FOLDER = Dataset(
    name="jsonl-image-text",
    summary="your own images and captions: a folder with captions.jsonl",
    load=load,
    licence="your own",
)
