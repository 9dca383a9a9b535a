"""Pictures of files and collections in, what groups of pairs say of them out."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from beir_hybrid.collection import Collection
from beir_hybrid.collection.arrays import join_titles, to_arrow, to_numpy
from beir_hybrid.collection.setting import IMAGE
from beir_hybrid.errors import BadData

PATH = f"path.{IMAGE}"  # the column of paths, beside that of checksums, which is `positive.image`
Captions = dict[str, list[str]]  # by language


class Pictured(NamedTuple):
    """A picture that is checked: its text is that of its content, so twins have equal texts."""

    text: str
    path: str
    oddities: tuple[str, ...] = ()


def pictured(value: Any, folder: Path | None, where: str) -> Pictured | None:
    """Return a group's picture, of a path that may be relative to a folder; raise `BadData`."""
    from beir_hybrid.images import inspect_image

    if value is None or isinstance(value, Pictured):
        return value
    if not isinstance(value, str | Path) or not str(value).strip():
        raise BadData(f"{where}: image is {value!r:.40}; it must be the path of a picture")
    path = (folder or Path()).joinpath(value).absolute()
    try:
        found = inspect_image(path)
    except BadData as error:
        raise BadData(f"{where}: {error}") from error
    return Pictured(f"sha256:{found.sha256}", str(path), found.oddities)


def with_pictures(rows: Iterable[tuple[int, Any]], file: Path, unit: str) -> Iterator[Any]:
    """Yield numbered rows of a file, their pictures checked: who is wrong is named by number."""
    for number, row in rows:
        if isinstance(row, Mapping) and row.get("image") is not None:
            where = f"{file} {unit} {number}"
            row = {**row, "image": pictured(row["image"], file.parent, where)}  # noqa: PLW2901
        yield row


def stamp(parts: Iterable[pa.Table], folder: Path | None) -> str:
    """Return what changes when pictures of tables do; empty where there are none."""
    found = hashlib.sha256(str(folder and folder.absolute()).encode())
    any_ = False
    for table in parts:
        for path in table[PATH].to_pylist() if PATH in table.column_names else ():
            if path is not None:
                about = Path(path).stat()  # raises where it is gone
                found.update(f"{path} {about.st_size} {about.st_mtime_ns}\n".encode())
                any_ = True
    return found.hexdigest() if any_ else ""


def groups_of_pictures(
    collection: Collection, wanted: set[str] | None
) -> tuple[list[dict[str, Any]], list[list[str]]]:
    """Return a group for each picture and number of a caption, and what else answers each.

    Passages of a caption are other captions of its picture, where a language has several, and the
    picture. Pictures with equal files are one: what describes either answers both.
    """
    asked = _asked(collection)
    found, pictures = _found(collection, asked)
    twins: dict[str, set[str]] = {}
    every = {key: {text for texts in [*captions.values(), *found[key].values()] for text in texts}
             | {one.text for one in pictures[key]}
             for key, captions in asked.items()}  # fmt: skip
    for key, ones in pictures.items():
        for one in ones:
            twins.setdefault(one.text, set()).update(every[key])
    groups, others = [], []
    for key, captions in asked.items():
        if wanted is not None and key not in wanted:
            continue
        ones = pictures[key]
        alike = every[key].union(*(twins[one.text] for one in ones))
        for turn in range(max(map(len, captions.values()))):
            query = {lang: texts[turn] for lang, texts in captions.items() if turn < len(texts)}
            mine = {
                lang: _another(texts, turn, query.get(lang)) for lang, texts in found[key].items()
            }
            if not mine and not ones:
                continue  # nothing answers it
            shown = ones[turn % len(ones)] if ones else None
            groups.append({"id": f"{key}#{turn}", "query": query, "positive": mine, "image": shown})
            others.append(sorted(alike.difference(mine.values(), [shown.text] if shown else [])))
    return groups, others


def _asked(collection: Collection) -> dict[str, Captions]:
    """Return the captions of each picture as they are asked."""
    found: dict[str, Captions] = {}
    for row in collection.queries.select(["group", "lang", "text"]).to_pylist():
        if row["lang"] != IMAGE:
            found.setdefault(row["group"], {}).setdefault(row["lang"], []).append(row["text"])
    return found


def _found(
    collection: Collection, asked: Mapping[str, Captions]
) -> tuple[dict[str, Captions], dict[str, list[Pictured]]]:
    """Return what answers the captions of each picture: captions by language, and pictures."""
    table = collection.judgements
    query, passage, relevance = (
        to_numpy(table[name]) for name in ("query", "passage", "relevance")
    )
    captions = sum(len(collection.find_query_rows(lang)) for lang in collection.languages)
    taken = (relevance > 0) & (query < captions)  # pictures lie last
    keys = collection.queries["group"].to_pylist()
    by_key: dict[str, set[int]] = {key: set() for key in asked}
    for q, p in zip(query[taken].tolist(), passage[taken].tolist(), strict=True):
        by_key[keys[q]].add(p)
    rows = np.unique(passage[taken])
    documents = collection.view(passage_languages=collection.codes).passages.take(to_arrow(rows))
    langs, texts = documents["lang"].to_pylist(), join_titles(documents).to_pylist()
    paths = documents["image"].to_pylist()
    place = {row: at for at, row in enumerate(rows.tolist())}
    found: dict[str, Captions] = {key: {} for key in asked}
    pictures: dict[str, dict[str, Pictured]] = {key: {} for key in asked}
    for key, answers in by_key.items():
        for at in (place[row] for row in sorted(answers)):
            if langs[at] == IMAGE:  # twins once
                pictures[key].setdefault(texts[at], Pictured(texts[at], paths[at]))
            else:
                found[key].setdefault(langs[at], []).append(texts[at])
    return found, {key: list(ones.values()) for key, ones in pictures.items()}


def _another(texts: Sequence[str], turn: int, own: str | None) -> str:
    """Return the next caption that is not the one that asks, or that one where it is alone."""
    after = [texts[(turn + 1 + i) % len(texts)] for i in range(len(texts))]
    return next((text for text in after if text != own), after[0])
