"""Multi30K and XTD10: captions from their origins and the user's own copies of the pictures in.

Neither origin gives the pictures away; a folder of them is an option.
"""

import gzip
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple

from beir_hybrid.collection import Collection, Origin
from beir_hybrid.download import Remote, fetch
from beir_hybrid.errors import BadData
from beir_hybrid.sources.image_text import Captioned, image_text
from beir_hybrid.sources.spec import Dataset

Split = Literal["test2016", "val", "train"]
_RAW = "https://raw.githubusercontent.com"
_MULTI30K = "multi30k/dataset", "a3d2e0d26b56f3846f66a952536ffed4e401d05a"
_XTD10 = (
    "adobe-research/Cross-lingual-Test-Dataset-XTD10",
    "d77ff16148468c84287f3efcbf602a015c5e4954",
)
_FILES = {"test2016": "test_2016_flickr", "val": "val", "train": "train"}
# XTD10's own captions, and those it takes from elsewhere.
_FOLDERS = {"de": "MIC", "fr": "MIC", "ja": "STAIR"}


class _Source(NamedTuple):
    """What a dataset is made of: the file of the pictures' names, and one of captions a language.

    `find` turns the user's folder and a picture's name into its path.
    """

    repository: tuple[str, str]
    names: str
    captions: dict[str, str]
    find: Callable[[Path, str], Path]

    def remote(self, file: str) -> Remote:
        repository, revision = self.repository
        place = f"{repository}/{revision}/{file}"
        return Remote(f"{_RAW}/{place}", _checksums()[place], revision)


def multi30k(
    languages: tuple[str, ...] | None = None, *, images: str | Path, split: Split = "test2016"
) -> Collection:
    """Return a split of Multi30K, whose captions translate each other.

    `images` is the folder of Flickr30k's pictures: ``1007129816.jpg`` and so on.
    """
    chosen = languages or MULTI30K.languages
    stem = f"data/task1/{{}}/{_FILES[split]}"
    captions = {lang: f"{stem.format('raw')}.{lang}.gz" for lang in chosen}
    names = f"{stem.format('image_splits')}.txt"
    source = _Source(_MULTI30K, names, captions, lambda folder, name: folder / name)
    return _loaded(MULTI30K, source, Path(images), {"split": split})


def xtd10(languages: tuple[str, ...] | None = None, *, images: str | Path) -> Collection:
    """Return XTD10.

    `images` is the folder of COCO's pictures of 2014: ``COCO_train2014_000000061844.jpg`` and so
    on lie in it, or in its folders ``train2014`` and ``val2014``.
    """
    chosen = languages or XTD10.languages
    captions = {
        lang: f"{_FOLDERS.get(lang, 'XTD10')}/test_1kcaptions_{'jp' if lang == 'ja' else lang}.txt"
        for lang in chosen
    }
    source = _Source(_XTD10, "XTD10/test_image_names.txt", captions, _of_coco)
    return _loaded(XTD10, source, Path(images), {})


def _of_coco(folder: Path, name: str) -> Path:
    nested = folder / name.split("_")[1] / name
    return nested if nested.exists() else folder / name


def _loaded(dataset: Dataset, source: _Source, folder: Path, options: dict[str, str]) -> Collection:
    if not folder.is_dir():
        raise BadData(f"{dataset.name}: there is no folder {folder} of pictures")
    remotes = {lang: source.remote(file) for lang, file in source.captions.items()}
    named = source.remote(source.names)
    names = _lines(fetch(named))
    texts = {lang: _lines(fetch(remote)) for lang, remote in remotes.items()}
    rows = [
        Captioned(
            Path(name).stem,
            source.find(folder, name),
            {lang: [text] for lang, text in zip(texts, captions, strict=True)},
            f"{named.place} line {number}",
        )
        for number, (name, *captions) in enumerate(zip(names, *texts.values(), strict=True), 1)
    ]
    origins = [Origin(named.url, named.sha256, named.revision)]
    origins += [Origin(one.url, one.sha256, one.revision, lang) for lang, one in remotes.items()]
    return image_text(
        dataset.name,
        rows,
        {"dataset": dataset.name, "files": [origin.sha256 for origin in origins]},
        dataset,
        provenance=origins,
        options=options,
    )


def _lines(path: Path) -> list[str]:
    data = path.read_bytes()
    text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8")
    return [line.strip() for line in text.removesuffix("\n").split("\n")]


@cache
def _checksums() -> dict[str, str]:
    lines = Path(__file__).with_name("picture_captions.sha256").read_text("ascii").splitlines()
    return {file: checksum for checksum, file in (line.split() for line in lines)}


MULTI30K = Dataset(
    name="multi30k",
    summary="pictures of Flickr30k with captions in 4 languages that translate each other",
    load=multi30k,
    languages=("cs", "de", "en", "fr"),
    licence="for noncommercial research and education; the pictures under Flickr's terms of use",
    citation=(
        "Elliott, Frank, Sima'an, Specia. Multi30K: Multilingual English-German Image "
        "Descriptions. VL 2016. French: Elliott, Frank, Barrault, Bougares, Specia. WMT 2017. "
        "Czech: Barrault, Bougares, Specia, Lala, Elliott, Frank. WMT 2018."
    ),
    homepage="https://github.com/multi30k/dataset",
)
XTD10 = Dataset(
    name="xtd10",
    summary="1,000 pictures of COCO with a caption in each of 11 languages",
    load=xtd10,
    languages=("de", "en", "es", "fr", "it", "ja", "ko", "pl", "ru", "tr", "zh"),
    licence="Adobe Research Licence: noncommercial research only; the pictures come from COCO 2014",
    citation=(
        "Aggarwal, Kale. Towards Zero-shot Cross-lingual Image Retrieval. arXiv 2012.05107, 2020. "
        "German and French: Rajendran et al., MIC; Japanese: Yoshikawa et al., STAIR Captions."
    ),
    homepage="https://github.com/adobe-research/Cross-lingual-Test-Dataset-XTD10",
)
