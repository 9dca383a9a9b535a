"""Multi30K and XTD10: captions from their origins, images from a folder of the user's.

Neither origin gives the images away; the folder is an option.
"""

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple

from beir_hybrid.collection import Collection, Origin
from beir_hybrid.download import Remote, fetch
from beir_hybrid.errors import BadData
from beir_hybrid.sources.checksums import read_checksums
from beir_hybrid.sources.image_text import CaptionedImage, build_image_collection
from beir_hybrid.sources.spec import Dataset

Split = Literal["test2016", "val", "train"]
_MOST_BYTES = 1 << 20  # of a file; the largest has 640 KB
_MULTI30K = "multi30k/dataset", "a3d2e0d26b56f3846f66a952536ffed4e401d05a"
_XTD10 = (
    "adobe-research/Cross-lingual-Test-Dataset-XTD10",
    "d77ff16148468c84287f3efcbf602a015c5e4954",
)
_SPLIT_FILES = {"test2016": "test_2016_flickr", "val": "val", "train": "train"}
# The folders of captions that XTD10 takes from other datasets; its own are in "XTD10".
_XTD10_FOLDERS = {"de": "MIC", "fr": "MIC", "ja": "STAIR"}


class _CaptionFiles(NamedTuple):
    """The files of a dataset at its origin.

    Attributes
    ----------
    repository
        The name and revision of the repository on GitHub.
    names
        The file with the names of the images, one a line.
    captions
        The file of captions in each language, one a line.
    find_image
        Turns the user's folder and the name of an image into its path.
    """

    repository: tuple[str, str]
    names: str
    captions: dict[str, str]
    find_image: Callable[[Path, str], Path]

    def locate(self, file: str) -> Remote:
        """Return the address and checksum of a file."""
        repository, revision = self.repository
        place = f"{repository}/{revision}/{file}"
        checksum = read_checksums("image_captions.sha256")[place]
        url = f"https://raw.githubusercontent.com/{place}"
        return Remote(url, checksum, revision, _MOST_BYTES)


def load_multi30k(
    languages: tuple[str, ...] | None = None, *, images: str | Path, split: Split = "test2016"
) -> Collection:
    """Return a split of Multi30K, whose captions translate each other.

    `images` is the folder of Flickr30k's images: ``1007129816.jpg`` and so on.
    """
    stem = f"data/task1/{{}}/{_SPLIT_FILES[split]}"
    captions = {lang: f"{stem.format('raw')}.{lang}.gz" for lang in languages or MULTI30K.languages}
    names = f"{stem.format('image_splits')}.txt"
    files = _CaptionFiles(_MULTI30K, names, captions, lambda folder, name: folder / name)
    return _load_captions(MULTI30K, files, Path(images), {"split": split})


def load_xtd10(languages: tuple[str, ...] | None = None, *, images: str | Path) -> Collection:
    """Return XTD10.

    `images` is the folder of COCO's images of 2014: ``COCO_train2014_000000061844.jpg`` and so on
    lie in it, or in its folders ``train2014`` and ``val2014``.
    """
    captions = {}
    for lang in languages or XTD10.languages:
        suffix = "jp" if lang == "ja" else lang
        captions[lang] = f"{_XTD10_FOLDERS.get(lang, 'XTD10')}/test_1kcaptions_{suffix}.txt"
    files = _CaptionFiles(_XTD10, "XTD10/test_image_names.txt", captions, _find_coco_image)
    return _load_captions(XTD10, files, Path(images), {})


def _find_coco_image(folder: Path, name: str) -> Path:
    nested = folder / name.split("_")[1] / name
    return nested if nested.exists() else folder / name


def _load_captions(
    dataset: Dataset, files: _CaptionFiles, folder: Path, options: dict[str, str]
) -> Collection:
    if not folder.is_dir():
        raise BadData(f"{dataset.name}: there is no folder {folder} of images")
    remotes = {lang: files.locate(file) for lang, file in files.captions.items()}
    name_list = files.locate(files.names)
    names = _read_lines(fetch(name_list))
    texts = {lang: _read_lines(fetch(remote)) for lang, remote in remotes.items()}
    rows = [
        CaptionedImage(
            Path(name).stem,
            files.find_image(folder, name),
            {lang: [text] for lang, text in zip(texts, captions, strict=True)},
            f"{name_list.place} line {number}",
        )
        for number, (name, *captions) in enumerate(zip(names, *texts.values(), strict=True), 1)
    ]
    origins = [Origin(name_list.url, name_list.sha256, name_list.revision)]
    origins += [
        Origin(remote.url, remote.sha256, remote.revision, lang) for lang, remote in remotes.items()
    ]
    return build_image_collection(
        dataset.name,
        rows,
        {"dataset": dataset.name, "files": [origin.sha256 for origin in origins]},
        dataset,
        provenance=origins,
        options=options,
    )


def _read_lines(path: Path) -> list[str]:
    data = path.read_bytes()
    text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8")
    return [line.strip() for line in text.removesuffix("\n").split("\n")]


MULTI30K = Dataset(
    name="multi30k",
    summary="images of Flickr30k with captions in 4 languages that translate each other",
    load=load_multi30k,
    languages=("cs", "de", "en", "fr"),
    licence="for noncommercial research and education; the images under Flickr's terms of use",
    citation=(
        "Elliott, Frank, Sima'an, Specia. Multi30K: Multilingual English-German Image "
        "Descriptions. VL 2016. French: Elliott, Frank, Barrault, Bougares, Specia. WMT 2017. "
        "Czech: Barrault, Bougares, Specia, Lala, Elliott, Frank. WMT 2018."
    ),
    homepage="https://github.com/multi30k/dataset",
)
XTD10 = Dataset(
    name="xtd10",
    summary="1,000 images of COCO with a caption in each of 11 languages",
    load=load_xtd10,
    languages=("de", "en", "es", "fr", "it", "ja", "ko", "pl", "ru", "tr", "zh"),
    licence="Adobe Research Licence: noncommercial research only; the images come from COCO 2014",
    citation=(
        "Aggarwal, Kale. Towards Zero-shot Cross-lingual Image Retrieval. arXiv 2012.05107, 2020. "
        "German and French: Rajendran et al., MIC; Japanese: Yoshikawa et al., STAIR Captions."
    ),
    homepage="https://github.com/adobe-research/Cross-lingual-Test-Dataset-XTD10",
)
