"""The experiment splits by article, aligns words, and judges the paper's claims by its rule."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import beir_hybrid as bh
from beir_hybrid.collection.setting import Setting
from beir_hybrid.errors import BadData, BadOption, UnknownName
from benchmarks.hybrid import claims, data, ntrex, record, report, run, trained
from benchmarks.hybrid.experiment import HERE, Ranks, read
from benchmarks.hybrid.lexicon import aligned, coverage, lexicon_of, words
from benchmarks.hybrid.pooled import COLUMNS, Gap, Pooled, Table, gaps
from tests.models import transformer_model

NAMES = sorted(path.stem for path in HERE.glob("*.toml"))


# ------------------------------------------------------------------------------- articles


def test_articles_are_joined_by_shared_questions() -> None:
    questions = {
        "q1": [("de", "Hund"), ("en", "Dog")],
        "q2": [("en", "Dog"), ("es", "Perro")],
        "q3": [("en", "Cat")],
        "q4": [("es", "Gato"), ("en", "Cat")],
        "q5": [("de", "Katze"), ("es", "Gato")],
    }
    found = data.components(questions)
    dog, cat = ("de", "Hund"), ("de", "Katze")
    assert found == {
        ("de", "Hund"): dog, ("en", "Dog"): dog, ("es", "Perro"): dog,
        ("en", "Cat"): cat, ("es", "Gato"): cat, ("de", "Katze"): cat,
    }  # fmt: skip


def test_parts_have_their_shares_and_never_change() -> None:
    parts = [data.part_of(("en", f"article {number}")) for number in range(10_000)]
    for part, share in {"train": 0.7, "dev": 0.1, "test": 0.2}.items():
        assert parts.count(part) / 10_000 == pytest.approx(share, abs=0.015)
    named = {title: data.part_of(("en", title)) for title in ("Dog", "Cat", "Ant", "Bee", "Cow")}
    assert named == PARTS


# By `sha256sum` of the language, a tab and the title: 0f, dc, 50, 8f and 4c of 100, hexadecimal.
PARTS = {"Dog": "train", "Cat": "test", "Ant": "train", "Bee": "train", "Cow": "train"}


def small(torn: bool = False) -> bh.Collection:
    """Return articles in two languages; if `torn`, with one that has no question."""
    from beir_hybrid.collection.cache import load_or_build
    from beir_hybrid.collection.writer import CollectionWriter

    def build(writer: CollectionWriter) -> None:
        for number, title in enumerate(PARTS):
            ids = [
                writer.add_passage(lang, f"{number}-0", f"{title} {lang}", f"{title} in {lang}")
                for lang in ("de", "en")
            ]
            writer.add_passage("en", f"{number}-1", f"{title} en", f"more on {title}")
            for lang in ("de", "en"):
                query = writer.add_query(lang, f"q{number}", f"{title}, {lang}?", f"q{number}")
                for passage in ids:
                    writer.add_judgement(query, passage)
        if torn:
            writer.add_passage("en", "9-0", "Nobody asks", "text")
        writer.finish(title_policy="text")

    return load_or_build(f"small{torn}", {"torn": torn}, build)


def test_held_out_questions_face_the_passages_of_their_articles() -> None:
    split = data.Split.of(small())
    assert split.names == {("de", f"{title} de") for title in PARTS}
    kept = {part: set(split.groups(part)) for part in data.SHARES}
    expected = {part: set[str]() for part in data.SHARES}
    for number, title in enumerate(PARTS):
        expected[data.part_of(("de", f"{title} de"))].add(f"q{number}")
    assert kept == expected
    part = max(data.SHARES, key=lambda name: len(kept[name]))
    held = split.held_out(part)
    assert set(held.queries["group"].to_pylist()) == kept[part]
    assert len(held.queries) == 2 * len(kept[part])
    titles = set(held.passages["title"].to_pylist())
    numbers = {f"q{number}": title for number, title in enumerate(PARTS)}
    assert titles == {f"{numbers[key]} {lang}" for key in kept[part] for lang in ("de", "en")}
    assert len(held.passages) == 3 * len(kept[part])
    whole = {row["query_id"]: row["passage_id"] for row in small().view().qrels.to_pylist()}
    for row in held.view().qrels.to_pylist():  # ids are those of the whole
        assert row["query_id"] in whole
    pairs = split.pairs(part)
    assert len(pairs) == len(kept[part])


def test_an_article_without_a_question_is_refused() -> None:
    with pytest.raises(BadData, match=r"1 articles have no question, first .*Nobody asks"):
        data.Split.of(small(torn=True))


def test_mlqa_r_is_split_by_its_520_articles(mirror: Path) -> None:  # noqa: ARG001
    split = data.mlqa_r()
    assert len(split.names) == 520
    parts = {part: set(split.groups(part)) for part in data.SHARES}
    assert sum(map(len, parts.values())) == 1148
    assert set.union(*parts.values()) == set(split.collection.queries["group"].to_pylist())
    # By the origin's own titles, whatever the components say: none is on two sides.
    sides: dict[Any, set[str]] = {}
    lang_title = dict(
        zip(
            split.collection.passages["id"].to_pylist(),
            zip(
                *(split.collection.passages[n].to_pylist() for n in ("lang", "title")), strict=True
            ),
            strict=True,
        )
    )
    group = dict(
        zip(*(split.collection.queries[n].to_pylist() for n in ("id", "group")), strict=True)
    )
    side = {key: part for part, keys in parts.items() for key in keys}
    for row in split.collection.view().qrels.to_pylist():
        sides.setdefault(lang_title[row["passage_id"]], set()).add(side[group[row["query_id"]]])
    assert all(len(found) == 1 for found in sides.values())
    held = {part: split.held_out(part) for part in ("dev", "test")}
    shown = [set(zip(*(one.passages[n].to_pylist() for n in ("lang", "title")), strict=True))
             for one in held.values()]  # fmt: skip
    trained = {node for node, name in split.articles.items() if data.part_of(name) == "train"}
    assert not shown[0] & shown[1]
    assert not (shown[0] | shown[1]) & trained
    assert len(held["test"].queries) == 940
    assert len(held["test"].passages) == 4640


# ---------------------------------------------------------------------------------- NTREX


def test_parallel_sentences_are_never_paired_with_themselves() -> None:
    texts = {lang: [f"{lang} {n}" for n in range(3)] for lang in ("de", "en", "es", "zh")}
    pairs = ntrex.sentences(texts)
    assert len(pairs) == 3
    assert not (pairs.groups.has_query & pairs.groups.has_passage).any()
    assert (pairs.groups.has_query | pairs.groups.has_passage).all()
    assert (pairs.groups.has_query.sum(axis=1) == 2).all()
    drawn = bh.HybridBatchSampler(pairs, 3, strategy="x-y").batches()
    for code in drawn[0].codes:
        row = pairs.__getitems__([int(code)])[0]
        assert row["anchor"].split()[1] == row["positive"].split()[1]
        assert row["anchor"].split()[0] != row["positive"].split()[0]


def test_the_next_sentence_is_of_the_same_document() -> None:
    texts = {"de": ["a", "b", "c", "d"], "en": ["A", "B", "C", "D"]}
    pairs = ntrex.following(texts, ["one", "one", "two", "two"])
    rows = [(row["anchor"], row["positive"]) for row in pairs]
    assert rows == [("a", "b"), ("c", "d")]


def test_ntrex_is_pinned(mirror: Path) -> None:  # noqa: ARG001
    texts = ntrex.lines()
    assert {len(lines) for lines in texts.values()} == {1997}
    assert len(texts) == 11
    belongs = ntrex.documents()
    assert len(belongs) == 1997
    assert len(ntrex.following(texts, belongs)) == 1997 - len(set(belongs))


# -------------------------------------------------------------------------------- lexicon

GERMAN = ["das Haus", "das Buch", "ein Buch", "ein Haus", "das Haus"]
ENGLISH = ["the house", "the book", "a book", "a house", "the house"]


def test_model_1_finds_the_words_that_go_together() -> None:
    english, german = ([line.lower().split() for line in side] for side in (ENGLISH, GERMAN))
    expected = {"das": "the", "haus": "house", "buch": "book", "ein": "a"}
    assert aligned(english, german) == expected


def test_rare_words_and_mixed_ones_stay_out() -> None:
    # "selten" is there once; "oft" goes with four words alike, a quarter of it with each.
    english = [["w1"], ["w2"], ["w3"], ["w4"], ["once"]]
    german = [["oft"], ["oft"], ["oft"], ["oft"], ["selten"]]
    assert aligned(english, german) == {}


def test_a_lexicon_translates_over_english() -> None:
    spanish = ["la casa", "la libro", "un libro", "un casa", "la casa"]
    lexicon = lexicon_of({"en": ENGLISH, "de": GERMAN, "es": spanish})
    assert lexicon.find_translations("Haus", "de") == {"en": ["house"], "es": ["casa"]}
    assert lexicon.find_translations("un", "es") == {"de": ["ein"], "en": ["a"]}
    assert coverage(lexicon, [("das Haus dort", "de"), ("la torre", "es")]) == 3 / 5


def test_words_are_what_the_lexicon_looks_up() -> None:
    assert words("Das HAUS, 1990!", "de") == ["das", "haus"]
    assert words("北京市。天", "zh") == ["北京", "京市"]
    assert words("हिन्दी में", "hi") == ["हिन्दी", "में"]


# ---------------------------------------------------------------------------- experiments


@pytest.mark.parametrize("name", NAMES)
def test_every_experiment_declares_strategies_that_can_be_made(name: str) -> None:
    experiment = read(name)
    assert experiment.name == name
    assert experiment.prediction.strip()
    for variant in experiment.variants:
        shares = [share for _, share in variant.made().kinds]
        assert sum(shares) == pytest.approx(1)


def test_the_curve_has_both_ends() -> None:
    alphas = {variant.label: variant.alpha for variant in read("static-a").variants}
    assert alphas == {
        "en-en": None, "x-x": None, "x-x-mono": 1, "x-y": 0, "hybrid-25": 0.25, "hybrid-40": 0.4,
        "hybrid": 0.5, "hybrid-60": 0.6, "hybrid-75": 0.75, "hybrid-switched": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        ("batch_size", "batchsize", "no key of .* 'batchsize'; did you mean 'batch_size'"),
        ('strategy = "x-y"', 'strategie = "x-y"', "no key of .* 'strategie'"),
        ('arm = "A"', 'arm = "D"', "no arm in .* 'D'"),
        ('arm = "A"', 'arm = "A"\ncandidates = ["hybird"]', "no label in .*'hybrid'"),
        ('arm = "A"', 'arm = "A"\ncandidates = ["hybrid"]', "hybrid cannot better itself"),
        ('arm = "A"', "", "lacks 'arm'"),
        ('label = "x-y"', 'label = "hybrid"', "label: .* there twice"),
        ('strategy = "x-y"', 'strategy = "x-z"', "no strategy 'x-z'"),
    ],
)
def test_a_slip_in_a_file_is_named(old: str, new: str, error: str, tmp_path: Path) -> None:
    text = (HERE / "static-a.toml").read_text("utf-8")
    assert old in text
    path = tmp_path / "mine.toml"
    path.write_text(text.replace(old, new, 1), "utf-8")
    with pytest.raises((BadData, UnknownName), match=error):
        read(path)


def test_a_folder_belongs_to_one_experiment(tmp_path: Path) -> None:
    experiment = read("static-a")
    run._claim(experiment, None, tmp_path)  # noqa: SLF001
    run._claim(replace(experiment, seeds=(1, 2)), None, tmp_path)  # noqa: SLF001
    with pytest.raises(BadOption, match="another steps and learning_rate"):
        run._claim(replace(experiment, steps=1, learning_rate=1.0), None, tmp_path)  # noqa: SLF001
    other = replace(experiment.variants[0], strategy="x-y")  # under the same label
    with pytest.raises(BadOption, match="another en-en;"):
        run._claim(replace(experiment, variants=(other,)), None, tmp_path)  # noqa: SLF001


# --------------------------------------------------------------------------------- claims


def gap(low: float, high: float, **given: float) -> Gap:
    """Return a difference whose interval over seeds is that by question, unless given."""
    values = {"mean": 0.5, "seed_low": low, "seed_high": high, "p": 0.001, "p_holm": 0.002} | given
    middle = (low + high) / 2
    return Gap("hybrid", "x-y", difference=middle, low=low, high=high, **values)


@pytest.mark.parametrize(
    ("rule", "found", "good", "bad"),
    [
        ("better", gap(0.001, 0.01), True, False),
        ("better", gap(0.001, 0.01, p_holm=0.06), False, False),
        ("better", gap(0.001, 0.01, seed_low=-0.001), False, False),
        ("better", gap(-0.01, -0.001), False, True),
        ("better", gap(-0.01, 0.01), False, False),
        ("best or equal", gap(-0.0049, 0.01), True, False),
        ("best or equal", gap(-0.0051, 0.01), False, False),
        ("best or equal", gap(-0.02, -0.0051), False, True),
        ("best or equal", gap(-0.02, -0.0051, seed_high=-0.004), False, False),
        # Of a mAP of .05 the margin is .001.
        ("best or equal", gap(-0.0009, 0.01, mean=0.05), True, False),
        ("best or equal", gap(-0.0011, 0.01, mean=0.05), False, False),
        ("equal", gap(-0.004, 0.004), True, False),
        ("equal", gap(-0.004, 0.006), False, False),
        ("equal", gap(0.006, 0.007), False, True),
    ],
)
def test_the_rule(rule: str, found: Gap, good: bool, bad: bool) -> None:
    assert claims.holds(found, rule, 1) == good
    assert claims.contradicts(found, rule, 1) == bad


def test_less_rank_distance_is_better() -> None:
    found = gap(-20.0, -10.0, mean=500.0)
    assert claims.holds(found, "better", -1)
    assert not claims.holds(found, "better", 1)
    assert claims.contradicts(found, "better", 1)


def made(label: str, *seeds: list[float], unseen: bool = False) -> Pooled:
    """Return values of 4 questions by seed, alike in each measure and kind; in de, and ru or en."""
    rows: dict[Any, Table] = {}
    other = "ru" if unseen else "en"
    for name in ("Mo mAP", "Cr mAP", "Mul mAP", "rank distance"):
        column = COLUMNS[name]
        aims = {"mono": ("de", other), "cross": (other, "de"), "multi": ("all", "all")}
        settings = tuple(
            Setting(column.kind, lang, aim)
            for lang, aim in zip(("de", other), aims[column.kind], strict=True)
        )
        values = np.array([[*seed, *seed] for seed in seeds], np.float64)
        question, setting = np.tile(np.arange(4), 2), np.repeat([0, 1], 4)
        rows[column.measure, column.kind] = Table(question, setting, settings, values)
    return Pooled(label, "set", tuple(range(1, len(seeds) + 1)), rows, {})


def test_averages_are_over_seeds_before_questions() -> None:
    one = made("x-y", [0.1, 0.2, 0.3, 0.4], [0.3, 0.4, 0.5, 0.6])
    mean = one.mean(COLUMNS["Mo mAP"])
    assert mean is not None
    assert mean.mean == pytest.approx(0.35)
    assert mean.by_seed == pytest.approx((0.25, 0.45))
    assert mean.spread == pytest.approx(0.2 / 2**0.5)
    # Questions' means over seeds are .2 .3 .4 .5; no resample is outside them.
    assert 0.2 <= mean.low < 0.35 < mean.high <= 0.5


def test_a_gap_has_an_interval_by_question_and_one_over_seeds() -> None:
    first = made("hybrid", [0.2, 0.3, 0.4, 0.5], [0.4, 0.5, 0.6, 0.7])
    second = made("x-y", [0.1, 0.2, 0.3, 0.4], [0.2, 0.3, 0.4, 0.5])
    (found,) = gaps(first, [second], COLUMNS["Mo mAP"])
    # Each question differs by (.1 + .2) / 2; the seeds by .1 and .2, and t(.975; 1) is 12.706.
    assert found.difference == pytest.approx(0.15)
    assert (found.low, found.high) == pytest.approx((0.15, 0.15))
    assert found.seed_low == pytest.approx(0.15 - 12.7062 * 0.05, abs=1e-4)
    assert found.p == pytest.approx(2 / 16)  # of 16 flips of 4 questions the two with equal signs
    assert found.mean == pytest.approx(0.3)


def test_verdicts_name_what_decides_them() -> None:
    low, high = [0.30, 0.31, 0.29, 0.30], [0.40, 0.41, 0.39, 0.40]
    pooled = {
        "hybrid": made("hybrid", high, high),
        "x-x-mono": made("x-x-mono", low, low),
        "x-y": made("x-y", high, high),
    }
    judged = {one.claim.text: one for one in claims.verdicts("A", {"set": pooled, "more": {}})}
    assert all(one.collection == "more" for one in judged.values() if one.claim.columns)
    judged = {one.claim.text: one for one in claims.verdicts("A", {"set": pooled})}
    words = {text: one.word for text, one in judged.items()}
    best = [word for text, word in words.items() if text.startswith("hybrid batches are best")]
    assert best == ["confirmed", "confirmed", "confirmed", "not testable here"]
    # All values are alike, so that more mAP is more rank distance as well.
    assert words[next(text for text in words if "rank distance" in text)] == "contradicted"
    alpha = judged["alpha from 0.4 to 0.6 makes no difference"]
    assert (alpha.word, alpha.reason) == ("not testable here", "no results of hybrid-40, hybrid-60")
    (miracl,) = (one for text, one in judged.items() if "MIRACL" in text)
    assert miracl.reason == "MIRACL's corpora are not at hand"


def test_p_is_corrected_for_all_that_is_to_be_better() -> None:
    rng = np.random.default_rng(1)
    draw = {name: rng.random((2, 4)).tolist() for name in ("hybrid", "x-x-mono", "x-y", "x-x")}
    pooled = {name: made(name, *seeds) for name, seeds in draw.items()}
    rows = [
        gap
        for one in claims.verdicts("A", {"set": pooled, "other": pooled})
        if one.claim.rule == "better"
        for _, gap in one.rows
    ]
    # Rank distance, mono over cross, cross over mono in two columns, x-x: five on each of two.
    assert len(rows) == 10
    least = min(gap.p for gap in rows)
    assert {gap.p_holm for gap in rows if gap.p == least} == {min(1.0, 10 * least)}


def test_gaps_are_of_the_seeds_that_both_have() -> None:
    values = [0.2, 0.3, 0.4, 0.5]
    more = made("hybrid", values, [value + 0.3 for value in values])
    less = replace(made("x-y", values), seeds=(2,))  # the second
    (found,) = gaps(more, [less], COLUMNS["Mo mAP"])
    assert found.difference == pytest.approx(0.3)
    assert np.isinf(found.seed_low)
    assert not gaps(more, [replace(less, seeds=(3,))], COLUMNS["Mo mAP"])
    pooled = {"x-x-mono": more, "x-x": replace(less, seeds=(3,))}
    told = [one.reason for one in claims.verdicts("A", {"set": pooled}) if "X-X" in one.claim.text]
    assert told == ["no seed has all variants"]


def test_unseen_languages_are_of_arm_a_alone() -> None:
    values = [0.30, 0.31, 0.29, 0.30]
    pooled = {
        name: made(name, values, values, unseen=True) for name in ("hybrid", "x-x-mono", "x-y")
    }
    (found,) = (one for one in claims.verdicts("B", {"set": pooled}) if one.claim.unseen)
    assert found.reason == "arm B trains on all languages"
    (found,) = (one for one in claims.verdicts("A", {"set": pooled}) if one.claim.unseen)
    # ru to ru, and the pool asked in ru; of cross-lingual settings none is within the four.
    assert found.reason == "the collection has no settings for Cr mAP"


def test_a_variant_is_chosen_on_dev_and_kept_by_the_rule() -> None:
    low, high = [0.30, 0.31, 0.29, 0.30], [0.40, 0.41, 0.39, 0.40]
    assert claims.candidate({"a": made("a", low), "b": made("b", [0.5] * 4)}) == "b"
    base = made("hybrid", low, low)
    found = claims.kept(
        {"set": (made("b", low, low), base), "other": (made("b", high, high), base)}
    )
    assert not found["set"][0]  # equal, and no gain
    assert not found["other"][0]  # of 4 questions p is 2/16 at least


def test_the_order_of_another_run_is_looked_for() -> None:
    low, high = [0.30, 0.31, 0.29, 0.30], [0.40, 0.41, 0.39, 0.40]
    a, b = made("a", high, high), made("b", low, low)
    assert report.out_of_order([[a], [b]], "Mo mAP") == "the same"
    told = report.out_of_order([[b], [a]], "Mo mAP")
    assert told.startswith("a before b, told apart: -.1000 [-.1000, -.1000] by question")
    assert report.out_of_order([[b], [a]], "rank distance") == "the same"
    other = replace(a, seeds=(7, 8))
    assert report.out_of_order([[other], [b]], "Mo mAP") == "not there"


# ------------------------------------------------------------------------------- learning


def test_learning_curves_are_read_from_the_model_card(tmp_path: Path) -> None:
    card = tmp_path / "runs" / "hybrid-1" / "model" / "README.md"
    card.parent.mkdir(parents=True)
    card.write_text(
        "| Other | Table |\n|:--|:--|\n| 1 | 2 |\n\n### Training Logs\n"
        "| Epoch | Step | Training Loss | mlqa-r-dev_multi_AP |\n"
        "|:-----:|:----:|:-------------:|:-------------------:|\n"
        "| 1.0   | 20   | -             | 0.1                 |\n"
        "| **2.0** | **40** | **-**     | **0.25**            |\n"
        "| 2.5   | 50   | 0.3           | -                   |\n",
        "utf-8",
    )
    assert trained.learned(tmp_path, "hybrid", 1) == {20: 0.1, 40: 0.25}
    assert trained.learned(tmp_path, "hybrid", 2) == {}


# -------------------------------------------------------------------------- from end to end


def files(folder: Path) -> dict[str, tuple[int, int]]:
    """Return when each file was last written, and its size."""
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.stat().st_size)
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".lock"
    }


@pytest.mark.parametrize(
    ("name", "seeds"),
    [("paper-xlmr", (1,)), ("paper-labse", (1,)), ("improve-schedule", (1, 2)), ("ranks", (1,))],
)
def test_an_experiment_runs_goes_on_and_reports(
    name: str, seeds: tuple[int, ...], tmp_path: Path
) -> None:
    pytest.importorskip("accelerate", reason="the trainer needs it: the extra 'train'")
    pytest.importorskip("matplotlib", reason="plots need it: the extra 'quickstart'")
    whole, several = read(name), len(seeds) > 1
    judged = ("mlqa-r-test", "mlqa-r-dev") if several else ("mlqa-r-test",)
    experiment = replace(
        whole, variants=whole.variants[:2], seeds=seeds, judged=judged, steps=4,
        batch_size=4 if name == "ranks" else 2, bf16=name == "paper-labse",
        dev_steps=2 if name.startswith("paper") else 0, arm="A",
        baseline=whole.labels[0], candidates=tuple(whole.labels[1:2]) if several else (),
        max_length=16 if whole.max_length else None, published={},
    )  # fmt: skip
    model = None
    if whole.encoder != "static":
        model = str(tmp_path / "tiny")
        transformer_model(tmp_path / "parts").save_pretrained(model)
    split, output = data.Split.of(many()), tmp_path / "out"
    run.run(experiment, output, model=model, split=split)
    labels = [variant.label for variant in experiment.variants]
    costs = {path.name for path in (output / "cost").iterdir()}
    assert costs == {f"{label}-{seed}.json" for label in labels for seed in seeds}
    if name != "ranks":
        card = json.loads((output / "runs" / f"{labels[1]}-1" / "training.json").read_text())
        assert card["steps"] == (2 if name == "improve-schedule" else 4)
    before = files(output)
    run.run(experiment, output, model=model, split=split)
    changed = {path for path, state in files(output).items() if before.get(path) != state}
    assert changed <= {"experiment.json", "notes.json"}
    # As a kill between judging and noting what it took leaves it.
    (output / "cost" / f"{labels[0]}-1.json").unlink()
    results = output / "results" / "mlqa-r-test" / f"{labels[0]}-1"
    values = (results / "per_query.parquet").read_bytes()
    (results / "results.json").unlink()
    run.run(experiment, output, model=model, split=split)
    assert (results / "per_query.parquet").read_bytes() == values
    assert json.loads((output / "cost" / f"{labels[0]}-1.json").read_text())["resumed"]
    found = report.Found.load(experiment, output)
    text = report.write(found, "command").read_text("utf-8")
    assert text.count("| untrained | ") == len(judged)
    spread = r" ±[\d.]+" if several else ""
    for label in labels:
        assert re.search(
            rf"^\| {label} \| [\d.]+ \[[\d.]+, [\d.]+\]{spread} \|", text, re.MULTILINE
        )
    assert ("Chosen is " in text) == several
    curve = {2, 4} if experiment.dev_steps else set()
    assert set(trained.learned(output, labels[0], 1)) == curve
    assert (output / "learning.svg").is_file() == bool(curve)
    recorded(found, tmp_path / "RESULTS.md")


def recorded(found: report.Found, results: Path) -> None:
    """Hold what is recorded of an experiment against what was reported of it."""
    name, labels = found.experiment.name, found.experiment.labels
    results.write_text("# Results\n\n## training\n\nas it was\n", "utf-8")
    for _ in range(2):  # the second replaces the first
        kept = record.record(found, "command", results)
    text, whole = results.read_text("utf-8"), (kept / "report.md").read_text("utf-8")
    assert whole == (found.output / "report.md").read_text("utf-8")
    assert text.startswith("# Results\n\n## training\n\nas it was\n")
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == ["training", f"hybrid-{name}"]
    mine = re.search(rf"^\| {labels[0]} \| [^|]+ \|", whole, re.MULTILINE)
    assert mine is not None
    assert mine[0] in text
    shown = re.findall(r"\]\(([^)]+)\)", text)
    assert len(shown) > 1
    assert all((results.parent / path).is_file() for path in shown)
    page = record.site([found], results.parent / "site")
    board = page.read_text("utf-8")
    named = [f"{name}: untrained", *(f"{name}: {label}, seed 1" for label in labels)]
    assert all(one in board for one in named)


def many() -> bh.Collection:
    """Return forty articles in three languages, a question and two passages each."""
    from beir_hybrid.collection.cache import load_or_build
    from beir_hybrid.collection.writer import CollectionWriter

    def build(writer: CollectionWriter) -> None:
        for number in range(40):
            ids = []
            for lang in ("de", "en", "es"):
                title = f"{lang} {number}"
                ids.append(writer.add_passage(lang, f"{number}-0", title, f"w{number} {lang}"))
                writer.add_passage(lang, f"{number}-1", title, f"w{number} w{number + 1} other")
            for lang in ("de", "en", "es"):
                query = writer.add_query(lang, f"q{number}", f"w{number} {lang}?", f"q{number}")
                for passage in ids:
                    writer.add_judgement(query, passage)
        writer.finish(title_policy="text")

    return load_or_build("many", {}, build)


@pytest.mark.parametrize("together", [True, False])
def test_joined_batches_have_the_languages_of_their_parts(together: bool) -> None:
    from benchmarks.hybrid.ranks import Joined

    pairs = data.Split.of(many()).pairs("train")
    ranks = Ranks(count=3, together=together)
    sampler = Joined(pairs, 6, seed=1, strategy="x-x-mono", ranks=ranks)
    batches = [[row["anchor"].rpartition(" ")[2] for row in pairs.__getitems__(batch)]
               for batch in sampler]  # fmt: skip
    assert len(batches) == len(sampler) > 2
    for batch in batches:
        assert len(batch) == 6
        assert all(len({*batch[at : at + 2]}) == 1 for at in (0, 2, 4))
    mixed = sum(len({*batch}) > 1 for batch in batches)
    assert mixed == 0 if together else mixed > len(batches) / 2
    sampler.set_epoch(1)
    again = [row for batch in sampler for row in batch]
    sampler.set_epoch(0)
    assert again != [row for batch in sampler for row in batch]


def test_bfloat16_is_where_models_compute() -> None:
    import torch

    experiment = read("small")
    for bf16 in (True, False):
        with run._precision(replace(experiment, bf16=bf16)):  # noqa: SLF001
            product = torch.ones(2, 2) @ torch.full((2, 2), 1 + 2**-9)
        # bfloat16 has seven digits behind the point: 2 ** -9 is lost.
        assert product[0, 0] == (2 if bf16 else 2 + 2**-8)


def test_costs_leave_interrupted_runs_out(tmp_path: Path) -> None:
    (tmp_path / "cost").mkdir()
    for seed, resumed in ((1, False), (2, True)):
        taken = {"training": 10.0 * seed, "whole": 20.0 * seed, "cpu": 30.0, "resumed": resumed}
        (tmp_path / "cost" / f"x-y-{seed}.json").write_text(json.dumps(taken), "utf-8")
    assert "| x-y | 1 | 10.0 | 20.0 | 30.0 |" in trained.costs([(tmp_path, "x-y", (1, 2))])


def test_what_was_drawn_is_of_both_stages_and_a_mean_over_seeds(tmp_path: Path) -> None:
    audits = {
        "a-1": {"batches": {"mono": 1, "cross-rows": 1}, "sources": {"s": 4}, "rows": {"de-en": 4}},
        "a-1-first": {"batches": {"mono": 2}, "sources": {"s": 4}, "rows": {"en-en": 4}},
        "a-2": {"batches": {"cross-rows": 4}, "sources": {"t": 16}, "rows": {"en-de": 16}},
        "a-4-first": {"batches": {"mono": 9}, "sources": {"s": 9}, "rows": {"en-en": 9}},
    }
    for name, audit in audits.items():
        (tmp_path / "runs" / name).mkdir(parents=True)
        path = tmp_path / "runs" / name / "training.json"
        path.write_text(json.dumps({"audit": audit}), "utf-8")
    (tmp_path / "runs" / "a-3").mkdir()
    (tmp_path / "runs" / "a-3" / "training.json").write_text("{}", "utf-8")  # not yet done
    found = trained.drawn_by(tmp_path, "a", (1, 2, 3, 4))
    # 3 of 8 batches; 8 rows of s and 16 of t in two runs; 4 of 24 questions are in de.
    assert found == trained.Drawn(3 / 8, {"s": 4, "t": 8}, {"de": 4 / 24, "en": 20 / 24})
    assert trained.drawn_by(tmp_path, "b", (1,)) is None
