"""Compare training strategies: train each with several seeds, alike in all else, and evaluate."""

import copy
import json
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from ir_measures import Measure

from beir_hybrid.batches.strategies import Strategy
from beir_hybrid.collection import Collection
from beir_hybrid.collection.checksum import hash_collection
from beir_hybrid.collection.setting import KindName
from beir_hybrid.errors import BadOption
from beir_hybrid.evaluation.evaluate import evaluate
from beir_hybrid.files import file_lock
from beir_hybrid.pairs.joining import join_pairs
from beir_hybrid.pairs.parallel_pairs import ParallelPairs
from beir_hybrid.results.results import Results
from beir_hybrid.results.stamp import load_stamped, save_stamped
from beir_hybrid.text import split_words
from beir_hybrid.training.record import CHECKPOINTS, list_trained_files
from beir_hybrid.training.variants import FIXED_OPTIONS, Variant, parse_variant

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

RUNS, RESULTS = "runs", "results"


@dataclass(frozen=True)
class Trial:
    """One training of one strategy, and its results on one collection."""

    strategy: str
    seed: int
    collection: str
    results: Results


def ablate(
    model: "str | Path | SentenceTransformer",
    pairs: ParallelPairs | Sequence[ParallelPairs],
    output: str | Path,
    *,
    strategies: Mapping[str, Variant | Strategy | str] | Iterable[str],
    test: Collection | Sequence[Collection],
    seeds: Iterable[int] = (1, 2, 3),
    measures: Iterable[Measure | str] | None = None,
    settings: str | Iterable[KindName] | None = None,
    **options: Any,
) -> list[Trial]:
    """Train a model with each strategy and seed, alike in all else, and evaluate every result.

    `output` gets ``runs/STRATEGY-SEED``, a folder of `bh.train` each, without its checkpoints, and
    ``results/COLLECTION/STRATEGY-SEED``, its `Results`. Trainings and results that exist are not
    made again, so that a killed run can be resumed. Strategies that differ only in their wrapper
    are trained once, in the folder of the first.

    Parameters
    ----------
    strategies
        Names such as ``"x-x-mono"`` and ``"hybrid:alpha=0.4"``, or a mapping from names to
        strategies or `bh.Variant`, which have options of their own. Suffixes name variants too:
        ``+adapters`` is an adapter for each language, together as many steps as the others take,
        ``+layers=0,1`` LoRA of these layers of the text tower, ``+frozen`` a vision tower that is
        not trained, and ``+tip`` the trained model with a `TipCache` of the training pairs.
    test
        The collections to evaluate on; several must have different names.
    measures, settings
        Of `bh.evaluate`.
    options
        Of `bh.train`, for all rows. ``max_steps`` is needed: epochs of strategies differ in length.

    Examples
    --------
    >>> trials = ablate(  # doctest: +SKIP
    ...     "intfloat/multilingual-e5-small", pairs, "ablation", max_steps=300,
    ...     strategies=["x-x-mono", "x-y", "hybrid"], test=bh.load("xquad-r"),
    ... )
    >>> [(trial.strategy, trial.seed) for trial in trials][:3]  # doctest: +SKIP
    [('x-x-mono', 1), ('x-y', 1), ('hybrid', 1)]
    """
    variants = _name_variants(strategies)
    collections = _check_collections(test)
    seeds = list(seeds)
    _check_ablation_options(seeds, options)
    pairs = pairs if isinstance(pairs, ParallelPairs) else join_pairs(pairs)
    names = None if measures is None else list(map(str, measures))
    evaluation = _Evaluation(Path(output) / RESULTS, names, _parse_kinds(settings, collections))
    trials = []
    for seed in seeds:  # the first seed of every strategy comes before the second of any
        for name, variant in variants.items():
            run = Path(output) / RUNS / f"{_find_trained_name(name, variants)}-{seed}"
            # A model that is passed loaded must be unchanged for the next training.
            start = model if isinstance(model, str | Path) else copy.deepcopy(model)
            fitted_model = variant.fit(
                start, pairs, run, strategy=variant.strategy, seed=seed,
                **variant.merge_options(options),
            )  # fmt: skip
            shutil.rmtree(run / CHECKPOINTS, ignore_errors=True)
            for collection in collections:
                make_encoder = partial(
                    variant.wrap or _return_model, fitted_model, pairs, collection
                )
                results = evaluation.load_or_run(make_encoder, collection, f"{name}-{seed}", run)
                trials.append(Trial(name, seed, collection.name, results))
    return trials


def tabulate_trials(
    trials: Sequence[Trial], columns: Mapping[str, tuple[Measure | str, KindName]]
) -> Iterator[list[str]]:
    """Yield a row for each collection and strategy: means over seeds, and standard deviations.

    `columns` maps headings to a measure and the kind of settings.
    """
    for collection in dict.fromkeys(trial.collection for trial in trials):
        for strategy in dict.fromkeys(trial.strategy for trial in trials):
            results = [
                trial.results
                for trial in trials
                if (trial.strategy, trial.collection) == (strategy, collection)
            ]
            row = [collection, strategy]
            for measure, kind in columns.values():
                means = [_get_mean(seed_results, measure, kind) for seed_results in results]
                row.append(_format_mean([mean for mean in means if mean is not None]))
            yield row


def _get_mean(results: Results, measure: Measure | str, kind: KindName) -> float | None:
    estimates = {str(name): estimate for name, estimate in results.summary().get(kind, {}).items()}
    estimate = estimates.get(str(measure))
    return None if estimate is None else estimate.mean


def _format_mean(values: Sequence[float]) -> str:
    """Return the mean, and the standard deviation if there is more than one value."""
    if not values:
        return "-"
    digits = 4 if abs(np.mean(values)) < 10 else 1  # noqa: PLR2004 - shares, or ranks
    mean = f"{np.mean(values):,.{digits}f}"
    return mean if len(values) == 1 else f"{mean} ± {np.std(values, ddof=1):.{digits}f}"


def _name_variants(
    strategies: Mapping[str, Variant | Strategy | str] | Iterable[str],
) -> dict[str, Variant]:
    """Return variants by names that folders can have."""
    if isinstance(strategies, str):
        raise BadOption(f"strategies is the text {strategies!r}; give a list of names")
    items = strategies.items() if isinstance(strategies, Mapping) else ((s, s) for s in strategies)
    variants: dict[str, Variant] = {}
    for name, row in items:
        label = _make_folder_name(str(name))
        if not label or label in variants:
            raise BadOption(f"{name!r} cannot name a strategy: its folder's name is empty or taken")
        variants[label] = parse_variant(row)
        if conflicts := FIXED_OPTIONS & variants[label].options.keys():
            raise BadOption(f"{name}: {min(conflicts)} is no option of one strategy alone")
    if not variants:
        raise BadOption("no strategies are named")
    return variants


def _check_ablation_options(seeds: Sequence[int], options: Mapping[str, object]) -> None:
    """Raise `BadOption` for seeds that repeat, and for options that ablate sets or needs."""
    if not seeds or len(set(seeds)) < len(seeds):
        raise BadOption(f"seeds are {seeds}; name one or more, each once")
    if conflicts := FIXED_OPTIONS - {"max_steps"} & options.keys():
        raise BadOption(f"{min(conflicts)} is varied by ablate; it cannot be an option of it")
    if "max_steps" not in options:
        raise BadOption("ablate needs max_steps: epochs of strategies differ in length")


def _check_collections(test: Collection | Sequence[Collection]) -> list[Collection]:
    """Return the test collections; raise unless there are some, with names that differ."""
    collections = [test] if isinstance(test, Collection) else list(test)
    if not collections:
        raise BadOption("ablate needs a collection to evaluate on: test is empty")
    if len({_make_folder_name(collection.name) for collection in collections}) < len(collections):
        raise BadOption("two of the test collections have the same name; rename one")
    return collections


def _parse_kinds(
    settings: str | Iterable[KindName] | None, collections: Iterable[Collection]
) -> list[Any] | None:
    """Return the kinds of settings; raise, before anything is trained, if one cannot be had."""
    if settings is None:
        return None
    kinds: list[Any] = list(split_words(settings) if isinstance(settings, str) else settings)
    for collection in collections:
        collection.resolve().list_kinds(kinds)
    return kinds


def _find_trained_name(name: str, variants: Mapping[str, Variant]) -> str:
    """Return the name of the first variant with the same training, whatever its wrapper."""
    training = replace(variants[name], wrap=None)
    return next(
        label for label, variant in variants.items() if replace(variant, wrap=None) == training
    )


def _return_model(model: object, _pairs: ParallelPairs, _collection: Collection) -> object:
    return model


def _make_folder_name(name: str) -> str:
    """Return a name for a folder: without separators, and not hidden."""
    return re.sub(r"[^\w.=+-]+", "-", name).strip(".-")


@dataclass(frozen=True)
class _Evaluation:
    """The measures and kinds of settings of all trials, and the folder for their results."""

    folder: Path
    measures: list[str] | None
    kinds: list[Any] | None

    def load_or_run(
        self, make_encoder: Callable[[], object], collection: Collection, name: str, run: Path
    ) -> Results:
        """Return results of a trial: saved ones of the same model, data and measures, or new."""
        folder = self.folder / _make_folder_name(collection.name) / name
        key: dict[str, Any] = {
            "trained": list_trained_files(run),
            "collection": hash_collection(collection),
            "measures": self.measures,
        }
        if self.kinds is not None:
            key["settings"] = self.kinds
        text = json.dumps(key)
        with file_lock(folder):
            if (stored_results := load_stamped(folder, text)) is not None:
                return stored_results
            # The model is evaluated once, so its embeddings are not kept.
            with tempfile.TemporaryDirectory(prefix="beir-hybrid-") as store:
                results = evaluate(
                    make_encoder(), collection, measures=self.measures, settings=self.kinds,
                    store=store, name=folder.name,
                )  # fmt: skip
            save_stamped(results, folder, text)
        return results
