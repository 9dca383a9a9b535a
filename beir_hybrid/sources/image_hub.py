"""XM3600, xFlickr&CO and WIT: tables of the hub's, with pictures in them, in; a collection out.

The copies and commits are those that mteb evaluates on. Each language has a table of its own with
all its pictures; a picture is kept once, as a file of the cache that its checksum names.
"""

import hashlib
import logging
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple
from urllib.parse import quote

import pyarrow as pa

from beir_hybrid.collection import Collection, CollectionWriter, Origin
from beir_hybrid.collection.cache import load_or_build
from beir_hybrid.errors import BadData
from beir_hybrid.files import atomic_file, cache_folder, sha256
from beir_hybrid.hub import fetch_hub_file, list_hub_parts
from beir_hybrid.progress import progress_bar
from beir_hybrid.sources.image_text import Captioned, write
from beir_hybrid.sources.spec import Dataset, announce

logger = logging.getLogger(__name__)

Captions = Literal["all", "first"]
_ROWS = 64  # read at a time, as they hold pictures


class _Tables(NamedTuple):
    """Where a dataset lies on the hub, and what its columns are called."""

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
_TABLE_OF = {"qu": "quz"}  # what the hub calls a language, where we call it otherwise


def load(
    name: str, languages: tuple[str, ...] | None = None, *, captions: Captions = "all"
) -> Collection:
    """Return XM3600 or WIT, with all captions of a picture or the first in each language."""
    dataset, tables = _DATASETS[name], _TABLES[name]
    chosen = languages or dataset.languages
    recipe = {"dataset": name, "languages": chosen, "commit": tables.commit, "captions": captions}
    # Pictures are found by their paths, which differ in a cache that was moved.
    recipe["cache"] = str(cache_folder().absolute())

    def read() -> _Reader:
        reader = _Reader(name, tables, captions)
        for lang in chosen:
            reader.read(lang)
        return reader

    def build(writer: CollectionWriter) -> None:
        reader = read()
        announce(dataset)
        writer.warnings += reader.warnings()
        write(name, reader.rows.values(), writer)
        pooled = "the pictures of all languages are one pool, where published figures have several"
        writer.finish(
            licence=dataset.licence,
            citation=dataset.citation,
            provenance=reader.origins,
            options={"captions": captions, "revision": tables.commit},
            caveat=pooled if name == "wit" and len(chosen) > 1 else "",
        )

    found = load_or_build(name, recipe, build, has_images=True)
    paths = found.passages["image"].drop_null().to_pylist()
    if lost := sum(not Path(path).is_file() for path in paths):
        logger.warning("%s: pictures that the cache lacks are read anew: %d", name, lost)
        read()
    return found


def xflickrco(languages: tuple[str, ...] | None = None) -> Collection:
    """Return xFlickr&CO, which has a caption for every picture in every language."""
    return load("xflickrco", languages)


class _Reader:
    """Gathers pictures and captions, language by language."""

    def __init__(self, name: str, tables: _Tables, captions: Captions) -> None:
        self.name, self.tables, self.captions = name, tables, captions
        self.rows: dict[str, Captioned] = {}
        self.origins: list[Origin] = []
        self.blank, self.other = 0, 0

    def read(self, lang: str) -> None:
        """Add the pictures and captions of a language."""
        repository, commit, *_ = self.tables
        for file in list_hub_parts(repository, f"data/{_TABLE_OF.get(lang, lang)}", commit):
            path = fetch_hub_file(repository, file, commit)
            place = f"hf://datasets/{repository}/{file}"
            self.origins.append(Origin(place, sha256(path), commit, lang))
            with progress_bar(f"{self.name} {lang}", None, unit="pictures") as advance:
                for row in _read(path, (self.tables.key, self.tables.captions, "image")):
                    self._add(lang, row, path)
                    advance(1)

    def _add(self, lang: str, row: dict[str, Any], path: Path) -> None:
        stored, texts, image = (row[key] for key in (*self.tables[2:], "image"))
        data = image.get("bytes") if isinstance(image, dict) else None
        if not isinstance(stored, str) or not data:
            raise BadData(f"{path}: the row of {stored!r:.80} has no id or no picture")
        # Ids have no white space, here as in runs.
        key = re.sub(r"[\s\x00-\x1f\x7f]", lambda found: quote(found[0]), stored)
        listed = [texts] if isinstance(texts, str) else texts or []
        kept = [text.strip() for text in listed if text and text.strip()]
        self.blank += len(listed) - len(kept)
        picture = _kept(data)
        known = self.rows.setdefault(key, Captioned(key, picture, {}, f"{path}, {stored!r}"))
        self.other += known.path != picture
        if lang in known.captions:
            raise BadData(f"{path}: the picture {stored!r} is there twice")
        chosen = kept[:1] if self.captions == "first" else kept
        self.rows[key] = known._replace(captions={**known.captions, lang: chosen})

    def warnings(self) -> list[str]:
        """Return, with counts, what is left out."""
        counts = {
            "captions that are empty are left out": self.blank,
            "pictures that differ in another language, where the first is taken": self.other,
        }
        return [f"{self.name}: {what}: {count}" for what, count in counts.items() if count]


def _read(path: Path, columns: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """Yield the rows of a Parquet file, some at a time."""
    import pyarrow.parquet as pq

    try:
        # Buffered ahead, whole columns of pictures would be in memory.
        with pq.ParquetFile(path, pre_buffer=False, buffer_size=1 << 20) as file:
            if absent := [name for name in columns if name not in file.schema_arrow.names]:
                raise BadData(f"{path} has no column {absent[0]!r}")
            for batch in file.iter_batches(_ROWS, columns=list(columns)):
                yield from batch.to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise BadData(f"{path} is damaged or no Parquet file: {error}") from error


def _kept(data: bytes) -> Path:
    """Keep a picture in the cache, once, and return where."""
    checksum = hashlib.sha256(data).hexdigest()
    path = cache_folder() / "pictures" / checksum[:2] / checksum
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
    summary="3,600 pictures from all over the world, 261,375 captions in 36 languages",
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
    summary="2,000 pictures of Flickr30k and COCO with a caption in each of 8 languages",
    load=xflickrco,
    languages=("de", "en", "es", "id", "ja", "ru", "tr", "zh"),
    licence="captions CC BY 4.0; the pictures under the terms of Flickr30k and COCO",
    citation=_IGLUE,
    homepage="https://github.com/e-bug/iglue",
)
WIT = Dataset(
    name="wit",
    summary="pictures of Wikipedia with captions, 541 to 889 of them in each of 11 languages",
    load=partial(load, "wit"),
    languages=("ar", "bg", "da", "el", "en", "et", "id", "ja", "ko", "tr", "vi"),
    licence="CC BY-SA",
    citation=f"{_IGLUE} Built on WIT: Srinivasan, Raman, Chen, Bendersky, Najork. SIGIR 2021.",
    homepage="https://github.com/e-bug/iglue",
)
_DATASETS = {dataset.name: dataset for dataset in (XM3600, XFLICKRCO, WIT)}
