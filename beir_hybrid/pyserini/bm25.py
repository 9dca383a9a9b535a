"""BM25 in every setting: the baseline of every table.

Lucene ranks, through Anserini: each language's passages in an index of their own, and the passages
of all languages in one index for the pool. Analyzers split texts into terms; a query has the
analyzer of the passages that it searches.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
from ir_measures import Measure

from beir_hybrid.checks import check_fraction, check_not_negative, check_positive
from beir_hybrid.collection import Collection
from beir_hybrid.collection.arrays import take_rows
from beir_hybrid.collection.judgements import Judgements
from beir_hybrid.collection.setting import SETTING_KINDS, KindName, Setting
from beir_hybrid.encoding.partition import check_texts_only
from beir_hybrid.errors import BadOption, lookup
from beir_hybrid.evaluation.arguments import check_collection
from beir_hybrid.evaluation.build_results import build_results
from beir_hybrid.evaluation.default_measures import default_measures
from beir_hybrid.evaluation.measured_rankings import (
    MeasuredRankings,
    average_unbiased,
    measure_across,
)
from beir_hybrid.evaluation.plan import DEPTH, SettingNames, check_cutoffs, choose_kinds
from beir_hybrid.evaluation.rankings import build_empty_rankings
from beir_hybrid.evaluation.run_evaluation import count_without_gold, evaluate_setting_run
from beir_hybrid.evaluation.run_writer import RunWriter
from beir_hybrid.evaluation.stopwatch import Stopwatch
from beir_hybrid.measures.parsing import MeasureNames, parse_measures
from beir_hybrid.measures.ranked_judgements import Rankings
from beir_hybrid.progress import progress_bar
from beir_hybrid.pyserini.analyzers import NEUTRAL, find_analyzer
from beir_hybrid.pyserini.java import find_jar, start_java
from beir_hybrid.pyserini.lucene import build_lucene_index, list_java_versions
from beir_hybrid.pyserini.lucene_search import BM25Searcher, open_searcher
from beir_hybrid.results.provenance import ModelProvenance, RunsProvenance, build_provenance
from beir_hybrid.results.request import describe_request
from beir_hybrid.results.results import Results
from beir_hybrid.results.timing import build_timing
from beir_hybrid.retrieval.runs import Run

NAME = "BM25"  # in results, by default


@dataclass(frozen=True)
class BM25Parameters:
    """The parameters of BM25; their defaults are those of Anserini and Pyserini."""

    k1: float = 0.9
    b: float = 0.4

    def __post_init__(self) -> None:
        check_not_negative(k1=self.k1)
        check_fraction(b=self.b)

    @classmethod
    def parse(cls, parameters: Mapping[str, float]) -> Self:
        """Read keyword arguments, or raise `UnknownName`."""
        names = dict.fromkeys(parameter.name for parameter in fields(cls))
        for name in parameters:
            lookup("parameter of BM25", name, names)
        cls(**parameters)  # raises for impossible values
        return cls(**{name: float(value) for name, value in parameters.items()})


def bm25(
    collection: Collection,
    *,
    measures: MeasureNames | None = None,
    settings: SettingNames | None = None,
    name: str = NAME,
    runs: str | Path | None = None,
    depth: int = DEPTH,
    store: str | Path | None = None,
    **parameters: float,
) -> Results:
    """Evaluate BM25 on a collection in every setting.

    Parameters
    ----------
    measures
        As for `evaluate`. They see the `depth` best passages of a query; those that share no term
        with it are never among them, and measures of bias count them as the last of all.
    settings
        ``mono``, ``cross``, ``multi``, one or several; by default those that the collection has.
    name
        The name of the system in the results.
    runs
        A folder for the run of each setting.
    store
        The folder for indexes; one in the cache by default.
    parameters
        ``k1``, from 0 on, and ``b``, from 0 to 1; see `BM25Parameters`.

    Examples
    --------
    >>> import beir_hybrid as bh
    >>> results = bm25(bh.load("xquad-r"), measures=["AP"])  # doctest: +SKIP
    >>> results.matrix("AP")["en", "en"]  # doctest: +SKIP
    """
    bm25_parameters = BM25Parameters.parse(parameters)
    kinds, measure_list = plan_bm25(collection, measures, settings, depth)
    judgements = collection.resolve()
    start_java()
    all_settings = judgements.list_settings(kinds)
    run_writer = None if runs is None else RunWriter(Path(runs), collection, all_settings)
    searches = [
        _SettingSearch(setting, build_empty_rankings(judgements, setting))
        for setting in all_settings
    ]
    stopwatch = Stopwatch(dict.fromkeys(("indexing", "searching", "scoring"), 0.0))
    engine = _SearchEngine(collection, judgements, bm25_parameters, depth, store, stopwatch)
    parts, completeness = _evaluate_searches(engine, searches, measure_list, run_writer)
    model = _describe_bm25(collection, bm25_parameters, name)
    unbiased = average_unbiased(parts, measure_list)
    provenance = build_provenance(model, collection, unbiased, runs=completeness)
    request = describe_request(
        collection, measure_list, settings=tuple(kinds), depth=int(depth),
        name=None if name == NAME else name, **asdict(bm25_parameters),
    )  # fmt: skip
    timing = build_timing(request, stopwatch.seconds)
    return build_results(judgements, parts, measure_list, provenance, timing)


def plan_bm25(
    collection: Collection,
    measures: MeasureNames | None,
    settings: SettingNames | None,
    depth: int,
) -> tuple[list[KindName], list[Measure]]:
    """Return the kinds of settings and the measures; raise an error for what BM25 cannot do.

    Parameters
    ----------
    measures, settings, depth
        As for `bm25`.
    """
    check_texts_only(check_collection(collection), "BM25")
    kinds = choose_kinds(collection.resolve(), settings)
    measure_list = parse_measures(
        default_measures(has_images=False, kinds=kinds) if measures is None else measures
    )
    check_positive(depth=depth)
    for kind in kinds:
        if not SETTING_KINDS[kind].is_rerankable:
            raise BadOption(f"BM25 has mono, cross and multi settings, and no {kind} ones")
    check_cutoffs(measure_list, depth)
    find_jar()
    return kinds, measure_list


class _SettingSearch(NamedTuple):
    """A setting to search, and its rankings without ranks."""

    setting: Setting
    rankings: Rankings

    @property
    def query_count(self) -> int:
        return len(self.rankings.query_rows)


@dataclass(frozen=True)
class _SearchEngine:
    """Builds the indexes of a collection, and searches settings in them."""

    collection: Collection
    judgements: Judgements
    parameters: BM25Parameters
    depth: int
    store: str | Path | None
    stopwatch: Stopwatch

    def search(self, searches: Sequence[_SettingSearch]) -> Iterator[tuple[_SettingSearch, Run]]:
        """Yield the run of each setting; settings with the same index follow each other."""
        searches_by_language: dict[str | None, list[_SettingSearch]] = {}
        for search in searches:
            language = None if search.setting.is_pool else search.setting.passages
            searches_by_language.setdefault(language, []).append(search)
        total = sum(search.query_count for search in searches)
        with progress_bar("BM25", total, unit="queries") as advance:
            for language, language_searches in searches_by_language.items():
                with self.stopwatch.timing("indexing"):
                    index = build_lucene_index(self.collection, language, store=self.store)
                with open_searcher(index, self.parameters.k1, self.parameters.b) as searcher:
                    for search in language_searches:
                        with self.stopwatch.timing("searching"):
                            run = self._search_queries(searcher, search.rankings.query_rows)
                        yield search, run
                        advance(search.query_count)

    def _search_queries(self, searcher: BM25Searcher, query_rows: np.ndarray) -> Run:
        """Return the best passages of queries; queries without any are left out."""
        query_ids = self.judgements.list_query_ids(query_rows)
        texts = take_rows(self.collection.queries["text"], query_rows).to_pylist()
        hits = list(searcher.search(texts, self.depth))
        passages = np.concatenate([query_passages for query_passages, _ in hits])
        distinct, places = np.unique(passages, return_inverse=True)
        names = take_rows(searcher.index.ids, distinct).to_pylist()
        run: Run = {}
        stop = 0
        for query_id, (query_passages, scores) in zip(query_ids, hits, strict=True):
            start, stop = stop, stop + len(query_passages)
            if len(query_passages):
                passage_ids = [names[place] for place in places[start:stop].tolist()]
                run[query_id] = dict(zip(passage_ids, scores.tolist(), strict=True))
        return run


def _evaluate_searches(
    engine: _SearchEngine,
    searches: Sequence[_SettingSearch],
    measures: Sequence[Measure],
    run_writer: RunWriter | None,
) -> tuple[list[MeasuredRankings], RunsProvenance]:
    """Return the measured rankings of all settings, and how complete the runs are."""
    if run_writer:
        run_writer.clear()
    parts: list[MeasuredRankings] = []
    unmatched = without_gold = 0
    for search, run in engine.search(searches):
        if run_writer:
            run_writer.write(search.setting, run)
        with engine.stopwatch.timing("scoring"):
            part = evaluate_setting_run(search.rankings, run, engine.judgements, measures)
            parts.append(part)
        unmatched += search.query_count - len(run)
        without_gold += count_without_gold(search.rankings, run, engine.judgements)
    measure_across(parts, measures)
    total = sum(search.query_count for search in searches)
    completeness = RunsProvenance(
        total,
        missing=0,
        unmatched=unmatched,
        without_gold=without_gold or None,
        depth=int(engine.depth),
    )
    return parts, completeness


def _describe_bm25(
    collection: Collection, parameters: BM25Parameters, name: str
) -> ModelProvenance:
    """Return the model, with everything that scores depend on beside the texts."""
    fingerprint = {
        "kind": "bm25",
        **asdict(parameters),
        "analyzers": {lang: str(find_analyzer(lang)) for lang in collection.languages},
        "analyzer of the pool": str(NEUTRAL),
        **list_java_versions(),
    }
    return ModelProvenance(name, fingerprint=fingerprint)
