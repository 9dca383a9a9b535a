"""An experiment in; every variant and seed trained and judged, and what each cost, out.

A folder gets ``experiment.json``, ``start`` (the model that all start from), ``runs`` and
``results`` of `bh.ablate`, ``cost/LABEL-SEED.json`` and ``notes.json``, the variants that
cannot be tested and why. What is there already is not made again.
"""

import json
import logging
import resource
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ir_measures import AP, R

from beir_hybrid.collection.setting import KindName
from beir_hybrid.errors import BadOption
from beir_hybrid.files import atomic_file
from beir_hybrid.measures.language_preference import LanguagePreference
from beir_hybrid.measures.rank_distance import RankDistance
from beir_hybrid.measures.same_language_share import SameLanguageShare
from beir_hybrid.results.storage import RESULTS as RESULTS_FILE
from benchmarks.hybrid import data, ntrex, ranks
from benchmarks.hybrid.encoders import start
from benchmarks.hybrid.experiment import Experiment, Variant
from benchmarks.hybrid.lexicon import TESTABLE, coverage, lexicon_of, switch_of

if TYPE_CHECKING:
    from beir_hybrid.batches.strategies import Strategy
    from beir_hybrid.collection import Collection
    from beir_hybrid.pairs.code_switching import Lexicon
    from beir_hybrid.pairs.parallel_pairs import ParallelPairs

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
RUNS, RESULTS, MODEL = "runs", "results", "model"  # as `bh.ablate` and `bh.train` have them


class Material:
    """What the runs of an experiment have in common, each made when it is first needed.

    Parameters
    ----------
    split
        What to train on and judge on, whatever the experiment says: of a smaller collection.
    """

    def __init__(self, experiment: Experiment, split: data.Split | None = None) -> None:
        self.experiment, self.given = experiment, split
        self._splits: dict[str, data.Split] = {}
        self._pairs: dict[str, ParallelPairs] = {}
        self._judged: dict[tuple[str, str], Collection] = {}

    def split(self, passage_text: str) -> data.Split:
        """Return MLQA-R, split."""
        if passage_text not in self._splits:
            self._splits[passage_text] = self.given or data.mlqa_r(passage_text)
        return self._splits[passage_text]

    def pairs(self, passage_text: str) -> "ParallelPairs":
        """Return what the experiment's arm trains on."""
        import beir_hybrid as bh

        if passage_text not in self._pairs:
            parts = [self.split(passage_text).pairs("train")]
            if self.experiment.arm != "A" and self.given is None:
                texts = ntrex.lines()
                if self.experiment.arm == "B":
                    parts.append(ntrex.sentences(texts))
                parts.append(ntrex.following(texts, ntrex.documents()))
            self._pairs[passage_text] = bh.join_pairs(parts)
        return self._pairs[passage_text]

    def judged(self, name: str, passage_text: str) -> "Collection":
        """Return what to judge on."""
        key = name, passage_text
        if key not in self._judged:
            self._judged[key] = (
                self.given.held_out(name.rpartition("-")[2])
                if self.given
                else data.judged(name, passage_text)
            )
        return self._judged[key]

    @cached_property
    def texts(self) -> list[tuple[str, str]]:
        """The training texts, each with its language: of MLQA-R all passages of the articles."""
        found = self.split("sentence").texts("train")
        if self.experiment.arm != "A" and self.given is None:
            found += [(text, lang) for lang, some in ntrex.lines().items() for text in some]
        return found

    @cached_property
    def lexicon(self) -> "Lexicon":
        """The lexicon of NTREX, in the languages of the arm: others stay unseen."""
        langs = ntrex.LANGUAGES
        if self.experiment.arm == "A":
            langs = tuple(
                lang for lang in langs if lang in self.split("sentence").collection.languages
            )
        return lexicon_of(ntrex.lines(langs))

    def coverage(self, lang: str | None = None) -> float:
        """Return the share of MLQA-R's training words, of a language or all, in the lexicon."""
        texts = self.split("sentence").texts("train")
        return coverage(self.lexicon, [one for one in texts if lang in (None, one[1])])

    def strategy(self, variant: Variant) -> "Strategy":
        """Return a variant's strategy, with what switches words."""
        made = variant.made()
        if not variant.switch:
            return made
        return replace(made, code_switch=switch_of(self.lexicon, variant.switch))


def run(
    experiment: Experiment,
    output: Path,
    *,
    model: str | None = None,
    split: data.Split | None = None,
) -> None:
    """Train and judge whatever is not there yet; seeds one after the other.

    Parameters
    ----------
    model
        A folder or name to start from in place of the experiment's encoder.
    split
        See `Material`.
    """
    material = Material(experiment, split)
    _claim(experiment, model, output)
    begin = model or start(
        experiment.encoder, (text for text, _ in _texts(experiment, material)), output / START
    )
    notes = _notes(experiment, material)
    _write(output / NOTES, notes)
    for name in experiment.judged:
        folder = output / RESULTS / name / f"{UNTRAINED}-0"
        if not (folder / RESULTS_FILE).is_file():
            options = {"max_length": experiment.max_length, "preset": experiment.preset}
            with _precision(experiment):
                _judge(begin, material.judged(name, "sentence"), folder, **options)
    for seed in experiment.seeds:
        for variant in experiment.variants:
            if variant.label not in notes["skipped"]:
                logger.info("%s: %s, seed %d", experiment.name, variant.label, seed)
                _one(experiment, material, variant, seed, begin, output)


def _texts(experiment: Experiment, material: Material) -> list[tuple[str, str]]:
    """Return what a tokenizer is trained on, if one is."""
    return material.texts if experiment.encoder == "static" else []


# What runs depend on, beside their variant.
_FIXED = ("arm", "encoder", "steps", "batch_size", "learning_rate", "max_length", "preset",
          "weight_decay", "loss", "dev_steps", "bf16", "model")  # fmt: skip


def _claim(experiment: Experiment, model: str | None, output: Path) -> None:
    """Write down whose folder it is, or raise `BadOption` if it is another experiment's.

    More variants and seeds may come: what is there stays good, and stays written down.
    """
    stored = json.loads(json.dumps(asdict(experiment) | {"model": model}))
    path = output / EXPERIMENT
    if path.is_file():
        # Fields that came after it was written have what they are by default.
        there = {"bf16": False} | json.loads(path.read_text("utf-8"))
        changed = [key for key in _FIXED if stored[key] != there.get(key)]
        plain = asdict(Variant("", ""))
        old = {one["label"]: plain | one for one in there["variants"]}
        new = {one["label"]: one for one in stored["variants"]}
        changed += [label for label in new if old.get(label, new[label]) != new[label]]
        if changed:
            raise BadOption(
                f"{output} holds this experiment with another {' and '.join(changed)}; name "
                "another folder, or remove it"
            )
        stored["variants"] = [*(old | new).values()]
    _write(path, stored)


def _notes(experiment: Experiment, material: Material) -> dict[str, Any]:
    """Return what the lexicon covers, if one is used, and which variants it makes untestable."""
    switched = [variant.label for variant in experiment.variants if variant.switch]
    if not switched:
        return {"skipped": {}}
    share = material.coverage()
    langs = material.split("sentence").collection.languages
    reason = f"the lexicon has {share:.1%} of the words, less than {TESTABLE:.0%}"
    skipped = dict.fromkeys(switched, reason) if share < TESTABLE else {}
    return {
        "skipped": skipped,
        "coverage": share,
        "by language": {lang: material.coverage(lang) for lang in langs},
        "entries": len(material.lexicon.entries),
    }


def _one(
    experiment: Experiment,
    material: Material,
    variant: Variant,
    seed: int,
    begin: str,
    output: Path,
) -> None:
    """Make one run, and write down what it took, unless it was begun before."""
    import beir_hybrid as bh

    cost = output / COST / f"{variant.label}-{seed}.json"
    if cost.is_file():
        return
    run = output / RUNS / f"{variant.label}-{seed}"
    first = run.with_name(f"{run.name}-first")
    resumed = run.exists() or first.exists()
    before, began, used = 0, time.perf_counter(), _cpu()
    pairs = material.pairs(variant.passage_text)
    steps = variant.steps or experiment.steps
    if variant.first is not None:
        before = max(1, round(steps * variant.first.share))
        options = _options(experiment, material, variant, before)
        bh.train(begin, pairs, first, strategy=variant.first.strategy, seed=seed, **options)
        begin = str(first / MODEL)
    options = _options(experiment, material, variant, steps - before)
    strategy = material.strategy(variant)
    given = {"strategy": strategy, "seed": seed, **options}
    if variant.ranks is None:
        trained = bh.train(begin, pairs, run, **given)
    else:
        trained = ranks.train(begin, pairs, run, ranks=variant.ranks, **given)
    spent = {"training": round(time.perf_counter() - began, 2)}
    for name in experiment.judged:
        folder = output / RESULTS / name / run.name
        if not (folder / RESULTS_FILE).is_file():
            with _precision(experiment):
                _judge(trained, material.judged(name, variant.passage_text), folder)
    spent |= {"whole": round(time.perf_counter() - began, 2), "cpu": round(_cpu() - used, 2)}
    _write(cost, spent | {"steps": steps, "resumed": resumed})


def _precision(experiment: Experiment) -> Any:
    """Return what products are taken in while it is entered, as the trainer's ``bf16`` does."""
    import torch

    return torch.autocast(_device(), torch.bfloat16, enabled=experiment.bf16)


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _judge(model: Any, collection: "Collection", folder: Path, **options: Any) -> None:
    """Evaluate in all settings."""
    import beir_hybrid as bh

    # Of a model that is judged once the embeddings are not kept.
    with tempfile.TemporaryDirectory(prefix="beir-hybrid-") as store:
        results = bh.evaluate(
            model,
            collection,
            measures=MEASURES,
            settings=SETTINGS,
            store=store,
            name=folder.name,
            **options,
        )
    results.save(folder)


def _options(
    experiment: Experiment, material: Material, variant: Variant, steps: int
) -> dict[str, Any]:
    """Return what `bh.train` is given."""
    found: dict[str, Any] = {
        "max_steps": steps,
        "per_device_train_batch_size": experiment.batch_size,
        "learning_rate": variant.learning_rate or experiment.learning_rate,
        "weight_decay": experiment.weight_decay,
        "warmup_steps": steps // 10,
        "bf16": experiment.bf16,
        "use_cpu": experiment.bf16 and _device() == "cpu",  # without it bf16 is refused there
        "dataloader_drop_last": True,
        "loss": {**experiment.loss, **variant.loss},
        "encoder": {"max_length": experiment.max_length, "preset": experiment.preset},
        "save_strategy": "no",
        "logging_strategy": "no",
        "report_to": [],
        "disable_tqdm": True,
    }
    if experiment.dev_steps:
        import beir_hybrid as bh

        found |= {
            "dev": bh.DevSet(
                material.judged("mlqa-r-dev", variant.passage_text),
                measures=[AP, RankDistance],
                primary="multi_AP",
            ),
            "eval_strategy": "steps",
            "eval_steps": experiment.dev_steps,
            "load_best_model_at_end": False,
        }
    return found


def _cpu() -> float:
    """Return the processor seconds of this process and of its children so far."""
    return sum(
        used.ru_utime + used.ru_stime
        for used in (
            resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        )
    )


def _write(path: Path, stored: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as temporary:
        temporary.write_text(json.dumps(stored, indent=1, ensure_ascii=False) + "\n", "utf-8")
