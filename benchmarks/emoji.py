"""Strategies on real pictures, with seeds and intervals: does hybrid training carry over to them.

The folder of pictures lies beside the mirror of `BEIR_HYBRID_MIRROR`; what is asked, and how,
stands in `emoji.toml`. Killed, it goes on where it was: runs lie in ``bench-results/emoji``.
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
from typing import Any

import numpy as np

import beir_hybrid as bh
from beir_hybrid.files import atomic_folder
from beir_hybrid.results.results import Results
from beir_hybrid.results.statistics import estimate_interval
from beir_hybrid.results.values import Values, average
from beir_hybrid.sources.image_text import CaptionedImage, build_image_collection

HERE = Path(__file__).parent
RUNS = HERE.parent / "bench-results" / "emoji"
PLAN = tomllib.loads((HERE / "emoji.toml").read_text("utf-8"))
UNSEEN = set(PLAN["unseen"])
ROWS = list[dict[str, Any]]
MEASURES = ["AP", "R@1", "R@10", "Success@1", "RankDistance", "LanguageDisparity",
            "ModalityShare@10"]  # fmt: skip
# What is shown of held-out pictures: a heading, a measure, a kind of setting, seen or unseen.
COLUMNS: list[tuple[str, str, str, bool | None]] = [
    ("T2I R@1 seen", "R@1", "text-image", True),
    ("T2I R@10 seen", "R@10", "text-image", True),
    ("T2I R@10 unseen", "R@10", "text-image", False),
    ("I2T R@10 seen", "R@10", "image-text", True),
    ("caption-caption AP", "AP", "cross", True),
    ("pool AP", "AP", "image-pool", None),
    ("pool rank distance", "RankDistance", "image-pool", None),
    ("disparity", "LanguageDisparity", "text-image", None),
    ("mixed: share of pictures", "ModalityShare@10", "mixed", None),
]


def main() -> None:
    """Train, judge and print."""
    folder = _folder()
    rows = [json.loads(line) for line in (folder / "captions.jsonl").open(encoding="utf-8")]
    kept, held = split(rows)
    print(f"{len(rows):,} pictograms, {len(held)} of them held out; names in "
          f"{len(rows[0]['captions'])} languages, {', '.join(sorted(UNSEEN))} never trained on.\n"
          f"Seeds {PLAN['seeds']}; a random ranking has R@10 {10 / len(held):.3f}.")  # fmt: skip
    print(f"Asked: {PLAN['question']}\nExpected: {' '.join(PLAN['prediction'].split())}\n")
    compare_conditions(folder, kept, held)
    shift(folder, rows)


def compare_conditions(folder: Path, kept: ROWS, held: ROWS) -> None:
    """Judge every condition on the held-out pictures, and on known ones in unseen languages."""
    tests = {
        "held": collection("emoji-held-out", folder, held),
        "known": collection("emoji-known-unseen", folder, kept[: len(held)], UNSEEN),
    }
    found: dict[str, dict[str, list[Results]]] = {}
    for seed in PLAN["seeds"]:
        trial = Trial(RUNS / f"seed-{seed}", folder, kept, seed)
        for name, make in CONDITIONS.items():
            mine = found.setdefault(name, {test: [] for test in tests})
            for test, pictures in tests.items():
                mine[test].append(trial.judged(name, make, test, pictures))
    print("Held-out pictures: mean over seeds, with its 95% interval over pictures.\n")
    table({name: mine["held"] for name, mine in found.items()}, COLUMNS)
    print(f"\n{len(kept[: len(held)])} pictures trained on, names in languages that were not.\n")
    unseen = [("T2I R@1", "R@1", "text-image", None), ("T2I R@10", "R@10", "text-image", None)]
    table({name: mine["known"] for name, mine in found.items()}, unseen)


def shift(folder: Path, rows: ROWS) -> None:
    """Train on one half of the clusters; judge on the other, and on its own held-out pictures."""
    halves: dict[str, ROWS] = {"living": [], "things": []}
    counts: dict[str, int] = {}
    for row in rows:
        half, cluster = cluster_of(row)
        halves[half].append(row)
        counts[f"{half}/{cluster}"] = counts.get(f"{half}/{cluster}", 0) + 1
    print("\nDomain shift. Clusters: " + ", ".join(f"{n} {c}" for n, c in counts.items()) + ".\n")
    found: dict[str, list[Results]] = {}
    (train, own), other = split(halves["living"]), split(halves["things"])[1]
    size = min(len(own), len(other))
    for seed in PLAN["seeds"]:
        trial = Trial(RUNS / f"shift-{seed}", folder, train, seed)
        for name in ("x-image", "hybrid-image"):
            for label, some in (("living", own[:size]), ("things", other[:size])):
                pictures = collection(f"emoji-{label}", folder, some)
                one = trial.judged(name, CONDITIONS[name], label, pictures)
                found.setdefault(f"{name}, on {label}", []).append(one)
    print(f"Trained on {len(train)} living ones; {size} held-out pictures of each half.\n")
    table(found, COLUMNS[:3] + COLUMNS[5:8])


def cluster_of(row: Mapping[str, Any]) -> tuple[str, str]:
    """Return the half and cluster of a picture, by its English keywords."""
    words = set(row["keywords"]["en"])
    for half, clusters in PLAN["clusters"].items():
        for name, keys in clusters.items():
            if not keys or words & set(keys):
                return half, name
    raise AssertionError("the last cluster takes the rest")


def split(rows: ROWS) -> tuple[ROWS, ROWS]:
    """Return what is trained on and what is held out, by the pictures' ids."""
    out = [int(sha256(row["id"].encode()).hexdigest()[:8], 16) / 2**32 for row in rows]
    held = [row for row, at in zip(rows, out, strict=True) if at < PLAN["held_out"]]
    kept = [row for row, at in zip(rows, out, strict=True) if at >= PLAN["held_out"]]
    return kept, held


def collection(name: str, folder: Path, rows: ROWS, langs: Iterable[str] = ()) -> bh.Collection:
    """Return some pictures with their names in some languages, or in all."""
    wanted = set(langs) or set(rows[0]["captions"])
    captioned = [
        CaptionedImage(
            row["id"],
            folder / row["image"],
            {lang: [text] for lang, text in row["captions"].items() if lang in wanted},
            row["id"],
        )
        for row in rows
    ]
    names = sha256(repr(captioned).encode()).hexdigest()
    return build_image_collection(
        name, captioned, {"names": names}, licence="Noto Emoji, Apache 2.0; CLDR"
    )


class Trial:
    """A start and what is trained from it with one seed."""

    def __init__(self, folder: Path, pictures: Path, kept: ROWS, seed: int) -> None:
        self.folder, self.seed, self.kept = folder, seed, kept
        seen = set(kept[0]["captions"]) - UNSEEN
        self.pairs = bh.pairs_from_collection(collection("emoji-train", pictures, kept, seen))
        self.english = replace(bh.parse_strategy("x-image"), languages=("en",))
        fresh = untrained(folder / "fresh", kept, seen, seed)
        with _hushed():
            self.start = self.train("start", fresh, self.english, PLAN["start"])

    def train(self, name: str, model: Any, strategy: Any, how: Mapping[str, Any]) -> Path:
        """Train, unless it is done, and return the model's folder."""
        output = self.folder / name
        bh.train(str(model), self.pairs, output, strategy=strategy, **self.options(how))
        shutil.rmtree(output / "checkpoints", ignore_errors=True)
        return output / "model"

    def options(self, how: Mapping[str, Any]) -> dict[str, Any]:
        """Return the trainer's options."""
        return {
            "max_steps": how["steps"],
            "learning_rate": how["learning_rate"],
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

    def judged(
        self, name: str, make: "Callable[[Trial, bh.Collection], Any]", label: str, test: Any
    ) -> Results:
        """Return the results of a condition, from disk if they are there."""
        place = self.folder / "results" / f"{name}-{label}"
        if (place / "results.json").is_file():
            return Results.load(place)
        began = time.perf_counter()
        with _hushed():
            model = make(self, test)
        results = bh.evaluate(model, test, measures=MEASURES, name=name,
                              store=self.folder / "store")  # fmt: skip
        results.save(place)
        shutil.rmtree(self.folder / "store", ignore_errors=True)
        print(f"# seed {self.seed} {name} {label}: {time.perf_counter() - began:.0f} s")
        return results


def untrained(folder: Path, kept: ROWS, seen: set[str], seed: int) -> Path:
    """Make a model of two small towers with random weights, and word pieces of training names."""
    if folder.is_dir():
        return folder
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import (
        CLIPConfig,
        CLIPImageProcessor,
        CLIPModel,
        CLIPProcessor,
        PreTrainedTokenizerFast,
    )

    plan = PLAN["model"]
    tokenizer: Any = Tokenizer(models.BPE(unk_token="[UNK]"))  # noqa: S106 - no password
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    special = ["[PAD]", "[UNK]", "[BOS]", "[EOS]"]
    names = (row["captions"][lang] for row in kept for lang in sorted(seen))
    trainer = trainers.BpeTrainer(
        vocab_size=plan["pieces"], special_tokens=special, show_progress=False
    )
    tokenizer.train_from_iterator(names, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[BOS] $A [EOS]", special_tokens=[("[BOS]", 2), ("[EOS]", 3)]
    )
    size = {
        "hidden_size": plan["width"],
        "num_hidden_layers": plan["layers"],
        "num_attention_heads": plan["heads"],
        "intermediate_size": 4 * plan["width"],
        "projection_dim": plan["dim"],
    }
    texts = {"vocab_size": tokenizer.get_vocab_size(), "max_position_embeddings": plan["tokens"],
             "pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3}  # fmt: skip
    images = {"image_size": plan["picture"], "patch_size": plan["patch"]}
    config = CLIPConfig(
        text_config=size | texts, vision_config=size | images, projection_dim=plan["dim"]
    )
    fast: Any = PreTrainedTokenizerFast  # transformers leaves these untyped
    seeing: Any = CLIPImageProcessor
    both: Any = CLIPProcessor
    roles = {"pad_token": "[PAD]", "unk_token": "[UNK]", "bos_token": "[BOS]", "eos_token": "[EOS]"}
    reads = fast(tokenizer_object=tokenizer, model_max_length=plan["tokens"], **roles)
    side = {"height": plan["picture"], "width": plan["picture"]}
    sees = seeing(size={"shortest_edge": plan["picture"]}, crop_size=side)
    with atomic_folder(folder) as temporary:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            CLIPModel(config).save_pretrained(temporary)
        both(sees, reads).save_pretrained(temporary)
    return folder


def _trained(name: str, strategy: Callable[[Trial], Any]) -> Callable[[Trial, Any], Any]:
    return lambda trial, _test: trial.train(name, trial.start, strategy(trial), PLAN["training"])


def _switched(trial: Trial) -> Any:
    """Return hybrid batches whose captions have words of other languages in them."""
    langs = set(trial.kept[0]["captions"]) - UNSEEN
    lexicon = [
        {lang: name for lang, name in row["captions"].items() if lang in langs and " " not in name}
        for row in trial.kept
    ]
    lexicon = [words for words in lexicon if len(words) > 1]
    switch = bh.code_switch(PLAN["switch"]["probability"], lexicon, on="both")
    return bh.parse_strategy("hybrid-image", code_switch=switch)


def _early(trial: Trial, _test: Any) -> Path:
    """Train adapters of the first layer of the text tower alone."""
    output = trial.folder / "early-lora"
    bh.train(str(trial.start), trial.pairs, output, strategy="hybrid-image",
             tuning={"lora": {"layers": [0], "r": 16, "lora_alpha": 32, "lora_dropout": 0.05}},
             **trial.options(PLAN["training"]))  # fmt: skip
    return output / "model"


def _adapted(trial: Trial, test: Any) -> Any:
    """Train an adapter for each language, together for as many steps as the others take."""
    langs = [lang for lang in trial.pairs.languages if lang != "image"]
    each = {**PLAN["training"], "steps": PLAN["training"]["steps"] // len(langs)}
    adapters = bh.train_adapters(
        str(trial.start), trial.pairs, trial.folder / "adapters",
        tuning={"lora": {"r": 16, "lora_alpha": 32}}, **trial.options(each),
    )  # fmt: skip
    return bh.LanguageAdapters(str(trial.start), adapters, test, device="cpu")


def _cached(trial: Trial, _test: Any) -> Any:
    model = trial.train("x-image", trial.start, "x-image", PLAN["training"])
    return bh.TipCache.from_pairs(str(model), trial.pairs, **PLAN["tip"])


CONDITIONS: dict[str, Callable[[Trial, Any], Any]] = {
    "zero-shot": lambda trial, _test: trial.start,
    "x-image": _trained("x-image", lambda _trial: "x-image"),
    "x-y": _trained("x-y", lambda _trial: "x-y"),
    "hybrid-image": _trained("hybrid-image", lambda _trial: "hybrid-image"),
    "hybrid-image + switch": _trained("switched", _switched),
    "early-layer LoRA": _early,
    "LoRA per language": _adapted,
    "x-image + tip cache": _cached,
}


def table(found: Mapping[str, Sequence[Results]], columns: Sequence[tuple[Any, ...]]) -> None:
    """Print a row for each condition."""
    width = max(map(len, found))
    for number, (heading, *_) in enumerate(columns, start=1):
        print(f"({number}) {heading}")
    print(" " * width, *(f"{f'({number})':>20}" for number in range(1, len(columns) + 1)))
    for name, results in found.items():
        cells = [cell(results, *where) for _, *where in columns]
        print(f"{name:{width}}", *(f"{one:>20}" for one in cells))


def cell(results: Sequence[Results], measure: str, kind: Any, seen: bool | None) -> str:
    """Return the mean over seeds of a measure's average over languages, with its interval."""
    parts = [values(one, measure, kind, seen) for one in results]
    if any(part is None for part in parts):
        return "-"
    there = [part for part in parts if part is not None]
    value = np.mean([part.value for part in there], axis=0)
    whole = Values(there[0].group, there[0].setting, value)
    low, high = estimate_interval(whole)
    form = ",.1f" if average(whole) >= 10 else ".3f"
    return f"{average(whole):{form}} [{low:{form}}, {high:{form}}]"


def values(results: Results, measure: str, kind: Any, seen: bool | None) -> Values | None:
    """Return the values of a kind of setting, of all languages, or of seen or unseen ones."""
    found = results.values(measure, kind)
    if found is None or seen is None:
        return found
    wanted = [
        not ({one.queries, one.passages} & UNSEEN)
        if seen
        else bool({one.queries, one.passages} & UNSEEN)
        for one in results.settings
        if one.kind == kind
    ]
    mine = np.asarray(wanted)[found.setting]
    return Values(found.group[mine], found.setting[mine], found.value[mine])


def _hushed() -> contextlib.AbstractContextManager[Any]:
    """Keep what a trainer prints to itself."""
    return contextlib.redirect_stdout(io.StringIO())


def _folder() -> Path:
    mirror = os.environ.get("BEIR_HYBRID_MIRROR")
    folder = Path(mirror or "").parent / "emoji"
    if not mirror or not (folder / "captions.jsonl").is_file():
        raise SystemExit("the folder emoji lies beside the mirror; set BEIR_HYBRID_MIRROR")
    return folder


if __name__ == "__main__":
    main()
