"""mMARCO, from a mirror that holds a miniature of its files."""

from pathlib import Path

import pytest

import beir_hybrid as bh
from beir_hybrid.errors import BadData, BadOption, UnknownName
from beir_hybrid.sources.mmarco import COMMIT, LANGUAGES

PASSAGES = {"0": "zero", "1": "one", "2": "two", "3": "three", "4": "four"}
QUERIES = {"10": "ten?", "20": "twenty?", "30": "thirty?", "40": "no triple?"}
TRIPLES = [("10", "1", "0"), ("10", "1", "2"), ("30", "3", "1"), ("10", "2", "0"), ("20", "1", "4")]


def write_lines(path: Path, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), "utf-8")


@pytest.fixture
def mmarco(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of a miniature, in English, German and Chinese."""
    monkeypatch.setenv("BEIR_HYBRID_MIRROR", str(tmp_path / "mirror"))
    monkeypatch.setenv("BEIR_HYBRID_OFFLINE", "1")
    folder = tmp_path / "mirror/huggingface.co/datasets/unicamp-dl/mmarco/resolve" / COMMIT / "data"
    write_lines(folder / "triples.train.ids.small.tsv", ["\t".join(row) for row in TRIPLES])
    write_lines(folder / "qrels.dev.small.tsv", ["20\t0\t4\t1"])
    for lang in ("en", "de", "zh"):
        name = LANGUAGES[lang]
        passages = [f"{key}\t{lang} {text}" for key, text in PASSAGES.items()]
        write_lines(folder / f"google/collections/{name}_collection.tsv", passages)
        for split in ("train", "dev"):
            queries = [f"{key}\t{lang} {text}" for key, text in QUERIES.items()]
            path = folder / f"google/queries/{split}/{name}_queries.{split}.tsv"
            write_lines(path, queries)
    return folder


@pytest.mark.usefixtures("mmarco")
def test_train_is_parallel() -> None:
    collection = bh.load("mmarco", ["de", "en"])
    assert collection.languages == ("de", "en")
    assert collection.query_counts == {"de": 3, "en": 3}
    assert collection.passage_counts == {"de": 3, "en": 3}  # 1, 2 and 3
    _, queries, qrels = collection.view().to_beir()
    assert queries["de:q:20"] == "de twenty?"
    assert qrels["en:q:10"] == {"de:1": 1, "de:2": 1, "en:1": 1, "en:2": 1}
    pairs = bh.pairs_from_collection(collection)
    assert len(pairs) == 4  # query 10 has two passages
    assert "judged passages only" in collection.caveat


@pytest.mark.usefixtures("mmarco")
def test_options() -> None:
    assert bh.load("mmarco", ["zh"], queries="2").queries["id"].to_pylist() == [
        "zh:q:10", "zh:q:30",
    ]  # fmt: skip
    dev = bh.load("mmarco", ["en"], split="dev", passages="all")
    assert dev.view().to_beir()[2] == {"en:q:20": {"en:4": 1}}
    assert len(dev.passages) == 5
    assert dev.caveat == ""
    with pytest.raises(BadOption, match="queries is -1"):
        bh.load("mmarco", ["en"], queries=-1)
    with pytest.raises(UnknownName, match="no language of mmarco is 'th'"):
        bh.load("mmarco", ["th"])


def test_blank_translations_are_missing(mmarco: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = mmarco / "google/collections/german_collection.tsv"
    path.write_text(path.read_text("utf-8").replace("de three", " "), "utf-8")
    collection = bh.load("mmarco", ["de", "en"])
    assert collection.view().to_beir()[2]["de:q:30"] == {"en:3": 1}
    assert "german_collection.tsv: 1 texts are blank" in caplog.text


def test_a_passage_that_is_blank_in_all_languages_is_no_gold(mmarco: Path) -> None:
    path = mmarco / "google/collections/german_collection.tsv"
    blank = path.read_text("utf-8").replace("de three", " ").replace("de two", "")
    path.write_text(blank, "utf-8")
    collection = bh.load("mmarco", ["de"])
    assert collection.view().to_beir()[2] == {"de:q:10": {"de:1": 1}, "de:q:20": {"de:1": 1}}
    assert collection.options["dropped"] == {
        "relevant passages without text": 2, "queries without a relevant passage": 1,
    }  # fmt: skip
    path.write_text("".join(line for line in blank.splitlines(True) if line[0] != "1"), "utf-8")
    with pytest.raises(BadData, match="1 passages that judgements name and the collection lacks"):
        bh.load("mmarco", ["de"], queries=3)


@pytest.mark.parametrize(
    ("file", "line", "message"),
    [
        ("triples.train.ids.small.tsv", b"1\t2\n", "line 6 has 2 columns; expected 3"),
        (
            "google/queries/train/english_queries.train.tsv",
            b"50 x\n",
            "line 5: expected an id, a t",
        ),
        ("google/collections/english_collection.tsv", b"5\t\xff\n", "line 6 is not UTF-8"),
    ],
)
def test_bad_lines_are_named(mmarco: Path, file: str, line: bytes, message: str) -> None:
    with (mmarco / file).open("ab") as stream:
        stream.write(line)
    with pytest.raises(BadData, match=message):
        bh.load("mmarco", ["en"])
