"""The writer of collections: every complaint names the first offender and their number."""

import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from beir_hybrid.collection import CollectionWriter, Origin, open_collection
from beir_hybrid.collection.arrays import join_titles
from beir_hybrid.collection.shards import find_rows
from beir_hybrid.errors import BadData
from tests.small_collections import Fill, collect, write_small


def add_judgements(writer: CollectionWriter, *judgements: tuple[str, str, int]) -> None:
    for query, passage, relevance in judgements:
        writer.add_judgement(query, passage, relevance)


def get_complaint(folder: Path, fill: Fill) -> str:
    writer = CollectionWriter(folder, "tiny")
    write_small(writer)
    fill(writer)
    with pytest.raises(BadData) as error:
        writer.finish()
    assert not (folder / "collection.json").exists()
    return str(error.value)


def test_a_title_alone_is_no_text_where_titles_are_not_read(tmp_path: Path) -> None:
    def fill(writer: CollectionWriter) -> None:
        write_small(writer)
        writer.add_passage("es", "t1", "Título", " \u3000")
        writer.add_passage("de", "t2", "Titel", "")

    titled = collect(tmp_path / "titled", fill).view("es", "es")
    assert join_titles(titled.passages).to_pylist() == [
        "Roma Todos los caminos llevan.",
        "Título  \u3000",
    ]
    with pytest.raises(BadData) as error:
        collect(tmp_path / "untitled", fill, "text")
    message = "2 passages with a title, which is not read, and no text, first 'de:t2'"
    assert str(error.value) == f"tiny: {message}"


def test_an_image_needs_no_text_where_titles_are_not_read(tmp_path: Path) -> None:
    writer = CollectionWriter(tmp_path, "images", has_images=True)
    query = writer.add_query("en", "1", "A cat", "1")
    writer.add_judgement(query, writer.add_passage("en", "1", "Cat", "", "cat.jpg"))
    writer.add_passage("en", "2", "Dog", "", "")
    with pytest.raises(BadData, match=r"1 passages with a title, .*, first 'en:2'$"):
        writer.finish(title_policy="text")


def test_an_image_has_a_path(tmp_path: Path) -> None:
    writer = CollectionWriter(tmp_path, "images", has_images=True)
    query = writer.add_query("en", "1", "A cat", "1")
    writer.add_judgement(query, writer.add_passage("image", "1", "", "sha256:0", "cat.jpg"))
    writer.add_passage("image", "2", "", "sha256:1", "")
    writer.add_query("image", "2", "sha256:1", "2", None)
    with pytest.raises(BadData) as error:
        writer.finish()
    message = "2 images without a path, first 'image:2'"
    assert str(error.value) == f"images: {message}"


def test_without_images_image_is_no_language(tmp_path: Path) -> None:
    writer = CollectionWriter(tmp_path, "tiny")
    write_small(writer)
    writer.add_passage("image", "2", "", "A text.")
    with pytest.raises(
        BadData, match=r"^tiny: 1 passages with unknown language 'image', first '2'"
    ):
        writer.finish()


def test_attributes_are_stored(tmp_path: Path) -> None:
    writer = CollectionWriter(tmp_path, "tiny")
    write_small(writer)
    writer.finish(
        licence="CC0",
        citation="Me 2024",
        provenance=[Origin("a.json", "0f", "r1")],
        options={"split": "dev"},
        original_ids=True,
        caveat="mind this",
    )
    collection = open_collection(tmp_path)
    assert (collection.licence, collection.citation, collection.caveat) == (
        "CC0",
        "Me 2024",
        "mind this",
    )
    assert collection.provenance == (Origin("a.json", "0f", "r1"),)
    assert (collection.options, collection.original_ids) == ({"split": "dev"}, True)


COMPLAINTS: list[tuple[str, Fill, str]] = [
    (
        "query twice",
        lambda w: [w.add_query("eng", "a", "Again?", "a") for _ in range(2)],
        "1 query ids occur more than once, first 'en:q:a'",
    ),
    (
        "passages twice",
        lambda w: [w.add_passage("en", key, "", "Again.") for key in ("p1", "p2", "p1")],
        "2 passage ids occur more than once, first 'en:p1'",
    ),
    (
        "passage without text",
        lambda w: [w.add_passage("en", key, " ", "\n\u2003\t") for key in ("e1", "e2")],
        "2 passages without text, first 'en:e1'",
    ),
    (
        "query without text",
        lambda w: w.add_query("de", "c", " \u3000", "c"),
        "1 queries without text, first 'de:q:c'",
    ),
    (
        "unknown language",
        lambda w: [w.add_passage(lang, "u", "", "Text") for lang in ("xx", "xx")],
        "2 passages with unknown language 'xx', first 'u'",
    ),
    (
        "no language",
        lambda w: [w.add_query(lang, f"u{lang}", "Text", "u") for lang in (None, "")],
        "2 queries without language, first 'uNone'",
    ),
    (
        "no passage's id",
        lambda w: w.add_passage("en", "", "", "Text"),
        "1 passages without an id, first 'en:'",
    ),
    (
        "no query's id",
        lambda w: w.add_query("en", "", "Text", "c"),
        "1 queries without an id, first 'en:q:'",
    ),
    (
        "a passage that looks like a query",
        lambda w: [w.add_passage("en", key, "", "Text") for key in ("q:a", "q:")],
        "2 passage ids that start with 'q:' as query ids do, first 'en:q:a'",
    ),
    (
        "missing judged passages",
        lambda w: add_judgements(w, *(("en:q:a", f"en:{key}", 1) for key in ("p9", "p8", "p9"))),
        "2 passages that judgements name and the collection lacks, first 'en:p9'",
    ),
    (
        "missing judged query",
        lambda w: add_judgements(w, ("fr:q:a", "en:p1", 1)),
        "1 queries that judgements name and the collection lacks, first 'fr:q:a'",
    ),
    (
        "a query without a gold",
        lambda w: [w.add_query("es", key, "¿Qué?", key) for key in ("c", "d")],
        "2 queries without a relevant passage, first 'es:q:c'",
    ),
    (
        "judged twice",
        lambda w: add_judgements(w, ("en:q:a", "en:p1", 0), ("en:q:b", "en:p2", 2)),
        "2 judgements given twice, first 'en:q:a'",
    ),
    (
        "a relevance beyond 32 bits",
        lambda w: add_judgements(w, *(("en:q:b", "es:p1", grade) for grade in (1 << 31, 1 << 80))),
        "2 relevances beyond 32 bits, first 'en:q:b'",
    ),
]


@pytest.mark.parametrize(
    ("fill", "message"),
    [(fill, message) for _, fill, message in COMPLAINTS],
    ids=[name for name, _, _ in COMPLAINTS],
)
def test_complaints_name_the_first_offender_and_count(
    fill: Fill, message: str, tmp_path: Path
) -> None:
    assert get_complaint(tmp_path, fill) == f"tiny: {message}"


def test_all_complaints_come_together(tmp_path: Path) -> None:
    def fill(writer: CollectionWriter) -> None:
        writer.add_passage("en", "a b", "", "")
        writer.add_passage("de", "p1", "", "Wieder.")
        writer.add_query("xx", "c", "Text", "c")
        writer.add_query("es", "d", "", "d")

    first = get_complaint(tmp_path, fill).removeprefix("tiny: ").split("; ")
    assert sorted(first) == [
        "1 passage ids occur more than once, first 'de:p1'",
        "1 passage ids with white space, first 'en:a b'",
        "1 passages without text, first 'en:a b'",
        "1 queries with unknown language 'xx', first 'c'",
        "1 queries without text, first 'es:q:d'",
    ]


def test_all_complaints_of_judgements_come_together(tmp_path: Path) -> None:
    def fill(writer: CollectionWriter) -> None:
        writer.add_query("es", "c", "¿Qué?", "c")
        writer.add_judgement("en:q:z", "en:p7")
        writer.add_judgement("en:q:a", "en:p8")
        writer.add_judgement("en:q:a", "en:p9")

    first = get_complaint(tmp_path, fill).removeprefix("tiny: ").split("; ")
    # Two missing passages are no passage judged twice.
    assert first == [
        "1 queries that judgements name and the collection lacks, first 'en:q:z'",
        "3 passages that judgements name and the collection lacks, first 'en:p7'",
        "1 queries without a relevant passage, first 'es:q:c'",
    ]


def test_every_white_space_is_refused_in_ids(tmp_path: Path) -> None:
    spaces = [chr(code) for code in range(sys.maxunicode + 1) if chr(code).isspace()]
    assert {" ", "\n", "\r", "\x1f", "\x85", "\xa0", "\u2028", "\u3000"} <= set(spaces)

    def add_passage(writer: CollectionWriter, key: str) -> None:
        writer.add_passage("en", key, "", "Text")

    for number, space in enumerate(spaces):
        folder = tmp_path / str(number)
        folder.mkdir()
        message = get_complaint(folder, partial(add_passage, key=f"x{space}y"))
        assert message == f"tiny: 1 passage ids with white space, first {f'en:x{space}y'!r}"
    (tmp_path / "query").mkdir()
    message = get_complaint(tmp_path / "query", lambda w: w.add_query("en", "x\n", "Text", "x"))
    assert message == "tiny: 1 query ids with white space, first 'en:q:x\\n'"


def test_odd_ids_are_stored_unchanged(tmp_path: Path) -> None:
    keys = ["a:", ":", "q", 'say"so"', "日本#1", "../x", "\u200b", "q,1", "Q:1"]

    def fill(writer: CollectionWriter) -> None:
        for key in keys:
            passage = writer.add_passage("en", key, "", "Text")
            writer.add_judgement(writer.add_query("en", key, "Text?", key), passage)

    _, queries, qrels = collect(tmp_path / "odd", fill).view("en", "en").to_beir()
    assert list(queries) == [f"en:q:{key}" for key in keys]
    assert qrels == {f"en:q:{key}": {f"en:{key}": 1} for key in keys}


@pytest.mark.parametrize(
    ("fill", "message"),
    [
        (lambda w: w.add_query("en", "1", "Who?", "1"), "there are no passages"),
        (lambda w: w.add_passage("en", "1", "", "She."), "there are no queries"),
        (
            lambda w: [w.add_query("en", "1", "Who?", "1"), w.add_passage("en", "1", "", "She.")],
            "there are no judgements",
        ),
    ],
)
def test_a_collection_without_rows_is_refused(fill: Fill, message: str, tmp_path: Path) -> None:
    writer = CollectionWriter(tmp_path, "tiny")
    fill(writer)
    with pytest.raises(BadData) as error:
        writer.finish()
    assert str(error.value) == f"tiny: {message}"


def test_damaged_files_are_named(tmp_path: Path) -> None:
    collect(tmp_path, write_small)
    path = tmp_path / "passages-en.arrow"
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    cure = "the collection has to be built anew$"
    with pytest.raises(BadData, match=rf"passages-en.arrow is damaged: it has .* bytes .*; {cure}"):
        open_collection(tmp_path)
    path.write_bytes(b"\0" * len(content))
    with pytest.raises(BadData, match=rf"passages-en.arrow is damaged: its checksum .*; {cure}"):
        open_collection(tmp_path)
    path.write_bytes(content)
    (tmp_path / "judgements.arrow").unlink()
    with pytest.raises(BadData, match=rf"there is no file .*/judgements.arrow; {cure}"):
        open_collection(tmp_path)


def test_finding_many_ids_is_not_quadratic() -> None:
    n = 200_000
    ids = [f"en:{number}" for number in range(n)]
    column = pa.chunked_array([ids[start : start + 200] for start in range(0, n, 200)])
    keys = pa.array([*ids[::-1], "en:none"])
    started = time.perf_counter()
    rows = find_rows(column, keys)
    # It takes a tenth of a second; hashing the ids for each of 1,000 chunks takes 20 s.
    assert time.perf_counter() - started < 4
    assert rows[-1] == -1
    assert (rows[:-1] == np.arange(n)[::-1]).all()
