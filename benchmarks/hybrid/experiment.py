"""A TOML file in, the experiment that it declares out: frozen, and with no key unknown."""

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from beir_hybrid.errors import BadData, lookup

if TYPE_CHECKING:
    from beir_hybrid.batches.strategies import Strategy

HERE = Path(__file__).parent
ARMS = {
    "A": "MLQA-R's training articles",
    "B": "MLQA-R's training articles, and NTREX's sentences with their translations and with the "
    "next sentence",
    "C": "MLQA-R's training articles, and NTREX's sentences with the next sentence",
}


@dataclass(frozen=True)
class Stage:
    """A training before the last one, from whose model that goes on.

    Attributes
    ----------
    share
        Of all steps.
    """

    strategy: str
    share: float


@dataclass(frozen=True)
class Ranks:
    """Processes whose batches are joined to one, each a process's negatives for all.

    Attributes
    ----------
    together
        Whether all parts of a batch are of one kind and one language, or each draws its own.
    """

    count: int
    together: bool


@dataclass(frozen=True)
class Variant:
    """One way of training: a strategy, and in what else it differs from the experiment's others.

    Attributes
    ----------
    label
        What tables and folders call it.
    switch
        The probability that a word of the lexicon is put in another language.
    loss
        Options of `HybridContrastiveLoss`, over those of the experiment.
    first
        A training before, for a share of the steps; the steps of both add up to the experiment's.
    ranks
        Train with batches joined of several processes' instead of `bh.train`'s.
    steps, learning_rate
        The experiment's if 0.
    """

    label: str
    strategy: str
    switch: float = 0.0
    loss: Mapping[str, Any] = field(default_factory=dict)
    passage_text: str = "sentence"
    first: Stage | None = None
    ranks: Ranks | None = None
    steps: int = 0
    learning_rate: float = 0.0

    def made(self) -> "Strategy":
        """Return the strategy, without what switches words."""
        from beir_hybrid.batches.strategies import parse_strategy

        return parse_strategy(self.strategy)

    @property
    def alpha(self) -> float | None:
        """The share of monolingual batches, of what lies on the curve from ``x-y`` to mono."""
        made = self.made()
        plain = not (self.switch or self.loss or self.first or self.ranks or made.languages)
        if not plain or not {kind for kind, _ in made.kinds} <= {"mono", "cross-rows"}:
            return None
        return dict(made.kinds).get("mono", 0.0)


@dataclass(frozen=True)
class Experiment:
    """What is asked, what is expected, and all that the answer depends on.

    Attributes
    ----------
    arm
        What to train on, of `ARMS`.
    encoder
        ``static``, ``minilm``, a name on the hub or a folder.
    baseline
        The label that all others are tested against.
    judged
        ``xquad-r`` whole, and ``mlqa-r-test`` or ``mlqa-r-dev``, its held-out articles.
    dev_steps
        Judge on ``mlqa-r-dev`` each so many steps, for learning curves; never if 0.
    bf16
        Whether products are taken in bfloat16, in training and judging; weights stay as they are.
    published
        Labels and the rows of ``beir_hybrid/report/published.toml`` that stand beside them.
    candidates
        Labels of what may better the baseline: one is chosen on ``mlqa-r-dev``.
    declared
        What else a reader must know.
    expected
        By collection and column, labels from the best on, those of a rank together: the order that
        a larger run found, where it told ranks apart.
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
    judged: tuple[str, ...]
    variants: tuple[Variant, ...]
    baseline: str = "hybrid"
    max_length: int | None = None
    preset: str | None = None
    weight_decay: float = 0.01
    loss: Mapping[str, Any] = field(default_factory=dict)
    dev_steps: int = 0
    bf16: bool = False
    published: Mapping[str, str] = field(default_factory=dict)
    candidates: tuple[str, ...] = ()
    declared: str = ""
    expected: Mapping[str, Mapping[str, Sequence[Sequence[str]]]] = field(default_factory=dict)

    @property
    def labels(self) -> list[str]:
        """The variants' labels, in order."""
        return [variant.label for variant in self.variants]


def read(path: str | Path) -> Experiment:
    """Read an experiment: a file, or the name of one that lies here."""
    file = Path(path)
    if not file.suffix:
        names = {one.stem: one for one in sorted(HERE.glob("*.toml"))}
        file = lookup("experiment", str(path), names)
    try:
        stored = tomllib.loads(file.read_text("utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise BadData(f"{file} is no experiment: {error}") from error
    found = _made(Experiment, {"name": file.stem} | stored, file.name)
    return _checked(found, file.name)


def _checked(found: Experiment, where: str) -> Experiment:
    lookup(f"arm in {where}", found.arm, ARMS)
    lookup(f"baseline in {where}", found.baseline, dict.fromkeys(found.labels))
    orders = [order for one in found.expected.values() for order in one.values()]
    ranked = [label for order in orders for rank in order for label in rank]
    for label in [*found.published, *found.candidates, *ranked]:
        lookup(f"label in {where}", label, dict.fromkeys(found.labels))
    for what, values in (("label", found.labels), ("seed", found.seeds), ("judged", found.judged)):
        if not values or len({*values}) < len(values):
            raise BadData(f"{where}: {what}: {list(values)} are none, or one is there twice")
    if found.baseline in found.candidates:
        raise BadData(f"{where}: {found.baseline} cannot better itself")
    for variant in found.variants:
        variant.made()
        if variant.first is not None and not 0 < variant.first.share < 1:
            raise BadData(f"{where}: {variant.label}: a share lies between 0 and 1")
        if variant.ranks is not None and (variant.ranks.count < 1 or found.dev_steps):
            raise BadData(f"{where}: {variant.label}: ranks are 1 or more, and never judged on dev")
    return found


def _made(kind: Any, stored: Any, where: str) -> Any:
    """Make a dataclass of a table, and refuse what it does not know or lacks."""
    if not isinstance(stored, dict):
        raise BadData(f"{where}: {kind.__name__.lower()} is no table")
    known = {one.name: one for one in fields(kind)}
    for key in stored:
        lookup(f"key of {where}", key, known)
    if missing := [n for n, one in known.items() if n not in stored and _is_needed(one)]:
        raise BadData(f"{where} lacks {missing[0]!r}")
    values = {key: _value(key, value, where) for key, value in stored.items()}
    return kind(**values)


def _is_needed(one: Any) -> bool:
    return one.default is MISSING and one.default_factory is MISSING


def _value(key: str, value: Any, where: str) -> Any:
    if key == "variants":
        return tuple(_made(Variant, one, where) for one in _listed(value))
    if key in ("first", "ranks"):
        return _made({"first": Stage, "ranks": Ranks}[key], value, where)
    return tuple(value) if isinstance(value, list) else value


def _listed(value: Any) -> Iterable[Any]:
    return value if isinstance(value, list) else [value]
