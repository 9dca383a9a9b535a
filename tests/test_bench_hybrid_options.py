"""An experiment's options reach its runs, and its results reach the report."""

import json
import re
import shutil
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ir_measures import AP

import beir_hybrid as bh
from beir_hybrid.collection.setting import Setting
from beir_hybrid.errors import BadOption
from beir_hybrid.results.results import Results
from benchmarks.hybrid import (
    article_intervals,
    calibration_report,
    claims,
    report,
    run,
    summary,
    tables,
)
from benchmarks.hybrid.article_split import (
    ArticleSplit,
    choose_part,
    find_titles,
    number_articles,
)
from benchmarks.hybrid.experiment import Experiment, Ranks, Variant, read_experiment
from benchmarks.hybrid.material import Material
from benchmarks.hybrid.processes import ProcessBatchSampler
from benchmarks.hybrid.selection import decide_replacement
from benchmarks.hybrid.variant_results import (
    COLUMNS,
    SeedValues,
    VariantResults,
    compare_variants,
)
from tests.models import static_model, transformer_model
from tests.test_bench_hybrid import build_many_articles

TRAINER = "the trainer needs it: the extra 'train'"


def make_experiment(*variants: Variant, **changes: Any) -> Experiment:
    """Return an experiment of one step with two pairs, evaluated on the dev articles."""
    fields: dict[str, Any] = {
        "steps": 1,
        "batch_size": 2,
        "seeds": (1,),
        "collections": ("mlqa-r-dev",),
        "variants": variants,
        "baseline": variants[0].label,
        "expected_order": {},
    }
    return replace(read_experiment("small"), **(fields | changes))


def build_collection(name: str, text: Callable[[int, str], str]) -> bh.Collection:
    """Return thirty articles in two languages, with a passage each and queries of equal words."""
    from beir_hybrid.collection.cache import load_or_build
    from beir_hybrid.collection.writer import CollectionWriter

    def build(writer: CollectionWriter) -> None:
        for number in range(30):
            passages, queries = [], []
            for lang in ("de", "en"):
                words, title = text(number, lang), f"{lang} {number}"
                passages.append(writer.add_passage(lang, f"{number}", title, words))
                queries.append(writer.add_query(lang, f"q{number}", f"{words}?", f"q{number}"))
            for query, passage in product(queries, passages):
                writer.add_judgement(query, passage)
        writer.finish(title_policy="text")

    return load_or_build(name, {}, build)


def read_recipe(output: Path, label: str) -> dict[str, Any]:
    """Return the recipe in the record of a run."""
    path = output / "runs" / f"{label}-1" / "training.json"
    record = json.loads(path.read_text("utf-8"))
    return {"steps": record["steps"], **record["recipe"]}


def read_weights(output: Path, label: str) -> np.ndarray:
    """Return a trained model's word vectors."""
    from sentence_transformers import SentenceTransformer

    model: Any = SentenceTransformer(str(output / "runs" / f"{label}-1" / "model"), device="cpu")
    return model[0].embedding.weight.detach().numpy()


@pytest.fixture
def model(tmp_path: Path) -> str:
    """Return the folder of a small static model."""
    static_model().save_pretrained(str(tmp_path / "tiny"))
    return str(tmp_path / "tiny")


# ------------------------------------------------------------------------- what is trained on


def test_tokenizers_learn_from_training_articles_only() -> None:
    material = Material(
        make_experiment(Variant("x-y", "x-y")), ArticleSplit.from_collection(build_many_articles())
    )
    numbers = [n for n in range(40) if choose_part(("de", f"de {n}")) == "train"]
    assert 20 < len(numbers) < 35
    expected = [
        (text, lang)
        for n in numbers
        for lang in ("de", "en", "es")
        for text in (f"w{n} {lang}?", f"w{n} {lang}", f"w{n} w{n + 1} other")
    ]
    assert sorted(run.list_tokenizer_texts(material.experiment, material)) == sorted(expected)


@pytest.mark.parametrize(
    ("arm", "sources", "lines"),
    [
        ("A", ["mlqa-r"], 0),
        ("B", ["mlqa-r", "ntrex", "ntrex-next"], 11 * 1997),
        ("C", ["mlqa-r", "ntrex-next"], 11 * 1997),
    ],
)
def test_arms_have_their_sources(
    arm: str,
    sources: list[str],
    lines: int,
    mirror: Path,  # noqa: ARG001
) -> None:
    sizes = {"mlqa-r": 793, "ntrex": 1997, "ntrex-next": 1997 - 123}  # NTREX has 123 documents
    material = Material(make_experiment(Variant("x-y", "x-y"), arm=arm))
    sizes_by_source = material.load_pairs("sentence").sources
    assert dict(sizes_by_source) == {name: sizes[name] for name in sources}
    assert len(material.texts) - len(material.load_split("sentence").list_texts()) == lines


def test_passage_text_of_a_variant_in_training_and_evaluation(
    model: str,
    mirror: Path,  # noqa: ARG001
    tmp_path: Path,
) -> None:
    pytest.importorskip("accelerate", reason=TRAINER)
    context = Variant("context", "x-y", passage_text="sentence+context")
    experiment = make_experiment(Variant("alone", "x-y"), context)
    run.run_experiment(experiment, tmp_path, model=model)
    material = Material(experiment)
    for label, passage_text in (("alone", "sentence"), ("context", "sentence+context")):
        collection = bh.load("mlqa-r", passage_text=passage_text)
        groups = material.load_split("sentence").list_groups("train")
        pairs = bh.pairs_from_collection(collection, queries=groups)
        assert read_recipe(tmp_path, label)["pairs"]["sha256"] == pairs.digest()
        results = Results.load(tmp_path / "results" / "mlqa-r-dev" / f"{label}-1")
        assert results.provenance.collection.options["passage_text"] == passage_text


# ------------------------------------------------------------------------- what trainings take


def test_options_reach_the_trainings_and_candidates_the_report(model: str, tmp_path: Path) -> None:
    pytest.importorskip("accelerate", reason=TRAINER)
    experiment = make_experiment(
        Variant("plain", "x-y"),
        Variant("own", "x-y", loss={"temperature": 0.5}, learning_rate=0.25, steps=2),
        Variant("over", "x-y", loss={"symmetric": False}),
        loss={"symmetric": True},
        learning_rate=0.125,
        weight_decay=0.375,
    )
    run.run_experiment(
        experiment, tmp_path, model=model, split=ArticleSplit.from_collection(build_many_articles())
    )
    recipes = {label: read_recipe(tmp_path, label) for label in experiment.labels}
    assert {label: recipe["loss"] for label, recipe in recipes.items()} == {
        "plain": {"symmetric": True},
        "own": {"symmetric": True, "temperature": 0.5},
        "over": {"symmetric": False},
    }
    arguments = {label: recipe["arguments"] for label, recipe in recipes.items()}
    rates = {label: options["learning_rate"] for label, options in arguments.items()}
    assert rates == {"plain": 0.125, "own": 0.25, "over": 0.125}
    assert {options["weight_decay"] for options in arguments.values()} == {0.375}
    assert {label: recipe["steps"] for label, recipe in recipes.items()} == {
        "plain": 1, "own": 2, "over": 1,
    }  # fmt: skip
    for candidates in (("own",), ("over",), ()):
        changed = replace(experiment, candidates=candidates)
        text = report.write_selection(report.SavedExperiment.load(changed, tmp_path))
        assert re.findall(r"The chosen variant is (\w+): ", text) == list(candidates)


def test_tuning_length_and_calibrations_of_a_transformer(tmp_path: Path) -> None:
    pytest.importorskip("accelerate", reason=TRAINER)
    from sentence_transformers import SentenceTransformer

    folder = tmp_path / "tiny"
    transformer_model(tmp_path / "parts").save_pretrained(str(folder))
    experiment = make_experiment(
        Variant("whole", "x-y"),
        Variant("frozen", "x-y", tuning={"freeze": "vocabulary"}, bf16=True),
        encoder=str(folder), max_length=5, dropout=False, calibrations=("centre", "local:k=2"),
    )  # fmt: skip
    split, output = ArticleSplit.from_collection(build_many_articles()), tmp_path / "out"
    run.run_experiment(experiment, output, split=split)
    recipes = {label: read_recipe(output, label) for label in ("whole", "frozen")}
    assert [recipes[label]["freeze"] for label in recipes] == [None, "vocabulary"]
    assert [recipes[label]["arguments"]["bf16"] for label in recipes] == [False, True]
    assert recipes["frozen"]["model"]["max_length"] == "5"
    config = json.loads((output / "runs" / "whole-1" / "model" / "config.json").read_text())
    assert config["hidden_dropout_prob"] == config["attention_probs_dropout_prob"] == 0
    # It is evaluated at the model's own length.
    frozen_model = SentenceTransformer(str(output / "runs" / "frozen-1" / "model"), device="cpu")
    assert frozen_model.max_seq_length == 16
    results = {
        path.name: Results.load(path) for path in (output / "results" / "mlqa-r-dev").iterdir()
    }
    assert set(results) == {
        f"{label}{method}-{seed}"
        for label, seed in (("untrained", 0), ("whole", 1), ("frozen", 1))
        for method in ("", "+centre", "+local:k=2")
    }
    # Scores alone change with local, and nothing of it in one language; vectors change with centre.
    means = {name: result.summary()["mono"][AP].mean for name, result in results.items()}
    assert means["whole+local:k=2-1"] == means["whole-1"]
    assert results["whole+local:k=2-1"].kinds == ("mono", "cross", "multi")
    model = str(output / "runs" / "whole-1" / "model")
    collection = Material(experiment, split).load_collection("mlqa-r-dev", "sentence")
    again = bh.evaluate(model, collection, measures="AP", settings="multi", calibration="centre")
    assert (
        results["whole+centre-1"].summary()["multi"][AP].mean == again.summary()["multi"][AP].mean
    )
    saved = report.SavedExperiment.load(experiment, output)
    page = summary.write_summary(saved)
    assert page is not None
    [row] = [line for line in page.read_text().splitlines() if line.startswith("| trained (whole)")]
    assert row.split(" | ")[1] == f"{means['whole-1']:.4f}".lstrip("0")
    plots = {path.name for path in output.glob("*-mlqa-r-dev.svg")}
    assert plots == {f"{stem}-mlqa-r-dev.svg" for stem in ("languages", "settings", "gains")}


def test_evaluation_in_bfloat16(tmp_path: Path) -> None:
    pytest.importorskip("accelerate", reason=TRAINER)
    import torch
    from sentence_transformers import SentenceTransformer

    tiny = transformer_model(tmp_path / "parts")
    with torch.no_grad():  # so large that rounding moves passages
        for name, matrix in tiny.named_parameters():
            if matrix.ndim == 2 and "embeddings" not in name:
                matrix.mul_(20)

    def text(number: int, lang: str) -> str:
        first = 37 * number + 101 * "de".index(lang[0])
        return " ".join(f"w{(first + 53 * n) % 400}" for n in range(5))

    start_model, split = (
        str(tmp_path / "tiny"),
        ArticleSplit.from_collection(build_collection("words", text)),
    )
    tiny.save_pretrained(start_model)
    experiment = make_experiment(
        Variant("x-y", "x-y"), collections=("mlqa-r-train",), learning_rate=1e-3, bf16=True
    )
    run.run_experiment(experiment, tmp_path, model=start_model, split=split)
    for name, model in (
        ("untrained-0", start_model),
        ("x-y-1", str(tmp_path / "runs" / "x-y-1" / "model")),
    ):
        saved = Results.load(tmp_path / "results" / "mlqa-r-train" / name)
        results = {}
        for bf16 in (True, False):
            encoder = SentenceTransformer(model, device=run.find_device())
            with torch.autocast(run.find_device(), torch.bfloat16, enabled=bf16):
                results[bf16] = bh.evaluate(
                    encoder,
                    split.hold_out("train"),
                    measures=["AP"],
                    store=tmp_path / f"{name}{bf16}",
                )
        is_equal = {bf16: read_values(each) == read_values(saved) for bf16, each in results.items()}
        assert is_equal == {True: True, False: False}, name


def read_values(results: Results) -> list[float]:
    """Return the mAP of every query in the pool."""
    values = results.values("AP", "multi")
    assert values is not None
    return values.value.tolist()


def test_weights_are_averaged_with_those_before(tmp_path: Path) -> None:
    pytest.importorskip("accelerate", reason=TRAINER)
    from safetensors.numpy import load_file, save_file

    start, split = tmp_path / "tiny", ArticleSplit.from_collection(build_many_articles())
    transformer_model(tmp_path / "parts").save_pretrained(str(start))
    experiment = make_experiment(
        Variant("x-y", "x-y"), Variant("quarter", "x-y", weights_of="x-y", start_share=0.25),
        learning_rate=0.125, seeds=(1, 2), encoder=str(start), calibrations=("centre",),
    )  # fmt: skip
    run.run_experiment(experiment, tmp_path, seeds=[2], split=split)
    trained = tmp_path / "runs" / "x-y-2" / "model"
    average = tmp_path / "average"
    shutil.copytree(trained, average)
    before, after = (load_file(folder / "model.safetensors") for folder in (start, trained))
    save_file({name: after[name] + 0.25 * (before[name] - after[name]) for name in after},
              average / "model.safetensors")  # fmt: skip
    results = tmp_path / "results" / "mlqa-r-dev"
    assert {path.name for path in results.iterdir()} == {
        f"{label}{method}-{seed}"
        for label, seed in (("untrained", 0), ("x-y", 2), ("quarter", 2))
        for method in ("", "+centre")
    }
    prints = {
        folder: bh.evaluate(str(folder), split.hold_out("dev"), store=tmp_path / "store")
        .provenance.model.fingerprint["weights"]
        for folder in (trained, average)
    }  # fmt: skip
    saved = {
        label: Results.load(results / f"{label}-2").provenance.model.fingerprint["weights"]
        for label in ("x-y", "quarter")
    }
    assert saved == {"x-y": prints[trained], "quarter": prints[average]}
    assert prints[trained] != prints[average]


# ------------------------------------------------------------------------------ words switched

AND = {"de": "und", "en": "and"}  # frequent enough for any alignment of NTREX's news


@pytest.mark.parametrize(("unknown", "share"), [(3, 0.25), (19, 0.05)])
def test_words_are_switched_where_the_lexicon_has_enough(
    unknown: int,
    share: float,
    model: str,
    mirror: Path,  # noqa: ARG001
    tmp_path: Path,
) -> None:
    pytest.importorskip("accelerate", reason=TRAINER)
    experiment = make_experiment(Variant("plain", "x-y"), Variant("switched", "x-y", switch=0.75))

    def text(number: int, lang: str) -> str:
        is_held_out = choose_part(("de", f"de {number}")) != "train"
        return " ".join([AND[lang], *[AND[lang] if is_held_out else f"q{number}x"] * unknown])

    split = ArticleSplit.from_collection(build_collection(f"spoken{unknown}", text))
    run.run_experiment(experiment, tmp_path, model=model, split=split)
    notes = json.loads((tmp_path / run.NOTES).read_text("utf-8"))
    assert notes["coverage"] == pytest.approx(share)
    assert notes["by language"] == pytest.approx(dict.fromkeys(AND, share))
    assert read_recipe(tmp_path, "plain")["strategy"]["code_switch"] is None
    if share < 0.1:
        assert notes["skipped"] == {"switched": "the lexicon has 5.0% of the words, less than 10%"}
        assert not (tmp_path / "runs" / "switched-1").exists()
        return
    assert not notes["skipped"]
    switch = read_recipe(tmp_path, "switched")["strategy"]["code_switch"]
    assert (switch["probability"], switch["on"]) == (0.75, "both")
    lexicon = Material(experiment, split).lexicon
    assert switch["sha256"] == lexicon.digest()
    assert set(lexicon.entry_numbers) == set(AND)  # without the languages that the arm never sees
    assert lexicon.find_translations("und", "de") == {"en": ["and"]}


# ------------------------------------------------------------------------------ joined batches


def test_ranks_train_with_batches_of_processes(model: str, tmp_path: Path) -> None:
    pytest.importorskip("accelerate", reason=TRAINER)
    experiment = make_experiment(
        Variant("plain", "x-x-mono"),
        Variant("together", "x-x-mono", ranks=Ranks(2, together=True)),
        Variant("apart", "x-x-mono", ranks=Ranks(2, together=False)),
        steps=3,
        batch_size=4,
    )
    run.run_experiment(
        experiment, tmp_path, model=model, split=ArticleSplit.from_collection(build_many_articles())
    )
    plain, joint, independent = (read_weights(tmp_path, label) for label in experiment.labels)
    # Two processes that draw two rows together draw the four rows of one process.
    assert np.array_equal(plain, joint)
    assert not np.allclose(independent, joint, atol=1e-3)


@pytest.mark.parametrize("strategy", ["x-x-mono", "hybrid"])
def test_an_epoch_has_the_same_parts_in_any_order(strategy: str) -> None:
    pairs = ArticleSplit.from_collection(build_many_articles()).build_pairs("train")
    for epoch in (0, 1):
        batches = {}
        for together in (True, False):
            ranks = Ranks(3, together=together)
            sampler = ProcessBatchSampler(pairs, 6, seed=1, strategy=strategy, ranks=ranks)
            sampler.set_epoch(epoch)
            batches[together] = [tuple(batch[i : i + 2]) for batch in sampler for i in (0, 2, 4)]
        assert sorted(batches[True]) == sorted(batches[False])
        assert batches[True] != batches[False]


# ---------------------------------------------------------------------------------- differences


def make_results(
    label: str, by_seed: Mapping[int, Sequence[float] | np.ndarray], *names: str
) -> VariantResults:
    """Return values of queries by seed, equal in each of the named columns."""
    columns: dict[Any, SeedValues] = {}
    values = np.array(list(by_seed.values()), np.float64)
    numbers = np.arange(values.shape[1])
    for name in names or tables.MAIN_COLUMNS:
        column = COLUMNS[name]
        passages = {"mono": "de", "cross": "en", "multi": "all"}[column.kind]
        setting = Setting(column.kind, "de", passages)
        columns[column.measure, column.kind] = SeedValues(numbers, 0 * numbers, (setting,), values)
    return VariantResults(label, "set", tuple(by_seed), columns, {})


def test_p_is_corrected_over_the_rivals_of_a_variant() -> None:
    base = np.full(4, 0.5)
    rivals = {"even": [0.1] * 4, "uneven": [0.4, 0.2, 0.1, -0.05], "none": [0.0] * 4}
    variants = [make_results(label, {1: base - rivals[label]}) for label in rivals]
    differences = compare_variants(make_results("hybrid", {1: base}), variants, COLUMNS["Mo mAP"])
    # Of 16 flips two are as far from 0 as .1 four times; of .65, those of the last sign too.
    assert [row.p for row in differences] == pytest.approx([2 / 16, 4 / 16, 1])
    assert [row.p_holm for row in differences] == pytest.approx([3 * 2 / 16, 2 * 4 / 16, 1])


LOW, HIGH = np.linspace(0.30, 0.35, 12), np.linspace(0.40, 0.46, 12)


def test_a_better_variant_is_kept() -> None:
    baseline = make_results("hybrid", {1: LOW, 2: LOW})
    variant = make_results("variant", {1: HIGH, 2: HIGH + 0.001})
    decisions = decide_replacement({"one": (variant, baseline), "other": (baseline, variant)})
    assert {name: decision.is_better for name, decision in decisions.items()} == {
        "one": True, "other": False,
    }  # fmt: skip
    for decision in decisions.values():
        columns = [row.column for row in decision.rows]
        assert columns == ["Mo mAP", "Cr mAP", "Mul mAP", "rank distance"]
    columns = ["Mo mAP", "Mul mAP", "rank distance"]
    partial = make_results("variant", {1: HIGH, 2: HIGH + 0.001}, *columns)
    assert not decide_replacement({"one": (partial, baseline)})["one"].is_better


def test_p_is_corrected_over_claims_which_need_all_their_columns() -> None:
    up = np.linspace(0.3, 0.4, 7)
    rows = {"hybrid": up, "x-x-mono": up, "x-y": up - 0.1, "x-x": up - 0.1}
    mono, pool = (
        {label: make_results(label, {1: row, 2: row}, *names) for label, row in rows.items()}
        for names in (("Mo mAP", "rank distance"), ("Mul mAP",))
    )

    def judge(**results: Mapping[str, VariantResults]) -> list[tuple[str, str, list[float]]]:
        return [
            (verdict.collection, verdict.word, [row.difference.p_holm for row in verdict.rows])
            for verdict in claims.judge_claims("A", results)
            if verdict.claim.text.startswith(("monolingual batches", "cross-lingual batches"))
        ]

    # Of 128 flips two are as far from 0. Rank distance, equal for both, is compared as well.
    assert judge(one=mono) == [
        ("one", "confirmed", [2 * 2 / 128]), ("one", "not testable here", []),
    ]  # fmt: skip
    # In the pool, monolingual batches are compared with mixed ones; for x-y a column is missing.
    verdicts = judge(one=mono, again=mono, pool=pool)
    assert verdicts[:2] == [(name, "not confirmed", [5 * 2 / 128]) for name in ("one", "again")]
    assert {(word, len(p)) for _, word, p in verdicts[2:]} == {("not testable here", 0)}


def test_an_order_without_results(tmp_path: Path) -> None:
    expected = {"mlqa-r-dev": {"Mo mAP": [["a"], ["b"]]}}
    variants = Variant("a", "x-y"), Variant("b", "x-y")
    saved = report.SavedExperiment(
        replace(make_experiment(*variants), expected_order=expected), tmp_path, {"skipped": {}}
    )
    assert "| Mo mAP on mlqa-r-dev | a > b | no results |" in report.write_order(saved)


def test_folders_of_earlier_versions_are_valid(tmp_path: Path) -> None:
    experiment = make_experiment(Variant("x-y", "x-y"), Variant("switched", "x-y", switch=0.5))
    run.claim_folder(experiment, None, tmp_path)
    path = tmp_path / run.EXPERIMENT
    stored = json.loads(path.read_text("utf-8"))
    for variant in stored["variants"]:
        for name in ("steps", "ranks", "passage_text", "learning_rate"):
            del variant[name]
    path.write_text(json.dumps(stored), "utf-8")
    run.claim_folder(experiment, None, tmp_path)
    path.write_text(json.dumps(stored), "utf-8")
    other = replace(experiment, variants=(replace(experiment.variants[0], steps=5),))
    with pytest.raises(BadOption, match="another x-y;"):
        run.claim_folder(other, None, tmp_path)
    # It stays recorded where a later run leaves it out.
    run.claim_folder(replace(experiment, variants=experiment.variants[1:]), None, tmp_path)
    with pytest.raises(BadOption, match="another x-y;"):
        run.claim_folder(other, None, tmp_path)


# -------------------------------------------------------------------------------------- tables

HELLO = {
    "ar": "مرحبا", "de": "Hallo", "el": "γεια", "en": "Hello", "es": "Hola", "hi": "नमस्ते",
    "ru": "привет", "th": "สวัสดี", "tr": "merhaba", "vi": "chào", "zh": "你好",
}  # fmt: skip


def test_scripts_are_those_of_unicode() -> None:
    scripts = {lang: unicodedata.name(word[0]).split()[0] for lang, word in HELLO.items()}
    latin = frozenset(lang for lang, script in scripts.items() if script == "LATIN")
    assert latin == tables.LATIN
    assert frozenset(HELLO) - latin == tables.NON_LATIN


def test_queries_are_rows_of_the_table_of_one_target() -> None:
    langs = [("de", "de"), ("de", "en"), ("en", "de"), ("en", "en")]
    settings = tuple(Setting("one-target", *pair) for pair in langs)
    values = np.array([[0.1, 0.3, 0.3, 0.4, 0.6]])
    numbers = np.array([0, 0, 1, 2, 3])  # of the settings
    table = SeedValues(np.array([0, 1, 0, 0, 0]), numbers, settings, values)
    text = tables.write_one_target(
        VariantResults("hybrid", "set", (1,), {("AP", "one-target"): table}, {})
    )
    rows = re.findall(r"^\| (\w*) \| ([^|]+) \| ([^|]+) \|$", text, re.MULTILINE)
    assert rows == [
        ("", "de", "en"), ("de", ".2000", ".3000"), ("en", ".4000", ".6000"),
    ]  # fmt: skip


def test_what_training_adds_to_a_calibration() -> None:
    queries = np.arange(4) / 100
    plain = {"untrained": make_results("untrained", {0: queries + 0.1})}
    plain["hybrid"] = make_results("hybrid", {1: queries + 0.2, 2: queries + 0.4})
    calibrated = {
        "untrained": make_results("untrained+centre", {0: queries + 0.15}),
        "hybrid": make_results("hybrid+centre", {1: queries + 0.3, 2: queries + 0.6}),
    }
    results = {"": plain, "centre": calibrated}
    gains = {
        question: columns[0].difference
        for question, columns in calibration_report.compare_gains(results, "hybrid", "centre")
    }
    assert gains == pytest.approx(
        {
            "what training gives": 0.2,  # .3 on average over seeds, less .1
            "what calibration gives": 0.05,
            "calibration less training": -0.15,
            "what training adds to calibration": 0.3,  # .45 less .15
            "what calibration adds to training": 0.15,
        }
    )
    [first, *_] = calibration_report.compare_gains(results, "hybrid", "centre")
    # Over seeds: .1 and .3 more than the untrained model, whose values are the same for each seed.
    assert first[1][0].seed_low == pytest.approx(0.2 - 12.706 * 0.1, abs=1e-3)
    assert not list(calibration_report.compare_gains({"": plain}, "hybrid", "centre"))


def test_a_calibration_is_chosen_with_the_baseline_on_dev_articles() -> None:
    by_method = {
        method: {"hybrid": make_results(f"hybrid+{method}", {1: np.full(4, value)})}
        for method, value in (("", 0.9), ("centre", 0.2), ("local:k=3", 0.3))
    }
    assert calibration_report.choose_method(by_method, "hybrid") == "local:k=3"
    assert calibration_report.choose_method({"": by_method[""]}, "hybrid") == ""


def test_intervals_by_article_resample_all_queries_of_one() -> None:
    # Four queries of two articles, whose queries have the same value: no resample is between.
    results = {
        label: make_results(label, {1: np.array([low, low, high, high])})
        for label, low, high in (("hybrid", 0.2, 0.4), ("x-y", 0.1, 0.2))
    }
    text = article_intervals.write_article_intervals(results, "hybrid", np.array([0, 0, 1, 1]))
    assert "2 articles are resampled" in text
    # Averages of two articles out of two: .2, .3 or .4; differences of -.1, -.15 or -.2.
    assert re.search(r"^\| hybrid \| \[\.2000, \.4000\] \|", text, re.MULTILINE)
    assert re.search(
        r"^\| x-y \| \[\.1000, \.2000\]; -\.1500 \[-\.2000, -\.1000\] \|", text, re.MULTILINE
    )


def test_articles_of_groups_are_in_the_order_of_ids() -> None:
    collection = build_many_articles()
    numbers = number_articles(collection)
    titles = find_titles(collection)
    groups = sorted(titles)
    assert len(numbers) == len(groups)
    for i, one in enumerate(groups):
        for j, other in enumerate(groups):
            if set(titles[one]) & set(titles[other]):
                assert numbers[i] == numbers[j]
    split = ArticleSplit.from_collection(collection)
    assert len(set(numbers.tolist())) == len(split.names)
