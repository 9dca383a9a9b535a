"""Leaderboard entries from result files of mteb's."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import NotRequired, TypedDict

import numpy as np

from beir_hybrid.collection.setting import ALL, KindName, Setting
from beir_hybrid.errors import BadData
from beir_hybrid.records import from_record, read_json
from beir_hybrid.report.entries import (
    Benchmark,
    Entry,
    Summary,
    make_visible,
    name_licence,
    parse_count,
)
from beir_hybrid.report.plain_files import is_plain_file
from beir_hybrid.results.estimate import Estimate
from beir_hybrid.results.mteb import Score, read_mteb
from beir_hybrid.text import escape_unprintable

# mteb writes sixty measures; these are the ones that people read.
_MEASURES = ("nDCG@10", "AP@1000", "RR@10", "R@1", "R@10", "R@100")
_MODEL_CARD = "model_meta.json"  # mteb's description of a model, beside its result files

Means = dict[str, dict[Setting, float]]  # by measure


def read_mteb_entries(path: Path) -> list[Entry]:
    """Return an entry for each split of a result file: the splits differ in their texts."""
    scores = read_mteb(path)
    if not scores:
        raise BadData(f"{path} has no scores")
    card = _read_card(path)
    entries = []
    for split in dict.fromkeys(score.split for score in scores):
        means = _collect_means(scores, split)
        if not means:
            raise BadData(f"{path} has none of {', '.join(_MEASURES)}")
        entries.append(
            Entry(
                name=make_visible(card["name"]),
                source="mteb",
                benchmark=_make_benchmark(scores[0], split, means),
                summary=_average_settings(means),
                path=path,
                scores=means,
                parameters=parse_count(card.get("n_parameters")),
                licence=name_licence(card.get("license")),
                recipe=f"a result file of mteb's: {path.name}",
            )
        )
    return entries


def _collect_means(scores: list[Score], split: str) -> Means:
    """Return the value of each measure and setting; of several subsets in one, their mean.

    Such subsets are in several scripts of a language, or in more languages than two.
    """
    values: dict[str, dict[Setting, list[float]]] = {}
    for score in scores:
        if score.split == split and score.measure in _MEASURES:
            row = values.setdefault(score.measure, {})
            row.setdefault(_make_setting(score), []).append(score.value)
    return {
        measure: {setting: float(np.mean(numbers)) for setting, numbers in row.items()}
        for measure, row in values.items()
    }


def _make_setting(score: Score) -> Setting:
    kind: KindName = "mono" if score.query_lang == score.passage_lang else "cross"
    if score.passage_lang == ALL:
        kind = "multi"
    return Setting(kind, score.query_lang, score.passage_lang)


def _make_benchmark(score: Score, split: str, means: Means) -> Benchmark:
    """Return the benchmark of a split; its key has the settings, over which averages are taken."""
    settings = sorted({setting for row in means.values() for setting in row})
    passages = {setting.passages for setting in settings} - {ALL}
    languages = sorted({setting.queries for setting in settings} | passages)
    facts = (
        "a task of mteb's, not comparable with the sentences of XQuAD-R and MLQA-R",
        f"{len(settings)} language pairs",
        f"revision {score.revision[:12]}",
    )
    key = json.dumps([score.task, score.revision, split, settings])
    name = f"{escape_unprintable(score.task)} {escape_unprintable(split)} (mteb)"
    return Benchmark(name, key, tuple(languages), facts)


def _average_settings(means: Mapping[str, Mapping[Setting, float]]) -> Summary:
    summary: dict[str, dict[str, Estimate]] = {}
    for measure, row in means.items():
        for kind in dict.fromkeys(setting.kind for setting in row):
            values = [value for setting, value in row.items() if setting.kind == kind]
            estimate = Estimate(float(np.mean(values)), math.nan, math.nan, math.nan, 0)
            summary.setdefault(kind, {})[measure] = estimate
    return summary


class _ModelCard(TypedDict):
    """The part of mteb's description of a model that is shown."""

    name: str
    n_parameters: NotRequired[object]
    license: NotRequired[object]


def _read_card(path: Path) -> _ModelCard:
    """Return a model's card, or one with its name, from the folders that mteb writes into."""
    card, folders = path.with_name(_MODEL_CARD), path.absolute().parents
    if is_plain_file(card):
        return from_record(_ModelCard, read_json(card), str(card))
    names = [folder.name for folder in folders[:2] if "__" in folder.name]
    return {"name": names[0].replace("__", "/", 1) if names else folders[0].name}
