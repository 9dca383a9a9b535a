"""Small collections, images and training pairs of the golden test, the same on every machine."""

import hashlib
import json
import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from tests.golden_calls import build_pairs, build_texts, list_ids, load_images


def draw_numbers(seed: int) -> Iterator[int]:
    """Yield numbers that no library's next version changes."""
    state = seed
    while True:
        state = (6364136223846793005 * state + 1442695040888963407) % 2**64
        yield state >> 40


WORDS = ("abend", "birne", "cedar", "dance", "eden", "rice", "ab", "inn", "nadir", "bread")
LANGS = ("de", "en", "th")


def make_phrase(numbers: Iterator[int], length: int) -> str:
    return " ".join(WORDS[n % len(WORDS)] for n in islice(numbers, length))


def make_texts(n: int = 9, name: str = "golden") -> Any:
    """Make queries in three languages, with gaps on both sides and graded judgements."""
    numbers = draw_numbers(n)
    corpus, queries, qrels, groups = {}, {}, {}, {}
    for lang in LANGS:
        for k in range(2 * n):
            title = make_phrase(numbers, 1) if k % 5 == 0 else ""
            corpus[f"{lang}:{k}"] = {"title": title, "text": make_phrase(numbers, 3)}
    for k in range(n):
        for lang in LANGS:
            if k % 4 == 3 and lang == "th":  # no translation
                continue
            key = f"{lang}:q:{k}"
            queries[key], groups[key] = make_phrase(numbers, 2), f"g{k}"
            golds = {f"{other}:{k}": 1 for other in LANGS if k % 5 != 4 or other != "en"}
            if k % 3 == 0:
                golds |= {f"en:{n + k}": 2, f"de:{n + k}": 1, f"de:{(k + 1) % n}": 2}
            if k % 3 == 1:
                golds |= {f"th:{n + k}": 3, f"de:{n + k}": 0, f"en:{n + k}": -1}
            qrels[key] = golds
    return build_texts(corpus, queries, qrels, groups, name)


def encode_png(red: int, green: int, blue: int) -> bytes:
    """Return a PNG of 8 by 8 pixels whose bytes depend on no library."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        whole = kind + data
        return struct.pack(">I", len(data)) + whole + struct.pack(">I", zlib.crc32(whole))

    lines = (b"\0" + bytes((red, green, blue)) * 8) * 8
    size = struct.pack("<H", len(lines)), struct.pack("<H", 0xFFFF - len(lines))
    stream = b"\x78\x01\x01" + size[0] + size[1] + lines + struct.pack(">I", zlib.adler32(lines))
    head = struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", stream) + chunk(b"IEND", b"")
    )


def make_images(folder: Path, n: int = 7) -> Any:
    """Make images with captions: some lack a language, some have two, two images are equal."""
    folder.mkdir()
    numbers = draw_numbers(5)
    shades = [tuple(value % 256 for value in islice(numbers, 3)) for _ in range(n)]
    shades[-1] = shades[0]
    lines = []
    for k, (red, green, blue) in enumerate(shades):
        (folder / f"p{k}.png").write_bytes(encode_png(red, green, blue))
        captions: dict[str, Any] = {lang: make_phrase(numbers, 2) for lang in LANGS}
        if k % 4 == 1:
            captions["en"] = [make_phrase(numbers, 2), make_phrase(numbers, 3)]
        if k % 4 == 2:
            del captions["th"]
        lines.append(json.dumps({"id": f"p{k}", "image": f"p{k}.png", "captions": captions}))
    (folder / "captions.jsonl").write_text("".join(f"{line}\n" for line in lines), "utf-8")
    return load_images(folder)


def make_pairs(n: int, name: str, langs: Sequence[str] = ("de", "en", "es", "th")) -> Any:
    """Make groups of which most lack a language somewhere, and some share a passage."""
    numbers, groups = draw_numbers(n), []
    for k in range(n):
        gaps = [next(numbers) % 7 for _ in range(2)]
        query = {lang: f"{lang} question {name} {k}" for at, lang in enumerate(langs)
                 if at != gaps[0]}  # fmt: skip
        positive = {lang: f"{lang} passage {name} {k}" for at, lang in enumerate(langs)
                    if at != gaps[1]}  # fmt: skip
        if k % 6 == 5 and langs[1] in positive:
            positive[langs[1]] = f"{langs[1]} passage {name} {k % 4}"
        groups.append({"id": str(k), "query": query, "positive": positive})
    return build_pairs(groups, name)


def make_image_pairs(folder: Path, n: int = 22) -> Any:
    """Make groups with an image, most with passages as well."""
    folder.mkdir()
    numbers, groups = draw_numbers(3), []
    for k in range(n):
        path = folder / f"{k}.png"
        path.write_bytes(encode_png(*(value % 256 for value in islice(numbers, 3))))
        gap = next(numbers) % 4
        langs = [lang for at, lang in enumerate(LANGS) if at != gap]
        group: dict[str, Any] = {"id": str(k), "query": {lang: f"{lang}? {k}" for lang in langs}}
        if k % 5:
            group["positive"] = {lang: f"{lang} {k}" for lang in LANGS[: 1 + k % 3]}
        groups.append(group | {"image": str(path)})
    return build_pairs(groups, "pictures")


def write_vectors(folder: Path, collection: Any, seed: int, dtype: Any = np.float32) -> Path:
    """Write vectors of whole numbers in the order of their ids' checksums."""
    folder.mkdir()
    numbers = draw_numbers(seed)
    for name, names in zip(("queries", "passages"), list_ids(collection), strict=True):
        order = sorted(names, key=lambda key: hashlib.sha256(key.encode()).hexdigest())
        array = np.array([[n % 7 - 3 for n in islice(numbers, 6)] for _ in order], dtype)
        np.save(folder / f"{name}.npy", array)
        (folder / f"{name}.txt").write_text("".join(f"{key}\n" for key in order), "utf-8")
    return folder


def write_good_vectors(folder: Path, collection: Any, wrong: int) -> Path:
    """Write vectors by which queries find their golds, except every `wrong`-th query."""
    folder.mkdir()
    for name, names in zip(("queries", "passages"), list_ids(collection), strict=True):
        array = np.zeros((len(names), 64), np.float32)
        for vector, key in zip(array, names, strict=True):
            k = int(key.rpartition(":")[2])
            vector[k] = -1 if name == "queries" and k % wrong == wrong - 1 else 1
        np.save(folder / f"{name}.npy", array)
        (folder / f"{name}.txt").write_text("".join(f"{key}\n" for key in names), "utf-8")
    return folder


def write_external_run(
    path: Path, queries: Iterable[str], passages: Sequence[str], seed: int
) -> Path:
    """Write a run as another tool does: every third query is missing, scores tie."""
    numbers, lines = draw_numbers(seed), []
    for query in [query for k, query in enumerate(queries) if k % 3 < 2]:
        at = next(numbers)
        keys = dict.fromkeys(passages[(at + 5 * k) % len(passages)] for k in range(6))
        for place, key in enumerate(keys, 1):
            lines.append(f"{query} Q0 {key} {place} {next(numbers) % 4 / 4} other\n")
    path.write_text("".join(lines), "utf-8")
    return path
