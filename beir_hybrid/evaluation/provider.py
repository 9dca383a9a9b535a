"""Judgements and a run in, values of the measures of language bias out, as ir-measures asks."""
# mypy: allow-untyped-calls
# (ir_measures says that it is typed, and leaves most functions without types.)

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
from ir_measures import Measure, Metric
from ir_measures.providers import Evaluator
from ir_measures.util import QrelsConverter, RunConverter

from beir_hybrid.errors import BadData, BadOption
from beir_hybrid.evaluation.bias import JudgedPassage, QueryRanking, value

_PREFIX = re.compile(r"([A-Za-z]{2,3}(?:[-_][A-Za-z0-9]+)*):")


class BiasEvaluator(Evaluator):
    """Scores runs against judgements.

    Every judged query gets a value from the arithmetic, also one that the run lacks; where the
    measure does not apply, ir-measures fills in the measures' default, which is NaN.
    """

    def __init__(self, measures: Sequence[Measure], qrels: Any) -> None:
        for measure in measures:
            if measure.NAME == "RankDistance" and measure["normalized"] and not measure["pool"]:
                raise BadOption(
                    f"{measure} needs the number of passages in the pool, "
                    "such as RankDistance(normalized=True,pool=13014)"
                )
        self.qrels: dict[str, dict[str, int]] = QrelsConverter(qrels).as_dict_of_dict()
        super().__init__(sorted(measures, key=str), list(self.qrels))

    def _iter_calc(self, run: Any) -> Iterator[Metric]:
        scores: dict[str, dict[str, float]] = RunConverter(run).as_dict_of_dict()
        relevant = (sum(one > 0 for one in judged.values()) for judged in self.qrels.values())
        # Behind all that is ranked; an empty run must not make the worst distance 0.
        pool = 1 + max(chain(map(len, scores.values()), relevant), default=0)
        kept = max(
            (measure["cutoff"] for measure in self.measures if _reads_top(measure)), default=0
        )
        mappings = {id(measure["langs"]): measure["langs"] for measure in self.measures}
        for query, judged in self.qrels.items():
            order = _ordered(query, scores.get(query, {}))
            rankings = {
                key: _ranking(query, judged, order, kept, pool, langs or {})
                for key, langs in mappings.items()
            }
            for measure in self.measures:
                found = value(measure, rankings[id(measure["langs"])])
                if found is not None:
                    yield Metric(query_id=query, measure=measure, value=found)


def language(identity: str, langs: Mapping[str, str]) -> tuple[str, str]:
    """Return an id's language, and the id without it.

    >>> language("de:12-3", {}), language("12-3", {"12-3": "de"})
    (('de', '12-3'), ('de', '12-3'))
    """
    prefix = _PREFIX.match(str(identity))
    if identity in langs:
        lang = langs[identity]
        own = prefix is not None and prefix[1] == lang
        return lang, str(identity)[len(lang) + 1 :] if own else str(identity)
    if prefix is None:
        raise BadData(
            f"the language of {identity!r} is unknown: ids start with one, as in 'de:12-3', "
            "or the parameter langs maps them to theirs"
        )
    return prefix[1], str(identity)[prefix.end() :]


def _reads_top(measure: Measure) -> bool:
    return measure.NAME in ("SameLanguageShare", "LanguageExposure")


def _ordered(query: str, scores: dict[str, float]) -> list[str]:
    """Return ids in trec_eval's order: by score as float32, ties by descending id."""
    with np.errstate(over="ignore"):
        single = np.array(list(scores.values()), np.float64).astype(np.float32)
    if np.isnan(single).any():
        worst = list(scores)[int(np.isnan(single).argmax())]
        raise BadData(f"the run's score of {worst!r} for {query!r} is not a number")
    pairs = sorted(zip(single.tolist(), scores, strict=True), reverse=True)
    return [identity for _, identity in pairs]


def _ranking(
    query: str,
    judged: dict[str, int],
    order: list[str],
    kept: int,
    pool: int,
    langs: Mapping[str, str],
) -> QueryRanking:
    ranks = {identity: rank for rank, identity in enumerate(order, start=1) if identity in judged}
    passages = []
    for identity, relevance in judged.items():
        if relevance != int(relevance):
            raise BadData(f"the relevance of {identity!r} to {query!r} is {relevance}, no integer")
        lang, key = language(identity, langs)
        passages.append(JudgedPassage(lang, key, int(relevance), ranks.get(identity)))
    top = [language(identity, langs)[0] for identity in order[:kept]]
    return QueryRanking(language(query, langs)[0], tuple(passages), top, len(order), pool)
