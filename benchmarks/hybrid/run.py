"""Train and evaluate the variants and seeds of an experiment, and record their cost.

A folder gets ``experiment.json``, ``start`` (the model that all trainings start from), ``runs`` and
``results`` as `bh.ablate` has them, ``cost/LABEL-SEED.json``, and ``notes.json`` with the variants
that cannot be tested and the article of each query. Finished parts are not made again.
"""

import json
import logging
import resource
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ir_measures import AP, R

import beir_hybrid as bh
from beir_hybrid.calibration.methods import parse_method
from beir_hybrid.collection.setting import KindName
from beir_hybrid.errors import BadOption
from beir_hybrid.files import atomic_file
from beir_hybrid.measures.bias.language_preference import LanguagePreference
from beir_hybrid.measures.bias.rank_distance import RankDistance
from beir_hybrid.measures.bias.same_language_share import SameLanguageShare
from beir_hybrid.results.storage import RESULTS as RESULTS_FILE
from benchmarks.hybrid.article_split import ArticleSplit, number_articles
from benchmarks.hybrid.experiment import Experiment, Variant, join_method
from benchmarks.hybrid.lexicon import MINIMAL_COVERAGE
from benchmarks.hybrid.material import Material
from benchmarks.hybrid.processes import train_with_processes
from benchmarks.hybrid.start_models import (
    average_weights,
    build_start_model,
    load_without_dropout,
)

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


logger = logging.getLogger(__name__)

MEASURES = (
    AP,
    R @ 1,
    R @ 10,
    RankDistance,
    RankDistance(normalized=True),
    LanguagePreference,
    SameLanguageShare @ 10,
)
SETTINGS: tuple[KindName, ...] = ("mono", "cross", "multi", "one-target")
EXPERIMENT, NOTES, COST, START = "experiment.json", "notes.json", "cost", "start"
UNTRAINED = "untrained"
RUNS, RESULTS, MODEL = "runs", "results", "model"  # as `bh.ablate` and `bh.train` name them
# Fields of an experiment that all its runs depend on.
_SHARED_FIELDS = ("arm", "encoder", "steps", "batch_size", "learning_rate", "max_length", "preset",
                  "weight_decay", "loss", "dev_steps", "bf16", "tuning", "dropout",
                  "model")  # fmt: skip


def run_experiment(
    experiment: Experiment,
    output: Path,
    *,
    model: str | None = None,
    seeds: Sequence[int] = (),
    split: ArticleSplit | None = None,
) -> None:
    """Train and evaluate everything that is missing, one seed after the other.

    Parameters
    ----------
    model
        A folder or name to start from instead of the experiment's encoder.
    seeds
        Some of the experiment's seeds, so that several processes share the work; all by default.
    split
        See `Material`.
    """
    material = Material(experiment, split)
    claim_folder(experiment, model, output)
    texts = (text for text, _ in list_tokenizer_texts(experiment, material))
    start_model = model or build_start_model(experiment.encoder, texts, output / START)
    notes = _write_notes(experiment, material) | {
        "articles": {
            name: number_articles(material.load_collection(name, "sentence")).tolist()
            for name in experiment.collections
        }
    }
    _write_json(output / NOTES, notes)
    _evaluate_all(start_model, material, UNTRAINED, 0, output, preset=experiment.preset)
    for seed in seeds or experiment.seeds:
        for variant in experiment.variants:
            if variant.label not in notes["skipped"]:
                logger.info("%s: %s, seed %d", experiment.name, variant.label, seed)
                _run_variant(material, variant, seed, start_model, output)


def list_tokenizer_texts(experiment: Experiment, material: Material) -> list[tuple[str, str]]:
    """Return the texts that a tokenizer is trained on; only the static encoder trains one."""
    return material.texts if experiment.encoder == "static" else []


def claim_folder(experiment: Experiment, model: str | None, output: Path) -> None:
    """Record the experiment in its folder; raise `BadOption` if the folder is another's.

    Variants and seeds may be added later: earlier ones stay valid, and stay recorded.
    """
    stored = json.loads(json.dumps(asdict(experiment) | {"model": model}))
    path = output / EXPERIMENT
    if path.is_file():
        # An older file lacks newer fields, which then had their defaults.
        defaults = {"bf16": False, "tuning": {}, "dropout": True}
        earlier = defaults | json.loads(path.read_text("utf-8"))
        changes = [key for key in _SHARED_FIELDS if stored[key] != earlier.get(key)]
        plain = asdict(Variant("", ""))
        old = {variant["label"]: plain | variant for variant in earlier["variants"]}
        new = {variant["label"]: variant for variant in stored["variants"]}
        changes += [label for label in new if old.get(label, new[label]) != new[label]]
        if changes:
            raise BadOption(
                f"{output} holds this experiment with another {' and '.join(changes)}; name "
                "another folder, or remove it"
            )
        stored["variants"] = [*(old | new).values()]
    _write_json(path, stored)


def _write_notes(experiment: Experiment, material: Material) -> dict[str, Any]:
    """Return the coverage of the lexicon, and the variants that a low coverage rules out."""
    labels = [variant.label for variant in experiment.variants if variant.switch]
    if not labels:
        return {"skipped": {}}
    coverage = material.compute_coverage()
    languages = material.load_split("sentence").collection.languages
    reason = f"the lexicon has {coverage:.1%} of the words, less than {MINIMAL_COVERAGE:.0%}"
    skipped = dict.fromkeys(labels, reason) if coverage < MINIMAL_COVERAGE else {}
    return {
        "skipped": skipped,
        "coverage": coverage,
        "by language": {language: material.compute_coverage(language) for language in languages},
        "entries": len(material.lexicon.entries),
    }


def _run_variant(
    material: Material, variant: Variant, seed: int, start_model: str, output: Path
) -> None:
    """Train and evaluate a variant with a seed, and record the cost."""
    experiment = material.experiment
    cost = output / COST / f"{variant.label}-{seed}.json"
    if cost.is_file():
        return
    trained = experiment.find_trained(variant)
    run = output / RUNS / f"{trained.label}-{seed}"
    is_resumed = run.exists() or _first_stage_folder(run).exists()
    start, start_cpu = time.perf_counter(), _measure_cpu()
    model = _train_variant(material, trained, seed, start_model, run)
    if variant.weights_of:
        average_weights(model, start_model, variant.start_share)
    seconds = {"training": round(time.perf_counter() - start, 2)}
    _evaluate_all(model, material, variant.label, seed, output, variant.passage_text)
    seconds["whole"] = round(time.perf_counter() - start, 2)
    seconds["cpu"] = round(_measure_cpu() - start_cpu, 2)
    steps = variant.steps or experiment.steps
    _write_json(cost, {**seconds, "steps": steps, "resumed": is_resumed})


def _first_stage_folder(run: Path) -> Path:
    return run.with_name(f"{run.name}-first")


def _train_variant(
    material: Material, variant: Variant, seed: int, start_model: str, run: Path
) -> "SentenceTransformer":
    """Train a variant in one stage or two, and return the model."""
    pairs = material.load_pairs(variant.passage_text)
    steps, first_steps = variant.steps or material.experiment.steps, 0
    if variant.first is not None:
        first_steps = max(1, round(steps * variant.first.share))
        options = _build_options(material, variant, first_steps)
        folder, strategy = _first_stage_folder(run), variant.first.strategy
        start = _load_start(start_model, material.experiment)
        bh.train(start, pairs, folder, strategy=strategy, seed=seed, **options)
        start_model = str(folder / MODEL)
    options = _build_options(material, variant, steps - first_steps)
    options |= {"strategy": material.build_strategy(variant), "seed": seed}
    if variant.ranks is None:
        return bh.train(_load_start(start_model, material.experiment), pairs, run, **options)
    return train_with_processes(start_model, pairs, run, ranks=variant.ranks, **options)


def _load_start(name: str, experiment: Experiment) -> "str | SentenceTransformer":
    return name if experiment.dropout else load_without_dropout(name)


def use_precision(experiment: Experiment) -> AbstractContextManager[object]:
    """Compute products in bfloat16 within a block, if the experiment's trainings do."""
    import torch

    return torch.autocast(find_device(), torch.bfloat16, enabled=experiment.bf16)


def find_device() -> str:
    """Return ``cuda`` or ``cpu``."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _evaluate_all(
    model: "str | SentenceTransformer",
    material: Material,
    label: str,
    seed: int,
    output: Path,
    passage_text: str = "sentence",
    **options: Any,
) -> None:
    """Evaluate a model on every collection, as it is and with each calibration; save the results.

    Texts are as long as the model reads them, whatever the length in training.
    """
    experiment = material.experiment
    for name in experiment.collections:
        folders = {
            method: output / RESULTS / name / f"{join_method(label, method)}-{seed}"
            for method in experiment.methods
        }
        missing = {
            method: folder
            for method, folder in folders.items()
            if not (folder / RESULTS_FILE).is_file()
        }
        # A model is encoded with once, so its embeddings are not kept.
        with tempfile.TemporaryDirectory(prefix="beir-hybrid-") as store:
            for method, folder in missing.items():
                with use_precision(experiment):
                    results = bh.evaluate(
                        model,
                        material.load_collection(name, passage_text),
                        measures=MEASURES,
                        settings=_choose_settings(method),
                        store=store,
                        name=folder.name,
                        calibration=method or None,
                        **options,
                    )
                results.save(folder)


def _choose_settings(method: str) -> tuple[KindName, ...]:
    """Return the kinds of settings to evaluate; a merged pool cannot drop passages."""
    is_merged = bool(method) and parse_method(method).merge is not None
    return tuple(kind for kind in SETTINGS if not is_merged or kind != "one-target")


def _build_options(material: Material, variant: Variant, steps: int) -> dict[str, Any]:
    """Return the options of `bh.train`."""
    experiment = material.experiment
    bf16 = experiment.bf16 if variant.bf16 is None else variant.bf16
    options: dict[str, Any] = {
        "max_steps": steps,
        "per_device_train_batch_size": experiment.batch_size,
        "learning_rate": variant.learning_rate or experiment.learning_rate,
        "weight_decay": experiment.weight_decay,
        "warmup_steps": steps // 10,
        "bf16": bf16,
        "use_cpu": bf16 and find_device() == "cpu",  # without it bf16 is refused there
        "tuning": {**(variant.tuning or experiment.tuning)},
        "dataloader_drop_last": True,
        "loss": {**experiment.loss, **variant.loss},
        "encoder": {"max_length": experiment.max_length, "preset": experiment.preset},
        "save_strategy": "no",
        "logging_strategy": "no",
        "report_to": [],
        "disable_tqdm": True,
    }
    if experiment.dev_steps:
        options |= {
            "dev": bh.DevSet(
                material.load_collection("mlqa-r-dev", variant.passage_text),
                measures=[AP, RankDistance],
                primary="multi_AP",
            ),
            "eval_strategy": "steps",
            "eval_steps": experiment.dev_steps,
            "load_best_model_at_end": False,
        }
    return options


def _measure_cpu() -> float:
    """Return the processor seconds of this process and its children so far."""
    usages = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def _write_json(path: Path, stored: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as temporary:
        temporary.write_text(json.dumps(stored, indent=1, ensure_ascii=False) + "\n", "utf-8")
