"""The demonstration's data, told from CLDR by other means, and the quick start from end to end."""

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
def everything(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Collection]:
    """Give all splits."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BEIR_HYBRID_CACHE", str(tmp_path_factory.mktemp("quickstart")))
        return {split: bh.load("quickstart", split=split) for split in ("train", "test", "all")}


def texts(collection: Collection) -> tuple[dict[str, str], dict[str, str]]:
    """Return the texts of queries and of passages by id."""
    found = (
        dict(zip(table["id"].to_pylist(), table["text"].to_pylist(), strict=True))
        for table in (collection.queries, collection.passages)
    )
    asked, answered = found
    return asked, answered


def golds(collection: Collection) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for row in collection.view().qrels.to_pylist():
        found.setdefault(row["query_id"], []).append(row["passage_id"])
    return found


def test_every_wording_has_its_places_in_every_language() -> None:
    places = {"ask": {"a"}, "hint": {"c"}, "answer": {"a", "b"}}
    assert list(TEMPLATES) == [
        "currency", "former", "language", "country", "city", "zone", "code", "script"
    ]  # fmt: skip
    for relation, by_lang in TEMPLATES.items():
        assert tuple(sorted(by_lang)) == LANGS, relation
        for lang, parts in by_lang.items():
            assert {name: len(some) for name, some in parts.items()} == {
                name: len(some) for name, some in by_lang["en"].items()
            }, (relation, lang)
            for part, some in parts.items():
                for text in some:
                    assert set(re.findall(r"\{(.)\}", text)) == places[part], text
                    assert text.count("{") == len(places[part]), text
    every = [
        (lang, text)
        for by_lang in TEMPLATES.values()
        for lang, parts in by_lang.items()
        for some in parts.values()
        for text in some
    ]
    assert len(set(every)) == len(every)


def test_questions_end_as_their_language_has_it() -> None:
    ends = {"ar": "؟", "el": ";", "th": "", "zh": "\uff1f"}
    for by_lang in TEMPLATES.values():
        for lang, parts in by_lang.items():
            for text in [*parts["ask"], *parts.get("hint", [])]:
                assert text.endswith(ends.get(lang, "?")), text
                assert ("¿" in text) == (lang == "es"), text


def listed(kind: str, code: str) -> list[str]:
    """Return what babel calls a thing in each language; what it lacks is left out."""
    tables = [getattr(babel.Locale(lang), kind) for lang in LANGS]
    return [table[code] for table in tables if code in table]


def holds(asked: list[str], answers: list[str]) -> bool:
    pairs = zip(asked, answers, strict=True)
    return any(answer.lower() in name.lower() for name, answer in pairs)


def countries() -> list[str]:
    """Return the codes of ISO 3166: those of CLDR with a currency or a time zone, and no others."""
    from babel.core import get_global

    zones = set(get_global("zone_territories").values())
    there = set(get_global("territory_currencies")) | zones | {"AQ"}
    reserved = {"AC", "CP", "CQ", "DG", "EA", "EU", "IC", "TA", "XK", "ZZ"}  # by ISO, for others
    in_use = {code for code in there if code in babel.Locale("en").territories}
    return sorted(code for code in in_use - reserved if len(code) == 2 and code.isalpha())


def test_as_many_facts_of_each_relation_as_babel_tells(everything: dict[str, Collection]) -> None:
    from babel.core import get_global
    from babel.languages import get_territory_language_info
    from babel.numbers import get_territory_currencies

    found = Counter(key.partition(":")[2].partition("-")[0] for key in texts(everything["all"])[1])
    day = date(2025, 1, 1)
    expected: Counter[str] = Counter()
    money = {}
    for code in countries():
        names = listed("territories", code)
        expected["country"] += 1
        current = get_territory_currencies(code, day)
        if len(current) == 1:
            money[code] = current[0]
            known = listed("currencies", current[0])
            expected["currency"] += len(known) == 11 and not holds(names, known)
        official = [
            lang
            for lang, about in get_territory_language_info(code).items()
            if about["official_status"] in ("official", "de_facto_official")
        ]
        if len(official) == 1:
            known = listed("languages", official[0])
            expected["language"] += len(known) == 11 and not holds(names, known)
    expected["code"] = sum(len(listed("currencies", one)) == 11 for one in set(money.values()))
    for relation, count in expected.items():
        assert found[relation] == 11 * count, relation
    assert len(get_global("zone_territories")) > found["city"] / 11 > 250
    assert found["zone"] / 11 > 200
    assert found["script"] / 11 > 100
    assert found["former"] / 11 > 30
    assert found.total() / 11 > 1000


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
def test_facts_checked_by_hand(
    everything: dict[str, Collection], passage: str, names: list[str]
) -> None:
    found = texts(everything["all"])[1]
    if names[0] == names[1]:  # the question would hold the answer
        assert passage not in found
        return
    lang, _, rest = passage.partition(":")
    wordings = TEMPLATES[rest.partition("-")[0]][lang]["answer"]
    assert found[passage] in [text.format(a=names[0], b=names[1]) for text in wordings]


def test_what_is_not_certain_is_not_told(everything: dict[str, Collection]) -> None:
    asked, found = texts(everything["all"])
    # Two currencies, several languages, one that is no country, a city that names its country.
    for key in ("currency-PA", "language-CH", "country-XK", "city-America-Panama"):
        assert f"en:{key}" not in found
    assert asked["en:q:currency-JP-ask"] in [
        text.format(a="Japan") for text in TEMPLATES["currency"]["en"]["ask"]
    ]
    # Japan has one time zone, so there is one city to ask by.
    assert asked["de:q:currency-JP-hint"] in [
        text.format(c="Tokio") for text in TEMPLATES["currency"]["de"]["hint"]
    ]
    assert "en:q:city-Asia-Tokyo-hint" not in asked


def test_no_fact_is_in_both_splits(everything: dict[str, Collection]) -> None:
    groups = {name: set(one.queries["group"].to_pylist()) for name, one in everything.items()}
    assert groups["train"] & groups["test"] == set()
    assert groups["train"] | groups["test"] == groups["all"]
    assert 0.17 < len(groups["test"]) / len(groups["all"]) < 0.23
    asked, answered = texts(everything["train"])
    others_asked, others_answered = texts(everything["test"])
    known = {*asked.values(), *answered.values()}
    assert known & {*others_asked.values(), *others_answered.values()} == set()
    # But names are in both: what is learned of them can be of use.
    train = " ".join(text for key, text in asked.items() if key.startswith("en:"))
    test = {key for key in others_asked if re.fullmatch(r"en:q:currency-..-ask", key)}
    code = [key[14:16] for key in test]
    named = [babel.Locale("en").territories[one] in train for one in code]
    assert sum(named) > 0.9 * len(named)


def test_questions_and_answers_are_parallel(everything: dict[str, Collection]) -> None:
    for collection in everything.values():
        assert collection.languages == LANGS
        asked, answered = texts(collection)
        found = golds(collection)
        assert found.keys() == asked.keys()
        by_group: dict[str, set[str]] = {}
        for row in collection.queries.to_pylist():
            lang, q, key = row["id"].split(":")
            assert (q, row["lang"], row["group"]) == ("q", lang, key)
            by_group.setdefault(key, set()).add(lang)
            fact = key.rpartition("-")[0]
            assert sorted(found[row["id"]]) == [f"{one}:{fact}" for one in LANGS]
        assert set(map(frozenset, by_group.values())) == {frozenset(LANGS)}
        # A text is of one fact alone: what answers one question is no answer to another.
        for some in (asked, answered):
            by_lang = [(key.partition(":")[0], text) for key, text in some.items()]
            assert len(set(by_lang)) == len(by_lang)


def test_no_question_holds_its_answer(everything: dict[str, Collection]) -> None:
    asked, answered = texts(everything["all"])
    for query, text in asked.items():
        lang, _, key = query.split(":")
        fact = key.rpartition("-")[0]
        answer = answered[f"{lang}:{fact}"]
        names = [
            match["b"]
            for one in TEMPLATES[fact.partition("-")[0]][lang]["answer"]
            if (match := re.fullmatch(pattern(one), answer))
        ]
        assert names, answer
        for name in names:
            code = re.fullmatch("[A-Z]{2,3}", name)
            if code or lang not in ("th", "zh"):
                # As a word: "için" of a template holds "çin", a country.
                flags = re.NOFLAG if code else re.IGNORECASE
                assert not re.search(rf"\b{re.escape(name)}\b", text, flags), (text, name)
            elif len(names) == 1:
                assert name not in text, (text, answer)


def pattern(template: str) -> str:
    literal = re.escape(template)
    return literal.replace(r"\{a\}", "(?P<a>.+)").replace(r"\{b\}", "(?P<b>.+)")


def test_some_languages_have_the_same_texts(everything: dict[str, Collection]) -> None:
    some = bh.load("quickstart", ["zh", "de"], split="all")
    assert some.languages == ("de", "zh")
    every = [texts(everything["all"]), texts(some)]
    for whole, part in zip(*every, strict=True):
        assert part == {key: text for key, text in whole.items() if key[:2] in ("de", "zh")}
    assert golds(some)["zh:q:country-JP-ask"] == ["de:country-JP", "zh:country-JP"]
    assert some.options == {"split": "all", "babel": babel.__version__}
    assert "no benchmark" in some.caveat


def test_the_same_bytes_in_any_process(tmp_path: Path) -> None:
    code = "import beir_hybrid as bh; bh.load('quickstart', ['en', 'th'])"
    found = []
    for seed in ("0", "1"):
        cache = tmp_path / seed
        env = os.environ | {"PYTHONHASHSEED": seed, "BEIR_HYBRID_CACHE": str(cache)}
        subprocess.run([sys.executable, "-c", code], env=env | {"TZ": f"UTC+{seed}"}, check=True)
        files = [path for path in cache.rglob("*.*") if path.suffix in (".arrow", ".json")]
        found.append({path.relative_to(cache): path.read_bytes() for path in files})
    assert len(found[0]) == 6  # queries and passages of two languages, judgements, the manifest
    assert found[0] == found[1]


def test_babel_is_asked_for_by_its_extra() -> None:
    code = (
        "import importlib.metadata as m, beir_hybrid as bh\n"
        "def version(name):\n"
        "    raise m.PackageNotFoundError(name)\n"
        "m.version = version\n"
        "try:\n    bh.load('quickstart')\n"
        "except bh.errors.MissingExtra as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == (
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


# The whole of it, on a small scale: with no network to be had, and nobody trying.
RUN = """
import os, sys
def watch(event, _):
    if event in ("socket.connect", "socket.getaddrinfo"):
        os._exit(99)
sys.addaudithook(watch)
import beir_hybrid as bh
from beir_hybrid.extras.demonstration import notes, quickstart, table
found = quickstart(sys.argv[1], languages=["de", "en", "th"], max_steps=20)
print(table(found))
print(*notes(found, sys.argv[1]), sep="\\n")
assert not {"jnius", "pyserini"} & set(sys.modules)
"""


def start(folder: Path, cache: Path) -> "subprocess.Popen[str]":
    nowhere = "http://127.0.0.1:9"
    env = {name: text for name, text in os.environ.items() if name != "HF_HUB_OFFLINE"}
    env |= {"BEIR_HYBRID_CACHE": str(cache), "HTTP_PROXY": nowhere, "HTTPS_PROXY": nowhere}
    return subprocess.Popen(
        [sys.executable, "-c", RUN, str(folder)], env=env, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def finished(folder: Path, cache: Path) -> str:
    with start(folder, cache) as running:
        out, err = running.communicate(timeout=300)
    assert running.returncode == 0, err[-2000:]
    assert err == ""
    return out


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, str]:
    """Give a quick start's folder, its cache and what it printed."""
    for name in ("accelerate", "jinja2", "matplotlib"):
        pytest.importorskip(name, reason="the quick start needs it: the extra 'quickstart'")
    folder = tmp_path_factory.mktemp("whole")
    return folder / "out", folder / "cache", finished(folder / "out", folder / "cache")


def test_the_table_is_of_the_results(whole: tuple[Path, Path, str]) -> None:
    out, _, printed = whole
    first, *lines = printed.splitlines()
    headings, rows = eval(first)  # noqa: S307 - what we have just printed
    assert headings == [
        "batches", "mAP mono", "mAP cross", "mAP multi", "R@1 mono", "rank distance"
    ]  # fmt: skip
    assert [row[0] for row in rows] == ["x-x-mono", "x-y", "hybrid"]
    places = [("mono", "AP"), ("cross", "AP"), ("multi", "AP"), ("mono", "R@1"),
              ("multi", "RankDistance")]  # fmt: skip
    multi = {}
    for name, *cells in rows:
        stored = json.loads((out / "results" / name / "results.json").read_text("utf-8"))
        multi[name] = stored["summary"]["multi"]["AP"]["mean"]
        for (kind, measure), cell in zip(places, cells, strict=True):
            found = stored["summary"][kind][measure]
            mean, half = (float(text.replace(",", "")) for text in cell.split(" ±"))
            digits = 5e-5 if measure != "RankDistance" else 0.05
            assert mean == pytest.approx(found["mean"], abs=digits)
            assert half == pytest.approx((found["high"] - found["low"]) / 2, abs=digits)
        assert {setting["kind"] for setting in stored["settings"]} == {"mono", "cross", "multi"}
        assert len(stored["settings"]) == 3 + 6 + 3
    best = max(multi, key=lambda name: multi[name])
    assert f"index of {best}, for Pyserini: {out / 'index'}" in lines
    assert lines[-1] == f"open {(out / 'site' / 'index.html').as_uri()}"
    assert "each trained for 20 steps of 128 pairs, with seed 1" in lines[1]
    assert "no benchmark" in lines[2]


def test_everything_is_there(whole: tuple[Path, Path, str]) -> None:
    out = whole[0]
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
        assert {path.name for path in (out / "results" / name / "runs").iterdir()} == expected
    multi = {one: bh.Results.load(out / "results" / one).summary()["multi"] for one in strategies}
    best = max(multi, key=lambda one: multi[one][AP].mean)
    index = bh.open_index(out / "index", out / "models" / best / "model", device="cpu")
    passages = texts(bh.load("quickstart", langs))[1]
    assert sorted(index.ids) == sorted(passages)
    page = (out / "site" / "index.html").read_text("utf-8")
    assert all(f">{name}<" in page for name in ("x-x-mono", "x-y", "hybrid"))


def made(folder: Path) -> dict[str, int]:
    names = [f"models/{one}/model/model.safetensors" for one in ("x-x-mono", "x-y", "hybrid")]
    names += [f"results/{one}/results.json" for one in ("x-x-mono", "x-y", "hybrid")]
    return {name: (folder / name).stat().st_mtime_ns for name in [*names, "index/index"]}


def test_a_second_run_makes_nothing_anew(whole: tuple[Path, Path, str]) -> None:
    out, cache, printed = whole
    before = made(out)
    assert finished(out, cache) == printed
    assert made(out) == before


def test_what_differs_needs_another_folder(whole: tuple[Path, Path, str]) -> None:
    from beir_hybrid.extras.demonstration import quickstart

    with pytest.raises(bh.errors.BadOption, match="another arguments: max_steps"):
        quickstart(whole[0], languages=["de", "en", "th"], max_steps=21)
    with pytest.raises(bh.errors.BadOption, match="another pairs: languages"):
        quickstart(whole[0], languages=["de", "en"], max_steps=20)


def test_kills_change_nothing(whole: tuple[Path, Path, str], tmp_path: Path) -> None:
    """It is killed while it trains, while it judges, and before it is done."""
    out = tmp_path / "out"
    marks = ("models/x-x-mono/training.json", "models/x-y/model", "results/hybrid/results.json")
    for mark in marks:
        with start(out, tmp_path / "cache") as running:
            while not (out / mark).exists() and running.poll() is None:
                time.sleep(0.01)
            running.send_signal(signal.SIGKILL)
            running.communicate()
        assert running.returncode == -signal.SIGKILL
    finished(out, tmp_path / "cache")
    for name in ("x-x-mono", "x-y", "hybrid"):
        one, other = (folder / "results" / name / "results.json" for folder in (whole[0], out))
        assert one.read_bytes() == other.read_bytes()
    assert (out / "site" / "index.html").is_file()
    left = [path for path in out.rglob("*.tmp") if "embeddings" not in path.parts]
    assert left == []


def test_what_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from beir_hybrid.extras.demonstration import quickstart

    for name in ("jinja2", "matplotlib"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtra) as caught:
        quickstart(tmp_path / "out")
    assert str(caught.value) == (
        "the quick start needs jinja2, matplotlib: pip install 'beir-hybrid[quickstart]'"
    )
    assert not (tmp_path / "out").exists()


def test_the_command_needs_a_folder_that_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", "utf-8")
    program = Path(sys.executable).with_name("beir-hybrid")
    done: Any = subprocess.run(
        [program, "quickstart", "--output", tmp_path / "file" / "out"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith(f"NotWritable: cannot write {tmp_path / 'file' / 'out'}")
    assert done.stderr.count("\n") == 1
