"""Datasets of ir_datasets become collections, one language or all that a name stands for."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ir_datasets
import pytest
from ir_datasets.datasets.base import Dataset
from ir_datasets.formats import TrecQrels, TsvDocs, TsvQueries
from ir_datasets.util import LocalDownload

import beir_hybrid as bh
from beir_hybrid.errors import BadData, BadOption, UnknownName, Unreachable
from beir_hybrid.sources import find_dataset

PASSAGES = {"de": ["D0\taab", "D1\tbbc", "D2\tccd"], "fa": ["D0\tdda", "D1\tabc", "D 2\tbcd"]}
QUERIES = {"de": ["1\tab", "2\tbc"], "fa": ["1\tda", "2\tcb"]}
JUDGEMENTS = {"de": ["1 0 D0 1", "1 0 D2 0", "2 0 D1 2"], "fa": ["1 0 D0 1", "2 0 D1 1"]}


def write_lines(path: Path, lines: list[str]) -> Any:
    path.write_text("".join(f"{line}\n" for line in lines))
    return LocalDownload(str(path))


def register(folder: Path, name: str, lang: str, **langs: str | None) -> None:
    """Put a dataset of three files into ir_datasets' registry."""
    parts = {
        part: write_lines(folder / f"{name.replace('/', '-')}-{part}", table[lang])
        for part, table in (("docs", PASSAGES), ("queries", QUERIES), ("qrels", JUDGEMENTS))
    }
    dataset = Dataset(
        TsvDocs(parts["docs"], namespace=name, lang=langs.get("docs", lang)),
        TsvQueries(parts["queries"], namespace=name, lang=langs.get("queries", lang)),
        TrecQrels(parts["qrels"], {}),
    )
    ir_datasets.registry.register(name, dataset)


@pytest.fixture(autouse=True)
def letters(tmp_path: Path, own_cache: Path) -> Iterator[None]:
    assert own_cache
    register(tmp_path, "letters/de/dev", "de")
    register(tmp_path, "letters/fa/dev", "fa")
    register(tmp_path, "letters-plain", "de", docs=None, queries=None)
    yield
    for name in ("letters/de/dev", "letters/fa/dev", "letters-plain"):
        del ir_datasets.registry._registered[name]  # noqa: SLF001 - it has no other way


def test_a_name_stands_for_all_languages() -> None:
    name = "ir-datasets:letters/{lang}/dev"
    assert find_dataset(name).languages == ("de", "fa")
    collection = bh.load(name)
    assert (collection.languages, collection.passage_counts) == (("de", "fa"), {"de": 3, "fa": 3})
    assert collection.view().to_beir()[2] == {
        "de:q:1": {"de:D0": 1, "de:D2": 0},
        "de:q:2": {"de:D1": 2},
        "fa:q:1": {"fa:D0": 1},
        "fa:q:2": {"fa:D1": 1},
    }
    assert "fa:D%202" in collection.passages["id"].to_pylist()
    assert [origin.file for origin in collection.provenance] == [
        "ir-datasets:letters/de/dev", "ir-datasets:letters/fa/dev"
    ]  # fmt: skip
    assert collection.options["ir_datasets"] == ir_datasets.__version__
    parallel = bh.load(name, parallel=True)
    assert parallel.view("fa").to_beir()[2]["fa:q:1"] == {"de:D0": 1, "de:D2": 0, "fa:D0": 1}
    assert parallel.queries["group"].to_pylist() == ["1", "2", "1", "2"]
    assert bh.load(name, ["fa"]).languages == ("fa",)


def test_another_language_than_the_dataset_declares_is_refused() -> None:
    with pytest.raises(BadOption, match=r"language is .en., and .* letters/de/dev is in de"):
        bh.load("ir-datasets:letters/de/dev", language="en")
    assert bh.load("ir-datasets:letters/de/dev", language="deu").languages == ("de",)


def test_a_dataset_without_languages_is_told_them() -> None:
    with pytest.raises(BadOption, match=r"names no language of letters-plain: .* language=en"):
        bh.load("ir-datasets:letters-plain")
    with pytest.raises(BadOption, match="names no query_language of letters-plain"):
        bh.load("ir-datasets:letters-plain", language="de")
    collection = bh.load("ir-datasets:letters-plain", language="deu", query_language="en")
    assert [setting.name for setting in collection.list_settings()] == ["en-de"]
    again = bh.load("ir-datasets:letters-plain", ["de"], language="deu", query_language="en")
    assert len(again.passages) == len(collection.passages)
    with pytest.raises(BadOption, match=r"names no language of letters-plain"):
        bh.load("ir-datasets:letters-plain", ["de"])


def test_offline_mode_downloads_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BEIR_HYBRID_OFFLINE", "1")
    with pytest.raises(Unreachable, match="may download letters/de/dev, and BEIR_HYBRID_OFFLINE"):
        bh.load("ir-datasets:letters/de/dev")


def test_names_that_are_nothing() -> None:
    with pytest.raises(UnknownName, match="no dataset of ir_datasets 'letters/de/devv'; did you"):
        bh.load("ir-datasets:letters/de/devv")
    with pytest.raises(UnknownName, match=r"there are .*, and [0-9]+ more$") as error:
        bh.load("ir-datasets:00000")
    assert len(str(error.value)) < 2000
    with pytest.raises(BadOption, match="no passages, queries and judgements of that name"):
        bh.load("ir-datasets:letters/{lang}/test")
    assert find_dataset("ir-datasets:mmarco/v2/{lang}/dev/small").languages[8] == "nl"


def test_bad_rows_and_broken_files(tmp_path: Path) -> None:
    (tmp_path / "letters-de-dev-qrels").write_text("1 0 D0 1\n1 0 D9 1\n")
    with pytest.raises(BadData, match="judgements of passages that are not there"):
        bh.load("ir-datasets:letters/de/dev")
    collection = bh.load("ir-datasets:letters/de/dev", on_bad="drop")
    assert collection.view().to_beir()[2] == {"de:q:1": {"de:D0": 1}}
    (tmp_path / "letters-de-dev-docs").write_text("D0\tab\nD0\tba\nD0\tab\n")
    (tmp_path / "letters-de-dev-qrels").write_text("1 0 D0 1\n7 0 D0 1\n")
    collection = bh.load("ir-datasets:letters/de/dev", on_bad="drop", parallel=True)
    assert collection.passages["text"].to_pylist() == ["ab"]
    assert collection.options["dropped"] == {
        "passages with the id of another one": 1, "judged queries that are not there": 1,
    }  # fmt: skip
    (tmp_path / "letters-fa-dev-docs").write_text("D0\n")
    with pytest.raises(Unreachable, match="ir_datasets cannot load letters/fa/dev"):
        bh.load("ir-datasets:letters/fa/dev")
