"""Folders in BEIR's layout: BEIR's own loader reads ours, and reading one back loses nothing."""

import json
import warnings
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from beir_hybrid import Collection, CollectionWriter, read_folder, write_folder
from beir_hybrid.collection import Origin, open_collection
from beir_hybrid.collection.store import describe_collection
from beir_hybrid.collection.tables import TitlePolicy
from beir_hybrid.collection.view import BeirTriple
from beir_hybrid.errors import BadData, BadOption
from beir_hybrid.integrity import write_sealed_json

CURE = (
    "export it again, or, if you edited it, remove collection.json and its name in the first line "
    "of queries.jsonl"
)
H = "query-id\tcorpus-id\tscore\n"
ODD = ['say"so"', '"', "日本#1", "a:b", "it's,2", "<b>", "q"]


def make_tiny(
    folder: Path, title_policy: TitlePolicy = "title+text", *, original_ids: bool = False
) -> Collection:
    """Return a collection in two languages whose ids and texts are odd."""
    folder.mkdir(parents=True)
    writer = CollectionWriter(folder, "tiny")
    for number, key in enumerate(ODD):
        for lang in ("en", "zh"):
            writer.add_passage(lang, key, f"Title\t{number}", f'{lang} "text"\n{number}\u2028 \x85')
            writer.add_query(lang, key, f"{lang} question\r\n{number}?", f"group {number}")
        for lang in ("en", "zh"):
            writer.add_judgement(f"{lang}:q:{key}", f"en:{key}", number)
            writer.add_judgement(f"{lang}:q:{key}", f"zh:{key}", 3)
    writer.add_judgement("en:q:a:b", "en:q", -1)
    writer.add_passage("zh", "unjudged", "", "Nobody asked.")
    writer.finish(
        licence="CC0",
        citation="Me 2024",
        provenance=[Origin("a.json", "0f", "r1"), Origin("b.json", "1f")],
        options={"split": "dev", "n": 3},
        title_policy=title_policy,
        original_ids=original_ids,
        caveat="mind this",
    )
    return open_collection(folder)


def load_with_beir(folder: Path, split: str = "test") -> BeirTriple:
    with warnings.catch_warnings():
        # BEIR's loader warns of its progress bar and leaves the qrels file to be closed.
        warnings.simplefilter("ignore")
        from beir.datasets.data_loader import GenericDataLoader

        triple: BeirTriple = GenericDataLoader(data_folder=str(folder)).load(split=split)
    return triple


def read_rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").split("\n")[:-1]]


@pytest.mark.parametrize("title_policy", ["title+text", "text"])
@pytest.mark.parametrize("langs", [("en", "en"), ("en", "zh"), ("zh", None), (None, None)])
def test_beirs_loader_returns_the_dicts_of_the_view(
    tmp_path: Path, langs: tuple[str | None, str | None], title_policy: TitlePolicy
) -> None:
    view = make_tiny(tmp_path / "c", title_policy).view(*langs)
    assert write_folder(view, tmp_path / "out", "dev") == tmp_path / "out"
    assert load_with_beir(tmp_path / "out", "dev") == view.to_beir()
    assert read_folder(tmp_path / "out", "dev").view(*langs).to_beir() == view.to_beir()


@pytest.mark.parametrize("title_policy", ["title+text", "text"])
@pytest.mark.parametrize("original_ids", [False, True])
def test_reading_a_written_folder_loses_nothing(
    tmp_path: Path, title_policy: TitlePolicy, original_ids: bool
) -> None:
    collection = make_tiny(tmp_path / "c", title_policy, original_ids=original_ids)
    read = read_folder(write_folder(collection, tmp_path / "out"))
    assert describe_collection(read) == describe_collection(collection)
    assert read.languages == ("en", "zh")
    assert read.queries.to_pylist() == collection.queries.to_pylist()
    assert read.passages.to_pylist() == collection.passages.to_pylist()
    assert read.judgements.to_pylist() == collection.judgements.to_pylist()
    again = write_folder(read, tmp_path / "again")
    for file in ("corpus.jsonl", "queries.jsonl", "qrels/test.tsv", "collection.json"):
        assert (again / file).read_bytes() == (tmp_path / "out" / file).read_bytes()


def test_files_are_as_beir_lays_them_out(tmp_path: Path) -> None:
    view = make_tiny(tmp_path / "c", "text").view("en", "zh")
    out = write_folder(view, tmp_path / "out")
    assert read_rows(out / "corpus.jsonl")[0] == {
        "_id": 'zh:say"so"',
        "title": "",
        "text": 'zh "text"\n0\u2028 \x85',
        "metadata": {"lang": "zh", "title": "Title\t0"},
    }
    assert read_rows(out / "queries.jsonl")[2] == {
        "_id": "en:q:日本#1",
        "text": "en question\r\n2?",
        "metadata": {"lang": "en", "group": "group 2"},
    }
    assert (out / "qrels" / "test.tsv").read_text("utf-8").split("\n")[:3] == [
        "query-id\tcorpus-id\tscore",
        '"en:q:say""so"""\t"zh:say""so"""\t3',
        '"en:q:"""\t"zh:"""\t3',
    ]
    assert read_folder(out).name == "tiny.en-zh"
    assert read_folder(out, name="mine").name == "mine"


def test_one_setting_restores_original_ids(tmp_path: Path) -> None:
    collection = make_tiny(tmp_path / "c", original_ids=True)
    view = collection.view("en", "zh")
    out = write_folder(view, tmp_path / "out")
    corpus, queries, qrels = load_with_beir(out)
    assert list(corpus) == [*ODD, "unjudged"]
    assert list(queries) == ODD
    assert qrels == {key: {key: 3} for key in ODD}
    read = read_folder(out)
    assert read.original_ids
    assert read.view("en", "zh").to_beir() == view.to_beir()
    # Over several languages they would not be unique.
    pool = write_folder(collection.view("en"), tmp_path / "pool")
    assert read_rows(pool / "queries.jsonl")[0]["_id"] == 'en:q:say"so"'
    assert read_folder(pool).view("en").to_beir() == collection.view("en").to_beir()


def test_images_are_stored(tmp_path: Path) -> None:
    (tmp_path / "c").mkdir()
    writer = CollectionWriter(tmp_path / "c", "images", has_images=True)
    query = writer.add_query("en", "1", "A cat", "1")
    writer.add_judgement(query, writer.add_passage("image", "1", "", "", "cat.jpg"))
    writer.add_passage("en", "2", "Dog", "A dog", None)
    writer.finish()
    collection = open_collection(tmp_path / "c")
    read = read_folder(write_folder(collection, tmp_path / "out"))
    assert read.passages.to_pylist() == [
        {"id": "en:2", "lang": "en", "title": "Dog", "text": "A dog", "image": None},
        {"id": "image:1", "lang": "image", "title": "", "text": "", "image": "cat.jpg"},
    ]
    # A whole collection keeps its name.
    assert read.name == "images"


def write_plain(
    folder: Path,
    corpus: list[dict[str, Any]] | None = None,
    queries: list[dict[str, Any]] | None = None,
    qrels: str = 'query-id\tcorpus-id\tscore\n1\td"1\t2\n1\tdé:2\t0\n"2"\tdé:2\t1\n',
) -> Path:
    """Write a BEIR folder without our metadata; the third query is of another split."""
    (folder / "qrels").mkdir(parents=True)
    rows = corpus or [
        {"_id": 'd"1', "title": "One", "text": "First.", "metadata": {"url": "x", "lang": None}},
        {"_id": "dé:2", "title": "", "text": "Second."},
        {"_id": "d3", "text": "Third.", "title": None, "metadata": "none"},
    ]
    (folder / "corpus.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    rows = queries or [{"_id": str(n), "text": f"Question {n}?", "metadata": {}} for n in (1, 2, 3)]
    (folder / "queries.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    (folder / "qrels" / "test.tsv").write_text(qrels, "utf-8")
    return folder


def test_a_folder_of_other_origin_keeps_its_ids(tmp_path: Path) -> None:
    folder = write_plain(tmp_path / "theirs")
    collection = read_folder(folder, language="eng-Latn")
    assert (collection.name, collection.languages, collection.original_ids) == (
        "theirs",
        ("en",),
        True,
    )
    files = [folder / name for name in ("corpus.jsonl", "queries.jsonl", "qrels/test.tsv")]
    assert collection.provenance == tuple(
        Origin(str(path), sha256(path.read_bytes()).hexdigest()) for path in files
    )
    view = collection.view("en", "en")
    assert view.to_beir() == (
        {
            'en:d"1': {"title": "One", "text": "First."},
            "en:dé:2": {"title": "", "text": "Second."},
            "en:d3": {"title": "", "text": "Third."},
        },
        {"en:q:1": "Question 1?", "en:q:2": "Question 2?"},
        {"en:q:1": {'en:d"1': 2, "en:dé:2": 0}, "en:q:2": {"en:dé:2": 1}},
    )
    out = write_folder(collection, tmp_path / "out")
    corpus, queries, qrels = load_with_beir(folder)
    for document in corpus.values():
        document["title"] = document["title"] or ""
    assert load_with_beir(out) == (corpus, queries, qrels)
    assert list(queries) == ["1", "2"]
    assert read_folder(out).view("en", "en").to_beir() == view.to_beir()


def test_languages_may_stand_in_the_metadata(tmp_path: Path) -> None:
    corpus: list[dict[str, Any]] = [
        {"_id": "a", "title": "", "text": "Eins.", "metadata": {"lang": "deu"}},
        {"_id": "b", "title": "", "text": "One."},
    ]
    queries = [{"_id": "1", "text": "Who?", "metadata": {"group": "g"}}]
    folder = write_plain(
        tmp_path / "x", corpus, queries, "1\ta\t1\n1\tb\t1\n"
    )  # and there is no header
    read = read_folder(folder, language="en")
    assert read.view("en").to_beir()[2] == {"en:q:1": {"de:a": 1, "en:b": 1}}
    assert read.queries["group"].to_pylist() == ["g"]


@pytest.mark.parametrize("file", ["corpus", "queries"])
def test_a_text_with_an_image_is_refused(tmp_path: Path, file: str) -> None:
    """Models would read the text alone."""
    folder = write_plain(tmp_path / "x")
    path = folder / f"{file}.jsonl"
    first, *rest = path.read_text("utf-8").splitlines()
    row = json.loads(first) | {"metadata": {"lang": "en", "image": "cat.png"}}
    path.write_text("\n".join([*rest, json.dumps(row)]), "utf-8")
    with pytest.raises(BadData) as error:
        read_folder(folder, language="en")
    assert str(error.value) == (
        f"{path} line 3: models would read the row's text and not its image 'cat.png'; load "
        "images and their captions as 'jsonl-image-text'"
    )


NO_JUDGEMENT = (
    "expected query, passage and a whole number between tabs, or TREC's four columns; found "
)


@pytest.mark.parametrize(
    ("first", "complaint"),
    [
        ("1\td3\t0.5", "['1', 'd3', '0.5']"),
        ("1\td3\t", "['1', 'd3', '']"),  # query 1 is there: this is a judgement with no grade
        ("1\td3\thigh", "['1', 'd3', 'high']"),
        ("x\ty\t1e3", "['x', 'y', '1e3']"),
        ("1\td3", "['1', 'd3']"),
        ("h", "['h']"),
        ("1\t0\td3\thigh", "['1', '0', 'd3', 'high']"),
        ("1 0 d3", "['1 0 d3']"),
    ],
)
def test_a_first_row_that_is_no_header_is_named(tmp_path: Path, first: str, complaint: str) -> None:
    folder = write_plain(tmp_path / "x", qrels=f"{first}\n1\td3\t1\n")
    with pytest.raises(BadData) as error:
        read_folder(folder, language="en")
    assert str(error.value) == f"{folder}/qrels/test.tsv line 1: {NO_JUDGEMENT}{complaint}"


@pytest.mark.parametrize(
    "first", ["Query-ID\tCorpus-ID\tScore", "qid\tdocid\trelevance", "1\td3\t2"]
)
def test_a_header_may_have_any_names_or_be_missing(tmp_path: Path, first: str) -> None:
    folder = write_plain(tmp_path / "x", qrels=f"{first}\n2\td3\t1\n")
    qrels = read_folder(folder, language="en").view("en", "en").to_beir()[2]
    first_judgement = {"en:q:1": {"en:d3": 2}} if first.startswith("1") else {}
    assert qrels == first_judgement | {"en:q:2": {"en:d3": 1}}


@pytest.mark.parametrize(
    "text",
    [
        "1 0 d3 2\n2 0 d3 1\n",
        "1\t0\td3\t2\r\n2\tQ0\t d3 \t1\r\n",
        "\ufeff1 0 d3 2\n\n# the second\n2 0 d3 1",
        f"\ufeff{H}# by hand\n1\td3\t2\n2\td3\t1\n",
    ],
)
def test_qrels_as_trec_writes_them(tmp_path: Path, text: str) -> None:
    folder = write_plain(tmp_path / "x", qrels=text)
    collection = read_folder(folder, language="en")
    judgements = collection.judgements.to_pylist()
    assert [row["relevance"] for row in judgements] == [2, 1]
    assert collection.queries["id"].to_pylist() == ["en:q:1", "en:q:2"]


@pytest.mark.parametrize("line", ["2\td3\r4\t1", f"2\t{'x' * (1 << 18)}\t1"])
def test_lines_that_are_no_rows_are_named(tmp_path: Path, line: str) -> None:
    folder = write_plain(tmp_path / "x", qrels=f"1\td3\t2\n{line}\n")
    with pytest.raises(BadData, match=r"tsv line 2 is no row of columns"):
        read_folder(folder, language="en")


def test_a_query_may_have_the_name_of_the_header(tmp_path: Path) -> None:
    queries = [{"_id": "query-id", "text": "Which?"}]
    folder = write_plain(tmp_path / "x", queries=queries, qrels=H + "query-id\td3\t1\n")
    assert read_folder(folder, language="en").queries["id"].to_pylist() == ["en:q:query-id"]


def test_one_folder_under_two_spellings_is_built_once(
    tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_plain(tmp_path / "x")
    monkeypatch.chdir(tmp_path)
    spellings: list[str | Path] = [folder, "x", "./x/../x"]
    collections = [read_folder(path, language="en", name="x") for path in spellings]
    provenances = {collection.provenance for collection in collections}
    assert len(provenances) == 1
    assert collections[0].provenance[0].file == str(folder / "corpus.jsonl")
    assert len([path for path in (own_cache / "collections").iterdir() if path.is_dir()]) == 1


def test_a_setting_names_the_files_of_its_languages(tmp_path: Path) -> None:
    origins = {lang: Origin(f"{lang}.json", "0f", "", lang) for lang in ("de", "en", "", "tr")}
    writer = CollectionWriter(tmp_path, "tiny")
    for lang in ("de", "en", "tr"):
        writer.add_passage(lang, "1", "", "!")
        query = writer.add_query(lang, "1", "?", "1")
        for passages in {lang, "de"}:
            writer.add_judgement(query, f"{passages}:1")
    writer.finish(provenance=origins.values())
    collection = open_collection(tmp_path)
    assert collection.provenance == tuple(origins.values())
    read = read_folder(write_folder(collection.view("en", "de"), tmp_path / "en-de"))
    assert read.provenance == (origins["de"], origins["en"], origins[""])
    read = read_folder(write_folder(collection, tmp_path / "all"))
    assert read.provenance == collection.provenance


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"qrels": H + "x\ty\n"}, "{}/qrels/test.tsv line 2: expected query, passage and a whole "),
        ({"qrels": H + "1\tb\t0.5\n"}, "{}/qrels/test.tsv line 2: expected query, passage and a "),
        (
            {"qrels": H + "1\tz9\t1\n"},
            "x: 1 passages that judgements name and the collection lacks",
        ),
        ({"qrels": H + "9\td3\t1\n"}, "x: 1 queries that judgements name and the collection lacks"),
        ({"qrels": H + "1\ten:d3\t1\n"}, "x: 1 passages that judgements name and the collection "),
        ({"qrels": H + "1\td3\t0\n"}, "x: 1 queries without a relevant passage, first 'en:q:1'"),
        ({"qrels": H + "1\td3\t1\n1\td3\t1\n"}, "x: 1 judgements given twice, first 'en:q:1'"),
        ({"qrels": H + ""}, "x: there are no queries"),
        ({"queries": [{"_id": 1, "text": "?"}]}, "{}/queries.jsonl line 1: '_id' is 1, not text"),
        ({"queries": [{"_id": "1"}]}, "{}/queries.jsonl line 1: 'text' is missing"),
        ({"corpus": [{"_id": "a", "text": 3}]}, "{}/corpus.jsonl line 1: 'text' is 3, not text"),
        (
            {"corpus": [{"_id": "a", "text": "A", "metadata": {"lang": 1}}]},
            "{}/corpus.jsonl line 1: 'lang' is 1, not text",
        ),
        (
            {
                "corpus": [
                    {"_id": "d3", "text": "A", "metadata": {"lang": "en"}},
                    {"_id": "d3", "text": "B", "metadata": {"lang": "de"}},
                ],
                "qrels": H + "1\td3\t1\n",
            },
            "{}/corpus.jsonl line 2: the judged id 'd3' is there in two languages",
        ),
        (
            {"corpus": [{"_id": "d3", "text": "A"}] * 2, "qrels": H + "1\td3\t1\n"},
            "x: 1 passage ids occur more than once, first 'en:d3' in {}/corpus.jsonl lines 1 and 2",
        ),
    ],
)
def test_bad_folders_are_named(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    folder = write_plain(tmp_path / "x", **change)
    with pytest.raises(BadData) as error:
        read_folder(folder, language="en")
    assert str(error.value).startswith(message.format(folder))


def test_rows_without_language_are_counted(tmp_path: Path) -> None:
    with pytest.raises(BadData) as error:
        read_folder(write_plain(tmp_path / "x"))
    assert str(error.value) == (
        f"x: 3 passages without language, first 'd\"1' in {tmp_path}/x/corpus.jsonl line 1; "
        f"2 queries without language, first '1' in {tmp_path}/x/queries.jsonl line 1"
    )


def test_missing_and_unreadable_files_are_named(tmp_path: Path) -> None:
    folder = write_plain(tmp_path / "x")
    with pytest.raises(BadData) as error:
        read_folder(folder, "dev", language="en")
    assert str(error.value) == f"{folder} is no BEIR folder with split 'dev': it lacks dev.tsv"
    (folder / "qrels" / "test.tsv").write_bytes(H.encode() + b"\xff\t1\t1\n")
    with pytest.raises(BadData, match=r"test\.tsv line 2 is not UTF-8: "):
        read_folder(folder, language="en")
    for text, reason in {
        "{": " is not JSON",
        "[]": r" is \[\]; it must be a mapping",
        "{}": f" has no checksum: .*; {CURE}",
    }.items():
        (folder / "collection.json").write_text(text, "utf-8")
        with pytest.raises(BadData, match=rf"collection\.json{reason}"):
            read_folder(folder, language="en")
    records: list[tuple[dict[str, Any], str]] = [
        ({"provenance": [{"x": 1}]}, "provenance.file is missing"),
        ({"provenance": 3}, "provenance is 3; it must be a list"),
        ({"title_policy": "title"}, "title_policy is 'title'; it must be one of title"),
        ({"files": 3}, "files is 3; it must be a mapping"),
    ]
    for record, reason in records:
        write_sealed_json(folder / "collection.json", record)
        with pytest.raises(BadData, match=rf"collection\.json: {reason}"):
            read_folder(folder, language="en")


@pytest.mark.parametrize("name", ["corpus.jsonl", "queries.jsonl", "qrels/test.tsv"])
def test_a_damaged_export_is_refused(tmp_path: Path, name: str) -> None:
    out = write_folder(make_tiny(tmp_path / "c"), tmp_path / "out")
    path = out / name
    path.write_bytes(path.read_bytes().replace(b"2", b"3", 1))
    with pytest.raises(BadData, match=rf"{name} is damaged: its checksum is another; {CURE}"):
        read_folder(out)


def test_an_export_without_its_description_is_damaged(tmp_path: Path) -> None:
    collection = make_tiny(tmp_path / "c", "text")
    out = write_folder(collection, tmp_path / "out")
    manifest, queries = out / "collection.json", out / "queries.jsonl"
    manifest.unlink()
    # Read as a stranger's, it would have other ids, titles and provenance.
    with pytest.raises(BadData) as error:
        read_folder(out)
    assert str(error.value) == f"{out} lacks its collection.json; {CURE}"
    # Whoever edits it follows the cure.
    first, *rest = queries.read_text("utf-8").split("\n")
    row = json.loads(first)
    assert row["metadata"].pop("description") == "collection.json"
    assert not any("collection.json" in line for line in rest)
    queries.write_text("\n".join([json.dumps(row), *rest]), "utf-8")
    assert read_folder(out).provenance[0].file == str(out / "corpus.jsonl")


def test_a_stranger_may_describe_queries(tmp_path: Path) -> None:
    queries = [{"_id": "1", "text": "Who?", "metadata": {"description": "asks for a name"}}]
    folder = write_plain(tmp_path / "x", queries=queries, qrels=H + "1\td3\t1\n")
    assert read_folder(folder, language="en").queries["id"].to_pylist() == ["en:q:1"]


def test_an_export_killed_after_its_last_step_succeeds_again(tmp_path: Path) -> None:
    collection = make_tiny(tmp_path / "c")
    out = write_folder(collection, tmp_path / "out")
    files = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    assert write_folder(collection, out) == out
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == files
    message = r"out is there already; name a new folder or remove it"
    with pytest.raises(BadOption, match=message):
        write_folder(collection.view("en", "zh"), out)
    with pytest.raises(BadOption, match=message):
        write_folder(collection, out, split="dev")
    corpus = out / "corpus.jsonl"
    corpus.write_bytes(corpus.read_bytes().replace(b"0", b"1", 1))
    with pytest.raises(BadData, match=r"corpus.jsonl is damaged: its checksum is another; export"):
        write_folder(collection, out)


def test_hostile_names_stay_inside_the_cache(tmp_path: Path, own_cache: Path) -> None:
    names = ["../../x", "<script>", "a b", "..", "/etc/x", "a\0b\n", "x" * 300, "日本"]
    corpus = [{"_id": "d3", "text": "Text."}]
    folder = write_plain(tmp_path / "<script> ..", corpus, qrels=H + "1\td3\t1\n")
    before = {path for path in tmp_path.rglob("*") if own_cache not in path.parents}
    for name in names:
        assert read_folder(folder, language="en", name=name).name == name
    after = {path for path in tmp_path.rglob("*") if own_cache not in path.parents}
    assert after - {own_cache} == before
    folders = [path for path in (own_cache / "collections").iterdir() if path.is_dir()]
    assert len(folders) == len(names)
    assert {path.parent for path in own_cache.rglob("collection.json")} == set(folders)
    assert read_folder(folder, language="en").name == "<script> .."


def test_an_existing_target_is_left_alone(tmp_path: Path) -> None:
    collection = make_tiny(tmp_path / "c")
    out = tmp_path / "out"
    for make in (out.mkdir, out.touch):
        make()
        with pytest.raises(BadOption, match=r"out is there already; name a new folder or remove"):
            write_folder(collection, out)
        assert out.is_file() or list(out.iterdir()) == []
        if out.is_dir():
            out.rmdir()
    assert out.read_bytes() == b""


@pytest.mark.parametrize("split", ["../test", "a/b", "", "/x"])
def test_a_split_must_be_a_file_name(tmp_path: Path, split: str) -> None:
    with pytest.raises(BadOption, match=r"^a split's name becomes a file's: it cannot be '"):
        write_folder(make_tiny(tmp_path / "c"), tmp_path / "out", split)
    assert not (tmp_path / "out").exists()
