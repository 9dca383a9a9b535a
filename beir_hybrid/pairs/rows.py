"""Make the rows that a trainer reads from row codes: texts, images, translations and labels."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from beir_hybrid.collection.setting import IMAGE
from beir_hybrid.encoding.images import open_unchanged_image
from beir_hybrid.pairs.code_switching import CodeSwitch
from beir_hybrid.pairs.group_table import GroupTable
from beir_hybrid.pairs.images import IMAGE_PATH
from beir_hybrid.pairs.labels import LANGUAGES_MARK, NEGATIVES_MARK, hash_texts
from beir_hybrid.pairs.row_codes import RowCodes, get_switch_number

Row = dict[str, Any]


def list_text_columns(negatives: int) -> list[str]:
    """Return the columns of a row whose texts are stored as they are."""
    return ["anchor", "positive", *(f"negative_{i + 1}" for i in range(negatives))]


def decode_codes(
    groups: GroupTable, codes: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return the groups, query languages, passage languages and variants of codes.

    Plain indices are groups in the languages that `GroupTable.choose_languages` has for them.
    """
    n = len(groups.has_query)
    numbers, query, passage, variants = RowCodes(n, len(groups.languages)).decode(codes)
    is_plain = codes < n
    if is_plain.any():
        numbers[is_plain], variants[is_plain] = codes[is_plain], 0
        query[is_plain], passage[is_plain] = groups.choose_languages(codes[is_plain])
    return numbers, query, passage, variants


def make_rows(
    groups: GroupTable,
    keys: Sequence[int],
    *,
    switches: Sequence[CodeSwitch] = (),
    has_images: bool = True,
    has_translations: bool = False,
) -> list[Row]:
    """Return the rows of codes or plain indices, with all their columns.

    Parameters
    ----------
    switches
        The code switches that variants of codes name.
    has_images
        Whether images are decoded; else their place has the checksum.
    has_translations
        Whether rows have a column ``translation``: the query in another language.
    """
    codes = np.asarray(keys, np.int64)
    row_codes = RowCodes(len(groups.has_query), len(groups.languages))
    row_codes.check(codes, has_variants=bool(switches))
    numbers, query, passage, variants = decode_codes(groups, codes)
    negatives = _take_negatives(groups, passage, numbers)
    names = list_text_columns(groups.negatives)
    texts = zip(
        _take_texts(groups, "query", query, numbers),
        _take_texts(groups, "positive", passage, numbers),
        *zip(*negatives, strict=True),
        strict=True,
    )
    rows: list[Row] = [dict(zip(names, row_texts, strict=True)) for row_texts in texts]
    for i in np.flatnonzero(variants).tolist():
        switch = switches[get_switch_number(int(variants[i]))]
        languages = groups.languages[query[i]], groups.languages[passage[i]]
        rows[i] = _switch_row(rows[i], switch, languages, int(codes[i]))
    if groups.has_images and has_images:
        _open_images(groups, rows, numbers, passage)
    row_languages = [query, passage]
    if has_translations:
        row_languages.append(_choose_translations(groups, numbers, query, passage))
        translations = _take_texts(groups, "query", row_languages[-1], numbers)
        for row, text in zip(rows, translations, strict=True):
            row["translation"] = text
    for row, label in zip(
        rows, _make_labels(groups, numbers, row_languages, negatives), strict=True
    ):
        row["label"] = label
    return rows


def _make_labels(
    groups: GroupTable,
    numbers: np.ndarray,
    languages: list[np.ndarray],
    negatives: list[list[str]],
) -> list[list[int]]:
    """Return, as hashes, each row's passage, its query's passages, hard negatives, and languages.

    `languages` are those of queries, passages and, if there are any, translations, by number.
    """
    golds = groups.gold_hashes[numbers]
    parts = [golds[np.arange(len(golds)), languages[1]][:, None], golds]
    if groups.negatives:  # all at once: an Arrow array of each is slow
        texts = pa.chunked_array([[text for row in negatives for text in row]], pa.string())
        parts.append(np.full((len(golds), 1), NEGATIVES_MARK))
        parts.append(hash_texts(texts).reshape(-1, groups.negatives))
    language_hashes = hash_texts(pa.chunked_array([groups.languages], pa.string()))
    parts.append(np.full((len(golds), 1), LANGUAGES_MARK))
    parts.append(language_hashes[np.stack(languages, axis=1)])
    labels: list[list[int]] = np.concatenate(parts, axis=1).tolist()
    return labels


def _switch_row(row: Row, switch: CodeSwitch, languages: tuple[str, str], seed: int) -> Row:
    """Return a row's texts with some of their words in other languages."""
    switched = dict(row)
    for column, (name, text) in enumerate(row.items()):
        side = "queries" if name == "anchor" else "passages"
        if switch.on in (side, "both"):
            switched[name] = switch(text, languages[name != "anchor"], seed * len(row) + column)
    return switched


def _open_images(
    groups: GroupTable, rows: list[Row], numbers: np.ndarray, languages: np.ndarray
) -> None:
    """Decode the images of the rows that have one."""
    checksums, paths = (groups.table[name] for name in (f"positive.{IMAGE}", IMAGE_PATH))
    for i in np.flatnonzero(languages == len(groups.languages) - 1).tolist():
        group = int(numbers[i])
        rows[i]["positive"] = open_unchanged_image(checksums[group].as_py(), paths[group].as_py())


def _take_texts(
    groups: GroupTable, part: str, languages: np.ndarray, numbers: np.ndarray
) -> list[Any]:
    """Return one part of groups, each in a language of its own."""
    table = groups.table
    columns = {int(k): table[f"{part}.{groups.languages[k]}"] for k in set(languages)}
    return [columns[k][n].as_py() for k, n in zip(languages.tolist(), numbers, strict=True)]


def _take_negatives(
    groups: GroupTable, languages: np.ndarray, numbers: np.ndarray
) -> list[list[str]]:
    """Return the hard negatives of each row, repeated where there are too few."""
    n = groups.negatives
    lists = _take_texts(groups, "negative", languages, numbers) if n else [[] for _ in numbers]
    return [
        texts[:n] if len(texts) >= n else [texts[i % len(texts)] for i in range(n)]
        for texts in lists
    ]


def _choose_translations(
    groups: GroupTable, numbers: np.ndarray, query: np.ndarray, passage: np.ndarray
) -> np.ndarray:
    """Return the languages of the queries' translations: the passage's, or else the next one."""
    languages = query.copy()
    for i, group in enumerate(numbers):
        alternatives = np.flatnonzero(groups.has_query[group])
        alternatives = alternatives[alternatives != query[i]]
        if passage[i] in alternatives:
            languages[i] = passage[i]
        elif len(alternatives):
            place = np.searchsorted(alternatives, query[i]) % len(alternatives)
            languages[i] = alternatives[place]
    return languages
