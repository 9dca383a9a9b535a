"""CLIPScore and RefCLIPScore equal a plain computation for every caption and image."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import pytest
from PIL import Image

import beir_hybrid as bh
from beir_hybrid.collection import Collection
from beir_hybrid.collection.cache import load_or_build
from beir_hybrid.collection.judgements import SELF_MATCH
from beir_hybrid.collection.writer import CollectionWriter
from beir_hybrid.errors import BadData, UnknownName
from beir_hybrid.files import sha256

CAPTIONS = {
    "a": {"de": ["rot rot", "rot blau"], "en": ["red"]},
    "b": {"de": ["blau"], "en": ["blue", "green blue", "red blue"]},
    "c": {"en": ["green", "blue"]},
}
COLOURS = {"a": (200, 40, 3), "b": (10, 20, 250), "c": (0, 0, 0)}


class ColourEncoder:
    """Reads the mean colour of images, and counts words of texts; some cosines are below 0."""

    name = "colours"
    fingerprint: Mapping[str, Any] = {"kind": "colours"}

    def __init__(self) -> None:
        self.read: list[str] = []

    def encode_passages(self, texts: Sequence[str]) -> np.ndarray:
        self.read += texts
        return np.array([read_colour(text) for text in texts], np.float32)

    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        raise AssertionError(f"captions are not questions: {texts}")

    def encode_images(self, images: Sequence[Image.Image]) -> np.ndarray:
        return np.array([image.getpixel((0, 0)) for image in images], np.float32)


def read_colour(text: str) -> list[float]:
    """Return a vector, in which the prefix counts, so that a missing prefix would show."""
    words = text.split()
    counts = [
        sum(word in numbers for word in words)
        for numbers in (("rot", "red"), ("green",), ("blau", "blue"))
    ]
    return [
        counts[0] - 1.5 * ("green" in words),
        float(counts[1]),
        counts[2] + 0.25 * ("depicts" in words),
    ]


def make_collection(folder: Path) -> Collection:
    def build(writer: CollectionWriter) -> None:
        texts = [
            (lang, key, f"{key}-{n}", text)
            for key, langs in CAPTIONS.items()
            for lang, texts in langs.items()
            for n, text in enumerate(texts)
        ]
        for lang, _, caption, text in texts:
            writer.add_passage(lang, caption, "", text)
        for key, shade in COLOURS.items():
            path = folder / f"{key}.png"
            Image.new("RGB", (4, 4), shade).save(path)
            writer.add_passage("image", key, "", f"sha256:{sha256(path)}", image=str(path))
        for lang, key, caption, text in texts:
            query = writer.add_query(lang, caption, text, key)
            writer.add_judgement(query, f"image:{key}")
            for language, image, passage, _ in texts:
                if image == key:
                    writer.add_judgement(
                        query,
                        f"{language}:{passage}",
                        SELF_MATCH if passage == caption and language == lang else 1,
                    )
        writer.finish()

    return load_or_build("shades", {}, build, has_images=True)


def cosine(a: Sequence[float], b: Sequence[float]) -> float:
    lengths = [sum(x * x for x in vector) ** 0.5 for vector in (a, b)]
    if not all(lengths):
        return 0.0
    return sum(x * y for x, y in zip(a, b, strict=True)) / (lengths[0] * lengths[1])


def compute_by_hand(
    references: str | None,
) -> tuple[dict[str, float], dict[str, float], dict[str, int]]:
    scores: dict[str, list[float]] = {"de": [], "en": []}
    with_references: dict[str, list[float]] = {"de": [], "en": []}
    for key, langs in CAPTIONS.items():
        for lang, texts in langs.items():
            for n, text in enumerate(texts):
                vector = read_colour(f"A photo depicts {text}")
                score = 2.5 * max(cosine(vector, COLOURS[key]), 0)
                scores[lang].append(score)
                reference_language = references or lang
                references_of_caption = [
                    reference
                    for m, reference in enumerate(langs.get(reference_language, []))
                    if (reference_language, m) != (lang, n)
                ]
                if references_of_caption:
                    near = max(
                        0,
                        *(
                            cosine(vector, read_colour(f"A photo depicts {reference}"))
                            for reference in references_of_caption
                        ),
                    )
                    total = score + near
                    with_references[lang].append(2 * score * near / total if total else 0.0)
    means = [
        {lang: mean(texts) for lang, texts in table.items()} for table in (scores, with_references)
    ]
    return means[0], means[1], {lang: len(texts) for lang, texts in with_references.items()}


@pytest.mark.parametrize("references", [None, "en"])
def test_scores_equal_a_plain_computation(references: str | None, tmp_path: Path) -> None:
    model = ColourEncoder()
    score = bh.compute_clip_score(model, make_collection(tmp_path), references=references)
    expected, expected_ref, counts = compute_by_hand(references)
    assert score.clip_score == pytest.approx(expected)
    assert score.ref_clip_score == pytest.approx(expected_ref)
    assert (
        score.reference_counts
        == counts
        == ({"de": 2, "en": 5} if references is None else {"de": 3, "en": 5})
    )
    assert score.caption_counts == {"de": 3, "en": 6}
    assert score.scorer == "colours"
    assert score.fingerprint == {"kind": "colours"}
    assert all(text.startswith("A photo depicts ") for text in model.read)
    assert len(set(model.read)) == len(model.read)  # "blue" describes two images


def test_scores_by_hand(tmp_path: Path) -> None:
    """A black image is the zero vector, which has the cosine 0 with every caption."""
    score = bh.compute_clip_score(ColourEncoder(), make_collection(tmp_path))
    # (1, 0, .25) is the caption of a, (0, 0, 1.25), (-1.5, 1, 1.25) and (1, 0, 1.25) those of b.
    a = (200 + 0.75) / (200**2 + 40**2 + 9) ** 0.5 / 1.0625**0.5
    b = (10**2 + 20**2 + 250**2) ** 0.5
    cosines = [
        a,
        250 / b,
        (-15 + 20 + 312.5) / b / 4.8125**0.5,
        (10 + 312.5) / b / 2.5625**0.5,
        0,
        0,
    ]
    assert score.clip_score["en"] == pytest.approx(2.5 * sum(cosines) / 6)
    figures = f"{score.clip_score['de']:.4f}, en {score.clip_score['en']:.4f}"
    assert repr(score) == f"ClipScore(de {figures}; 'shades' as 'colours' sees it)"


TWINS = [
    ("a", (200, 0, 0), {"en": "red"}),
    ("b", (200, 0, 0), {"de": "rot", "en": "blue"}),
    ("c", (0, 9, 0), {"en": ["green", "green"]}),
]


def test_images_with_equal_files_are_one_image(tmp_path: Path) -> None:
    """Each caption counts once, and captions of an equal image are references."""
    lines = []
    for key, shade, texts in TWINS:
        Image.new("RGB", (4, 4), shade).save(tmp_path / f"{key}.png")
        lines.append(json.dumps({"id": key, "image": f"{key}.png", "captions": texts}))
    (tmp_path / "captions.jsonl").write_text("\n".join(lines), "utf-8")
    twins = bh.load("jsonl-image-text", path=tmp_path)
    # "red" and "rot" are (1, 0, .25), "blue" (0, 0, 1.25) and "green" (-1.5, 1, .25).
    red, green = 2.5 / 1.0625**0.5, 2.5 / 3.3125**0.5
    expected = {"de": red, "en": (red + 0 + 2 * green) / 4}
    score = bh.compute_clip_score(ColourEncoder(), twins)
    assert score.clip_score == pytest.approx(expected)
    assert score.caption_counts == {"de": 1, "en": 4}
    # The reference of "red" is "blue", at a cosine of .25 / 1.0625**.5; "green" is its own.
    near = 0.1 * red
    total = 2 * red * near / (red + near) + 0 + 2 * (2 * green / (green + 1))
    assert score.ref_clip_score == pytest.approx({"en": total / 4})
    assert score.reference_counts == {"en": 4}
    # "rot" is that of "red", which is the same to the model, and of "blue".
    german = bh.compute_clip_score(ColourEncoder(), twins, references="de")
    assert german.ref_clip_score == pytest.approx({"en": (2 * red / (red + 1) + 0) / 2})
    assert (german.caption_counts, german.reference_counts) == ({"de": 1, "en": 4}, {"en": 2})


def test_collections_without_images_are_refused(tmp_path: Path) -> None:
    texts = bh.from_beir({"de:1": {"text": "x"}}, {"de:q:1": "x"}, {"de:q:1": {"de:1": 1}})
    with pytest.raises(BadData, match="no caption with its image"):
        bh.compute_clip_score(ColourEncoder(), texts)
    with pytest.raises(UnknownName, match="fr"):
        bh.compute_clip_score(ColourEncoder(), make_collection(tmp_path), references="fr")
