"""The base class of measures of language bias, and the direction of any measure."""
# mypy: allow-untyped-calls
# (ir_measures says that it is typed, and leaves its constructors without types.)

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from ir_measures.measures import MeanAgg, Measure

from beir_hybrid.errors import BadOption, lookup
from beir_hybrid.measures.parameters import PARAMETERS

if TYPE_CHECKING:
    import numpy as np

    from beir_hybrid.measures.ranked_judgements import RankedJudgements

Direction = Literal["higher", "lower", "near the unbiased value"]

# Directions in the words of tables and pages.
DIRECTIONS: dict[str, str] = {
    "higher": "higher is better",
    "lower": "lower is better",
    "near the unbiased value": "best near its unbiased value",
}


class BiasMeasure(Measure):
    """A measure of bias: its declaration, its value and the value of a ranking without bias.

    A subclass declares the attributes below and implements `_compute` and `_compute_unbiased`.
    `CONTRIBUTING.md` shows one.

    Attributes
    ----------
    NAME, PRETTY_NAME, SHORT_DESC, SUPPORTED_PARAMS
        As ir-measures has them.
    LABEL
        A heading for the column of a table; see `label`.
    SENTENCE
        What the value is, for the pages of a leaderboard; see `sentence`.
    DIRECTION
        Which values are better: ``higher``, ``lower``, or those ``near the unbiased value``.
    SETTINGS
        The kinds of settings that the measure applies to.
    NEEDS_CUTOFF
        Whether it takes the first k passages, and so the parameter ``cutoff``.
    NEEDS_ALL_LANGUAGES
        Whether a query's value depends on the queries in other languages.
    """

    LABEL: ClassVar[str]
    SENTENCE: ClassVar[str]
    DIRECTION: ClassVar[Direction]
    SETTINGS: ClassVar[frozenset[str]] = frozenset(("multi", "image-pool"))
    NEEDS_CUTOFF: ClassVar[bool] = False
    NEEDS_ALL_LANGUAGES: ClassVar[bool] = False
    DEFAULT = math.nan

    def __init_subclass__(cls) -> None:
        """Refuse a measure whose declaration lacks something."""
        super().__init_subclass__()
        for name in ("NAME", "LABEL", "SENTENCE", "DIRECTION"):
            if getattr(cls, name, None) is None:
                raise TypeError(f"the measure {cls.__name__} declares no {name}")
        lookup(f"direction of {cls.NAME}", cls.DIRECTION, DIRECTIONS)

    def __init__(self, **params: Any) -> None:
        values = {name: value for name, value in params.items() if value is not None}
        # One order of parameters, so that equal measures have equal names.
        order = [name for name in self.SUPPORTED_PARAMS if name in values]
        super().__init__(**{name: values.pop(name) for name in order}, **values)

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
            if name not in ("cutoff", "langs") and value != self._find_default(name)
        )
        cutoff = f"@{self.params['cutoff']}" if "cutoff" in self.params else ""
        return f"{self.NAME}({inner}){cutoff}" if inner else f"{self.NAME}{cutoff}"

    @property
    def label(self) -> str:
        """The heading of this measure's column in a table, its cutoff included."""
        return f"{self.LABEL}@{self.params['cutoff']}" if "cutoff" in self.params else self.LABEL

    @property
    def sentence(self) -> str:
        """A description of the value and its direction, for readers of a table."""
        return f"{self.SENTENCE}; {DIRECTIONS[self.DIRECTION]}"

    def applies_to(self, kinds: Iterable[str]) -> bool:
        """Return whether the measure has values in any of these kinds of settings."""
        return not self.SETTINGS.isdisjoint(kinds)

    def compute(self, judgements: "RankedJudgements") -> "np.ndarray":
        """Return the value for each query, NaN where the measure does not apply; (n,) float64."""
        self.validate_params()
        return self._compute(judgements)

    def compute_unbiased(self, judgements: "RankedJudgements") -> "np.ndarray":
        """Return the value of an unbiased ranking for each query, NaN where there is none; (n,)."""
        self.validate_params()
        return self._compute_unbiased(judgements)

    def _compute(self, judgements: "RankedJudgements") -> "np.ndarray":
        raise NotImplementedError

    def _compute_unbiased(self, judgements: "RankedJudgements") -> "np.ndarray":
        raise NotImplementedError

    def validate_params(self) -> None:
        """Raise `BadOption` where a parameter is unknown, missing or makes no sense."""
        if self.validated:
            return
        table = {name: PARAMETERS[name] for name in self.SUPPORTED_PARAMS}
        for name, value in self.params.items():
            parameter = lookup(f"parameter of {self.NAME}", name, table)
            if not (parameter.info.validate(value) and parameter.is_valid(value)):
                raise BadOption(
                    f"{self.NAME}: {name} is {value!r}; it must be {parameter.requirement}"
                )
        if self.NEEDS_CUTOFF and "cutoff" not in self.params:
            raise BadOption(f"{self.NAME} needs a cutoff, such as {self.NAME}@10")
        self.validated = True

    def aggregator(self) -> MeanAgg:
        """Return the mean over the queries that have a value."""
        return _MeanOfValues()

    def _find_default(self, name: str) -> object:
        info = self.SUPPORTED_PARAMS.get(name)
        return info.default if info else None

    def _param_repr(self, value: object) -> str:
        if isinstance(value, Mapping):  # only weights, and every level matters
            inner = ",".join(f"{level}:{value[level]!r}" for level in sorted(value, key=str))
            return f"{{{inner}}}"
        return repr(value)


class _MeanOfValues(MeanAgg):
    """The mean over the queries that have a value."""

    def add(self, value: float) -> None:
        """Count a value other than NaN."""
        if not math.isnan(value):
            super().add(value)


def is_higher_better(measure: Measure) -> bool:
    """Return whether higher values are better; raise `BadOption` if the measure has no direction.

    Measures of effectiveness are better when higher.
    """
    if not isinstance(measure, BiasMeasure):
        return True
    if measure.DIRECTION == "near the unbiased value":
        raise BadOption(
            f"neither high nor low values of {measure} are better, but those near its unbiased "
            "value; choose another measure"
        )
    return measure.DIRECTION == "higher"
