"""Judgements and a run in, values of the measures of language bias out, as ir-measures asks."""
# mypy: allow-untyped-calls
# (ir_measures says that it is typed, and leaves most functions without types.)

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from ir_measures import Measure, Metric
from ir_measures.providers import Evaluator
from ir_measures.util import QrelsConverter, RunConverter

from beir_hybrid.collection.setting import IMAGE
from beir_hybrid.errors import BadData, BadOption
from beir_hybrid.measures.base import BiasMeasure
from beir_hybrid.measures.bias import values
from beir_hybrid.measures.ranked_judgements import RankedJudgements

_PREFIX = re.compile(rf"({IMAGE}|[A-Za-z]{{2,3}}(?:[-_][A-Za-z0-9]+)*):")


class BiasEvaluator(Evaluator):
    """Scores runs against judgements.

    Every judged query gets a value from the arithmetic, also one that the run lacks; where the
    measure does not apply, ir-measures fills in the measures' default, which is NaN.
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
        for langs in {id(measure["langs"]): measure["langs"] for measure in self.measures}.values():
            mine = [measure for measure in self.measures if measure["langs"] is langs]
            reading = [one for one in mine if isinstance(one, BiasMeasure) and one.NEEDS_CUTOFF]
            kept = max((measure["cutoff"] for measure in reading), default=0)
            judged = judged_by(self.qrels, scores, langs or {}, kept)
            for measure in mine:
                for query, found in zip(self.qrels, values(measure, judged), strict=True):
                    if not math.isnan(found):
                        yield Metric(query_id=query, measure=measure, value=float(found))


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


def ordered(query: str, scores: Mapping[str, float]) -> list[str]:
    """Return ids in trec_eval's order: by score as float32, ties by descending id."""
    with np.errstate(over="ignore"):
        single = np.array(list(scores.values()), np.float64).astype(np.float32)
    if np.isnan(single).any():
        worst = list(scores)[int(np.isnan(single).argmax())]
        raise BadData(f"the run's score of {worst!r} for {query!r} is not a number")
    pairs = sorted(zip(single.tolist(), scores, strict=True), reverse=True)
    return [identity for _, identity in pairs]


def judged_by(
    qrels: Mapping[str, Mapping[str, int]],
    run: Mapping[str, Mapping[str, float]],
    langs: Mapping[str, str],
    kept: int,
) -> RankedJudgements:
    """Return where a run ranks the judged passages, and the languages of the best `kept`."""
    numbers: dict[str, int] = {}  # of languages
    keys: dict[str, int] = {}
    rows: list[tuple[int, int, int, int, int]] = []
    top = np.full((len(qrels), kept), -1)
    for number, (query, judged) in enumerate(qrels.items()):
        order = ordered(query, run.get(query, {}))
        ranks = {passage: rank for rank, passage in enumerate(order, start=1)}
        best = [language(passage, langs)[0] for passage in order[:kept]]
        top[number, : len(best)] = [_number(lang, numbers) for lang in best]
        for passage, relevance in judged.items():
            if relevance != int(relevance):
                raise BadData(
                    f"the relevance of {passage!r} to {query!r} is {relevance}, no integer"
                )
            lang, key = language(passage, langs)
            found = ranks.get(passage, 0), _number(lang, numbers), _number(key, keys)
            rows.append((number, int(relevance), *found))
    of, grades, places, codes, parallel = np.array(rows, np.int64).reshape(-1, 5).T
    retrieved = np.array([len(run.get(name, {})) for name in qrels], np.int64)
    relevant = int(np.bincount(of[grades > 0], minlength=1).max())
    # Behind all that is ranked; an empty run must not make the worst distance 0.
    pool = 1 + max(relevant, *map(len, run.values()), 0)
    own = np.array([_number(language(name, langs)[0], numbers) for name in qrels], np.int64)
    ascending = np.zeros_like(places)  # no measure of bias breaks ties that way
    pools = np.full(len(qrels), pool)
    image = numbers.get(IMAGE, -1)
    return RankedJudgements(
        of, grades, places, ascending, codes, parallel, own, retrieved, pools, top, image
    )


def _number(name: str, numbers: dict[str, int]) -> int:
    return numbers.setdefault(name, len(numbers))
