"""What an experiment says reaches its runs, and what its results say reaches its report."""

import json
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import beir_hybrid as bh
from beir_hybrid.collection.setting import Setting
from beir_hybrid.errors import BadOption
from beir_hybrid.results.results import Results
from benchmarks.hybrid import claims, data, report, run, tables
from benchmarks.hybrid.experiment import Experiment, Ranks, Variant, read
from benchmarks.hybrid.pooled import COLUMNS, Pooled, Table, gaps
from benchmarks.hybrid.ranks import Joined
from tests.models import static_model, transformer_model
from tests.test_bench_hybrid import many

TRAINER = "the trainer needs it: the extra 'train'"


def of(*variants: Variant, **changed: Any) -> Experiment:
    """Return an experiment of a step of two pairs, judged on the dev articles."""
    given: dict[str, Any] = {"steps": 1, "batch_size": 2, "seeds": (1,), "judged": ("mlqa-r-dev",)}
    kept = {"variants": variants, "baseline": variants[0].label, "expected": {}}
    return replace(read("small"), **(given | kept | changed))


def articles(name: str, text: Callable[[int, str], str]) -> bh.Collection:
    """Return thirty articles in two languages, a passage each, and questions of equal words."""
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


def trained(output: Path, label: str) -> dict[str, Any]:
    """Return the recipe that a run wrote down."""
    found = json.loads((output / "runs" / f"{label}-1" / "training.json").read_text("utf-8"))
    return {"steps": found["steps"], **found["recipe"]}


def weights(output: Path, label: str) -> np.ndarray:
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


def test_tokenizers_learn_from_training_articles_alone() -> None:
    material = run.Material(of(Variant("x-y", "x-y")), data.Split.of(many()))
    numbers = [n for n in range(40) if data.part_of(("de", f"de {n}")) == "train"]
    assert 20 < len(numbers) < 35
    expected = [
        (text, lang)
        for n in numbers
        for lang in ("de", "en", "es")
        for text in (f"w{n} {lang}?", f"w{n} {lang}", f"w{n} w{n + 1} other")
    ]
    assert sorted(run._texts(material.experiment, material)) == sorted(expected)  # noqa: SLF001


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
    material = run.Material(of(Variant("x-y", "x-y"), arm=arm))
    found = material.pairs("sentence").sources
    assert dict(found) == {name: sizes[name] for name in sources}
    assert len(material.texts) - len(material.split("sentence").texts()) == lines


def test_passages_are_trained_and_judged_on_as_the_variant_reads_them(
    model: str,
    mirror: Path,  # noqa: ARG001
    tmp_path: Path,
) -> None:
    pytest.importorskip("accelerate", reason=TRAINER)
    context = Variant("context", "x-y", passage_text="sentence+context")
    experiment = of(Variant("alone", "x-y"), context)
    run.run(experiment, tmp_path, model=model)
    material = run.Material(experiment)
    for label, passage_text in (("alone", "sentence"), ("context", "sentence+context")):
        whole = bh.load("mlqa-r", passage_text=passage_text)
        kept = material.split("sentence").groups("train")
        pairs = bh.pairs_from_collection(whole, queries=kept)
        assert trained(tmp_path, label)["pairs"]["sha256"] == pairs.digest()
        results = Results.load(tmp_path / "results" / "mlqa-r-dev" / f"{label}-1")
        assert results.provenance.collection.options["passage_text"] == passage_text


# ------------------------------------------------------------------------- what trainings take


def test_options_reach_the_trainings_and_candidates_the_report(model: str, tmp_path: Path) -> None:
    pytest.importorskip("accelerate", reason=TRAINER)
    experiment = of(
        Variant("plain", "x-y"),
        Variant("own", "x-y", loss={"temperature": 0.5}, learning_rate=0.25, steps=2),
        Variant("over", "x-y", loss={"symmetric": False}),
        loss={"symmetric": True},
        learning_rate=0.125,
        weight_decay=0.375,
    )
    run.run(experiment, tmp_path, model=model, split=data.Split.of(many()))
    found = {label: trained(tmp_path, label) for label in experiment.labels}
    assert {label: one["loss"] for label, one in found.items()} == {
        "plain": {"symmetric": True},
        "own": {"symmetric": True, "temperature": 0.5},
        "over": {"symmetric": False},
    }
    arguments = {label: one["arguments"] for label, one in found.items()}
    rates = {label: one["learning_rate"] for label, one in arguments.items()}
    assert rates == {"plain": 0.125, "own": 0.25, "over": 0.125}
    assert {one["weight_decay"] for one in arguments.values()} == {0.375}
    assert {label: one["steps"] for label, one in found.items()} == {
        "plain": 1, "own": 2, "over": 1,
    }  # fmt: skip
    for candidates in (("own",), ("over",), ()):
        one = replace(experiment, candidates=candidates)
        text = report.improved(report.Found.load(one, tmp_path))
        assert re.findall(r"Chosen is (\w+): ", text) == list(candidates)


def test_judging_is_in_bfloat16_too(tmp_path: Path) -> None:
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

    begin, split = str(tmp_path / "tiny"), data.Split.of(articles("words", text))
    tiny.save_pretrained(begin)
    experiment = of(Variant("x-y", "x-y"), judged=("mlqa-r-train",), learning_rate=1e-3, bf16=True)
    run.run(experiment, tmp_path, model=begin, split=split)
    for name, model in (
        ("untrained-0", begin),
        ("x-y-1", str(tmp_path / "runs" / "x-y-1" / "model")),
    ):
        saved = Results.load(tmp_path / "results" / "mlqa-r-train" / name)
        found = {}
        for bf16 in (True, False):
            one = SentenceTransformer(model, device=run._device())  # noqa: SLF001
            with torch.autocast(run._device(), torch.bfloat16, enabled=bf16):  # noqa: SLF001
                found[bf16] = bh.evaluate(
                    one, split.held_out("train"), measures=["AP"], store=tmp_path / f"{name}{bf16}"
                )
        same = {bf16: values(one) == values(saved) for bf16, one in found.items()}
        assert same == {True: True, False: False}, name


def values(results: Results) -> list[float]:
    """Return the mAP of every question in the pool."""
    found = results.values("AP", "multi")
    assert found is not None
    return found.value.tolist()


# ------------------------------------------------------------------------------ words switched

AND = {"de": "und", "en": "and"}  # which no alignment of NTREX's news can miss


@pytest.mark.parametrize(("unknown", "share"), [(3, 0.25), (19, 0.05)])
def test_words_are_switched_where_the_lexicon_has_enough(
    unknown: int,
    share: float,
    model: str,
    mirror: Path,  # noqa: ARG001
    tmp_path: Path,
) -> None:
    pytest.importorskip("accelerate", reason=TRAINER)
    experiment = of(Variant("plain", "x-y"), Variant("switched", "x-y", switch=0.75))

    def text(number: int, lang: str) -> str:
        known = data.part_of(("de", f"de {number}")) != "train"
        return " ".join([AND[lang], *[AND[lang] if known else f"q{number}x"] * unknown])

    split = data.Split.of(articles(f"spoken{unknown}", text))
    run.run(experiment, tmp_path, model=model, split=split)
    notes = json.loads((tmp_path / run.NOTES).read_text("utf-8"))
    assert notes["coverage"] == pytest.approx(share)
    assert notes["by language"] == pytest.approx(dict.fromkeys(AND, share))
    assert trained(tmp_path, "plain")["strategy"]["code_switch"] is None
    if share < 0.1:
        assert notes["skipped"] == {"switched": "the lexicon has 5.0% of the words, less than 10%"}
        assert not (tmp_path / "runs" / "switched-1").exists()
        return
    assert not notes["skipped"]
    switch = trained(tmp_path, "switched")["strategy"]["code_switch"]
    assert (switch["probability"], switch["on"]) == (0.75, "both")
    lexicon = run.Material(experiment, split).lexicon
    assert switch["sha256"] == lexicon.digest()
    assert set(lexicon.entry_numbers) == set(AND)  # not the languages that the arm never sees
    assert lexicon.find_translations("und", "de") == {"en": ["and"]}


# ------------------------------------------------------------------------------ joined batches


def test_ranks_train_with_joined_batches(model: str, tmp_path: Path) -> None:
    pytest.importorskip("accelerate", reason=TRAINER)
    experiment = of(
        Variant("plain", "x-x-mono"),
        Variant("together", "x-x-mono", ranks=Ranks(2, together=True)),
        Variant("apart", "x-x-mono", ranks=Ranks(2, together=False)),
        steps=3,
        batch_size=4,
    )
    run.run(experiment, tmp_path, model=model, split=data.Split.of(many()))
    plain, together, apart = (weights(tmp_path, label) for label in experiment.labels)
    # Two processes that draw two rows together draw what one does that draws four.
    assert np.array_equal(plain, together)
    assert not np.allclose(apart, together, atol=1e-3)


@pytest.mark.parametrize("strategy", ["x-x-mono", "hybrid"])
def test_joined_or_not_an_epoch_has_the_same_parts(strategy: str) -> None:
    pairs = data.Split.of(many()).pairs("train")
    for epoch in (0, 1):
        drawn = {}
        for together in (True, False):
            ranks = Ranks(3, together=together)
            sampler = Joined(pairs, 6, seed=1, strategy=strategy, ranks=ranks)
            sampler.set_epoch(epoch)
            drawn[together] = [tuple(batch[at : at + 2]) for batch in sampler for at in (0, 2, 4)]
        assert sorted(drawn[True]) == sorted(drawn[False])
        assert drawn[True] != drawn[False]


# ---------------------------------------------------------------------------------- differences


def scored(label: str, by_seed: Mapping[int, Sequence[float] | np.ndarray], *names: str) -> Pooled:
    """Return values of questions by seed, alike in each of the columns that are named."""
    found: dict[Any, Table] = {}
    values = np.array(list(by_seed.values()), np.float64)
    numbers = np.arange(values.shape[1])
    for name in names or tables.TESTED:
        column = COLUMNS[name]
        aim = {"mono": "de", "cross": "en", "multi": "all"}[column.kind]
        setting = Setting(column.kind, "de", aim)
        found[column.measure, column.kind] = Table(numbers, 0 * numbers, (setting,), values)
    return Pooled(label, "set", tuple(by_seed), found, {})


def test_p_is_corrected_for_all_that_a_variant_is_compared_with() -> None:
    base = np.full(4, 0.5)
    rivals = {"even": [0.1] * 4, "uneven": [0.4, 0.2, 0.1, -0.05], "none": [0.0] * 4}
    others = [scored(label, {1: base - rivals[label]}) for label in rivals]
    found = gaps(scored("hybrid", {1: base}), others, COLUMNS["Mo mAP"])
    # Of 16 flips two are as far from 0 as .1 four times; of .65, those of the last sign too.
    assert [gap.p for gap in found] == pytest.approx([2 / 16, 4 / 16, 1])
    assert [gap.p_holm for gap in found] == pytest.approx([3 * 2 / 16, 2 * 4 / 16, 1])


LOW, HIGH = np.linspace(0.30, 0.35, 12), np.linspace(0.40, 0.46, 12)


def test_a_variant_that_is_better_is_kept() -> None:
    base, one = scored("hybrid", {1: LOW, 2: LOW}), scored("one", {1: HIGH, 2: HIGH + 0.001})
    found = claims.kept({"one": (one, base), "other": (base, one)})
    assert {name: kept for name, (kept, _) in found.items()} == {"one": True, "other": False}
    for _, rows in found.values():
        assert [name for name, _ in rows] == ["Mo mAP", "Cr mAP", "Mul mAP", "rank distance"]
    lacking = scored("one", {1: HIGH, 2: HIGH + 0.001}, "Mo mAP", "Mul mAP", "rank distance")
    assert not claims.kept({"one": (lacking, base)})["one"][0]


def test_claims_are_corrected_for_each_other_and_need_all_their_columns() -> None:
    up = np.linspace(0.3, 0.4, 7)
    rows = {"hybrid": up, "x-x-mono": up, "x-y": up - 0.1, "x-x": up - 0.1}
    mono, pool = (
        {label: scored(label, {1: row, 2: row}, *names) for label, row in rows.items()}
        for names in (("Mo mAP", "rank distance"), ("Mul mAP",))
    )

    def told(**judged: Mapping[str, Pooled]) -> list[tuple[str, str, list[float]]]:
        return [
            (one.collection, one.word, [gap.p_holm for _, gap in one.rows])
            for one in claims.verdicts("A", judged)
            if one.claim.text.startswith(("monolingual batches", "cross-lingual batches"))
        ]

    # Of 128 flips two are as far from 0. Rank distance, for both alike, is compared as well.
    assert told(one=mono) == [
        ("one", "confirmed", [2 * 2 / 128]), ("one", "not testable here", []),
    ]  # fmt: skip
    # And, in the pool, monolingual batches with mixed ones; for x-y the other column is missing.
    found = told(one=mono, again=mono, pool=pool)
    assert found[:2] == [(name, "not confirmed", [5 * 2 / 128]) for name in ("one", "again")]
    assert {(word, len(rows)) for _, word, rows in found[2:]} == {("not testable here", 0)}


def test_an_order_is_told_of_what_is_there(tmp_path: Path) -> None:
    expected = {"mlqa-r-dev": {"Mo mAP": [["a"], ["b"]]}}
    variants = Variant("a", "x-y"), Variant("b", "x-y")
    found = report.Found(replace(of(*variants), expected=expected), tmp_path, {"skipped": {}})
    assert "| Mo mAP on mlqa-r-dev | a > b | not there |" in report.order(found)


def test_a_folder_of_before_an_option_was_there_is_good(tmp_path: Path) -> None:
    experiment = of(Variant("x-y", "x-y"), Variant("switched", "x-y", switch=0.5))
    run._claim(experiment, None, tmp_path)  # noqa: SLF001
    path = tmp_path / run.EXPERIMENT
    stored = json.loads(path.read_text("utf-8"))
    for variant in stored["variants"]:
        for name in ("steps", "ranks", "passage_text", "learning_rate"):
            del variant[name]
    path.write_text(json.dumps(stored), "utf-8")
    run._claim(experiment, None, tmp_path)  # noqa: SLF001
    path.write_text(json.dumps(stored), "utf-8")
    other = replace(experiment, variants=(replace(experiment.variants[0], steps=5),))
    with pytest.raises(BadOption, match="another x-y;"):
        run._claim(other, None, tmp_path)  # noqa: SLF001
    # It stays written down where a later run leaves it out.
    run._claim(replace(experiment, variants=experiment.variants[1:]), None, tmp_path)  # noqa: SLF001
    with pytest.raises(BadOption, match="another x-y;"):
        run._claim(other, None, tmp_path)  # noqa: SLF001


# -------------------------------------------------------------------------------------- tables

HELLO = {
    "ar": "مرحبا", "de": "Hallo", "el": "γεια", "en": "Hello", "es": "Hola", "hi": "नमस्ते",
    "ru": "привет", "th": "สวัสดี", "tr": "merhaba", "vi": "chào", "zh": "你好",
}  # fmt: skip


def test_scripts_are_those_of_unicode() -> None:
    scripts = {lang: unicodedata.name(word[0]).split()[0] for lang, word in HELLO.items()}
    latin = frozenset(lang for lang, script in scripts.items() if script == "LATIN")
    assert latin == tables.LATIN
    assert frozenset(HELLO) - latin == tables.OTHERS


def test_questions_are_rows_of_the_table_of_one_target() -> None:
    langs = [("de", "de"), ("de", "en"), ("en", "de"), ("en", "en")]
    settings = tuple(Setting("one-target", *pair) for pair in langs)
    values = np.array([[0.1, 0.3, 0.3, 0.4, 0.6]])
    numbers = np.array([0, 0, 1, 2, 3])  # of the settings
    one = Table(np.array([0, 1, 0, 0, 0]), numbers, settings, values)
    text = tables.one_target(Pooled("hybrid", "set", (1,), {("AP", "one-target"): one}, {}))
    rows = re.findall(r"^\| (\w*) \| ([^|]+) \| ([^|]+) \|$", text, re.MULTILINE)
    assert rows == [
        ("", "de", "en"), ("de", ".2000", ".3000"), ("en", ".4000", ".6000"),
    ]  # fmt: skip
