"""CLIPScore and RefCLIPScore equal a plain computation of every caption and picture."""

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


class Colours:
    """Sees a picture's mean colour, and in texts counts words; some cosines are below 0."""

    name = "colours"
    fingerprint: Mapping[str, Any] = {"kind": "colours"}

    def __init__(self) -> None:
        self.read: list[str] = []

    def encode_passages(self, texts: Sequence[str]) -> np.ndarray:
        self.read += texts
        return np.array([colour(text) for text in texts], np.float32)

    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        raise AssertionError(f"captions are not questions: {texts}")

    def encode_images(self, pictures: Sequence[Image.Image]) -> np.ndarray:
        return np.array([picture.getpixel((0, 0)) for picture in pictures], np.float32)


def colour(text: str) -> list[float]:
    """Return a vector; the prefix adds to it, so that leaving it out would show."""
    words = text.split()
    counts = [
        sum(word in some for word in words)
        for some in (("rot", "red"), ("green",), ("blau", "blue"))
    ]
    return [
        counts[0] - 1.5 * ("green" in words),
        float(counts[1]),
        counts[2] + 0.25 * ("depicts" in words),
    ]


def pictures(folder: Path) -> Collection:
    def build(writer: CollectionWriter) -> None:
        texts = [
            (lang, key, f"{key}-{n}", text)
            for key, langs in CAPTIONS.items()
            for lang, some in langs.items()
            for n, text in enumerate(some)
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
            for other, of, found, _ in texts:
                if of == key:
                    writer.add_judgement(
                        query,
                        f"{other}:{found}",
                        SELF_MATCH if found == caption and other == lang else 1,
                    )
        writer.finish()

    return load_or_build("shades", {}, build, has_images=True)


def cosine(a: Sequence[float], b: Sequence[float]) -> float:
    lengths = [sum(x * x for x in some) ** 0.5 for some in (a, b)]
    if not all(lengths):
        return 0.0
    return sum(x * y for x, y in zip(a, b, strict=True)) / (lengths[0] * lengths[1])


def by_brute_force(wanted: str | None) -> tuple[dict[str, float], dict[str, float], dict[str, int]]:
    plain: dict[str, list[float]] = {"de": [], "en": []}
    with_references: dict[str, list[float]] = {"de": [], "en": []}
    for key, langs in CAPTIONS.items():
        for lang, some in langs.items():
            for n, text in enumerate(some):
                mine = colour(f"A photo depicts {text}")
                score = 2.5 * max(cosine(mine, COLOURS[key]), 0)
                plain[lang].append(score)
                of = wanted or lang
                others = [
                    other for m, other in enumerate(langs.get(of, [])) if (of, m) != (lang, n)
                ]
                if others:
                    near = max(
                        0, *(cosine(mine, colour(f"A photo depicts {one}")) for one in others)
                    )
                    both = score + near
                    with_references[lang].append(2 * score * near / both if both else 0.0)
    means = [
        {lang: mean(some) for lang, some in table.items()} for table in (plain, with_references)
    ]
    return means[0], means[1], {lang: len(some) for lang, some in with_references.items()}


@pytest.mark.parametrize("references", [None, "en"])
def test_it_equals_a_plain_computation(references: str | None, tmp_path: Path) -> None:
    model = Colours()
    found = bh.compute_clip_score(model, pictures(tmp_path), references=references)
    plain, ref, n = by_brute_force(references)
    assert found.clip_score == pytest.approx(plain)
    assert found.ref_clip_score == pytest.approx(ref)
    assert (
        found.reference_counts
        == n
        == ({"de": 2, "en": 5} if references is None else {"de": 3, "en": 5})
    )
    assert found.caption_counts == {"de": 3, "en": 6}
    assert found.scorer == "colours"
    assert found.fingerprint == {"kind": "colours"}
    assert all(text.startswith("A photo depicts ") for text in model.read)
    assert len(set(model.read)) == len(model.read)  # "blue" describes two pictures


def test_by_hand(tmp_path: Path) -> None:
    """A black picture is the zero vector: nothing describes it, and that is no error."""
    found = bh.compute_clip_score(Colours(), pictures(tmp_path))
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
    assert found.clip_score["en"] == pytest.approx(2.5 * sum(cosines) / 6)
    shown = f"{found.clip_score['de']:.4f}, en {found.clip_score['en']:.4f}"
    assert repr(found) == f"ClipScore(de {shown}; 'shades' as 'colours' sees it)"


TWINS = [
    ("a", (200, 0, 0), {"en": "red"}),
    ("b", (200, 0, 0), {"de": "rot", "en": "blue"}),
    ("c", (0, 9, 0), {"en": ["green", "green"]}),
]


def test_twins_are_one_picture(tmp_path: Path) -> None:
    """Each caption counts once, and captions of a picture's twin are references."""
    lines = []
    for key, shade, texts in TWINS:
        Image.new("RGB", (4, 4), shade).save(tmp_path / f"{key}.png")
        lines.append(json.dumps({"id": key, "image": f"{key}.png", "captions": texts}))
    (tmp_path / "captions.jsonl").write_text("\n".join(lines), "utf-8")
    twins = bh.load("jsonl-image-text", path=tmp_path)
    # "red" and "rot" are (1, 0, .25), "blue" (0, 0, 1.25) and "green" (-1.5, 1, .25).
    red, green = 2.5 / 1.0625**0.5, 2.5 / 3.3125**0.5
    plain = {"de": red, "en": (red + 0 + 2 * green) / 4}
    found = bh.compute_clip_score(Colours(), twins)
    assert found.clip_score == pytest.approx(plain)
    assert found.caption_counts == {"de": 1, "en": 4}
    # The reference of "red" is "blue", at a cosine of .25 / 1.0625**.5; "green" is its own.
    near = 0.1 * red
    both = 2 * red * near / (red + near) + 0 + 2 * (2 * green / (green + 1))
    assert found.ref_clip_score == pytest.approx({"en": both / 4})
    assert found.reference_counts == {"en": 4}
    # "rot" is that of "red", which is the same to the model, and of "blue".
    german = bh.compute_clip_score(Colours(), twins, references="de")
    assert german.ref_clip_score == pytest.approx({"en": (2 * red / (red + 1) + 0) / 2})
    assert (german.caption_counts, german.reference_counts) == ({"de": 1, "en": 4}, {"en": 2})


def test_what_cannot_be_scored_is_said(tmp_path: Path) -> None:
    plain = bh.from_beir({"de:1": {"text": "x"}}, {"de:q:1": "x"}, {"de:q:1": {"de:1": 1}})
    with pytest.raises(BadData, match="no caption with its image"):
        bh.compute_clip_score(Colours(), plain)
    with pytest.raises(UnknownName, match="fr"):
        bh.compute_clip_score(Colours(), pictures(tmp_path), references="fr")
