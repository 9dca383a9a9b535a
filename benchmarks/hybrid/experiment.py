"""Experiments, declared in TOML files: question, prediction, settings and variants."""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from beir_hybrid.calibration.methods import parse_method
from beir_hybrid.errors import BadData, lookup

if TYPE_CHECKING:
    from beir_hybrid.batches.strategies import Strategy

FOLDER = Path(__file__).parent
ARMS = {
    "A": "MLQA-R's training articles",
    "B": "MLQA-R's training articles, and NTREX's sentences with their translations and with the "
    "next sentence",
    "C": "MLQA-R's training articles, and NTREX's sentences with the next sentence",
}
T = TypeVar("T")


@dataclass(frozen=True)
class Stage:
    """A training before the last one, which continues with its model.

    Attributes
    ----------
    share
        The stage's share of all steps.
    """

    strategy: str
    share: float


@dataclass(frozen=True)
class Ranks:
    """Processes whose batches form one batch, so that each has the passages of all as negatives.

    Attributes
    ----------
    together
        Whether all processes draw one batch kind and language at a time, or each its own.
    """

    count: int
    together: bool


@dataclass(frozen=True)
class Variant:
    """A way of training: a strategy, and deviations from the experiment's settings.

    Attributes
    ----------
    label
        The name in tables and of folders.
    switch
        The probability that a word of the lexicon is replaced by a translation.
    loss
        Options of `HybridContrastiveLoss`, over those of the experiment.
    first
        A stage before; the steps of both stages add up to the experiment's.
    ranks
        Train with batches of several processes instead of `bh.train`'s.
    tuning
        Which weights are trained, as `bh.train` takes it; the experiment's if empty.
    bf16
        Whether products are computed in bfloat16; as in the experiment if None.
    steps, learning_rate
        The experiment's if 0.
    weights_of
        The label of an earlier variant: instead of a training of its own, this one has the mean of
        that one's weights and of those that it started from.
    start_share
        The share of the weights that the training started from in this mean.
    """

    label: str
    strategy: str
    switch: float = 0.0
    loss: Mapping[str, Any] = field(default_factory=dict)
    passage_text: str = "sentence"
    first: Stage | None = None
    ranks: Ranks | None = None
    tuning: Mapping[str, Any] = field(default_factory=dict)
    bf16: bool | None = None
    steps: int = 0
    learning_rate: float = 0.0
    weights_of: str = ""
    start_share: float = 0.5

    def parse_strategy(self) -> "Strategy":
        """Return the strategy, without code switching."""
        from beir_hybrid.batches.strategies import parse_strategy

        return parse_strategy(self.strategy)

    @property
    def alpha(self) -> float | None:
        """The share of monolingual batches, of a plain mixture of ``mono`` and ``cross-rows``."""
        strategy = self.parse_strategy()
        is_changed = (
            self.switch or self.loss or self.first or self.ranks or self.weights_of
            or strategy.languages
        )  # fmt: skip
        if is_changed or not {kind for kind, _ in strategy.kinds} <= {"mono", "cross-rows"}:
            return None
        return dict(strategy.kinds).get("mono", 0.0)


@dataclass(frozen=True)
class Experiment:
    """A question, a prediction, and everything that the answer depends on.

    Attributes
    ----------
    arm
        The training data, of `ARMS`.
    encoder
        ``static``, ``minilm``, a name on the hub or a folder.
    baseline
        The label of the variant that all others are compared with.
    collections
        ``xquad-r``, and ``mlqa-r-test`` or ``mlqa-r-dev``, the held-out articles, to evaluate on.
    dev_steps
        Evaluate on ``mlqa-r-dev`` every so many steps, for learning curves; never if 0.
    bf16
        Whether products are computed in bfloat16, in training and evaluation; weights are not.
    tuning
        Which weights are trained, as `bh.train` takes it.
    dropout
        Whether parts of the encoder are left out at random in training, as its files say.
    calibrations
        Methods of `bh.calibrate`: each model is evaluated as it is and with each of them, fitted to
        the evaluated collection.
    published
        Labels, and the rows of ``beir_hybrid/report/published.toml`` to show beside them.
    candidates
        Labels of variants that may replace the baseline: one is chosen on ``mlqa-r-dev``.
    disclosure
        What else a reader must know.
    expected_order
        By collection and column, labels from the best on, those of a rank together: the order of
        a larger run, where it told ranks apart.
    """

    name: str
    question: str
    prediction: str
    arm: str
    encoder: str
    steps: int
    batch_size: int
    learning_rate: float
    seeds: tuple[int, ...]
    collections: tuple[str, ...]
    variants: tuple[Variant, ...]
    baseline: str = "hybrid"
    max_length: int | None = None  # in training
    preset: str | None = None
    weight_decay: float = 0.01
    loss: Mapping[str, Any] = field(default_factory=dict)
    dev_steps: int = 0
    bf16: bool = False
    tuning: Mapping[str, Any] = field(default_factory=dict)
    dropout: bool = True
    calibrations: tuple[str, ...] = ()
    published: Mapping[str, str] = field(default_factory=dict)
    candidates: tuple[str, ...] = ()
    disclosure: str = ""
    expected_order: Mapping[str, Mapping[str, Sequence[Sequence[str]]]] = field(
        default_factory=dict
    )

    @property
    def methods(self) -> tuple[str, ...]:
        """The calibrations that each model is evaluated with; the empty one is none."""
        return ("", *self.calibrations)

    @property
    def labels(self) -> list[str]:
        """The variants' labels, in order."""
        return [variant.label for variant in self.variants]

    def find_trained(self, variant: Variant) -> Variant:
        """Return the variant whose training gives a variant its weights: mostly itself."""
        return self.variants[self.labels.index(variant.weights_of or variant.label)]


def read_experiment(path: str | Path) -> Experiment:
    """Read an experiment from a file, or by the name of a file in this folder."""
    file = Path(path)
    if not file.suffix:
        names = {toml.stem: toml for toml in sorted(FOLDER.glob("*.toml"))}
        file = lookup("experiment", str(path), names)
    try:
        stored = tomllib.loads(file.read_text("utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise BadData(f"{file} is no experiment: {error}") from error
    experiment = _build(Experiment, {"name": file.stem} | stored, file.name)
    _check_labels(experiment, file.name)
    for variant in experiment.variants:
        _check_variant(variant, experiment, file.name)
    return experiment


def _check_labels(experiment: Experiment, place: str) -> None:
    labels = dict.fromkeys(experiment.labels)
    lookup(f"arm in {place}", experiment.arm, ARMS)
    lookup(f"baseline in {place}", experiment.baseline, labels)
    for label in [*experiment.published, *experiment.candidates, *_list_expected(experiment)]:
        lookup(f"label in {place}", label, labels)
    for method in experiment.calibrations:
        parse_method(method)
    for name, values in (
        ("label", experiment.labels),
        ("seed", experiment.seeds),
        ("collection", experiment.collections),
    ):
        if not values or len({*values}) < len(values):
            raise BadData(f"{place}: {name}: {list(values)} is empty or has a value twice")
    if experiment.baseline in experiment.candidates:
        raise BadData(f"{place}: {experiment.baseline} is the baseline and cannot be a candidate")


def _list_expected(experiment: Experiment) -> Iterator[str]:
    for columns in experiment.expected_order.values():
        for ranks in columns.values():
            for labels in ranks:
                yield from labels


def _check_variant(variant: Variant, experiment: Experiment, place: str) -> None:
    variant.parse_strategy()
    if variant.first is not None and not 0 < variant.first.share < 1:
        raise BadData(
            f"{place}: {variant.label}: share is {variant.first.share}; it must be between 0 and 1"
        )
    if variant.weights_of:
        earlier = experiment.labels[: experiment.labels.index(variant.label)]
        lookup(f"earlier label in {place}", variant.weights_of, dict.fromkeys(earlier))
        if not 0 < variant.start_share < 1:
            raise BadData(
                f"{place}: {variant.label}: start_share is {variant.start_share}; it must be "
                "between 0 and 1"
            )
    if variant.ranks is None:
        return
    if variant.ranks.count < 1:
        raise BadData(
            f"{place}: {variant.label}: count is {variant.ranks.count}; it must be 1 or more"
        )
    if experiment.dev_steps:
        raise BadData(f"{place}: {variant.label}: ranks cannot be evaluated while they train")


def _build(kind: type[T], stored: object, place: str) -> T:
    """Build a dataclass from a table of TOML; raise for an unknown or missing key."""
    if not isinstance(stored, dict):
        raise BadData(f"{place}: {kind.__name__.lower()} is {stored!r}; it must be a table")
    table: Any = kind  # a dataclass, which no type says
    columns = {column.name: column for column in fields(table)}
    for key in stored:
        lookup(f"key of {place}", key, columns)
    for name, column in columns.items():
        if name not in stored and _is_required(column):
            raise BadData(f"{place} lacks {name!r}")
    return kind(**{key: _parse_value(key, value, place) for key, value in stored.items()})


def _is_required(column: Field[Any]) -> bool:
    return column.default is MISSING and column.default_factory is MISSING


def _parse_value(key: str, value: object, place: str) -> object:
    if key == "variants":
        tables = value if isinstance(value, list) else [value]
        return tuple(_build(Variant, table, place) for table in tables)
    if key == "first":
        return _build(Stage, value, place)
    if key == "ranks":
        return _build(Ranks, value, place)
    return tuple(value) if isinstance(value, list) else value


def join_method(label: str, method: str) -> str:
    """Return the label of a variant with a calibration.

    >>> join_method("hybrid", "local:k=3"), join_method("hybrid", "")
    ('hybrid+local:k=3', 'hybrid')
    """
    return f"{label}+{method}" if method else label
