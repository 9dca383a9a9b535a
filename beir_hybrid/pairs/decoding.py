"""Numbers that a sampler drew in, the rows of parallel pairs that they stand for out."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa

from beir_hybrid.collection.setting import IMAGE
from beir_hybrid.encoding.images import open_unchanged_image
from beir_hybrid.pairs.code_switching import CodeSwitch
from beir_hybrid.pairs.images import PATH
from beir_hybrid.pairs.labels import HARD, numbers_of

if TYPE_CHECKING:
    from beir_hybrid.pairs.parallel_pairs import ParallelPairs

SWITCHES = 256  # ways to switch the texts of one set of pairs, counting none
TURN_BITS = 16


class Drawn(NamedTuple):
    """What a sampled number stands for: a group, and the languages of question and passage."""

    group: int
    query_lang: str
    passage_lang: str


def decoded(pairs: "ParallelPairs", codes: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return groups, languages of questions and of passages, and draws."""
    width, n = len(pairs.languages), len(pairs)
    drawn = codes - n
    query_lang, passage_lang = drawn // width % width, drawn % width
    draw, group = np.divmod(drawn // (width * width), max(n, 1))
    plain = codes < n
    if plain.any():
        group[plain], draw[plain] = codes[plain], 0
        both = pairs.asked[group[plain]] & pairs.answered[group[plain]]
        either = np.where(both.any(axis=1), both.argmax(axis=1), -1)
        first_asked = pairs.asked[group[plain]].argmax(axis=1)
        first_answered = pairs.answered[group[plain]].argmax(axis=1)
        if pairs.images:
            seen = pairs.answered[group[plain], -1]
            either[seen], first_answered[seen] = -1, width - 1
        query_lang[plain] = np.where(either >= 0, either, first_asked)
        passage_lang[plain] = np.where(either >= 0, either, first_answered)
    return group, query_lang, passage_lang, draw


def text_columns(negatives: int) -> list[str]:
    """Return the columns of a row whose texts are stored as they are."""
    return ["anchor", "positive", *(f"negative_{place + 1}" for place in range(negatives))]


def rows_of(
    pairs: "ParallelPairs", keys: Sequence[int], *, pictures: bool = True
) -> list[dict[str, Any]]:
    """Return the rows of numbers, with all their columns; pictures are decoded if asked for."""
    codes = np.asarray(keys, np.int64)
    n, width = len(pairs), len(pairs.languages)
    draws = len(pairs.switches) and SWITCHES << TURN_BITS
    wrong = codes[(codes < 0) | (codes >= n + max(draws, 1) * n * width * width)]
    if len(wrong):
        raise IndexError(f"{wrong[0]} is no number of these {n} groups in {width} languages")
    group, query_lang, passage_lang, draw = decoded(pairs, codes)
    hard = _hard(pairs, passage_lang, group)
    names = text_columns(pairs.negatives)
    texts = zip(
        _texts(pairs, "query", query_lang, group),
        _texts(pairs, "positive", passage_lang, group),
        *zip(*hard, strict=True),
        strict=True,
    )
    rows: list[dict[str, Any]] = [dict(zip(names, row, strict=True)) for row in texts]
    for at in np.flatnonzero(draw).tolist():
        switch = pairs.switches[int(draw[at]) % SWITCHES - 1]
        langs = pairs.languages[query_lang[at]], pairs.languages[passage_lang[at]]
        rows[at] = _switched(rows[at], switch, langs, int(codes[at]))
    if pairs.images and pictures:
        sums, paths = (pairs.data.table[name] for name in (f"positive.{IMAGE}", PATH))
        for at in np.flatnonzero(passage_lang == width - 1).tolist():
            one = int(group[at])
            rows[at]["positive"] = open_unchanged_image(sums[one].as_py(), paths[one].as_py())
    if pairs.translations:
        for row, *place in zip(rows, group, query_lang, passage_lang, strict=True):
            row["translation"] = _translation(pairs, *place)
    for row, label in zip(rows, _labels(pairs, group, passage_lang, hard), strict=True):
        row["label"] = label
    return rows


def _labels(
    pairs: "ParallelPairs", groups: np.ndarray, langs: np.ndarray, hard: list[list[str]]
) -> list[list[int]]:
    """Return the numbers of passages, of what answers their questions, of hard negatives."""
    golds = pairs.golds[groups]
    parts = [golds[np.arange(len(golds)), langs][:, None], golds]
    if pairs.negatives:  # all at once: an Arrow array of each is slow
        flat = pa.chunked_array([[text for row in hard for text in row]], pa.string())
        parts.append(np.full((len(golds), 1), HARD))
        parts.append(numbers_of(flat).reshape(-1, pairs.negatives))
    labels: list[list[int]] = np.concatenate(parts, axis=1).tolist()
    return labels


def _switched(
    row: dict[str, str], switch: CodeSwitch, langs: tuple[str, str], seed: int
) -> dict[str, str]:
    """Return a row's texts with some of their words in other languages."""
    changed = dict(row)
    for place, (name, text) in enumerate(row.items()):
        side = "queries" if name == "anchor" else "passages"
        if switch.on in (side, "both"):
            changed[name] = switch(text, langs[name != "anchor"], seed * len(row) + place)
    return changed


def _texts(pairs: "ParallelPairs", part: str, langs: np.ndarray, groups: np.ndarray) -> list[Any]:
    table = pairs.data.table
    columns = {int(at): table[f"{part}.{pairs.languages[at]}"] for at in set(langs)}
    return [columns[at][g].as_py() for at, g in zip(langs.tolist(), groups, strict=True)]


def _hard(pairs: "ParallelPairs", langs: np.ndarray, groups: np.ndarray) -> list[list[str]]:
    """Return the hard negatives of each row, gone round where there are too few."""
    n = pairs.negatives
    found = _texts(pairs, "negative", langs, groups) if n else [[] for _ in groups]
    return [
        texts[:n] if len(texts) >= n else [texts[i % len(texts)] for i in range(n)]
        for texts in found
    ]


def _translation(pairs: "ParallelPairs", group: int, query_lang: int, passage_lang: int) -> str:
    """Return the question in the passage's language, or else in the next that it has."""
    there = np.flatnonzero(pairs.asked[group])
    others = there[there != query_lang]
    lang = query_lang
    if passage_lang in others:
        lang = passage_lang
    elif len(others):
        lang = int(others[np.searchsorted(others, query_lang) % len(others)])
    return str(pairs.data.table[f"query.{pairs.languages[lang]}"][group].as_py())
