"""XM3600, xFlickr&CO and WIT: images and captions from tables on the hub.

The copies and commits are those that mteb evaluates on. Each language has a table with all its
images; an image is stored once, as a file of the cache that is named for its checksum.
"""

import hashlib
import logging
import re
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple
from urllib.parse import quote

from beir_hybrid.collection import Collection, CollectionWriter, Origin
from beir_hybrid.collection.cache import load_or_build
from beir_hybrid.errors import BadData
from beir_hybrid.files import atomic_file, cache_folder, sha256
from beir_hybrid.hub import fetch_hub_file, list_hub_parts
from beir_hybrid.progress import progress_bar
from beir_hybrid.sources.image_text import CaptionedImage, write_images
from beir_hybrid.sources.parquet import read_parquet
from beir_hybrid.sources.spec import Dataset, announce

logger = logging.getLogger(__name__)

Captions = Literal["all", "first"]
_BATCH_ROWS = 64  # read at a time, as rows hold images


class _Tables(NamedTuple):
    """The repository of a dataset on the hub, and the names of its columns."""

    repository: str
    commit: str
    key: str = "image_id"
    captions: str = "captions"


_TABLES = {
    "xm3600": _Tables("mteb/xm3600", "536cd45bbfe53de9b08c0483bb4a76a4bd3673fa"),
    "xflickrco": _Tables(
        "mteb/xflickrco", "4da629e05455d757306174cdc72f2edfe00b9027", "id", "sentences"
    ),
    "wit": _Tables("mteb/wit", "91ac153f1371a98b209ed763205e25e115ecd06e"),
}
_HUB_LANGUAGES = {"qu": "quz"}  # the hub's code of a language, if it differs from ours


def load(
    name: str, languages: tuple[str, ...] | None = None, *, captions: Captions = "all"
) -> Collection:
    """Return XM3600 or WIT, with all captions of an image or the first in each language."""
    dataset, tables = _DATASETS[name], _TABLES[name]
    languages = languages or dataset.languages
    recipe = {"dataset": name, "languages": languages, "commit": tables.commit}
    # The collection holds paths of images, which change when a cache is moved.
    recipe |= {"captions": captions, "cache": str(cache_folder().absolute())}

    def read_tables() -> _TableReader:
        reader = _TableReader(name, tables, captions)
        for lang in languages:
            reader.read(lang)
        return reader

    def build(writer: CollectionWriter) -> None:
        reader = read_tables()
        announce(dataset)
        writer.warnings += reader.list_warnings()
        write_images(name, reader.rows.values(), writer)
        caveat = "the images of all languages are one pool, where published figures have several"
        writer.finish(
            licence=dataset.licence,
            citation=dataset.citation,
            provenance=reader.origins,
            options={"captions": captions, "revision": tables.commit},
            caveat=caveat if name == "wit" and len(languages) > 1 else "",
        )

    collection = load_or_build(name, recipe, build, has_images=True)
    paths = collection.passages["image"].drop_null().to_pylist()
    if missing := sum(not Path(path).is_file() for path in paths):
        logger.warning("%s: images that the cache lacks are read anew: %d", name, missing)
        read_tables()
    return collection


def load_xflickrco(languages: tuple[str, ...] | None = None) -> Collection:
    """Return xFlickr&CO, which has a caption for every image in every language."""
    return load("xflickrco", languages)


class _TableReader:
    """Collects images and captions, language by language."""

    def __init__(self, name: str, tables: _Tables, captions: Captions) -> None:
        self.name, self.tables, self.captions = name, tables, captions
        self.rows: dict[str, CaptionedImage] = {}
        self.origins: list[Origin] = []
        self.empty_captions, self.differing_images = 0, 0

    def read(self, lang: str) -> None:
        """Add the images and captions of a language."""
        repository, commit, *_ = self.tables
        stem = f"data/{_HUB_LANGUAGES.get(lang, lang)}"
        for file in list_hub_parts(repository, stem, commit):
            path = fetch_hub_file(repository, file, commit)
            address = f"hf://datasets/{repository}/{file}"
            self.origins.append(Origin(address, sha256(path), commit, lang))
            columns = (self.tables.key, self.tables.captions, "image")
            with progress_bar(f"{self.name} {lang}", None, unit="images") as advance:
                for row in read_parquet(path, columns, _BATCH_ROWS):
                    self._add(lang, row, path)
                    advance(1)

    def _add(self, lang: str, row: dict[str, Any], path: Path) -> None:
        identity, value, image = (row[name] for name in (*self.tables[2:], "image"))
        data = image.get("bytes") if isinstance(image, dict) else None
        if not isinstance(identity, str) or not data:
            raise BadData(f"{path}: the row of {identity!r:.80} has no id or no image")
        # Ids have no white space, here as in runs.
        key = re.sub(r"[\s\x00-\x1f\x7f]", lambda match: quote(match[0]), identity)
        texts = [value] if isinstance(value, str) else value or []
        captions = [text.strip() for text in texts if text and text.strip()]
        self.empty_captions += len(texts) - len(captions)
        image_path = _store_image(data)
        new_image = CaptionedImage(key, image_path, {}, f"{path}, {identity!r}")
        known_image = self.rows.setdefault(key, new_image)
        self.differing_images += known_image.path != image_path
        if lang in known_image.captions:
            raise BadData(f"{path}: the image {identity!r} is there twice")
        if self.captions == "first":
            captions = captions[:1]
        self.rows[key] = known_image._replace(captions={**known_image.captions, lang: captions})

    def list_warnings(self) -> list[str]:
        """Return the warnings of the tables, with counts."""
        counts = {
            "captions that are empty are left out": self.empty_captions,
            "images that differ in another language, where the first is taken": (
                self.differing_images
            ),
        }
        return [f"{self.name}: {reason}: {count}" for reason, count in counts.items() if count]


def _store_image(data: bytes) -> Path:
    """Write an image to the cache, once, and return its path."""
    checksum = hashlib.sha256(data).hexdigest()
    path = cache_folder() / "images" / checksum[:2] / checksum
    if not path.is_file() or path.stat().st_size != len(data):
        with atomic_file(path) as temporary:
            temporary.write_bytes(data)
    return path


_IGLUE = (
    "Bugliarello, Liu, Pfeiffer, Reddy, Elliott, Ponti, Vulić. IGLUE: A Benchmark for Transfer "
    "Learning across Modalities, Tasks, and Languages. ICML 2022."
)
XM3600 = Dataset(
    name="xm3600",
    summary="3,600 images from all over the world, 261,375 captions in 36 languages",
    load=partial(load, "xm3600"),
    languages=(
        *("ar", "bn", "cs", "da", "de", "el", "en", "es", "fa", "fi", "fil", "fr", "he", "hi"),
        *("hr", "hu", "id", "it", "ja", "ko", "mi", "nl", "no", "pl", "pt", "qu", "ro", "ru"),
        *("sv", "sw", "te", "th", "tr", "uk", "vi", "zh"),
    ),
    licence="CC BY 4.0",
    citation=(
        "Thapliyal, Pont-Tuset, Chen, Soricut. Crossmodal-3600: A Massively Multilingual "
        "Multimodal Evaluation Dataset. EMNLP 2022."
    ),
    homepage="https://google.github.io/crossmodal-3600",
)
XFLICKRCO = Dataset(
    name="xflickrco",
    summary="2,000 images of Flickr30k and COCO with a caption in each of 8 languages",
    load=load_xflickrco,
    languages=("de", "en", "es", "id", "ja", "ru", "tr", "zh"),
    licence="captions CC BY 4.0; the images under the terms of Flickr30k and COCO",
    citation=_IGLUE,
    homepage="https://github.com/e-bug/iglue",
)
WIT = Dataset(
    name="wit",
    summary="images of Wikipedia with captions, 541 to 889 of them in each of 11 languages",
    load=partial(load, "wit"),
    languages=("ar", "bg", "da", "el", "en", "et", "id", "ja", "ko", "tr", "vi"),
    licence="CC BY-SA",
    citation=f"{_IGLUE} Built on WIT: Srinivasan, Raman, Chen, Bendersky, Najork. SIGIR 2021.",
    homepage="https://github.com/e-bug/iglue",
)
_DATASETS = {dataset.name: dataset for dataset in (XM3600, XFLICKRCO, WIT)}
