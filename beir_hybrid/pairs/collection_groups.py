"""Training groups of a collection: its queries with their relevant passages, or its captions."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from beir_hybrid.collection import Collection
from beir_hybrid.collection.arrays import join_titles, take_rows, to_numpy
from beir_hybrid.collection.setting import IMAGE
from beir_hybrid.pairs.images import GroupImage

Texts = dict[str, list[str]]  # by language


class CollectionGroups(NamedTuple):
    """Groups for `pairs_from_groups`, and the texts of each one's further golds."""

    groups: list[dict[str, Any]]
    further_golds: list[list[str]]


def group_queries(collection: Collection, keys: set[str] | None) -> CollectionGroups:
    """Return groups for each query of a collection without images, by the keys of query groups.

    A query with several relevant passages in a language, or several wordings, makes as many groups;
    group n has the nth of each language that has so many, and passages from the first on where
    there are more wordings.
    """
    table = collection.queries.select(["group", "lang", "text"]).to_pylist()
    queries: dict[str, Texts] = {}
    for row in table:
        queries.setdefault(row["group"], {}).setdefault(row["lang"], []).append(row["text"])
    groups = CollectionGroups([], [])
    for key, texts in _find_golds(collection, [row["group"] for row in table]).items():
        if keys is not None and key not in keys:
            continue
        all_golds = {text for golds in texts.values() for text in golds}
        n_golds = max(map(len, texts.values()))
        for i in range(max(n_golds, *map(len, queries[key].values()))):
            query = {lang: wordings[i % len(wordings)] for lang, wordings in queries[key].items()}
            positive = {
                lang: golds[i % len(golds)]
                for lang, golds in texts.items()
                if i < len(golds) or i >= n_golds
            }
            groups.groups.append({"id": f"{key}#{i}", "query": query, "positive": positive})
            groups.further_golds.append(sorted(all_golds.difference(positive.values())))
    return groups


def _find_golds(collection: Collection, query_keys: Sequence[str]) -> dict[str, Texts]:
    """Return the texts of each query group's relevant passages, by language."""
    query, passage, relevance = collection.view().judgements
    golds: dict[str, dict[str, dict[int, None]]] = {}
    rows_by_language = {lang: collection.find_passage_rows(lang) for lang in collection.languages}
    for q, p in zip(query[relevance > 0].tolist(), passage[relevance > 0].tolist(), strict=True):
        lang = next(lang for lang, rows in rows_by_language.items() if p in rows)
        golds.setdefault(query_keys[q], {}).setdefault(lang, {})[p] = None
    rows = np.unique(np.array([p for g in golds.values() for s in g.values() for p in s], np.int64))
    passages = take_rows(collection.view().passages, rows)
    texts = dict(zip(rows.tolist(), join_titles(passages).to_pylist(), strict=True))
    return {
        key: {lang: [texts[p] for p in numbers] for lang, numbers in by_language.items()}
        for key, by_language in golds.items()
    }


def group_captions(collection: Collection, keys: set[str] | None) -> CollectionGroups:
    """Return a group for each image and number of a caption, by the keys of images.

    Passages of a caption are other captions of its image, where a language has several, and the
    image. Images with equal files are one: captions of either are golds of both.
    """
    queries = _find_captions(collection)
    captions, images = _find_caption_golds(collection, queries)
    all_golds = {
        key: {text for texts in [*queries[key].values(), *captions[key].values()] for text in texts}
        | {image.text for image in images[key]}
        for key in queries
    }
    golds_by_image: dict[str, set[str]] = {}
    for key, key_images in images.items():
        for image in key_images:
            golds_by_image.setdefault(image.text, set()).update(all_golds[key])
    groups = CollectionGroups([], [])
    for key, texts in queries.items():
        if keys is not None and key not in keys:
            continue
        golds = all_golds[key].union(*(golds_by_image[image.text] for image in images[key]))
        for i in range(max(map(len, texts.values()))):
            query = {lang: lines[i] for lang, lines in texts.items() if i < len(lines)}
            positive = {
                lang: _choose_caption(lines, i, query.get(lang))
                for lang, lines in captions[key].items()
            }
            if not positive and not images[key]:
                continue  # nothing is relevant
            shown_image = images[key][i % len(images[key])] if images[key] else None
            groups.groups.append(
                {"id": f"{key}#{i}", "query": query, "positive": positive, "image": shown_image}
            )
            shown_texts = [*positive.values(), *([shown_image.text] if shown_image else [])]
            groups.further_golds.append(sorted(golds.difference(shown_texts)))
    return groups


def _find_captions(collection: Collection) -> dict[str, Texts]:
    """Return the captions of each image that are queries."""
    captions: dict[str, Texts] = {}
    for row in collection.queries.select(["group", "lang", "text"]).to_pylist():
        if row["lang"] != IMAGE:
            captions.setdefault(row["group"], {}).setdefault(row["lang"], []).append(row["text"])
    return captions


def _find_caption_golds(
    collection: Collection, keys: Iterable[str]
) -> tuple[dict[str, Texts], dict[str, list[GroupImage]]]:
    """Return the captions, by language, and images that are relevant for each image's captions."""
    golds = _find_relevant_rows(collection, keys)
    rows = np.unique(np.array([row for numbers in golds.values() for row in numbers], np.int64))
    passages = take_rows(collection.view(passage_languages=collection.codes).passages, rows)
    langs, texts = passages["lang"].to_pylist(), join_titles(passages).to_pylist()
    paths = passages["image"].to_pylist()
    places = {row: i for i, row in enumerate(rows.tolist())}
    captions: dict[str, Texts] = {key: {} for key in golds}
    images: dict[str, dict[str, GroupImage]] = {key: {} for key in golds}
    for key, numbers in golds.items():
        for i in (places[row] for row in sorted(numbers)):
            if langs[i] == IMAGE:  # equal files once
                images[key].setdefault(texts[i], GroupImage(texts[i], paths[i]))
            else:
                captions[key].setdefault(langs[i], []).append(texts[i])
    return captions, {key: list(by_text.values()) for key, by_text in images.items()}


def _find_relevant_rows(collection: Collection, keys: Iterable[str]) -> Mapping[str, set[int]]:
    """Return the rows of the relevant passages of each image's captions."""
    table = collection.judgements
    query, passage, relevance = (
        to_numpy(table[name]) for name in ("query", "passage", "relevance")
    )
    n_captions = sum(len(collection.find_query_rows(lang)) for lang in collection.languages)
    is_relevant = (relevance > 0) & (query < n_captions)  # images lie last
    query_keys = collection.queries["group"].to_pylist()
    rows: dict[str, set[int]] = {key: set() for key in keys}
    for q, p in zip(query[is_relevant].tolist(), passage[is_relevant].tolist(), strict=True):
        rows[query_keys[q]].add(p)
    return rows


def _choose_caption(captions: Sequence[str], i: int, query: str | None) -> str:
    """Return the next caption behind the ith that is not the query, or the query if none is."""
    following = [captions[(i + 1 + k) % len(captions)] for k in range(len(captions))]
    return next((text for text in following if text != query), following[0])
