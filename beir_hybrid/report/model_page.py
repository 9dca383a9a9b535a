"""The content of a model's page: facts, heat maps, reproduction commands."""

import math
import shlex
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from beir_hybrid.collection.setting import SETTING_KINDS
from beir_hybrid.errors import BeirHybridError
from beir_hybrid.records import to_record
from beir_hybrid.report.columns import shorten_number
from beir_hybrid.report.entries import Entry
from beir_hybrid.report.heat_maps import (
    HeatMap,
    map_differences,
    map_pool_languages,
    map_values,
    subtract_row_means,
)
from beir_hybrid.report.page_tables import TextTable, build_language_table, build_pool_table
from beir_hybrid.report.reproduce import reproduce_commands
from beir_hybrid.report.variants import Variant
from beir_hybrid.results.estimate import Matrix
from beir_hybrid.results.local_paths import find_local_paths, hide_path
from beir_hybrid.results.results import Results


def list_facts(entry: Entry) -> list[tuple[str, str]]:
    """Return facts about a system, each with its name."""
    facts = [("evaluated on", entry.date), ("recipe", entry.recipe)]
    facts.append(("calibration", entry.calibration))
    if entry.parameters:
        number = f"{shorten_number(entry.parameters)} ({entry.parameters:,})"
        facts.append(("parameters", number))
    facts.append(("licence", entry.licence))
    if entry.results is not None:
        facts += _list_provenance(entry.results, entry.speed)
    return [(name, text) for name, text in facts if text]


def _list_provenance(results: Results, speed: float | None) -> Iterator[tuple[str, str]]:
    model, timing = results.provenance.model, results.timing
    yield "revision", model.revision
    length = model.fingerprint.get("max_length")
    yield "input", f"at most {length} tokens" if length else ""
    yield "arithmetic", str(model.fingerprint.get("dtype", ""))
    if speed is not None:
        device = "" if timing.machine is None else timing.machine.gpu or timing.machine.processor
        images = timing.encoded_images
        count = f"{timing.encoded_texts:,} texts" + (f" and {images:,} images" if images else "")
        rate = f"{count} at {speed:,.0f} a second"
        yield "encoding", f"{rate} on {device}" if device else rate
    versions = {"beir-hybrid": results.provenance.version, **results.provenance.versions}
    texts = [f"{name} {version}" for name, version in versions.items() if version]
    yield "versions", ", ".join(texts)


class MeasuredPart(NamedTuple):
    """The part of a page that shows one measure, by languages."""

    measure: str
    maps: list[HeatMap]
    languages: TextTable | None


def build_measured_parts(entry: Entry, measures: Sequence[str]) -> list[MeasuredPart]:
    """Return the part of each measure that a system has, the main one first."""
    parts = (
        MeasuredPart(measure, build_heat_maps(entry, measure), build_language_table(entry, measure))
        for measure in measures
    )
    return [part for part in parts if part.maps or part.languages]


def build_heat_maps(entry: Entry, measure: str) -> list[HeatMap]:
    """Return a measure by query and passage language, with one target, and its language bias."""
    maps = []
    matrix = entry.matrix(measure, ("mono", "cross"))
    one_target = entry.matrix(measure, ("one-target",))
    if matrix is not None:
        description = (
            "Each cell ranks the passages of one language. Outlined cells: queries and passages "
            "in one language."
        )
        pool = list_pool_values(entry, measure, matrix)
        maps.append(map_values(f"{measure} by language", description, matrix, pool))
    if one_target is not None:
        description = (
            "Each cell ranks the pool of all languages, without the answers in other languages "
            "than the column's."
        )
        maps.append(map_values(f"{measure} with one target", description, one_target))
    basis = one_target or matrix
    if (
        basis is not None
        and len(basis.columns) > 1
        and not np.isnan(basis.values).all(axis=1).any()
    ):
        description = (
            "Each cell less the mean of its row. Above 0, passages in the column's language are "
            "found better than others. Without language bias, and if all texts are equally hard, "
            "every cell is 0."
        )
        title = f"Bias of {measure} to passage languages"
        maps.append(map_differences(title, description, subtract_row_means(basis)))
    return maps


def build_pool_maps(results: Results) -> list[tuple[HeatMap, TextTable]]:
    """Return the languages of the first passages of each pool, and their means with intervals."""
    maps = []
    for kind, pool in results.pools.items():
        place = SETTING_KINDS[kind].label
        description = (
            f"The share of each language among the first {pool.depth} passages, and how many times "
            "its share of the relevant passages that is: 1.0x without language bias. The last row "
            "is the mean over query languages."
        )
        title = f"Languages of the first {pool.depth}, {place}"
        maps.append((map_pool_languages(title, description, pool), build_pool_table(kind, pool)))
    return maps


def build_plain_maps(variant: Variant) -> list[tuple[HeatMap, TextTable]]:
    """Return the same of the model without calibration, to stand beside the variant's."""
    if variant.model.results is None:
        return []
    return [
        (
            heat_map._replace(title=f"{heat_map.title}, without calibration"),
            table._replace(title=f"{table.title}, without calibration"),
        )
        for heat_map, table in build_pool_maps(variant.model.results)
    ]


def list_pool_values(entry: Entry, measure: str, matrix: Matrix) -> list[float]:
    """Return the pool's value for each row of a matrix; nothing without a pool."""
    values = {
        setting.queries: value
        for setting, value in entry.means(measure).items()
        if setting.kind == "multi"
    }
    return [values.get(row, math.nan) for row in matrix.rows] if values else []


def list_commands(results: Results) -> tuple[list[str], str]:
    """Return the commands that reproduce results, or the reason why there are none.

    Folders of this machine are private, so `PLACEHOLDER` stands for them.
    """
    try:
        lines, obstacle = reproduce_commands(results), ""
    except BeirHybridError as error:
        lines, obstacle = [], str(error)
    paths = find_local_paths([to_record(results.timing.request), results.model])
    # A command has a path as it is, or quoted.
    forms = {path: hide_path(path) for path in paths}
    forms |= {
        shlex.quote(path)[1:-1]: shlex.quote(hide_path(path))[1:-1]
        for path in paths
        if shlex.quote(path) != path
    }
    for form in sorted(forms, key=len, reverse=True):
        lines = [line.replace(form, forms[form]) for line in lines]
        obstacle = obstacle.replace(form, forms[form])
    return lines, obstacle
