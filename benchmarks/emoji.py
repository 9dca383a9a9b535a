"""Strategies on real images, with seeds and intervals: does hybrid training help there too.

The folder of images is beside the mirror of `BEIR_HYBRID_MIRROR`; `emoji.toml` has the question and
all settings. Finished runs are kept in ``bench-results/emoji``, so an interrupted benchmark
continues.
"""

import contextlib
import io
import json
import os
import shutil
import time
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

import beir_hybrid as bh
from beir_hybrid.collection.setting import KindName
from beir_hybrid.files import atomic_folder
from beir_hybrid.results.results import Results
from beir_hybrid.results.statistics import estimate_interval
from beir_hybrid.results.values import Values, average
from beir_hybrid.sources.image_text import CaptionedImage, build_image_collection

if TYPE_CHECKING:
    from beir_hybrid.batches.strategies import Strategy

FOLDER = Path(__file__).parent
RUNS = FOLDER.parent / "bench-results" / "emoji"
PLAN = tomllib.loads((FOLDER / "emoji.toml").read_text("utf-8"))
UNSEEN = set(PLAN["unseen"])
Rows = list[dict[str, Any]]
MEASURES = ["AP", "R@1", "R@10", "Success@1", "RankDistance", "LanguageDisparity",
            "ModalityShare@10"]  # fmt: skip


class Column(NamedTuple):
    """A column: its heading, a measure, a kind of setting, and whether its languages were trained.

    Without `is_seen`, all languages count.
    """

    heading: str
    measure: str
    kind: KindName
    is_seen: bool | None = None


COLUMNS = [
    Column("T2I R@1 seen", "R@1", "text-image", True),
    Column("T2I R@10 seen", "R@10", "text-image", True),
    Column("T2I R@10 unseen", "R@10", "text-image", False),
    Column("I2T R@10 seen", "R@10", "image-text", True),
    Column("caption-caption AP", "AP", "cross", True),
    Column("pool AP", "AP", "image-pool"),
    Column("pool rank distance", "RankDistance", "image-pool"),
    Column("disparity", "LanguageDisparity", "text-image"),
    Column("mixed: share of images", "ModalityShare@10", "mixed"),
]


def main() -> None:
    """Train, evaluate and print."""
    folder = _find_folder()
    rows = [json.loads(line) for line in (folder / "captions.jsonl").open(encoding="utf-8")]
    train, test = split_images(rows)
    print(f"{len(rows):,} pictograms, {len(test)} of them held out; names in "
          f"{len(rows[0]['captions'])} languages, {', '.join(sorted(UNSEEN))} never trained on.\n"
          f"Seeds {PLAN['seeds']}; a random ranking has R@10 {10 / len(test):.3f}.")  # fmt: skip
    print(f"Question: {PLAN['question']}\nPrediction: {' '.join(PLAN['prediction'].split())}\n")
    compare_conditions(folder, train, test)
    compare_domains(folder, rows)


def compare_conditions(folder: Path, train: Rows, test: Rows) -> None:
    """Evaluate every condition on held-out images, and on training images in unseen languages."""
    collections = {
        "held": build_collection("emoji-held-out", folder, test),
        "known": build_collection("emoji-known-unseen", folder, train[: len(test)], UNSEEN),
    }
    results: dict[str, dict[str, list[Results]]] = {name: {} for name in collections}
    for seed in PLAN["seeds"]:
        trial = Trial(RUNS / f"seed-{seed}", folder, train, seed)
        for condition in CONDITIONS:
            for name, images in collections.items():
                by_seed = results[name].setdefault(condition, [])
                by_seed.append(trial.evaluate(condition, name, images))
    print("Held-out images: mean over seeds, with its 95% interval over images.\n")
    print_results(results["held"], COLUMNS)
    print(f"\n{len(train[: len(test)])} training images, names in languages without training.\n")
    columns = [Column("T2I R@1", "R@1", "text-image"), Column("T2I R@10", "R@10", "text-image")]
    print_results(results["known"], columns)


def compare_domains(folder: Path, rows: Rows) -> None:
    """Train on one half of the clusters; evaluate on held-out images of both halves."""
    halves: dict[str, Rows] = {"living": [], "things": []}
    counts: dict[str, int] = {}
    for row in rows:
        half, cluster = find_cluster(row)
        halves[half].append(row)
        counts[f"{half}/{cluster}"] = counts.get(f"{half}/{cluster}", 0) + 1
    clusters = ", ".join(f"{name} {count}" for name, count in counts.items())
    print(f"\nDomain shift. Clusters: {clusters}.\n")
    results: dict[str, list[Results]] = {}
    (train, living), things = split_images(halves["living"]), split_images(halves["things"])[1]
    size = min(len(living), len(things))
    for seed in PLAN["seeds"]:
        trial = Trial(RUNS / f"shift-{seed}", folder, train, seed)
        for condition in ("x-image", "hybrid-image"):
            for label, test in (("living", living[:size]), ("things", things[:size])):
                images = build_collection(f"emoji-{label}", folder, test)
                by_seed = results.setdefault(f"{condition}, on {label}", [])
                by_seed.append(trial.evaluate(condition, label, images))
    print(f"Trained on {len(train)} images of living; {size} held-out images of each half.\n")
    print_results(results, COLUMNS[:3] + COLUMNS[5:8])


def find_cluster(row: Mapping[str, Any]) -> tuple[str, str]:
    """Return the half and cluster of an image, by its English keywords; the last takes the rest."""
    words = set(row["keywords"]["en"])
    return next(
        (half, name)
        for half, clusters in PLAN["clusters"].items()
        for name, keywords in clusters.items()
        if not keywords or words & set(keywords)
    )


def split_images(rows: Rows) -> tuple[Rows, Rows]:
    """Return training and held-out images, by their ids."""
    numbers = [int(sha256(row["id"].encode()).hexdigest()[:8], 16) / 2**32 for row in rows]
    numbered = list(zip(numbers, rows, strict=True))
    test = [row for number, row in numbered if number < PLAN["held_out"]]
    train = [row for number, row in numbered if number >= PLAN["held_out"]]
    return train, test


def build_collection(
    name: str, folder: Path, rows: Rows, languages: Iterable[str] = ()
) -> bh.Collection:
    """Return some images with their names in some languages, or in all."""
    selected = set(languages) or set(rows[0]["captions"])
    captioned = [
        CaptionedImage(
            row["id"],
            folder / row["image"],
            {lang: [text] for lang, text in row["captions"].items() if lang in selected},
            row["id"],
        )
        for row in rows
    ]
    names = sha256(repr(captioned).encode()).hexdigest()
    return build_image_collection(
        name, captioned, {"names": names}, licence="Noto Emoji, Apache 2.0; CLDR"
    )


class Trial:
    """A start model, and everything that is trained from it with one seed."""

    def __init__(self, folder: Path, images: Path, train: Rows, seed: int) -> None:
        self.folder, self.seed, self.rows = folder, seed, train
        languages = set(train[0]["captions"]) - UNSEEN
        collection = build_collection("emoji-train", images, train, languages)
        self.pairs = bh.pairs_from_collection(collection)
        english = replace(bh.parse_strategy("x-image"), languages=("en",))
        untrained = build_untrained_model(folder / "fresh", train, languages, seed)
        with _silence():
            self.start = self.train("start", untrained, english, PLAN["start"])

    @property
    def languages(self) -> set[str]:
        """The training languages."""
        return set(self.rows[0]["captions"]) - UNSEEN

    def train(
        self, name: str, model: Path, strategy: "str | Strategy", schedule: Mapping[str, Any]
    ) -> Path:
        """Train, unless it is done, and return the model's folder."""
        output = self.folder / name
        bh.train(str(model), self.pairs, output, strategy=strategy, **self.build_options(schedule))
        shutil.rmtree(output / "checkpoints", ignore_errors=True)
        return output / "model"

    def build_options(self, schedule: Mapping[str, Any]) -> dict[str, Any]:
        """Return the trainer's options."""
        return {
            "max_steps": schedule["steps"],
            "learning_rate": schedule["learning_rate"],
            "warmup_ratio": 0.1,
            "per_device_train_batch_size": PLAN["training"]["batch_size"],
            "loss": {"temperature": PLAN["training"]["temperature"]},
            "seed": self.seed,
            "dataloader_drop_last": True,
            "save_strategy": "no",
            "logging_strategy": "no",
            "report_to": [],
            "disable_tqdm": True,
            "use_cpu": True,
            "encoder": {"device": "cpu"},
        }

    def evaluate(self, condition: str, label: str, collection: bh.Collection) -> Results:
        """Return the results of a condition, from disk if it was evaluated before."""
        folder = self.folder / "results" / f"{condition}-{label}"
        if (folder / "results.json").is_file():
            return Results.load(folder)
        start = time.perf_counter()
        with _silence():
            model = CONDITIONS[condition](self, collection)
        results = bh.evaluate(model, collection, measures=MEASURES, name=condition,
                              store=self.folder / "store")  # fmt: skip
        results.save(folder)
        shutil.rmtree(self.folder / "store", ignore_errors=True)
        seconds = time.perf_counter() - start
        print(f"# seed {self.seed} {condition} {label}: {seconds:.0f} s")
        return results


def build_untrained_model(folder: Path, rows: Rows, languages: set[str], seed: int) -> Path:
    """Save a model of two small towers with random weights, and tokens of training names."""
    if folder.is_dir():
        return folder
    import torch
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPProcessor

    names = (row["captions"][language] for row in rows for language in sorted(languages))
    tokenizer = _train_tokenizer(names)
    plan = PLAN["model"]
    towers = {
        "hidden_size": plan["width"],
        "num_hidden_layers": plan["layers"],
        "num_attention_heads": plan["heads"],
        "intermediate_size": 4 * plan["width"],
        "projection_dim": plan["projection"],
    }
    texts = {"vocab_size": len(tokenizer), "max_position_embeddings": plan["tokens"],
             "pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3}  # fmt: skip
    images = {"image_size": plan["image_size"], "patch_size": plan["patch"]}
    config = CLIPConfig(
        text_config=towers | texts,
        vision_config=towers | images,
        projection_dim=plan["projection"],
    )
    # transformers leaves these constructors untyped.
    image_processor_class: Any = CLIPImageProcessor
    processor_class: Any = CLIPProcessor
    crop = {"height": plan["image_size"], "width": plan["image_size"]}
    image_processor = image_processor_class(
        size={"shortest_edge": plan["image_size"]}, crop_size=crop
    )
    with atomic_folder(folder) as temporary:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            CLIPModel(config).save_pretrained(temporary)
        processor_class(image_processor, tokenizer).save_pretrained(temporary)
    return folder


def _train_tokenizer(texts: Iterable[str]) -> Any:
    """Return a BPE tokenizer for transformers."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    plan = PLAN["model"]
    tokenizer: Any = Tokenizer(models.BPE(unk_token="[UNK]"))  # noqa: S106 - no password
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    special = ["[PAD]", "[UNK]", "[BOS]", "[EOS]"]
    trainer = trainers.BpeTrainer(
        vocab_size=plan["vocabulary"], special_tokens=special, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[BOS] $A [EOS]", special_tokens=[("[BOS]", 2), ("[EOS]", 3)]
    )
    roles = {"pad_token": "[PAD]", "unk_token": "[UNK]", "bos_token": "[BOS]", "eos_token": "[EOS]"}
    fast_class: Any = PreTrainedTokenizerFast  # untyped
    return fast_class(tokenizer_object=tokenizer, model_max_length=plan["tokens"], **roles)


Condition = Callable[[Trial, bh.Collection], Any]  # a model or encoder for a collection


def _train_condition(name: str, strategy: str) -> Condition:
    return lambda trial, _: trial.train(name, trial.start, strategy, PLAN["training"])


def _train_code_switched(trial: Trial, _: bh.Collection) -> Path:
    """Train on hybrid batches whose captions have words of other languages."""
    lexicon = [
        {
            language: name
            for language, name in row["captions"].items()
            if language in trial.languages and " " not in name
        }
        for row in trial.rows
    ]
    lexicon = [words for words in lexicon if len(words) > 1]
    switch = bh.code_switch(PLAN["switch"]["probability"], lexicon, on="both")
    strategy = bh.parse_strategy("hybrid-image", code_switch=switch)
    return trial.train("switched", trial.start, strategy, PLAN["training"])


def _train_early_layer(trial: Trial, _: bh.Collection) -> Path:
    """Train LoRA adapters of the text tower's first layer only."""
    output = trial.folder / "early-lora"
    lora = {"layers": [0], "r": 16, "lora_alpha": 32, "lora_dropout": 0.05}
    bh.train(str(trial.start), trial.pairs, output, strategy="hybrid-image",
             tuning={"lora": lora}, **trial.build_options(PLAN["training"]))  # fmt: skip
    return output / "model"


def _train_language_adapters(trial: Trial, collection: bh.Collection) -> Any:
    """Train an adapter for each language; together they take as many steps as other conditions."""
    languages = [language for language in trial.pairs.languages if language != "image"]
    steps = PLAN["training"]["steps"] // len(languages)
    adapters = bh.train_adapters(
        str(trial.start), trial.pairs, trial.folder / "adapters",
        tuning={"lora": {"r": 16, "lora_alpha": 32}},
        **trial.build_options({**PLAN["training"], "steps": steps}),
    )  # fmt: skip
    return bh.LanguageAdapters(str(trial.start), adapters, collection, device="cpu")


def _build_tip_cache(trial: Trial, _: bh.Collection) -> Any:
    model = trial.train("x-image", trial.start, "x-image", PLAN["training"])
    return bh.TipCache.from_pairs(str(model), trial.pairs, **PLAN["tip"])


CONDITIONS: dict[str, Condition] = {
    "zero-shot": lambda trial, _: trial.start,
    "x-image": _train_condition("x-image", "x-image"),
    "x-y": _train_condition("x-y", "x-y"),
    "hybrid-image": _train_condition("hybrid-image", "hybrid-image"),
    "hybrid-image + switch": _train_code_switched,
    "early-layer LoRA": _train_early_layer,
    "LoRA per language": _train_language_adapters,
    "x-image + tip cache": _build_tip_cache,
}


def print_results(results: Mapping[str, Sequence[Results]], columns: Sequence[Column]) -> None:
    """Print a row for each condition."""
    width = max(map(len, results))
    for number, column in enumerate(columns, start=1):
        print(f"({number}) {column.heading}")
    print(" " * width, *(f"{f'({number})':>20}" for number in range(1, len(columns) + 1)))
    for name, seeds in results.items():
        cells = [show_mean(seeds, column) for column in columns]
        print(f"{name:{width}}", *(f"{cell:>20}" for cell in cells))


def show_mean(seeds: Sequence[Results], column: Column) -> str:
    """Return the mean over seeds of a measure's average over languages, with its interval."""
    parts = [select_values(results, column) for results in seeds]
    present = [values for values in parts if values is not None]
    if len(present) < len(parts):
        return "-"
    value = np.mean([values.value for values in present], axis=0)
    mean = Values(present[0].group, present[0].setting, value)
    low, high = estimate_interval(mean)
    form = ",.1f" if average(mean) >= 10 else ".3f"
    return f"{average(mean):{form}} [{low:{form}}, {high:{form}}]"


def select_values(results: Results, column: Column) -> Values | None:
    """Return the values of a column: of all languages, or of trained or unseen ones."""
    values = results.values(column.measure, column.kind)
    if values is None or column.is_seen is None:
        return values
    is_selected = np.array([
        {setting.queries, setting.passages}.isdisjoint(UNSEEN) == column.is_seen
        for setting in results.settings
        if setting.kind == column.kind
    ])  # fmt: skip
    rows = is_selected[values.setting]
    return Values(values.group[rows], values.setting[rows], values.value[rows])


def _silence() -> contextlib.AbstractContextManager[object]:
    """Hide everything that a trainer prints."""
    return contextlib.redirect_stdout(io.StringIO())


def _find_folder() -> Path:
    mirror = os.environ.get("BEIR_HYBRID_MIRROR")
    folder = Path(mirror or "").parent / "emoji"
    if not mirror or not (folder / "captions.jsonl").is_file():
        raise SystemExit("the folder emoji is beside the mirror; set BEIR_HYBRID_MIRROR")
    return folder


if __name__ == "__main__":
    main()
