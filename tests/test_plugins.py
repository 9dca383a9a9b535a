"""Datasets of installed packages, found by entry points, and conversion of options."""

import json
import os
import subprocess
import sys
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

import pytest

import beir_hybrid
from beir_hybrid import BeirHybridError, Collection, Dataset
from beir_hybrid.errors import BadData, BadOption, UnknownName, Unreachable
from beir_hybrid.sources import find_dataset
from tests.http_server import serve_files

SOURCE = """
from typing import Literal

from beir_hybrid.sources import Dataset, Remote, announce, load_or_build, fetch


Case = Literal["as is", "low"]


def load(languages=None, *, url: str, checksum: str, most: int = 9, case: Case = "as is"):
    def build(writer):
        lines = fetch(Remote(url, checksum)).read_text("utf-8").splitlines()[:most]
        announce(TOY)
        for number, line in enumerate(lines):
            for lang in languages:
                text = line.lower() if case == "low" else line
                passage = writer.add_passage(lang, str(number), "", text)
                query = writer.add_query(lang, str(number), f"{line}?", str(number))
                writer.add_judgement(query, passage)
        writer.finish()

    recipe = {"checksum": checksum, "most": most, "case": case, "of": languages}
    return load_or_build("toy", recipe, build)


TOY = Dataset(
    name="toy", summary="a toy", load=load, languages=("de", "en"), licence="CC0", citation="Me."
)
NUMBER = 7
"""
RUN = """
import json
import logging
import sys
import beir_hybrid as bh
logging.basicConfig(format="%(message)s", stream=sys.stdout)
name, calls = sys.argv[1], json.loads(sys.argv[2])
for languages, options in calls:
    try:
        print(bh.load(name, languages, **options).view().to_beir())
    except bh.BeirHybridError as error:
        print(f"{type(error).__name__}: {error}")
print(",".join(bh.datasets()))
"""
TEXT = "One\nTwo\nThree\n"


def install_package(folder: Path, entries: dict[str, str]) -> Path:
    """Build a package that declares datasets, install it with pip, and return where it lies."""
    package = folder / "package"
    (package / "toy_datasets").mkdir(parents=True)
    (package / "toy_datasets" / "__init__.py").write_text(SOURCE, "utf-8")
    (package / "toy_datasets" / "broken.py").write_text("1 / 0\n", "utf-8")
    (package / "pyproject.toml").write_text(
        f"""
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "toy-datasets"
version = "1.0"

[project.entry-points."beir_hybrid.datasets"]
{"".join(f"{name} = {value!r}{chr(10)}" for name, value in entries.items())}
""",
        "utf-8",
    )
    site = folder / "site"
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check"]
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", *options, "--target", site, package],
        check=True,
        capture_output=True,
    )
    return site


def load_in_process(
    site: Path, name: str, *calls: tuple[str | list[str] | None, dict[str, Any]]
) -> list[str]:
    home = str(Path(beir_hybrid.__file__).parents[1])
    process = subprocess.run(
        [sys.executable, "-c", RUN, name, json.dumps(calls)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(site), home])},
        check=True,
        capture_output=True,
        text=True,
    )
    *lines, names = process.stdout.splitlines()
    own_names = beir_hybrid.datasets()
    assert {*own_names} <= {*names.split(",")}
    return [*lines, ",".join(name for name in names.split(",") if name not in own_names)]


def _format_dicts(langs: list[str], texts: list[str]) -> str:
    corpus = {
        f"{lang}:{number}": {"title": "", "text": text}
        for lang in langs
        for number, text in enumerate(texts)
    }
    lines = TEXT.split()
    queries = {f"{lang}:q:{n}": f"{lines[n]}?" for lang in langs for n in range(len(texts))}
    # A question has judgements in its own language only.
    qrels = {query: {query.replace(":q:", ":"): 1} for query in queries}
    return str((corpus, queries, qrels))


def test_an_installed_package_adds_a_dataset(tmp_path: Path) -> None:
    site = install_package(tmp_path, {"toy": "toy_datasets:TOY"})
    with serve_files({"/toy.txt": TEXT.encode()}) as server:
        options = {"url": f"{server.url}/toy.txt", "checksum": sha256(TEXT.encode()).hexdigest()}
        lines = load_in_process(
            site,
            "toy",
            ("deu", options),
            (["en", "de"], options | {"most": "2", "case": "low"}),
            ("fr", options),
            ("en", options | {"most": "two"}),
            ("en", options | {"mots": "2"}),
            ("en", {"url": "x"}),
        )
        assert len(server.requests) == 1
    notice, german, both, french, *errors, name = lines
    assert notice == "toy is licensed CC0. Please cite: Me."
    assert german == _format_dicts(["de"], ["One", "Two", "Three"])
    assert both == _format_dicts(["de", "en"], ["one", "two"])
    assert french == "UnknownName: no language of toy is 'fr'; there are de (German), en (English)"
    assert errors == [
        "BadOption: most is 'two'; it has to be a whole number",
        "UnknownName: no option of toy 'mots'; did you mean 'most'?",
        "BadOption: toy needs the option 'checksum'",
    ]
    assert name == "toy"


def test_a_broken_package_harms_no_other_dataset(tmp_path: Path) -> None:
    entries = {
        "toy": "toy_datasets:TOY",
        "jsonl": "toy_datasets:TOY",
        "misnamed": "toy_datasets:TOY",
        "number": "toy_datasets:NUMBER",
        "missing": "toy_datasets.none:TOY",
        "broken": "toy_datasets.broken:TOY",
    }
    site = install_package(tmp_path, entries)
    reasons = {
        "jsonl": "'toy_datasets:TOY' declares 'jsonl', as this package does",
        "misnamed": "'toy_datasets:TOY' is named 'misnamed', but its dataset 'toy'",
        "number": "'toy_datasets:NUMBER' is no Dataset but int",
        "missing": "'toy_datasets.none:TOY' cannot be loaded: "
        "ModuleNotFoundError: No module named 'toy_datasets.none'",
        "broken": "'toy_datasets.broken:TOY' cannot be loaded: ZeroDivisionError: division by zero",
    }
    *left_out, names = load_in_process(site, "toy")
    assert left_out == [
        f"a dataset is left out: entry point {reasons[name]}" for name in sorted(reasons)
    ]
    assert names == "toy"
    assert (
        load_in_process(site, "number", ("de", {}))[0]
        == f"BadData: entry point {reasons['number']}"
    )
    assert (
        load_in_process(site, "broken", ("de", {}))[0]
        == f"BadData: entry point {reasons['broken']}"
    )
    # A dataset that works is loaded by name without importing the others.
    assert load_in_process(site, "toy", ("de", {}))[0] == "BadOption: toy needs the option 'url'"
    assert (
        load_in_process(site, "jsonl", (None, {}))[0] == "BadOption: jsonl needs the option 'path'"
    )


def make_dataset() -> Dataset:
    def load(
        languages: tuple[str, ...] | None = None,
        *,
        most: int = 1,
        share: float = 0.5,
        strict: bool = False,
        kind: Literal["a", "b"] = "a",
        size: Literal[1, 2] = 1,
        parts: tuple[str, ...] = (),
        path: str | Path = "",
        name: str | None = None,
        limit: int | None = None,
        unannotated: Any = None,
        **rest: str,
    ) -> Collection:
        raise BeirHybridError(repr((languages, _list_changes(locals()))))

    return Dataset("options", "", load)


def _list_changes(values: dict[str, Any]) -> dict[str, Any]:
    defaults = {"most": 1, "share": 0.5, "strict": False, "kind": "a", "size": 1, "parts": ()}
    defaults |= {"path": "", "name": None, "limit": None, "unannotated": None, "rest": {}}
    return {name: values[name] for name, value in defaults.items() if values[name] != value}


@pytest.mark.parametrize(
    ("option", "text", "value"),
    [
        ("most", "12", 12),
        ("most", 12, 12),
        ("share", "0.25", 0.25),
        ("strict", "yes", True),
        ("strict", True, True),
        ("kind", "b", "b"),
        ("size", "2", 2),
        ("parts", "x,y", ("x", "y")),
        ("parts", ["x", "y"], ("x", "y")),
        ("path", "a/b", Path("a/b")),
        ("name", "7", "7"),
        ("limit", "7", 7),
        ("unannotated", "7", "7"),
    ],
)
def test_options_are_converted_to_their_annotations(option: str, text: Any, value: Any) -> None:
    with pytest.raises(BeirHybridError) as error:
        make_dataset()(["eng", "de", "en"], **{option: text})
    assert str(error.value) == repr((("de", "en"), {option: value}))


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("most", "many", "most is 'many'; it has to be a whole number"),
        ("most", True, "most is True; it has to be a whole number"),
        ("most", 1.5, "most is 1.5; it has to be a whole number"),
        ("share", "half", "share is 'half'; it has to be a number"),
        ("strict", "maybe", "strict is 'maybe'; it has to be true or false"),
        ("strict", 1, "strict is 1; it has to be true or false"),
        ("kind", "c", "kind is 'c'; use one of ('a', 'b')"),
        ("size", "3", "size is '3'; use one of (1, 2)"),
        ("parts", [1], "parts is [1]; it has to be texts with commas between"),
        ("path", 3, "path is 3; it has to be text"),
        ("name", 3, "name is 3; it has to be text"),
        ("languages", "en", "languages are no option of a dataset; name them beside the options"),
        ("rest", "x", "no option of options 'rest'; did you mean "),
        ("self", "x", "no option of options 'self'; "),
        ("strikt", "x", "no option of options 'strikt'; did you mean 'strict'?"),
    ],
)
def test_bad_options_are_refused(option: str, value: Any, message: str) -> None:
    with pytest.raises(BadOption) as error:
        make_dataset()(None, **{option: value})
    assert str(error.value).startswith(message)


def test_a_revision_that_is_no_text_is_refused() -> None:
    with pytest.raises(BadOption) as error:
        beir_hybrid.load("miracl", "sw", revision=3)
    assert str(error.value) == "revision is 3; it has to be text"


def test_every_listed_option_can_be_passed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BEIR_HYBRID_OFFLINE", "1")
    path = tmp_path / "one.jsonl"
    path.write_text(
        '{"query": "q", "text": {"de": "Wer?"}, "relevant": ["p"]}\n'
        '{"passage": "p", "text": {"de": "Sie."}}\n',
        "utf-8",
    )
    collection = beir_hybrid.load("jsonl", path=str(path), name="mine", licence="CC0")
    assert (collection.name, collection.licence) == ("mine", "CC0")
    beir_hybrid.write_folder(collection, tmp_path / "folder", "test")
    paths = {"jsonl": path, "beir-folder": tmp_path / "folder"}
    folder_options = {"jsonl-image-text": "path", "multi30k": "images", "xtd10": "images"}
    option_names = {}
    for name, dataset in beir_hybrid.datasets().items():
        options = {key: option.default for key, option in dataset.options.items()}
        if name in folder_options:
            options[folder_options[name]] = tmp_path
        if name in paths:
            options["path"] = paths[name]
            assert beir_hybrid.load(name, **options).view().to_beir() == collection.view().to_beir()
        elif name == "squad":
            with pytest.raises(BadOption, match=r"files is \(\); it has to be LANG=FILE"):
                beir_hybrid.load(name, **options | {"files": ()})
        elif name == "trec":
            options["qrels"] = tmp_path / "folder" / "qrels" / "test.tsv"
            languages = beir_hybrid.load(name, **options).languages
            assert languages == collection.languages
        elif name == "jsonl-image-text":
            with pytest.raises(BadData, match=r" lacks captions\.jsonl, "):
                beir_hybrid.load(name, path=tmp_path)
        else:  # fetching comes next, if there is anything to fetch, and fails
            with suppress(Unreachable):
                beir_hybrid.load(name, dataset.languages[:1], **options)
        option_names[name] = sorted(options)
    assert (
        option_names.items()
        >= {
            "xquad-r": ["extra", "passage_text"],
            "mlqa-r": ["extra", "passage_text"],
            "miracl": ["passages", "revision", "split", "title_policy"],
            "beir-folder": ["language", "name", "path", "split", "variants"],
            "jsonl": ["licence", "name", "path", "variants"],
            "quickstart": ["split"],
            "jsonl-image-text": ["licence", "name", "path"],
            "multi30k": ["images", "split"],
            "xtd10": ["images"],
            "xm3600": ["captions"],
            "xflickrco": [],
            "wit": ["captions"],
            "squad": ["files", "licence", "name", "on_bad", "title_policy", "unit"],
            "xquad": [],
            "belebele": ["on_bad"],
            "mr-tydi": ["split", "title_policy"],
            "mmarco": ["passages", "queries", "split"],
            "trec": ["id_languages", "name", "qrels", "runs", "unanswered"],
            "mfaq": ["queries", "split"],
            "wikiqa": ["queries"],
            "duorc": ["queries"],
            "newsqa": ["queries"],
            "natural-questions": ["queries"],
            "yahoo-answers": ["queries"],
            "squadshifts": ["part"],
        }.items()
    )


def test_a_dataset_is_named_by_position() -> None:
    assert find_dataset("jsonl").name == "jsonl"
    with pytest.raises(UnknownName, match=r"^no dataset 'xquadr'; did you mean 'xquad-r'\?$"):
        beir_hybrid.load("xquadr", name="mine")
