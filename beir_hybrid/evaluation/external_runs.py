"""Evaluates TREC runs that another system made."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
from ir_measures import Measure

from beir_hybrid.collection import Collection
from beir_hybrid.collection.judgements import Judgements
from beir_hybrid.collection.setting import ALL, IMAGE, MIXED, Setting, make_setting
from beir_hybrid.errors import BadData, BadOption
from beir_hybrid.evaluation.arguments import check_collection
from beir_hybrid.evaluation.build_results import build_results
from beir_hybrid.evaluation.default_measures import default_measures
from beir_hybrid.evaluation.measured_rankings import (
    MeasuredRankings,
    average_unbiased,
    measure_across,
)
from beir_hybrid.evaluation.rankings import NothingToScore, build_empty_rankings
from beir_hybrid.evaluation.run_evaluation import count_without_gold, evaluate_setting_run
from beir_hybrid.files import is_file, sha256
from beir_hybrid.measures.parsing import MeasureNames, parse_measures
from beir_hybrid.results.provenance import ModelProvenance, RunsProvenance, build_provenance
from beir_hybrid.results.request import describe_request
from beir_hybrid.results.results import Results
from beir_hybrid.results.timing import build_timing
from beir_hybrid.retrieval.runs import Run, name_checksum_file, read_run_file

logger = logging.getLogger(__name__)


def evaluate_runs(
    paths: str | Path | Iterable[str | Path],
    collection: Collection,
    *,
    measures: MeasureNames | None = None,
    name: str = "",
) -> Results:
    """Evaluate TREC runs of a collection's settings as ir-measures does.

    A run with passages of one language is of ``mono`` or ``cross`` settings, a run with passages of
    several is of ``multi`` settings; it may hold queries of several languages. A file with the name
    of a setting (``en-de.trec``, ``en-all.trec``, ``en-image.trec``, ``en-mixed.trec``) is of that
    setting. Files may hold the origin's own ids, where these tell what is meant. A caption or image
    among its own passages is left out. Queries that the run lacks count as ir-measures counts them,
    and as biased as can be; results say how many they are, how many queries of the run have no
    relevant passage and are ignored, and the most passages that the run holds of a query, behind
    which no measure looks.

    Parameters
    ----------
    paths
        One file or several, plain or gzipped.
    measures
        As for `evaluate`.
    name
        The name of the system; by default that of the file, or of the folder of several files.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> import beir_hybrid as bh
    >>> corpus = {"de:1": {"text": "Hier."}, "en:1": {"text": "Here."}, "en:2": {"text": "There."}}
    >>> qrels = {"en:q:1": {"de:1": 1, "en:1": 1}}
    >>> collection = bh.from_beir(corpus, {"en:q:1": "Where?"}, qrels)
    >>> run = {"en:q:1": {"en:1": 0.9, "en:2": 0.5, "de:1": 0.1}}
    >>> path = bh.write_run(Path(mkdtemp()) / "en-all.trec", run)
    >>> results = evaluate_runs(path, collection, measures=["RankDistance"])
    >>> results.means("RankDistance")
    {Setting(kind='multi', queries='en', passages='all'): 2.0}
    """
    files = [Path(paths)] if isinstance(paths, str | Path) else [Path(path) for path in paths]
    if not files:
        raise BadOption("no run is named")
    judgements = check_collection(collection).resolve()
    measure_list = parse_measures(
        default_measures(judgements.has_images) if measures is None else measures
    )
    setting_runs = _read_setting_runs(files, collection, judgements)
    parts, runs = _evaluate_setting_runs(setting_runs, judgements, measure_list)
    unbiased = average_unbiased(parts, measure_list)
    provenance = build_provenance(_describe_system(files, name), collection, unbiased, runs=runs)
    request = describe_request(
        collection,
        measure_list,
        runs=tuple(str(path.resolve()) for path in files),
        name=name or None,
    )
    return build_results(judgements, parts, measure_list, provenance, build_timing(request))


class SettingRun(NamedTuple):
    """The run of a setting, how many queries of its file are unknown, and whether that names it."""

    setting: Setting
    run: Run
    ignored: int = 0
    is_named: bool = False


def _evaluate_setting_runs(
    setting_runs: Iterable[SettingRun],
    judgements: Judgements,
    measures: Sequence[Measure],
) -> tuple[list[MeasuredRankings], RunsProvenance]:
    """Return the measured rankings of all settings, and how complete the runs are."""
    parts: list[MeasuredRankings] = []
    counts: dict[str, tuple[int, int]] = {}  # by query language: missing queries, all queries
    depth = ignored_count = without_gold = 0
    empty_settings: list[NothingToScore] = []
    for setting, run, ignored, is_named in setting_runs:
        ignored_count += ignored
        try:
            rankings = build_empty_rankings(judgements, setting)
        except NothingToScore as error:
            if is_named:
                raise
            empty_settings.append(error)
            ignored_count += len(run)
            continue
        parts.append(evaluate_setting_run(rankings, run, judgements, measures))
        missing, total = counts.get(setting.queries, (0, 0))
        query_ids = judgements.list_query_ids(rankings.query_rows)
        missing += len(set(query_ids) - run.keys())
        ignored_count += len(run.keys() - set(query_ids))
        counts[setting.queries] = missing, total + len(query_ids)
        depth = max([depth, *map(len, run.values())])
        without_gold += count_without_gold(rankings, run, judgements)
    if not parts:
        raise empty_settings[0]
    measure_across(parts, measures)
    completeness = RunsProvenance(
        queries=sum(total for _, total in counts.values()),
        missing=sum(missing for missing, _ in counts.values()),
        missing_by_language=counts,
        ignored=ignored_count or None,
        without_gold=without_gold or None,
        depth=depth,
    )
    return parts, completeness


def _describe_system(files: Sequence[Path], name: str) -> ModelProvenance:
    default_name = files[0].stem if len(files) == 1 else files[0].absolute().parent.name
    checksums = [sha256(path) for path in files]
    return ModelProvenance(name or default_name, fingerprint={"kind": "runs", "files": checksums})


def _read_setting_runs(
    files: Iterable[Path], collection: Collection, judgements: Judgements
) -> Iterator[SettingRun]:
    """Yield the settings of some files, each with its run."""
    settings: set[Setting] = set()
    for path in files:
        if not is_file(path):
            raise BadData(f"there is no file {path}; a run is one in TREC's layout")
        for setting_run in _read_file(path, collection, judgements):
            if setting_run.setting in settings:
                raise BadData(f"{path}: there are two runs of {setting_run.setting.name}")
            settings.add(setting_run.setting)
            yield setting_run


def _read_file(path: Path, collection: Collection, judgements: Judgements) -> list[SettingRun]:
    """Read the runs of all settings in a file."""
    setting = _find_named_setting(path, judgements)
    if setting is None:
        query_ids = set(judgements.query_ids.to_pylist())
        passage_ids = set(judgements.passage_ids.to_pylist())
    else:
        passage_languages = {ALL: judgements.languages, MIXED: judgements.codes}.get(
            setting.passages, (setting.passages,)
        )
        query_ids = _list_ids(judgements.query_ids, [judgements.query_ranges[setting.queries]])
        passage_ids = _list_ids(
            judgements.passage_ids, [judgements.passage_ranges[lang] for lang in passage_languages]
        )
    file = read_run_file(
        path,
        view=setting and collection.view_setting(setting),
        known_queries=query_ids,
        known_passages=passage_ids,
        aliases=(_list_original_ids(query_ids, 2), _list_original_ids(passage_ids, 1))
        if collection.original_ids
        else ({}, {}),
    )
    is_ours = setting is not None and name_checksum_file(path).exists()
    if not file.run and not is_ours:  # BM25 may find nothing in a setting
        raise BadData(f"{path} is empty: a run has a line for each query and document")
    if setting:
        return [SettingRun(setting, *file, is_named=True)]
    setting_runs = _split_by_setting(file.run, judgements)
    _warn_of_guess(path, setting_runs, judgements)
    return [setting_runs[0]._replace(ignored=file.ignored), *setting_runs[1:]]


def _find_named_setting(path: Path, judgements: Judgements) -> Setting | None:
    """Return the setting whose name a file has, or None."""
    languages, codes = judgements.languages, judgements.codes
    settings = [
        make_setting((query_language,), passage_languages, languages)
        for query_language in codes
        for passage_languages in [*((lang,) for lang in codes), languages, codes]
    ]
    stem = Path(path.name.removesuffix(".gz")).stem
    setting = {setting.name: setting for setting in settings}.get(stem)
    if setting and setting.kind == "multi" and len(judgements.text_languages) == 1:
        return make_setting((setting.queries,), judgements.text_languages, languages)
    return setting


def _split_by_setting(run: Run, judgements: Judgements) -> list[SettingRun]:
    """Split a run by query language; its passages may be of one language or of a pool."""
    passage_languages: Sequence[str] = sorted(
        {passage_id.partition(":")[0] for scores in run.values() for passage_id in scores}
    )
    if len(passage_languages) > 1:
        has_images = IMAGE in passage_languages
        passage_languages = judgements.codes if has_images else judgements.languages
    runs_by_language: dict[str, Run] = {}
    for query_id, scores in run.items():
        runs_by_language.setdefault(query_id.partition(":")[0], {})[query_id] = scores
    return [
        SettingRun(make_setting((lang,), passage_languages, judgements.languages), language_run)
        for lang, language_run in runs_by_language.items()
    ]


def _warn_of_guess(path: Path, parts: Sequence[SettingRun], judgements: Judgements) -> None:
    """Say how runs count that may be of a pool or not: each query finds one language alone."""
    if len(judgements.text_languages) < 2:  # noqa: PLR2004 - there is no pool
        return
    settings = [part.setting for part in parts]
    languages = [
        {passage_id.partition(":")[0] for scores in part.run.values() for passage_id in scores}
        for part in parts
    ]
    if not settings[0].is_pool:
        logger.warning(
            "%s holds passages in %s alone and counts as %s; a run of the whole pool is told by "
            "its name, such as %s-all.trec", path, settings[0].passages,
            ", ".join(setting.name for setting in settings), settings[0].queries,
        )  # fmt: skip
    elif all(len(codes) == 1 for codes in languages):
        example = f"{settings[0].queries}-{min(languages[0])}.trec"
        logger.warning(
            "%s holds passages in one language for each language of queries, and counts as %s; "
            "runs of one language are told by their names, such as %s",
            path, ", ".join(setting.name for setting in settings), example,
        )  # fmt: skip


def _list_original_ids(ids: Iterable[str], prefixes: int) -> dict[str, str]:
    """Return the ids by their origin's, which come behind prefixes; those of two are left out."""
    ids_by_origin: dict[str, str] = {}
    ambiguous_ids: set[str] = set()
    for identity in ids:
        original_id = identity.split(":", prefixes)[prefixes]
        if ids_by_origin.setdefault(original_id, identity) != identity:
            ambiguous_ids.add(original_id)
    return {key: value for key, value in ids_by_origin.items() if key not in ambiguous_ids}


def _list_ids(ids: pa.ChunkedArray, ranges: Iterable[range]) -> set[str]:
    return {id_ for rows in ranges for id_ in ids.slice(rows.start, len(rows)).to_pylist()}
