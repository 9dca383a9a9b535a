"""A folder of the user's own pictures, and captions as JSON lines, in; a collection out."""

from collections.abc import Iterator
from pathlib import Path

from beir_hybrid.collection import Collection, Origin
from beir_hybrid.collection.lines import read_json_lines, require_text
from beir_hybrid.errors import BadData, UnknownName
from beir_hybrid.files import sha256
from beir_hybrid.sources.image_text import Captioned, by_language, image_text
from beir_hybrid.sources.spec import Dataset

CAPTIONS = "captions.jsonl"


def load(
    languages: tuple[str, ...] | None = None,
    *,
    path: str | Path,
    name: str = "",
    licence: str = "",
) -> Collection:
    """Return the pictures of a folder and their captions, in all languages or in some.

    A line of ``captions.jsonl`` is ``{"id": "cat", "image": "cats/1.png", "captions": {"en": "A
    cat", "de": ["Eine Katze", "Ein Kater"]}}``. Paths start in the folder and stay in it. Other
    fields are passed over. A picture without a caption in the languages asked for is only found.
    """
    folder = Path(path).resolve()
    if not folder.is_dir():
        raise BadData(f"there is no folder {path}")
    file = folder / CAPTIONS
    if not file.is_file():
        raise BadData(f"{path} lacks {CAPTIONS}, a line for each picture")
    name = name or folder.name
    origin = Origin(str(file), sha256(file))
    rows = list(_rows(file, languages))
    spoken = {lang for row in rows for lang in row.captions}
    if languages and (absent := [lang for lang in languages if lang not in spoken]):
        raise UnknownName(f"{file} has no captions in {', '.join(absent)}")
    recipe = {"captions": origin.sha256, "path": str(folder), "licence": licence}
    recipe["languages"] = ",".join(languages or ())
    return image_text(name, rows, recipe, licence=licence, provenance=[origin])


def _rows(file: Path, languages: tuple[str, ...] | None) -> Iterator[Captioned]:
    for number, row in read_json_lines(file):
        where = f"{file} line {number}"
        key, image = require_text(row, "id", where), require_text(row, "image", where)
        path = _inside(file.parent, image, where)
        captions = by_language(Captioned(key, path, _captions(row, where), where))
        if languages is not None:
            captions = {lang: texts for lang, texts in captions.items() if lang in languages}
        yield Captioned(key, path, captions, where)


def _captions(row: dict[str, object], where: str) -> dict[str, list[str]]:
    stored = row.get("captions")
    if not isinstance(stored, dict):
        raise BadData(f"{where}: 'captions' must map languages to texts")
    captions: dict[str, list[str]] = {}
    for tag, texts in stored.items():
        listed = [texts] if isinstance(texts, str) else texts
        if not isinstance(listed, list) or not all(isinstance(text, str) for text in listed):
            raise BadData(f"{where}: the captions in {tag!r} are {texts!r:.60}, not texts")
        captions[tag] = listed
    return captions


def _inside(folder: Path, image: str, where: str) -> Path:
    """Return the path of a picture, which no link may lead out of the folder."""
    try:
        path = (folder / image).resolve()
        outside = Path(image).is_absolute() or not path.is_relative_to(folder)
    except (OSError, RuntimeError, ValueError) as error:  # links in a circle, a NUL
        raise BadData(f"{where}: 'image' is {image!r:.80}, which is no path: {error}") from error
    if outside or path == folder:
        raise BadData(f"{where}: 'image' is {image!r:.80}; it must be a path inside of {folder}")
    return path


IMAGE_FOLDER = Dataset(
    name="jsonl-image-text",
    summary="your own pictures and captions: a folder with captions.jsonl",
    load=load,
    licence="your own",
)
