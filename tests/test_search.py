"""A search by eye: scores by hand, gold passages, languages, shards, and texts that would steer.

The model gives each word a unit vector, so a passage's score is the cosine of word counts.
"""
# ruff: noqa: RUF001 - texts are in several scripts

import shutil
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import beir_hybrid as bh
from beir_hybrid.collection import Collection
from beir_hybrid.errors import BadData, BadOption, UnknownName
from beir_hybrid.pyserini.index import build_index
from beir_hybrid.pyserini.search import SearchHit, search_index
from beir_hybrid.text import to_one_line
from tests.models import static_model
from tests.test_cli_evaluate import RunCli, data_options, model_folder, run_cli  # noqa: F401 - fixtures

THIRD: Any = pytest.approx(3**-0.5, abs=1e-6)
WHOLE: Any = pytest.approx(1.0, abs=1e-6)
EN1 = SearchHit(1, "en", WHOLE, "en:p1", "w1", gold=True)
DE1 = SearchHit(2, "de", THIRD, "de:p1", "w1 w2 w3", gold=True)


class Built(NamedTuple):
    folder: Path
    collection: Collection


@pytest.fixture
def built(model_folder: Path, data_options: list[str], tmp_path: Path) -> Built:  # noqa: F811
    """Give an index of the passages of `data`."""
    collection = bh.load("jsonl", path=data_options[-1].removeprefix("path="))
    return Built(build_index(str(model_folder), collection, tmp_path / "index"), collection)


def test_passages_gold_and_texts(built: Built) -> None:
    found = search_index(built.folder, "w1", k=2, collection=built.collection)
    assert (found.hits, found.relevant) == ([EN1, DE1], 2)
    # Of the English question alone are two relevant; white space around it does not count.
    assert search_index(built.folder, " w1\n", k=1, collection=built.collection).hits == [EN1]


def test_a_question_that_is_none_of_the_dataset_s(built: Built) -> None:
    found = search_index(built.folder, "w1 w1 w5", k=4, collection=built.collection)
    assert found.relevant is None
    assert not any(hit.gold for hit in found.hits)
    assert found.hits[0].score == pytest.approx(2 / 5**0.5, abs=1e-6)
    assert {hit.id for hit in found.hits} == {"en:p1", "en:p2", "de:p1", "de:p2"}


def test_one_language_s_passages(built: Built) -> None:
    found = search_index(built.folder, "w1", language="deu", k=1, collection=built.collection)
    assert found.hits == [SearchHit(1, "de", THIRD, "de:p1", "w1 w2 w3", gold=True)]
    assert found.relevant == 1
    assert (
        len(search_index(built.folder, "w1", language="de", collection=built.collection).hits) == 2
    )


def test_shards_are_searched_as_one(built: Built, model_folder: Path, tmp_path: Path) -> None:  # noqa: F811
    folder = build_index(str(model_folder), built.collection, tmp_path / "parts", shards=2)
    whole = search_index(built.folder, "w1 w2", k=2, collection=built.collection)
    assert search_index(folder, "w1 w2", k=2, collection=built.collection) == whole
    assert [hit.id for hit in whole.hits] == ["de:p1", "en:p1"]


@pytest.mark.usefixtures("mirror")
def test_real_dataset_is_loaded_as_the_index_says(
    model_folder: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    some = bh.load("xquad-r", languages=["el", "en"], passage_text="sentence+context")
    folder = build_index(str(model_folder), some, tmp_path / "index", languages="el")
    rows = some.view("en", "el").queries.slice(0, 1).to_pylist()
    found = search_index(folder, rows[0]["text"], k=3)
    texts = dict(zip(*(some.passages[name].to_pylist() for name in ("id", "text")), strict=True))
    assert [hit.text for hit in found.hits] == [texts[hit.id] for hit in found.hits]
    assert {hit.lang for hit in found.hits} == {"el"}
    assert found.relevant == 2


def test_what_cannot_be_searched(built: Built, tmp_path: Path) -> None:
    folder, collection = built
    with pytest.raises(BadOption, match="k is 0; it must be a whole number from 1 on"):
        search_index(folder, "w1", k=0, collection=collection)
    with pytest.raises(BadOption, match="the query is empty"):
        search_index(folder, " ", collection=collection)
    with pytest.raises(UnknownName, match=r"no language of .* is 'th'; there are de .*, en"):
        search_index(folder, "w1", language="th", collection=collection)
    with pytest.raises(BadData, match=r"manifest.json is missing or damaged"):
        search_index(tmp_path / "none", "w1")
    other = bh.from_beir({"de:p1": {"text": "w1"}}, {"de:q:1": "w1"}, {"de:q:1": {"de:p1": 1}})
    with pytest.raises(BadData, match="holds 'en:p1', which beir lacks: name its dataset"):
        search_index(folder, "w1", collection=other)
    with pytest.raises(BadOption, match="take that model, or force it"):
        search_index(folder, "w1", collection=collection, model=static_model())
    assert len(
        search_index(folder, "w1", collection=collection, model=static_model(), force=True).hits
    )


def test_own_files_are_found_again_unless_they_have_changed(
    built: Built,
    model_folder: Path,  # noqa: F811
    data_options: list[str],  # noqa: F811
    tmp_path: Path,
) -> None:
    assert search_index(built.folder, "w1", k=2) == search_index(
        built.folder, "w1", k=2, collection=built.collection
    )
    path = Path(data_options[-1].removeprefix("path="))
    some = bh.load("jsonl", path=path, name="other")
    parts = build_index(str(model_folder), some, tmp_path / "parts", shards=2)
    found = search_index(parts, "w2", k=1)
    assert found.hits == [SearchHit(1, "de", THIRD, "de:p1", "w1 w2 w3", gold=True)]
    assert found.relevant == 2
    path.write_text(path.read_text().replace('"w3"', '"w9"'))
    with pytest.raises(BadData, match=r"other has changed since .*parts was built"):
        search_index(parts, "w2")
    assert search_index(parts, "w2", k=1, collection=built.collection).hits == found.hits
    path.unlink()
    with pytest.raises(BadData, match=r"mine\.jsonl"):
        search_index(parts, "w2")


def test_a_collection_of_objects_has_to_be_handed_over(model_folder: Path, tmp_path: Path) -> None:  # noqa: F811
    some = bh.from_beir({"de:p1": {"text": "w1"}}, {"de:q:1": "w1"}, {"de:q:1": {"de:p1": 1}})
    folder = build_index(str(model_folder), some, tmp_path / "index")
    with pytest.raises(BadOption, match="was built from 'beir', which was given as an object; nam"):
        search_index(folder, "w1")
    assert search_index(folder, "w1", collection=some).hits[0].id == "de:p1"


def test_the_model_may_have_moved(built: Built, model_folder: Path, tmp_path: Path) -> None:  # noqa: F811
    moved = tmp_path / "moved"
    shutil.copytree(model_folder, moved)
    found = search_index(built.folder, "w1", k=2, collection=built.collection, model=str(moved))
    assert found.hits == [EN1, DE1]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\tb\n c", "a b c"),
        ("a\x1b[31mb\x07", r"a\x1b[31mb\x07"),
        ("a\u202eb\u2066c\u200f", "abc"),
        ("[bold]x[/bold]", "[bold]x[/bold]"),
        ("שלום a", "\u2068שלום a\u2069"),
        ("می\u200cخواهم", "\u2068می\u200cخواهم\u2069"),  # joins nothing: a part of the spelling
    ],
)
def test_texts_are_shown_and_not_obeyed(text: str, shown: str) -> None:
    assert to_one_line(text) == shown


def test_the_command(
    built: Built,
    run_cli: RunCli,  # noqa: F811
    data_options: list[str],  # noqa: F811
    model_folder: Path,  # noqa: F811
) -> None:
    done = run_cli("search", built.folder, "w1", "-k", "2")
    assert (done.code, done.err) == (0, "")
    assert [line.rstrip().split(maxsplit=5) for line in done.out.splitlines()] == [
        ["rank", "score", "lang", "gold", "id", "text"],
        ["1", "1.0000", "en", "*", "en:p1", "w1"],
        ["2", "0.5774", "de", "*", "de:p1", "w1 w2 w3"],
        ["2", "of", "2", "relevant", "passages", "are among these (*)"],
    ]
    done = run_cli(
        "search",
        built.folder,
        "w5",
        "--lang",
        "de",
        "-k",
        "1",
        *data_options,
        "--model",
        model_folder,
    )
    assert [line.split() for line in done.out.splitlines()][1] == [
        *("1", "0.7071", "de", "de:p2", "w4", "w5")
    ]
    assert done.out.splitlines()[2] == (
        "the query is none of the dataset's, so no passage is marked"
    )
    done = run_cli("search", built.folder, "w1", "-o", "path=x")
    assert done == (2, "", "BadOption: --option is an option of --dataset, which is not named\n")
