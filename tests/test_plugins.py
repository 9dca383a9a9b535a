"""An installed package adds a dataset by an entry point, and nothing else."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import beir_hybrid

SOURCE = """
from beir_hybrid import Dataset, read_jsonl


def load(languages=None, *, folder):
    return read_jsonl(f"{folder}/{languages[0]}.jsonl", name="toy")


TOY = Dataset(name="NAME", summary="a toy", load=load, languages=("de", "en"), licence="CC0")
NUMBER = 7
"""
SHOW = """
import sys
import beir_hybrid as bh
from beir_hybrid.errors import BeirHybridError
try:
    toy = bh.datasets()["toy"]
    print(",".join(bh.datasets()))
    print(toy.summary, toy.languages, list(toy.options))
    collection = bh.load("toy", languages="deu", folder=sys.argv[1])
    print(collection.view("de", "de").beir())
    bh.load("toy", languages="fr", folder=sys.argv[1])
except BeirHybridError as error:
    print(f"{type(error).__name__}: {error}")
"""


def installed(folder: Path, name: str, entry: str) -> Path:
    """Build a package that declares a dataset, install it with pip, and return where it lies."""
    package = folder / "package"
    (package / "toy_datasets").mkdir(parents=True)
    (package / "toy_datasets" / "__init__.py").write_text(SOURCE.replace("NAME", name), "utf-8")
    (package / "pyproject.toml").write_text(
        f"""
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "toy-datasets"
version = "1.0"

[project.entry-points."beir_hybrid.datasets"]
toy = "{entry}"
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


def shown(site: Path, folder: Path) -> list[str]:
    home = str(Path(beir_hybrid.__file__).parents[1])
    process = subprocess.run(
        [sys.executable, "-c", SHOW, folder],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(site), home])},
        check=True,
        capture_output=True,
        text=True,
    )
    return process.stdout.splitlines()


def test_an_installed_package_adds_a_dataset(tmp_path: Path) -> None:
    site = installed(tmp_path, "toy", "toy_datasets:TOY")
    (tmp_path / "de.jsonl").write_text(
        '{"question": "q", "text": {"de": "Wer?"}, "relevant": ["p"]}\n'
        '{"passage": "p", "text": {"de": "Sie."}}\n',
        "utf-8",
    )
    triple = ({"de:p": {"title": "", "text": "Sie."}}, {"de:q:q": "Wer?"}, {"de:q:q": {"de:p": 1}})
    names, facts, loaded, refused = shown(site, tmp_path)
    assert names.split(",")[-1] == "toy"
    assert {"xquad-r", "mlqa-r", "miracl", "beir-folder", "jsonl"} <= set(names.split(","))
    assert facts == "a toy ('de', 'en') ['folder']"
    assert loaded == str(triple)
    assert refused == "UnknownName: no language of toy 'fr'; there are de, en"


@pytest.mark.parametrize(
    ("name", "entry", "message"),
    [
        (
            "xquad-r",
            "toy_datasets:TOY",
            "BadData: entry point 'toy_datasets:TOY' declares 'xquad-r' a second time",
        ),
        (
            "toy",
            "toy_datasets:NUMBER",
            "BadData: entry point 'toy_datasets:NUMBER' is no Dataset but int",
        ),
        (
            "toy",
            "toy_datasets.none:TOY",
            "BadData: entry point 'toy_datasets.none:TOY' cannot be loaded: No module named "
            + repr("toy_datasets.none"),
        ),
    ],
)
def test_a_bad_entry_point_is_named(tmp_path: Path, name: str, entry: str, message: str) -> None:
    assert shown(installed(tmp_path, name, entry), tmp_path) == [message]
