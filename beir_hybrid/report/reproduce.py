"""List the commands that reproduce results: fetch data, index, search, compute measures."""
# mypy: allow-untyped-calls

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from ir_measures import Measure

from beir_hybrid.calibration.methods import parse_method
from beir_hybrid.checks import check_positive_or_none
from beir_hybrid.collection.setting import ALL, KindName
from beir_hybrid.encoding.options import TRUST, read_recorded_options
from beir_hybrid.errors import BadData, BadOption
from beir_hybrid.report.command_words import (
    Words,
    check_name,
    join_words,
    write_dataset_options,
    write_option,
    write_options,
)
from beir_hybrid.report.reproduction_job import Job, open_job
from beir_hybrid.report.run_depth import choose_hits, has_equal_value
from beir_hybrid.results.results import Results

FOLDER = "reproduced"
_SEARCH = "pyserini.search.faiss"
# Kinds of encoders that Pyserini does not search, or by rounded weights.
_OTHER_FAMILIES = ("sparse", "late-interaction")
_BATCH_SIZE = 64  # queries that Pyserini searches at once
_TRUST_NOTE = [
    "#", "code that comes with the model ran; if you trust it, add --trust-remote-code"
]  # fmt: skip


def reproduce_commands(
    results: Results | str | Path, *, folder: str | Path = FOLDER, hits: int | None = None
) -> list[str]:
    """Return the commands that reproduce results, in order and quoted for a shell.

    Pyserini indexes and searches a model's passages, and its runs are evaluated. Measures that need
    more passages than the runs hold are left to `beir-hybrid evaluate`; a line that begins with #
    says so. Another such line says where a model needs trust in its code: results may be anybody's,
    so no command here gives that trust.

    Parameters
    ----------
    results
        Results of `evaluate`, `evaluate_runs` or `bm25`, or the folder that they were saved in.
    folder
        The folder for the files that the commands make.
    hits
        How many passages Pyserini returns for a query. By default as many as the results' own runs
        hold or the largest cutoff of a measure, and all passages if a measure needs whole rankings
        and their runs have a reasonable size.

    Raises
    ------
    BadOption
        If model or collection were objects, which no command can name.
    BadData
        If the results lack facts about their model.

    Examples
    --------
    >>> for line in reproduce_commands("e5-small"):  # doctest: +SKIP
    ...     print(line)
    beir-hybrid datasets fetch xquad-r
    beir-hybrid index intfloat/multilingual-e5-small --dataset xquad-r --output reproduced/index
    ...
    """
    if not isinstance(results, Results):
        results = Results.load(results)
    check_positive_or_none(hits=hits)
    job = open_job(results, Path(folder))
    system = str(results.provenance.model.fingerprint.get("kind"))
    if hits is not None and (system in _BUILDERS or not _find_searchable_kinds(results)):
        raise BadOption(
            f"{job.owner} are reproduced without Pyserini's dense search, which takes the hits"
        )
    build = _BUILDERS.get(system)
    try:
        commands = build(job) if build else _build_model_commands(job, hits)
    except KeyError as error:  # records of anybody's
        raise BadData(f"{job.owner} lack {error} in the records of their model") from error
    name = check_name(job.dataset.name, "dataset")
    fetch = ["datasets", "fetch", name, *write_dataset_options(job.dataset)]
    trust = [_TRUST_NOTE] if (job.request.options or {}).get(TRUST) else []
    return [join_words(words) for words in [*trust, fetch, *commands]]


def _find_searchable_kinds(results: Results) -> list[KindName]:
    """Return the kinds of settings whose rankings Pyserini can produce."""
    if not _is_searchable(results):
        return []
    return [kind for kind in results.kinds if kind != "one-target"]


def _is_searchable(results: Results) -> bool:
    """Return whether Pyserini can rank alike: no reranker, images or merging of languages."""
    provenance, calibration = results.provenance, results.provenance.model.calibration
    merges = calibration is not None and parse_method(calibration["method"]).merge is not None
    is_dense = provenance.model.fingerprint.get("kind") not in _OTHER_FAMILIES
    is_plain = provenance.reranker is None and provenance.collection.images is None
    return is_dense and is_plain and not merges


def _build_model_commands(job: Job, hits: int | None) -> list[Words]:
    if job.request.model is None:
        raise BadOption(
            f"{job.owner} are of a model that was given as an object, or of vectors; evaluate a "
            "model by its name or folder"
        )
    kinds = list(job.results.kinds)
    if not _is_searchable(job.results):
        return [_write_evaluation(job, "results", kinds)]
    searchable = _find_searchable_kinds(job.results)
    commands = []
    if searchable:
        commands += _build_search_commands(job, searchable, hits or choose_hits(job.results))
    if searchable != kinds:
        commands.append(_write_evaluation(job, "one-target", ["one-target"]))
    return commands


def _build_search_commands(job: Job, kinds: Sequence[KindName], hits: int) -> list[Words]:
    """Let Pyserini search, and our own search rank for measures that need longer runs."""
    measures = [
        measure for measure in job.results.measures if has_equal_value(measure, job.results, hits)
    ]
    commands = _write_searches(job, hits, measures) if measures else []
    if rest := [measure for measure in job.results.measures if measure not in measures]:
        reason = (
            f"were computed from other than the first {hits:,} passages of a query; our own search "
            "ranks for them"
        )
        commands.append(["#", ", ".join(map(str, rest)), reason])
        commands.append(_write_evaluation(job, "whole", kinds, rest))
    return commands


def _write_searches(job: Job, hits: int, measures: Iterable[Measure]) -> list[Words]:
    """Return the commands that index, search and evaluate runs, by language and for the pool."""
    encoder = [
        *_write_model(job),
        *write_option("dataset", job.dataset.name),
        *write_dataset_options(job.dataset),
    ]
    calibration, calibrations = job.find_calibration(), []
    if calibration is not None and "/" not in calibration:
        # A method is fitted to the whole dataset, as `evaluate` does.
        output = write_option("output", job.folder / "calibration")
        method = write_option("method", calibration)
        calibrations.append(["calibrate", *encoder, *method, *output])
        calibration = str(job.folder / "calibration")
    if calibration is not None:
        encoder += write_option("calibration", calibration)
    indexes, searches, runs = [], [], []
    for passages, topics in _list_topics(job.results).items():
        index = job.folder / "indexes" / passages
        selection = [] if passages == ALL else ["--passages", passages]
        indexes.append(["index", *encoder, *selection, *write_option("output", index)])
        for queries in topics:
            # A run of all queries is split by its ids; another run is recognised by its name.
            name = passages if queries == ALL else f"{queries}-{passages}"
            runs.append(job.folder / "runs" / f"{name}.trec")
            options = {
                "index": index,
                "topics": job.folder / "topics" / f"{queries}.tsv",
                "encoded-queries": job.folder / "topics" / "encoded",
                "output": runs[-1],
                "hits": hits,
                "batch-size": _BATCH_SIZE,
            }
            searches.append(["pyserini", "--", _SEARCH, *write_options(options)])
    topics_command = ["topics", *encoder, *write_option("output", job.folder / "topics")]
    evaluation = _write_run_evaluation(job, runs, measures)
    return [*calibrations, *indexes, topics_command, *searches, evaluation]


def _list_topics(results: Results) -> dict[str, list[str]]:
    """Return the topics to search each index with: one file where all languages have queries."""
    topics: dict[str, list[str]] = {}
    for setting in results.settings:
        if setting.kind != "one-target":
            topics.setdefault(setting.passages, []).append(setting.queries)
    languages = set(results.provenance.collection.languages)
    return {
        passages: [ALL] if len(languages) > 1 and set(queries) == languages else queries
        for passages, queries in topics.items()
    }


def _write_evaluation(
    job: Job,
    output: str,
    kinds: Iterable[KindName],
    measures: Iterable[Measure] | None = None,
) -> Words:
    """Return the command that ranks with our own search, and reranks if the results did."""
    options: dict[str, object] = {
        "settings": ",".join(kinds),
        "depth": job.results.provenance.depth,
    }
    if job.results.provenance.reranker is not None:
        if job.request.rerank is None:
            raise BadOption(
                f"{job.owner} are of a cross-encoder that was given as an object; evaluate with "
                "one by its name or folder"
            )
        options["rerank"] = job.request.rerank
    if (calibration := job.find_calibration()) is not None:
        options["calibration"] = calibration
    return [
        "evaluate",
        *_write_model(job),
        *_write_shared_options(job, output, measures or job.results.measures),
        *write_options(options),
        *write_option("name", job.results.model),
    ]


def _write_run_evaluation(
    job: Job, runs: Iterable[str | Path], measures: Iterable[Measure]
) -> Words:
    return [
        "evaluate",
        *(word for run in runs for word in write_option("run", run)),
        *_write_shared_options(job, "results", measures),
        *write_option("name", job.results.model),
    ]


def _build_run_commands(job: Job) -> list[Words]:
    return [_write_run_evaluation(job, job.request.runs or (), job.results.measures)]


def _build_bm25_commands(job: Job) -> list[Words]:
    fingerprint, runs = job.results.provenance.model.fingerprint, job.results.provenance.runs
    options = {
        "settings": ",".join(job.results.kinds),
        "k1": fingerprint["k1"],
        "b": fingerprint["b"],
        "depth": 0 if runs is None else runs.depth,
    }
    shared = _write_shared_options(job, "results", job.results.measures)
    name = write_option("name", job.results.model)
    return [["bm25", *shared, *write_options(options), *name]]


# By the kind of the fingerprint; all other systems are models.
_BUILDERS: dict[str, Callable[[Job], list[Words]]] = {
    "runs": _build_run_commands,
    "bm25": _build_bm25_commands,
}


def _write_shared_options(job: Job, output: str, measures: Iterable[Measure]) -> Words:
    """Return the options of every command that computes measures."""
    return [
        *write_option("dataset", job.dataset.name),
        *write_dataset_options(job.dataset),
        *write_option("measures", " ".join(map(str, measures))),
        *write_option("output", job.folder / output),
    ]


def _write_model(job: Job) -> Words:
    """Return a model and its options; a model of the hub is pinned to the commit that was used."""
    options = read_recorded_options(job.request.options or {}, job.owner)
    if job.request.hub and (commit := job.results.provenance.model.revision):
        options["revision"] = commit
    return [check_name(job.request.model or "", "model"), *write_options(options)]
