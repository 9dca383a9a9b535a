"""Search of an index: scores by hand, gold marks, languages, shards and escaped texts.

The model gives each word a unit vector, so a passage's score is the cosine of word counts.
"""
# ruff: noqa: RUF001 - texts are in several scripts

import json
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import beir_hybrid as bh
from beir_hybrid.collection import Collection
from beir_hybrid.errors import BadData, BadOption, UnknownName
from beir_hybrid.integrity import format_sealed_json
from beir_hybrid.pyserini.index import build_index
from beir_hybrid.pyserini.search import SearchHit, search_index
from beir_hybrid.text import to_one_line
from tests.models import static_model
from tests.test_cli_evaluate import RunCli, data_options, model_folder, run_cli  # noqa: F401 - fixtures

THIRD: Any = pytest.approx(3**-0.5, abs=1e-6)
WHOLE: Any = pytest.approx(1.0, abs=1e-6)
EN1 = SearchHit(1, "en", WHOLE, "en:p1", "w1", gold=True)
DE1 = SearchHit(2, "de", THIRD, "de:p1", "w1 w2 w3", gold=True)


class IndexAndCollection(NamedTuple):
    folder: Path
    collection: Collection


@pytest.fixture
def index(model_folder: Path, data_options: list[str], tmp_path: Path) -> IndexAndCollection:  # noqa: F811
    """Build an index of the passages of `data`."""
    collection = bh.load("jsonl", path=data_options[-1].removeprefix("path="))
    return IndexAndCollection(
        build_index(str(model_folder), collection, tmp_path / "index"), collection
    )


def test_hits_have_scores_texts_and_gold_marks(index: IndexAndCollection) -> None:
    results = search_index(index.folder, "w1", k=2, collection=index.collection)
    assert (results.hits, results.relevant) == ([EN1, DE1], 2)
    # Of the English question alone are two relevant; white space around it does not count.
    assert search_index(index.folder, " w1\n", k=1, collection=index.collection).hits == [EN1]


def test_a_query_that_the_dataset_does_not_have(index: IndexAndCollection) -> None:
    results = search_index(index.folder, "w1 w1 w5", k=4, collection=index.collection)
    assert results.relevant is None
    assert not any(hit.gold for hit in results.hits)
    assert results.hits[0].score == pytest.approx(2 / 5**0.5, abs=1e-6)
    assert {hit.id for hit in results.hits} == {"en:p1", "en:p2", "de:p1", "de:p2"}


def test_passages_of_one_language(index: IndexAndCollection) -> None:
    results = search_index(index.folder, "w1", language="deu", k=1, collection=index.collection)
    assert results.hits == [SearchHit(1, "de", THIRD, "de:p1", "w1 w2 w3", gold=True)]
    assert results.relevant == 1
    assert (
        len(search_index(index.folder, "w1", language="de", collection=index.collection).hits) == 2
    )


def test_shards_are_searched_as_one(
    index: IndexAndCollection,
    model_folder: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    folder = build_index(str(model_folder), index.collection, tmp_path / "parts", shards=2)
    expected = search_index(index.folder, "w1 w2", k=2, collection=index.collection)
    assert search_index(folder, "w1 w2", k=2, collection=index.collection) == expected
    assert [hit.id for hit in expected.hits] == ["de:p1", "en:p1"]


@pytest.mark.usefixtures("mirror")
def test_the_dataset_of_the_index_is_loaded(
    model_folder: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    collection = bh.load("xquad-r", languages=["el", "en"], passage_text="sentence+context")
    folder = build_index(str(model_folder), collection, tmp_path / "index", languages="el")
    rows = collection.view("en", "el").queries.slice(0, 1).to_pylist()
    results = search_index(folder, rows[0]["text"], k=3)
    texts = dict(
        zip(*(collection.passages[name].to_pylist() for name in ("id", "text")), strict=True)
    )
    assert [hit.text for hit in results.hits] == [texts[hit.id] for hit in results.hits]
    assert {hit.lang for hit in results.hits} == {"el"}
    assert results.relevant == 2


def test_impossible_searches_are_refused(index: IndexAndCollection, tmp_path: Path) -> None:
    folder, collection = index
    with pytest.raises(BadOption, match="k is 0; it must be a whole number from 1 on"):
        search_index(folder, "w1", k=0, collection=collection)
    with pytest.raises(BadOption, match="the query is empty"):
        search_index(folder, " ", collection=collection)
    with pytest.raises(UnknownName, match=r"no language of .* is 'th'; there are de .*, en"):
        search_index(folder, "w1", language="th", collection=collection)
    with pytest.raises(BadData, match=r"there is no file .*manifest.json; name"):
        search_index(tmp_path / "none", "w1")
    other_collection = bh.from_beir(
        {"de:p1": {"text": "w1"}}, {"de:q:1": "w1"}, {"de:q:1": {"de:p1": 1}}
    )
    copy = shutil.copytree(index.folder, tmp_path / "copy")
    manifest = json.loads((copy / "manifest.json").read_text())
    for key, language in (("model", None), ("languages", "de")):
        forged = {name: value for name, value in manifest.items() if name not in (key, "checksum")}
        (copy / "manifest.json").write_text(format_sealed_json(forged))
        with pytest.raises(BadData, match=f"the manifest of .* lacks '{key}'; build the index"):
            search_index(copy, "w1", collection=index.collection, language=language)
    for code in ("", "ß", "de format"):
        forged = {name: value for name, value in manifest.items() if name != "checksum"}
        forged["languages"] = ["de", code]
        (copy / "manifest.json").write_text(format_sealed_json(forged))
        with pytest.raises(BadData, match=rf"manifest.json: '{code}' is no language: "):
            search_index(copy, "w1", collection=index.collection, language="en")
    with pytest.raises(BadData, match="holds 'en:p1', which beir lacks: name its dataset"):
        search_index(folder, "w1", collection=other_collection)
    with pytest.raises(BadOption, match="take that model, or force it"):
        search_index(folder, "w1", collection=collection, model=static_model())
    assert len(
        search_index(folder, "w1", collection=collection, model=static_model(), force=True).hits
    )


def test_own_files_are_loaded_unless_they_have_changed(
    index: IndexAndCollection,
    model_folder: Path,  # noqa: F811
    data_options: list[str],  # noqa: F811
    tmp_path: Path,
) -> None:
    assert search_index(index.folder, "w1", k=2) == search_index(
        index.folder, "w1", k=2, collection=index.collection
    )
    path = Path(data_options[-1].removeprefix("path="))
    collection = bh.load("jsonl", path=path, name="other")
    shards = build_index(str(model_folder), collection, tmp_path / "parts", shards=2)
    results = search_index(shards, "w2", k=1)
    assert results.hits == [SearchHit(1, "de", THIRD, "de:p1", "w1 w2 w3", gold=True)]
    assert results.relevant == 2
    path.write_text(path.read_text().replace('"w3"', '"w9"'))
    with pytest.raises(BadData, match=r"other has changed since .*parts was built"):
        search_index(shards, "w2")
    assert search_index(shards, "w2", k=1, collection=index.collection).hits == results.hits
    path.unlink()
    with pytest.raises(BadData, match=r"mine\.jsonl"):
        search_index(shards, "w2")


def test_a_collection_made_of_objects_is_an_argument(model_folder: Path, tmp_path: Path) -> None:  # noqa: F811
    collection = bh.from_beir({"de:p1": {"text": "w1"}}, {"de:q:1": "w1"}, {"de:q:1": {"de:p1": 1}})
    folder = build_index(str(model_folder), collection, tmp_path / "index")
    with pytest.raises(BadOption, match="was built from 'beir', which was given as an object; nam"):
        search_index(folder, "w1")
    assert search_index(folder, "w1", collection=collection).hits[0].id == "de:p1"


def test_a_copy_of_the_model_elsewhere(
    index: IndexAndCollection,
    model_folder: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    copy = tmp_path / "moved"
    shutil.copytree(model_folder, copy)
    results = search_index(index.folder, "w1", k=2, collection=index.collection, model=str(copy))
    assert results.hits == [EN1, DE1]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\tb\n c", "a b c"),
        ("a\x1b[31mb\x07", r"a\x1b[31mb\x07"),
        ("a\u202eb\u2066c\u200f", "abc"),
        ("[bold]x[/bold]", "[bold]x[/bold]"),
        ("שלום a", "\u2068שלום a\u2069"),
        ("می\u200cخواهم", "\u2068می\u200cخواهم\u2069"),  # joins nothing: a part of the spelling
    ],
)
def test_control_characters_are_escaped(text: str, expected: str) -> None:
    assert to_one_line(text) == expected


def test_the_search_command(
    index: IndexAndCollection,
    run_cli: RunCli,  # noqa: F811
    data_options: list[str],  # noqa: F811
    model_folder: Path,  # noqa: F811
) -> None:
    result = run_cli("search", index.folder, "w1", "-k", "2")
    assert (result.code, result.err) == (0, "")
    assert [line.rstrip().split(maxsplit=5) for line in result.out.splitlines()] == [
        ["rank", "score", "lang", "gold", "id", "text"],
        ["1", "1.0000", "en", "*", "en:p1", "w1"],
        ["2", "0.5774", "de", "*", "de:p1", "w1 w2 w3"],
        ["2", "of", "2", "relevant", "passages", "are among these (*)"],
    ]
    result = run_cli(
        "search",
        index.folder,
        "w5",
        "--lang",
        "de",
        "-k",
        "1",
        *data_options,
        "--model",
        model_folder,
    )
    assert [line.split() for line in result.out.splitlines()][1] == [
        *("1", "0.7071", "de", "de:p2", "w4", "w5")
    ]
    assert result.out.splitlines()[2] == (
        "the query is none of the dataset's, so no passage is marked"
    )
    result = run_cli("search", index.folder, "w1", "-o", "path=x")
    assert result == (2, "", "BadOption: --option is an option of --dataset, which is not named\n")
