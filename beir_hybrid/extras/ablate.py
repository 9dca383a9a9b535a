"""Several strategies on the same data in, a trained model and results of each, by seed, out."""

import copy
import json
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from ir_measures import Measure

from beir_hybrid.batches.strategies import Strategy
from beir_hybrid.collection import Collection
from beir_hybrid.collection.setting import KindName
from beir_hybrid.errors import BadOption
from beir_hybrid.evaluation.evaluate import evaluate
from beir_hybrid.extras.variants import DECIDED, Variant, variant
from beir_hybrid.files import atomic_file, file_lock
from beir_hybrid.pairs.parallel_pairs import ParallelPairs, join_pairs
from beir_hybrid.results.results import Results
from beir_hybrid.text import split_words
from beir_hybrid.training.record import CHECKPOINTS, digest_of

RUNS, RESULTS = "runs", "results"


@dataclass(frozen=True)
class Trial:
    """One training of one strategy, and what it came to on one collection."""

    strategy: str
    seed: int
    collection: str
    results: Results


def ablate(
    model: Any,
    pairs: ParallelPairs | Sequence[ParallelPairs],
    output: str | Path,
    *,
    strategies: Mapping[str, Variant | Strategy | str] | Iterable[str],
    test: Collection | Sequence[Collection],
    max_steps: int,
    seeds: Iterable[int] = (1, 2, 3),
    measures: Iterable[Measure | str] | None = None,
    settings: str | Iterable[KindName] | None = None,
    **options: Any,
) -> list[Trial]:
    """Train a model with each strategy and seed, alike in all else, and judge what comes out.

    `output` gets ``runs/STRATEGY-SEED``, a folder of `bh.train` each, without its checkpoints, and
    ``results/COLLECTION/STRATEGY-SEED``, its `Results`. What is there already is not made again, so
    that a run that was killed goes on where it was. Strategies that differ in nothing but what they
    are wrapped in are trained once, in the folder of the first.

    Parameters
    ----------
    strategies
        Names such as ``"x-x-mono"`` and ``"hybrid:alpha=0.4"``, or a mapping from what to call each
        to a strategy or a `bh.Variant`, which has options of its own. Suffixes name variants too:
        ``+adapters`` is an adapter for each language, together as many steps as the others take,
        ``+layers=0,1`` LoRA of these layers of the text tower, ``+frozen`` a tower that sees kept
        as it is, and ``+tip`` the trained model with a `TipCache` of the training pairs.
    test
        What to judge on; several have different names.
    max_steps
        Of each training: epochs of strategies differ in length.
    measures, settings
        Of `bh.evaluate`.
    options
        Of `bh.train`, for all of them.

    Examples
    --------
    >>> trials = ablate(  # doctest: +SKIP
    ...     "intfloat/multilingual-e5-small", pairs, "ablation", max_steps=300,
    ...     strategies=["x-x-mono", "x-y", "hybrid"], test=bh.load("xquad-r"),
    ... )
    >>> [(trial.strategy, trial.seed) for trial in trials][:3]  # doctest: +SKIP
    [('x-x-mono', 1), ('x-y', 1), ('hybrid', 1)]
    """
    chosen = _named(strategies)
    tests = [test] if isinstance(test, Collection) else list(test)
    if not tests:
        raise BadOption("ablate needs a collection to judge on")
    if len({_label(one.name) for one in tests}) < len(tests):
        raise BadOption("two of the collections to judge on have the same name")
    numbers = list(seeds)
    if not numbers or len(set(numbers)) < len(numbers):
        raise BadOption(f"seeds are {numbers}; name one or more, each once")
    if fixed := {"strategy", "seed", "output"} & options.keys():
        raise BadOption(f"{min(fixed)} is what ablate varies; it is no option of it")
    pairs = pairs if isinstance(pairs, ParallelPairs) else join_pairs(pairs)
    named = split_words(settings) if isinstance(settings, str) else settings
    kinds: list[Any] | None = None if named is None else list(named)
    for one in tests if kinds is not None else ():
        one.resolve().list_kinds(kinds)  # what it lacks is said before anything is trained
    trials = []
    for seed in numbers:  # the first of every strategy before the second of any
        for name, how in chosen.items():
            run = Path(output) / RUNS / f"{_home(name, chosen)}-{seed}"
            # A loaded model must be as it was for the next one.
            start = model if isinstance(model, str | Path) else copy.deepcopy(model)
            trained = how.fit(
                start, pairs, run, strategy=how.strategy, seed=seed, max_steps=max_steps,
                **how.merged(options),
            )  # fmt: skip
            shutil.rmtree(run / CHECKPOINTS, ignore_errors=True)
            for collection in tests:
                folder = Path(output) / RESULTS / _label(collection.name) / f"{name}-{seed}"
                made = partial(how.wrap or _itself, trained, pairs, collection)
                results = _results(made, collection, folder, measures, kinds)
                trials.append(Trial(name, seed, collection.name, results))
    return trials


def table(trials: Sequence[Trial], shown: Mapping[str, tuple[Measure | str, KindName]]) -> Iterator[
    list[str]
]:  # fmt: skip
    """Yield a row for each collection and strategy: the mean over seeds, and their spread.

    `shown` names columns, and the measure and kind of setting of each.
    """
    for collection in dict.fromkeys(trial.collection for trial in trials):
        for name in dict.fromkeys(trial.strategy for trial in trials):
            mine = [t for t in trials if t.strategy == name and t.collection == collection]
            cells = [collection, name]
            for measure, kind in shown.values():
                found = [_mean(trial.results, measure, kind) for trial in mine]
                cells.append(_spread([value for value in found if value is not None]))
            yield cells


def _mean(results: Results, measure: Measure | str, kind: KindName) -> float | None:
    row = {str(one): estimate for one, estimate in results.summary().get(kind, {}).items()}
    found = row.get(str(measure))
    return None if found is None else found.mean


def _spread(values: Sequence[float]) -> str:
    """Return a mean, and the standard deviation if there is more than one value."""
    if not values:
        return "-"
    digits = 4 if abs(np.mean(values)) < 10 else 1  # noqa: PLR2004 - shares, or ranks
    mean = f"{np.mean(values):,.{digits}f}"
    return mean if len(values) == 1 else f"{mean} ± {np.std(values, ddof=1):.{digits}f}"


def _named(
    strategies: Mapping[str, Variant | Strategy | str] | Iterable[str],
) -> dict[str, Variant]:
    """Return what to train by names that folders can have."""
    if isinstance(strategies, str):
        raise BadOption(f"strategies is the text {strategies!r}; give a list of names")
    items = strategies.items() if isinstance(strategies, Mapping) else ((s, s) for s in strategies)
    found: dict[str, Variant] = {}
    for name, how in items:
        label = _label(str(name))
        if not label or label in found:
            raise BadOption(f"{name!r} is no name of its own for a strategy")
        found[label] = variant(how)
        if fixed := DECIDED & found[label].options.keys():
            raise BadOption(f"{name}: {min(fixed)} is no option of one strategy alone")
    if not found:
        raise BadOption("no strategies are named")
    return found


def _home(name: str, chosen: Mapping[str, Variant]) -> str:
    """Return the first that is trained as this one is, and only judged in another way."""
    wanted = replace(chosen[name], wrap=None)
    return next(one for one, how in chosen.items() if replace(how, wrap=None) == wanted)


def _itself(trained: Any, _pairs: ParallelPairs, _collection: Collection) -> Any:
    return trained


def _label(name: str) -> str:
    """Return what a folder may be called."""
    return re.sub(r"[^\w.=+-]+", "-", name).strip(".-")


def _results(
    model: Callable[[], Any],
    collection: Collection,
    folder: Path,
    measures: Iterable[Measure | str] | None,
    kinds: list[Any] | None,
) -> Results:
    """Return the results that are there, if of the same data, measures and settings, or judge."""
    chosen = None if measures is None else [str(measure) for measure in measures]
    of = {"collection": digest_of(collection), "measures": chosen}
    key = json.dumps(of | ({} if kinds is None else {"settings": kinds}))
    made = folder / "made.json"  # of what: the results themselves hold no texts
    with file_lock(folder):
        if made.exists() and made.read_text("utf-8") == key:
            return Results.load(folder)
        # Of a model that is judged once the embeddings are not kept.
        with tempfile.TemporaryDirectory(prefix="beir-hybrid-") as store:
            results = evaluate(
                model(), collection, measures=chosen, settings=kinds, store=store, name=folder.name
            )
        made.unlink(missing_ok=True)
        results.save(folder)
        with atomic_file(made) as temporary:
            temporary.write_text(key, "utf-8")
    return results
