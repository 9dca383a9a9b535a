"""Results in, the commands that make them again out: fetch, encode and index, search, score."""
# mypy: allow-untyped-calls

import shlex
import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ir_measures import Measure

from beir_hybrid.checks import check_positive_or_none
from beir_hybrid.collection.setting import ALL, KindName
from beir_hybrid.errors import BadOption
from beir_hybrid.measures.base import BiasMeasure
from beir_hybrid.measures.effectiveness import RankProvider
from beir_hybrid.results.request import DatasetRequest, Request
from beir_hybrid.results.results import Results

FOLDER = "reproduced"
_PROGRAM, _SEARCH = "beir-hybrid", "pyserini.search.faiss"
_BATCH = 64  # queries that Pyserini searches together
_RANKS = RankProvider()
_LINES = 5_000_000  # of a run: 300 MB, and a gigabyte to score them

Line = list[str]  # a command's words


def reproduction(
    results: Results | str | Path, *, folder: str | Path = FOLDER, hits: int | None = None
) -> list[str]:
    """Return the commands that make results again, one after the other, quoted for a shell.

    A model's passages are indexed and searched by Pyserini, whose runs are then scored. Runs hold
    `hits` passages a query; measures that look further are left to `beir-hybrid evaluate`, and a
    line that begins with # says so.

    Parameters
    ----------
    results
        Of `evaluate`, `evaluate_runs` or `bm25`, or the folder that they were saved in.
    folder
        Where the commands are to put what they make.
    hits
        How many passages Pyserini returns; by default as many as the results' own runs hold, the
        cutoff of a measure where that is more, and all where measures look at whole rankings and
        runs of them are of a reasonable size.

    Examples
    --------
    >>> for line in reproduction("e5-small"):  # doctest: +SKIP
    ...     print(line)
    beir-hybrid datasets fetch xquad-r
    beir-hybrid index intfloat/multilingual-e5-small --dataset xquad-r --output reproduced/index
    ...
    """
    if not isinstance(results, Results):
        results = Results.load(results)
    check_positive_or_none(hits=hits)
    known = results.timing.request
    if known is None:
        raise BadOption(
            f"{_called(results)} do not say how model and data were named: timing.json is missing "
            "or of an earlier version; evaluate again"
        )
    if known.dataset is None:
        raise BadOption(
            f"{_called(results)} are on a collection that was given as an object; evaluate on one "
            "that bh.load or --dataset names, such as jsonl"
        )
    make = _MAKERS.get(str(results.provenance.model.fingerprint.get("kind")), _by_model)
    if hits is not None and (make is not _by_model or not _kinds_of_runs(results)):
        raise BadOption(
            f"{_called(results)} are made again without Pyserini's dense search, which hits is for"
        )
    data, base = known.dataset, Path(folder)
    fetch = ["datasets", "fetch", data.name, *_of_data(data)]
    lines = [fetch, *make(results, known, base, hits)]
    return [
        " ".join(line) if line[0] == "#" else shlex.join(_clean([_PROGRAM, *line]))
        for line in lines
    ]


def _hits_of(results: Results) -> int:
    """Return how many passages of a ranking to search for, that measures see what they saw."""
    count = results.provenance.collection
    cutoffs = [measure.params.get("cutoff", 1) for measure in results.measures]
    least = int(max(results.provenance.depth or 0, *cutoffs))
    if count.queries * count.passages > _LINES or not any(map(_whole, results.measures)):
        return least
    return max(least, count.passages)


def _whole(measure: Measure) -> bool:
    """Tell whether a measure looks at a whole ranking."""
    known = isinstance(measure, BiasMeasure) or _RANKS.supports(measure)
    return known and "cutoff" not in measure.params


def _sees(measure: Measure, results: Results, hits: int) -> bool:
    """Tell whether a measure sees in runs of so many passages what it saw."""
    passages = results.provenance.collection.passages
    if "cutoff" in measure.params:
        return bool(measure["cutoff"] <= hits)
    if _whole(measure):
        return bool(passages <= hits)
    return min(hits, passages) == min(results.provenance.depth or 0, passages)


def _kinds_of_runs(results: Results) -> list[KindName]:
    """Return the kinds of settings whose rankings Pyserini can make."""
    return [kind for kind in results.kinds if kind != "one-target" and not _ours_alone(results)]


def _ours_alone(results: Results) -> bool:
    """Tell whether Pyserini can make none: it has no reranker, and reads no pictures."""
    provenance = results.provenance
    return provenance.reranker is not None or provenance.collection.images is not None


def _called(results: Results) -> str:
    return f"these results ({results.model!r} on {results.collection!r})"


def _by_model(results: Results, known: Request, base: Path, hits: int | None) -> list[Line]:
    """Index each language's passages and the pool, search them all, score the runs."""
    if known.model is None:
        raise BadOption(
            f"{_called(results)} are of a model that was given as an object, or of vectors; "
            "evaluate a model by its name or folder"
        )
    kinds, kept = list(results.kinds), _kinds_of_runs(results)
    if _ours_alone(results):
        return [_evaluated(results, known, base / "results", kinds)]
    lines = _ranked(results, known, base, kept, hits or _hits_of(results)) if kept else []
    if kept != kinds:  # which no run holds
        lines.append(_evaluated(results, known, base / "one-target", ["one-target"]))
    return lines


def _ranked(
    results: Results, known: Request, base: Path, kinds: list[KindName], hits: int
) -> list[Line]:
    """Have Pyserini rank, and our own search where measures look further than its runs."""
    seen = [measure for measure in results.measures if _sees(measure, results, hits)]
    lines = _searched(results, known, base, hits, seen) if seen else []
    if further := [measure for measure in results.measures if measure not in seen]:
        why = f"saw other than the first {hits:,} passages of a query: our own search ranks for it"
        lines.append(["#", ", ".join(map(str, further)), why])
        lines.append(_evaluated(results, known, base / "whole", kinds, further))
    return lines


def _searched(
    results: Results, known: Request, base: Path, hits: int, measures: list[Measure]
) -> list[Line]:
    encoder = [*_of_model(results, known), *_options("dataset", _find_dataset(known).name),
               *_of_data(_find_dataset(known))]  # fmt: skip
    indexes, searches, runs = [], [], []
    for target, asked in _targets(results).items():
        index = base / "indexes" / target
        only = [] if target == ALL else ["--passages", target]
        indexes.append(["index", *encoder, *only, *_options("output", index)])
        for queries in asked:
            # A run of all queries falls into its settings by what it holds, others by their names.
            name = target if queries == ALL else f"{queries}-{target}"
            runs.append(base / "runs" / f"{name}.trec")
            words = {
                "index": index,
                "topics": base / "topics" / f"{queries}.tsv",
                "encoded-queries": base / "topics" / "encoded",
                "output": runs[-1],
                "hits": hits,
                "batch-size": _BATCH,
            }
            searches.append(["pyserini", "--", _SEARCH, *_words(words)])
    topics = ["topics", *encoder, *_options("output", base / "topics")]
    return [*indexes, topics, *searches, _scored(results, known, base / "results", runs, measures)]


def _targets(results: Results) -> dict[str, list[str]]:
    """Return which topics to ask of each index: those of all languages at once, where all ask."""
    asked: dict[str, list[str]] = {}
    for setting in results.settings:
        if setting.kind != "one-target":
            asked.setdefault(setting.passages, []).append(setting.queries)
    langs = set(results.provenance.collection.languages)
    every = len(langs) > 1
    return {
        target: [ALL] if every and {*queries} == langs else queries
        for target, queries in asked.items()
    }


def _scored(
    results: Results,
    known: Request,
    output: Path,
    runs: Iterable[Any],
    measures: Iterable[Measure],
) -> Line:
    of_runs = [word for run in runs for word in _options("run", run)]
    return ["evaluate", *of_runs, *_judged(known, output, measures),
            *_options("name", results.model)]  # fmt: skip


def _evaluated(
    results: Results,
    known: Request,
    output: Path,
    kinds: list[KindName],
    measures: Iterable[Measure] | None = None,
) -> Line:
    """Have `beir-hybrid evaluate` do it all."""
    own: dict[str, Any] = {"settings": ",".join(kinds), "depth": results.provenance.depth}
    if results.provenance.reranker is not None:
        if known.rerank is None:
            raise BadOption(
                f"{_called(results)} are of a cross-encoder that was given as an object; evaluate "
                "with one by its name or folder"
            )
        own["rerank"] = known.rerank
    judged = _judged(known, output, measures or results.measures)
    return ["evaluate", *_of_model(results, known), *judged,
            *_words(own), *_options("name", results.model)]  # fmt: skip


def _of_runs(results: Results, known: Request, base: Path, _hits: int | None) -> list[Line]:
    return [_scored(results, known, base / "results", known.runs or (), results.measures)]


def _bm25(results: Results, known: Request, base: Path, _hits: int | None) -> list[Line]:
    made, runs = results.provenance.model.fingerprint, results.provenance.runs
    own = {"settings": ",".join(results.kinds), "k1": made["k1"], "b": made["b"],
           "depth": 0 if runs is None else runs.depth}  # fmt: skip
    judged = _judged(known, base / "results", results.measures)
    return [["bm25", *judged, *_words(own)]]


# By the kind of the fingerprint; all others are models.
_MAKERS = {"runs": _of_runs, "bm25": _bm25}


def _judged(known: Request, output: Path, measures: Iterable[Measure]) -> Line:
    """Return the options that all who judge have."""
    data, names = _find_dataset(known), " ".join(map(str, measures))
    return [*_options("dataset", data.name), *_of_data(data), *_options("measures", names),
            *_options("output", output)]  # fmt: skip


def _find_dataset(known: Request) -> DatasetRequest:
    """Return the dataset, which `reproduction` has made sure that there is."""
    if known.dataset is None:
        raise BadOption("the collection was given as an object")
    return known.dataset


def _of_data(data: DatasetRequest) -> Line:
    langs = _options("languages", ",".join(data.languages)) if data.languages else []
    pairs = [f"{name}={value}" for name, value in data.options.items()]
    return [*langs, *(word for pair in pairs for word in ("-o", pair))]


def _of_model(results: Results, known: Request) -> Line:
    options = dict(known.options or {})
    if known.hub and (commit := results.provenance.model.revision):
        options["revision"] = commit  # what a branch was then
    return [known.model or "", *_words(options)]


def _words(options: Mapping[str, Any]) -> Line:
    return [word for name, value in options.items() for word in _options(name, value)]


def _options(name: str, value: Any) -> Line:
    """Return an option of a command line; what begins with a dash must not be taken for one."""
    name = name.replace("_", "-")
    if isinstance(value, bool):
        off = "no-" if name == "normalize" else ""
        return [f"--{name}"] if value else [f"--{off}{name}"] if off else []
    text = str(value)
    return [f"--{name}={text}"] if text.startswith("-") else [f"--{name}", text]


def _clean(words: Line) -> Line:
    """Raise `BadOption` for what a terminal would not take as it stands."""
    for word in words:
        if any(unicodedata.category(sign) in ("Cc", "Cs") and sign not in "\n\t" for sign in word):
            raise BadOption(f"{word!a} holds control characters; no command line can be pasted")
    return words
