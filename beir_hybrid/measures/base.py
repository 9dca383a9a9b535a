"""Measures of language bias, as values that ir-measures knows once this module is imported.

>>> import ir_measures
>>> qrels = {"de:q:1": {"de:1": 1, "en:1": 1}}
>>> run = {"de:q:1": {"de:1": 0.9, "de:2": 0.8, "en:2": 0.7, "en:1": 0.6}}
>>> measures = [ir_measures.parse_measure("RankDistance"), SameLanguageShare @ 2]
>>> values = ir_measures.calc_aggregate(measures, qrels, run)
>>> sorted((str(measure), value) for measure, value in values.items())
[('RankDistance', 3.0), ('SameLanguageShare@2', 1.0)]

Conventions of all of them:

- The language of a query or passage is the ``lang:`` at the start of its id (of a picture,
  ``image:``), or what the parameter ``langs``, a mapping of ids to languages, says. ``langs`` is no
  part of a measure's name, so two measures that differ in nothing else are equal.
- Ties are broken as trec_eval does: scores as float32, then ids in descending order.
- A passage is relevant from relevance ``rel`` (1) on.
- A query that the run lacks counts as biased as can be, never as unbiased. The same holds for
  relevant passages of which the run retrieves none: they say nothing, and must not flatter.
- A query to which a measure does not apply (no relevant passage, say) has the value NaN, and
  aggregates leave it out.

ir-measures' own command line loads no plug-ins; this is the same command with these measures::

    python -c "import beir_hybrid.measures.base; from ir_measures.__main__ import main_cli;
    main_cli()" QRELS RUN 'RankDistance(normalized=True,pool=13014)' SameLanguageShare@10
"""
# mypy: allow-untyped-calls
# (ir_measures says that it is typed, and leaves its constructors without types.)

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import ir_measures
from ir_measures.measures import MeanAgg, Measure, ParamInfo, register, registry
from ir_measures.providers import Evaluator, Provider

from beir_hybrid.errors import BadOption, lookup


@dataclass(frozen=True)
class _Param:
    """A parameter: its type and default as ir-measures has them, and which values make sense."""

    info: ParamInfo
    valid: Callable[[Any], bool]
    wanted: str


def _weights(value: Mapping[Any, Any]) -> bool:
    numbers = [weight for weight in value.values() if isinstance(weight, int | float)]
    levels = all(isinstance(level, int) for level in value)
    fine = all(math.isfinite(weight) and weight >= 0 for weight in numbers)
    return levels and fine and len(numbers) == len(value) and sum(numbers) > 0


def _number(value: object) -> bool:
    return not isinstance(value, bool)


def _positive(value: int) -> bool:
    return _number(value) and value > 0


_PARAMS = {
    "cutoff": _Param(
        ParamInfo(int, default=None, desc="ranking cutoff threshold"),
        _positive,
        "a whole number from 1 on",
    ),
    "rel": _Param(
        ParamInfo(int, default=1, desc="lowest relevance that counts as relevant"),
        _number,
        "a whole number",
    ),
    "normalized": _Param(
        ParamInfo(bool, default=False, desc="0 at best, 1 for a random ranking"),
        lambda _: True,
        "True or False",
    ),
    "pool": _Param(
        ParamInfo(int, default=None, desc="number of passages that are ranked"),
        _positive,
        "a whole number from 1 on",
    ),
    "discount": _Param(
        ParamInfo(str, choices=["log", "geometric"], default="log", desc="attention by rank"),
        lambda _: True,
        "'log' or 'geometric'",
    ),
    "p": _Param(
        ParamInfo(float, default=0.5, desc="patience: chance to look at one passage more"),
        lambda value: 0 < value < 1,
        "a number between 0 and 1",
    ),
    "weights": _Param(
        ParamInfo(Mapping, default=None, desc="weight of each relevance level"),
        _weights,
        "a mapping of relevance levels to weights, none negative and one above 0",
    ),
    "langs": _Param(
        ParamInfo(Mapping, default=None, desc="language of each id"),
        lambda _: True,
        "a mapping of ids to languages",
    ),
}


def _params(names: str) -> dict[str, ParamInfo]:
    return {name: _PARAMS[name].info for name in names.split()}


class _MeanOfValues(MeanAgg):
    """The mean over the queries that have a value."""

    def add(self, value: float) -> None:
        if not math.isnan(value):
            super().add(value)


class BiasMeasure(Measure):
    """A measure of bias: parameters that are checked, NaN where a query has no value.

    `KINDS` are the kinds of settings that it is of; `ACROSS` says whether queries of other
    languages enter a query's value.
    """

    KINDS: frozenset[str] = frozenset(("multi", "image-pool"))
    ACROSS = False
    NEEDS_CUTOFF = False
    DEFAULT = math.nan

    def __init__(self, **params: Any) -> None:
        given = {name: value for name, value in params.items() if value is not None}
        # One order of parameters, so that equal measures have equal names.
        order = [name for name in self.SUPPORTED_PARAMS if name in given]
        super().__init__(**{name: given.pop(name) for name in order}, **given)

    def __call__(self, **params: Any) -> Self:
        """Return this measure with some parameters changed."""
        return type(self)(**{**self.params, **params})

    def __matmul__(self, cutoff: int) -> Self:
        """Return this measure with a cutoff."""
        return type(self)(**{**self.params, "cutoff": cutoff})

    def __repr__(self) -> str:
        inner = ",".join(
            f"{name}={self._param_repr(value)}"
            for name, value in self.params.items()
            if name not in ("cutoff", "langs") and value != self._default(name)
        )
        at = f"@{self.params['cutoff']}" if "cutoff" in self.params else ""
        return f"{self.NAME}({inner}){at}" if inner else f"{self.NAME}{at}"

    def validate_params(self) -> None:
        """Raise `BadOption` where a parameter is unknown, missing or makes no sense."""
        if self.validated:
            return
        table = {name: _PARAMS[name] for name in self.SUPPORTED_PARAMS}
        for name, value in self.params.items():
            param = lookup(f"parameter of {self.NAME}", name, table)
            if not (param.info.validate(value) and param.valid(value)):
                raise BadOption(f"{self.NAME}: {name} is {value!r}; it must be {param.wanted}")
        if self.NEEDS_CUTOFF and "cutoff" not in self.params:
            raise BadOption(f"{self.NAME} needs a cutoff, such as {self.NAME}@10")
        self.validated = True

    def aggregator(self) -> MeanAgg:
        """Return the mean over the queries that have a value."""
        return _MeanOfValues()

    def _default(self, name: str) -> object:
        info = self.SUPPORTED_PARAMS.get(name)
        return info.default if info else None

    def _param_repr(self, value: object) -> str:
        if isinstance(value, Mapping):  # only weights, and every level matters
            inner = ",".join(f"{level}:{value[level]!r}" for level in sorted(value, key=str))
            return f"{{{inner}}}"
        return repr(value)


class _RankDistance(BiasMeasure):
    """How far apart the relevant passages of a query stand: highest minus lowest rank.

    ``RD = max rank - min rank`` over a set of n parallel passages. Where no language has more than
    one relevant passage they form one set; otherwise relevant passages whose ids differ only in
    their language form a set each, the value is the mean over sets of at least two, and if there
    is none all relevant passages are one set. Queries whose relevant passages are in fewer than
    two languages have no value: nothing could be preferred.

    Lower is better; n - 1, parallel passages side by side, is unbiased.

    With a cutoff k (``RankDistance@100``), ranks are clipped at k + 1. Passages that stand astride
    the cutoff then seem close, so k should be well above n, and no cutoff is better.
    An unretrieved passage has rank N, the end of the pool: ``pool``, or one more than the longest
    ranking of the run (or than the relevant passages of a query, should they be more). A set
    without any retrieved passage (within the cutoff), and so a query that the run lacks, gets the
    worst value, N - 1 or k if that is less.

    ``normalized=True`` compares pools of different sizes, and needs ``pool``:
    ``(RD - (n - 1)) / ((n - 1)(N + 1)/(n + 1) - (n - 1))``, where (n - 1)(N + 1)/(n + 1) is what a
    random ranking of the pool has on average. 0 is best and unbiased, 1 is a random ranking, and
    the worst is (n + 1)/(n - 1). Where all rankings have the same distance (n = N) there is no
    value. It takes no cutoff: a clipped distance can be less than n - 1.

    Huang, Zeng, Zamani and Allan, "Soft Prompt Decoding for Multilingual Dense Retrieval",
    SIGIR 2023; as used in Elmahdy, Lin and Ahmad, arXiv 2408.10536.

    Examples
    --------
    >>> measure, qrels = RankDistance, {"de:q:1": {"de:1": 1, "en:1": 1}}
    >>> run = {"de:q:1": {"de:1": 0.9, "de:2": 0.8, "en:1": 0.6}}
    >>> found = ir_measures.calc_aggregate([measure], qrels, run)
    >>> found[measure]
    2.0
    """

    NAME = __name__ = "RankDistance"
    PRETTY_NAME = "Rank Distance"
    SHORT_DESC = "How far apart the relevant passages of a query are ranked."
    SUPPORTED_PARAMS = _params("cutoff rel normalized pool langs")

    def validate_params(self) -> None:
        super().validate_params()
        if self["normalized"] and self["cutoff"]:
            raise BadOption(f"{self}: a normalized distance takes no cutoff")


class _LanguagePreference(BiasMeasure):
    """Whether the relevant passage in the query's language outranks all its parallel versions.

    1 if it does, else 0; the mean over sets of parallel passages (see `RankDistance`) that hold
    the query's language and another one. Queries without such a set have no value: those whose own
    language has no relevant passage, or whose relevant passages have no parallel version.

    Neither high nor low is better: 1/n for n parallel passages is unbiased; above it the query's
    own language is preferred, below it the others are. (m/n, where m of a set of n are in the
    query's language.) A picture is in no language, and has no value as a query.

    If the passage in the query's language is not retrieved and another version is, the value is 0.
    A set of which nothing is retrieved, and so a query that the run lacks, counts 1.

    Compare "MLAIRE", arXiv 2605.07249.

    Examples
    --------
    >>> measure, qrels = LanguagePreference, {"de:q:1": {"de:1": 1, "en:1": 1}}
    >>> run = {"de:q:1": {"de:1": 0.9, "de:2": 0.8, "en:1": 0.6}}
    >>> found = ir_measures.calc_aggregate([measure], qrels, run)
    >>> found[measure]
    1.0
    """

    NAME = __name__ = "LanguagePreference"
    PRETTY_NAME = "Language Preference Rate"
    SHORT_DESC = "How often the version in the query's language outranks all parallel versions."
    SUPPORTED_PARAMS = _params("rel langs")


class _SameLanguageShare(BiasMeasure):
    """The share of the first k passages that are in the query's language.

    ``SLS@k = |{i <= k: lang(d_i) = lang(q)}| / min(k, retrieved)``; the cutoff is required.

    Neither high nor low is better: the share of the query's language among the relevant passages
    is unbiased (``rel`` says which are relevant, for that alone).

    Relevant passages do not enter the value, so an unretrieved one costs nothing. A query that the
    run lacks counts 1. A picture is in no language, and has no value as a query.

    Compare Roy, Constant, Al-Rfou, Barua, Phillips and Yang, "LAReQA: Language-Agnostic Answer
    Retrieval from a Multilingual Pool", EMNLP 2020, on same-language bias.

    Examples
    --------
    >>> measure, qrels = SameLanguageShare @ 3, {"de:q:1": {"de:1": 1, "en:1": 1}}
    >>> run = {"de:q:1": {"de:1": 0.9, "de:2": 0.8, "en:1": 0.6}}
    >>> found = ir_measures.calc_aggregate([measure], qrels, run)
    >>> round(found[measure], 4)
    0.6667
    """

    NAME = __name__ = "SameLanguageShare"
    PRETTY_NAME = "Same-Language Share at k"
    SHORT_DESC = "The share of the first k passages that are in the query's language."
    NEEDS_CUTOFF = True
    SUPPORTED_PARAMS = _params("cutoff rel langs")


class _LanguageExposure(BiasMeasure):
    """How alike languages' exposure in the first k passages and share of the relevant ones are.

    ``LE@k = 1 - sqrt(JS(e, t))``, JS the Jensen-Shannon divergence in bits; e is the attention that
    each language gets over ranks 1 to k, normalised to 1, and t each language's share of the
    relevant passages. Attention to rank i is 1/log2(i + 1), or p^(i-1) with
    ``discount='geometric'`` and the patience ``p``. The cutoff is required.

    Higher is better; 1 is unbiased, 0 means that no exposure goes to a language of a relevant
    passage. Below some k no ranking attains 1: one passage cannot expose eleven languages.

    An unretrieved passage costs the exposure that its language misses. A query that the run lacks
    counts 0; one without relevant passages has no value.

    Sapiezynski, Zeng, Robertson, Mislove and Wilson, "Quantifying the Impact of User Attention on
    Fair Group Representation in Ranked Lists", WWW 2019 companion, as TREC Fair Ranking uses it.

    Examples
    --------
    >>> measure, qrels = LanguageExposure @ 1, {"de:q:1": {"de:1": 1, "en:1": 1}}
    >>> run = {"de:q:1": {"de:1": 0.9, "de:2": 0.8, "en:1": 0.6}}
    >>> found = ir_measures.calc_aggregate([measure], qrels, run)
    >>> round(found[measure], 4)
    0.4421
    """

    NAME = __name__ = "LanguageExposure"
    PRETTY_NAME = "Language Exposure at k"
    SHORT_DESC = "How alike languages' exposure and their share of the relevant passages are."
    NEEDS_CUTOFF = True
    SUPPORTED_PARAMS = _params("cutoff rel discount p langs")


class _PEER(BiasMeasure):
    """Probability of Equal Expected Rank: whether languages' judged passages rank alike.

    For each relevance level, a Kruskal-Wallis test over the judged passages of that level grouped
    by language: ``H = (N - 1) sum_l n_l (mean_l - mean)^2 / sum_d (r_d - mean)^2``, where r_d is
    d's rank among the N passages of the level (ties share their mean), and ``p`` the probability of
    at least H under chi-squared with one degree of freedom less than languages. The value is the
    mean of p over levels, with ``weights={level: weight}``; by default every level above 0 weighs
    the same.

    Higher is better, 1 is unbiased. (p spreads evenly over 0 to 1 if only chance orders the
    languages, so that a system without bias averages about 0.5.)

    A level says something only if at least two languages have a passage in it and one of them two;
    with one passage a language H is N - 1 whatever the ranking. Such levels are left out, and
    queries without another level have no value: on XQuAD-R, which has one relevant passage a
    language, that is every query.

    Unretrieved passages (with a cutoff, also those behind it) share the last place. A level of
    which nothing is retrieved counts 0, and so does a query that the run lacks. Retrieved passages
    without judgement are no part of any level.

    Yang, Jänich, Mayfield and Lawrie, "Language Fairness in Multilingual Information Retrieval",
    SIGIR 2024. Their implementation tests ranks in the whole list; here they are ranks among the
    passages of a level, as Kruskal and Wallis have them.

    Examples
    --------
    >>> qrels = {"de:q:1": {"de:1": 1, "de:2": 1, "en:1": 1}}
    >>> run = {"de:q:1": {"de:1": 0.9, "de:2": 0.8, "en:1": 0.6}}
    >>> round(ir_measures.calc_aggregate([PEER], qrels, run)[PEER], 4)
    0.2207
    """

    NAME = __name__ = "PEER"
    PRETTY_NAME = "Probability of Equal Expected Rank"
    SHORT_DESC = "Whether passages of equal relevance rank alike in all languages."
    SUPPORTED_PARAMS = _params("cutoff weights langs")


class _LanguageDisparity(BiasMeasure):
    """How far the rank of a picture varies with the language that it is asked for in.

    ``LD = max_l r_l - min_l r_l``, where r_l is the mean rank of the picture over its captions in
    language l as queries; all of them get this value. Queries ask for the same where the same
    passages are relevant to them, and of several the first one's rank counts. Where all are in one
    language there is no value.

    Lower is better, 0 is unbiased. `RankDistance` is the same with the roles of queries and
    passages swapped.

    An unretrieved picture has rank N, the end of the pool (see `RankDistance`), and so it has for a
    query that the run lacks; if no query for it finds it, all have the worst value, N - 1.

    ``normalized=True`` compares pools of different sizes, and needs ``pool``: LD is divided by what
    n languages with independent ranks, each as likely as the others, have on average,
    ``2 E - (N + 1)`` with ``E = N - sum_(k=1)^(N-1) (k/N)^n``, their expected maximum. 0 is best, 1
    a random ranking. (Means over several captions a language are closer to each other by chance
    alone.) A pool of one has no value.

    Examples
    --------
    >>> qrels = {"de:q:1": {"image:1": 1}, "en:q:1": {"image:1": 1}}
    >>> run = {
    ...     "de:q:1": {"image:2": 0.9, "image:3": 0.8, "image:1": 0.7},
    ...     "en:q:1": {"image:1": 0.9, "image:2": 0.8, "image:3": 0.1},
    ... }
    >>> ir_measures.calc_aggregate([LanguageDisparity], qrels, run)[LanguageDisparity]
    2.0
    """

    NAME = __name__ = "LanguageDisparity"
    PRETTY_NAME = "Language Disparity"
    SHORT_DESC = "How far a picture's rank varies with the language of the query."
    KINDS = frozenset(("text-image",))
    ACROSS = True
    SUPPORTED_PARAMS = _params("rel normalized pool langs")


class _ModalityShare(BiasMeasure):
    """The share of the first k places of a pool of captions and pictures that pictures have.

    ``MS@k = |{i <= k: d_i is a picture}| / min(k, retrieved)``; the cutoff is required. A picture's
    id starts with ``image:``.

    Neither high nor low is better: the share of pictures among the relevant passages is unbiased
    (``rel`` says which are relevant, for that alone). A model whose vectors of texts lie apart from
    those of pictures finds captions only.

    A query that the run lacks counts 1.

    Examples
    --------
    >>> measure, qrels = ModalityShare @ 3, {"de:q:1": {"image:1": 1, "en:1": 1}}
    >>> run = {"de:q:1": {"en:1": 0.9, "image:1": 0.8, "en:2": 0.6}}
    >>> found = ir_measures.calc_aggregate([measure], qrels, run)
    >>> round(found[measure], 4)
    0.3333
    """

    NAME = __name__ = "ModalityShare"
    PRETTY_NAME = "Modality Share at k"
    SHORT_DESC = "The share of the first k passages that are pictures."
    KINDS = frozenset(("mixed",))
    NEEDS_CUTOFF = True
    SUPPORTED_PARAMS = _params("cutoff rel langs")


class BiasProvider(Provider):
    """Scores the measures of language bias; the arithmetic is imported when it is needed."""

    NAME = "beir_hybrid"

    def __init__(self, measures: Iterable[Measure]) -> None:
        super().__init__()
        self.SUPPORTED_MEASURES = list(measures)

    def _evaluator(self, measures: Iterable[Measure], qrels: Any) -> Evaluator:
        from beir_hybrid.measures.provider import BiasEvaluator

        return BiasEvaluator(list(measures), qrels)


RankDistance = _RankDistance()
LanguagePreference = _LanguagePreference()
SameLanguageShare = _SameLanguageShare()
LanguageExposure = _LanguageExposure()
PEER = _PEER()
LanguageDisparity = _LanguageDisparity()
ModalityShare = _ModalityShare()

BIAS_MEASURES = (
    RankDistance,
    LanguagePreference,
    SameLanguageShare,
    LanguageExposure,
    PEER,
    LanguageDisparity,
    ModalityShare,
)


def _announce() -> None:
    """Make ir-measures know the measures and their provider, which its design asks of an import."""
    for measure in BIAS_MEASURES:
        registry.pop(measure.NAME, None)  # there when this module is reloaded
        register(measure, name=measure.NAME)
    providers = ir_measures.DefaultPipeline.providers
    providers[:] = [known for known in providers if known.NAME != BiasProvider.NAME]
    providers.append(BiasProvider(BIAS_MEASURES))


_announce()
