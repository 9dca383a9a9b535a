"""Measures of language bias from qrels and a run with ids, as ir-measures evaluates them."""
# mypy: allow-untyped-calls
# (ir_measures says that it is typed, and leaves most functions without types.)

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from heapq import nlargest
from typing import Any

import numpy as np
from ir_measures import Measure, Metric
from ir_measures.providers import Evaluator
from ir_measures.util import QrelsConverter, RunConverter

from beir_hybrid.collection.setting import IMAGE
from beir_hybrid.errors import BadData, BadOption
from beir_hybrid.measures.base import BiasMeasure
from beir_hybrid.measures.ranked_judgements import RankedJudgements

_LANGUAGE_PREFIX = re.compile(rf"({IMAGE}|[A-Za-z]{{2,3}}(?:[-_][A-Za-z0-9]+)*):")


class BiasEvaluator(Evaluator):
    """Scores runs against judgements.

    Every query with judgements gets a value, also one that the run lacks; where the measure does
    not apply, ir-measures fills in the measures' default, which is NaN.
    """

    def __init__(self, measures: Sequence[Measure], qrels: Any) -> None:
        for measure in measures:
            if measure.params.get("normalized") and not measure["pool"]:
                raise BadOption(
                    f"{measure} needs the number of passages in the pool, "
                    f"such as {measure.NAME}(normalized=True,pool=13014)"
                )
        self.qrels: dict[str, dict[str, int]] = QrelsConverter(qrels).as_dict_of_dict()
        super().__init__(sorted(measures, key=str), list(self.qrels))

    def _iter_calc(self, run: Any) -> Iterator[Metric]:
        scores: dict[str, dict[str, float]] = RunConverter(run).as_dict_of_dict()
        bias_measures = [m for m in self.measures if isinstance(m, BiasMeasure)]
        mappings = {id(m["langs"]): m["langs"] for m in bias_measures}
        for langs in mappings.values():
            measures = [m for m in bias_measures if m["langs"] is langs]
            depth = max((m["cutoff"] for m in measures if m.NEEDS_CUTOFF), default=0)
            judgements = rank_judgements(self.qrels, scores, langs or {}, depth)
            for measure in measures:
                for query, value in zip(self.qrels, measure.compute(judgements), strict=True):
                    if not math.isnan(value):
                        yield Metric(query_id=query, measure=measure, value=float(value))


def split_language(identity: str, langs: Mapping[str, str]) -> tuple[str, str]:
    """Split an id into its language and the rest.

    >>> split_language("de:12-3", {}), split_language("12-3", {"12-3": "de"})
    (('de', '12-3'), ('de', '12-3'))
    """
    prefix = _LANGUAGE_PREFIX.match(str(identity))
    if identity in langs:
        lang = langs[identity]
        has_prefix = prefix is not None and prefix[1] == lang
        return lang, str(identity)[len(lang) + 1 :] if has_prefix else str(identity)
    if prefix is None:
        raise BadData(
            f"the language of {identity!r} is unknown: ids start with one, as in 'de:12-3', "
            "or the parameter langs maps them to theirs"
        )
    return prefix[1], str(identity)[prefix.end() :]


def sort_passages(query: str, scores: Mapping[str, float], k: int | None = None) -> list[str]:
    """Return ids in trec_eval's order: by score as float32, ties by descending id; or the k first.

    A few of many are found faster than sorted.
    """
    with np.errstate(over="ignore"):
        single = np.array(list(scores.values()), np.float64).astype(np.float32)
    if np.isnan(single).any():
        worst = list(scores)[int(np.isnan(single).argmax())]
        raise BadData(f"the run's score of {worst!r} for {query!r} is not a number")
    pairs = zip(single.tolist(), scores, strict=True)
    order = sorted(pairs, reverse=True) if k is None else nlargest(k, pairs)
    return [identity for _, identity in order]


def rank_judgements(
    qrels: Mapping[str, Mapping[str, int]],
    run: Mapping[str, Mapping[str, float]],
    langs: Mapping[str, str],
    depth: int,
) -> RankedJudgements:
    """Return the ranks that the passages of qrels have in a run.

    The languages of the `depth` best passages of each query are kept with them.
    """
    languages: dict[str, int] = {}
    rows, top = _collect_rows(qrels, run, langs, depth, languages)
    query_number, relevance, rank, language, key = rows.T
    most_relevant = int(np.bincount(query_number[relevance > 0], minlength=1).max())
    # The end of the pool is behind all ranks; an empty run must not make the worst distance 0.
    pool_size = 1 + max(most_relevant, *map(len, run.values()), 0)
    query_languages = [_number(split_language(query, langs)[0], languages) for query in qrels]
    return RankedJudgements(
        query=query_number,
        relevance=relevance,
        rank=rank,
        rank_ascending=np.zeros_like(rank),  # no measure of bias breaks ties that way
        passage_language=language,
        parallel_key=key,
        query_language=np.array(query_languages, np.int64),
        ranking_length=np.array([len(run.get(query, {})) for query in qrels], np.int64),
        pool_size=np.full(len(qrels), pool_size),
        top_languages=top,
        image_number=languages.get(IMAGE, -1),
    )


def _collect_rows(
    qrels: Mapping[str, Mapping[str, int]],
    run: Mapping[str, Mapping[str, float]],
    langs: Mapping[str, str],
    depth: int,
    languages: dict[str, int],
) -> tuple[np.ndarray, np.ndarray]:
    """Return a row of numbers for each judgement, and the languages of the best passages.

    `languages` gets a number for each language.

    Returns
    -------
    tuple
        (judgements, 5) int64: query, relevance, rank, language and key; and (n, depth) int64.
    """
    keys: dict[str, int] = {}
    rows: list[tuple[int, int, int, int, int]] = []
    top = np.full((len(qrels), depth), -1)
    for number, (query, relevances) in enumerate(qrels.items()):
        order = sort_passages(query, run.get(query, {}))
        ranks = {passage: rank for rank, passage in enumerate(order, start=1)}
        best = [split_language(passage, langs)[0] for passage in order[:depth]]
        top[number, : len(best)] = [_number(lang, languages) for lang in best]
        for passage, relevance in relevances.items():
            if not math.isfinite(relevance) or relevance != int(relevance):
                raise BadData(
                    f"the relevance of {passage!r} to {query!r} is {relevance}, no integer"
                )
            lang, key = split_language(passage, langs)
            place = ranks.get(passage, 0), _number(lang, languages), _number(key, keys)
            rows.append((number, int(relevance), *place))
    return np.array(rows, np.int64).reshape(-1, 5), top


def _number(name: str, numbers: dict[str, int]) -> int:
    """Return the number of a name; a new name gets the next one."""
    return numbers.setdefault(name, len(numbers))
