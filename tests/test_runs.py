"""Runs survive the way to a TREC file and back."""

import gzip
import os
from pathlib import Path
from tempfile import TemporaryDirectory

import ir_measures
import numpy as np
import pyarrow as pa
import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from beir_hybrid import CollectionWriter, View, from_beir
from beir_hybrid.collection import open_collection
from beir_hybrid.errors import BadData, BadOption
from beir_hybrid.evaluation.run_writer import RunWriter
from beir_hybrid.integrity import compute_checksum
from beir_hybrid.retrieval import TopPassages
from beir_hybrid.retrieval.runs import (
    Run,
    RunRows,
    make_run_rows,
    name_checksum_file,
    read_run,
    write_run,
)

RUN: Run = {"q2": {"de:1": 0.5, "en:7": 2.0, "en:10": 0.5}, "q1": {"de:1": -1.25}}
LINES = """\
q2 Q0 en:7 1 2.0 mine
q2 Q0 en:10 2 0.5 mine
q2 Q0 de:1 3 0.5 mine
q1 Q0 de:1 1 -1.25 mine
"""


def test_a_run_is_written_best_first_with_ties_by_descending_id(tmp_path: Path) -> None:
    path = write_run(tmp_path / "new" / "run.txt", RUN, "mine")
    assert path.read_text() == LINES
    assert {p.name for p in path.parent.iterdir()} == {"run.txt", ".run.txt.xxh3"}
    assert read_run(path) == RUN
    assert list(read_run(path)["q2"]) == ["en:7", "en:10", "de:1"]


def test_a_name_that_ends_in_gz_makes_a_gzip_file_with_equal_bytes_each_time(
    tmp_path: Path,
) -> None:
    rows: RunRows = [(query, iter(scores.items())) for query, scores in RUN.items()]
    first = write_run(tmp_path / "a.gz", rows, "mine")
    second = write_run(tmp_path / "b.gz", RUN, "mine")
    assert gzip.decompress(first.read_bytes()).decode() == LINES
    assert first.read_bytes() == second.read_bytes()
    assert read_run(first) == RUN


def test_scores_are_the_shortest_decimals_of_their_float32(tmp_path: Path) -> None:
    # As float64, the second number is 0.100000001490116...; the third equals it only as float32.
    scores = {"a": 1 / 3, "b": float(np.float32(0.1)), "c": 0.1 + 1e-12, "d": 2.0**24, "e": 1e-9}
    path = write_run(tmp_path / "run", {"q": scores})
    assert [line.split()[2:5] for line in path.read_text().splitlines()] == [
        ["d", "1", "1.6777216e+07"],
        ["a", "2", "0.33333334"],
        ["c", "3", "0.1"],
        ["b", "4", "0.1"],
        ["e", "5", "1e-09"],
    ]


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(
        st.text(st.sampled_from("az09é日-"), min_size=1, max_size=3),
        st.floats(width=32, allow_nan=False, allow_infinity=False),
        min_size=1,
        max_size=12,
    )
)
def test_any_float32_comes_back_and_ranks_stay(scores: dict[str, float]) -> None:
    with TemporaryDirectory() as folder:
        run = read_run(write_run(Path(folder) / "run", {"q": scores}))["q"]
    assert {key: np.float32(score) for key, score in run.items()} == {
        key: np.float32(score) for key, score in scores.items()
    }
    # In double precision, too, scores are in order and those that were tied are tied.
    read_scores = list(run.values())
    assert read_scores == sorted(read_scores, reverse=True)
    assert len(set(read_scores)) == len({np.float32(score) for score in scores.values()})


def test_ranks_in_the_file_are_those_trec_eval_counts(tmp_path: Path) -> None:
    draw = np.random.default_rng(5)
    # Few distinct values, some of which only float32 ties.
    scores = {f"d{n}": float(draw.integers(4)) + 1e-9 * n for n in range(40)}
    path = write_run(tmp_path / "run", {"q": scores})
    for line in path.read_text().splitlines():
        _, _, document, rank, _, _ = line.split()
        qrels = {"q": {document: 1}}
        reciprocal = ir_measures.calc_aggregate([ir_measures.RR], qrels, {"q": scores})
        assert reciprocal[ir_measures.RR] == pytest.approx(1 / int(rank))
    run = {"q": read_run(path)["q"]}
    rows = list(ir_measures.read_trec_run(str(path)))
    assert {row.doc_id: row.score for row in rows} == run["q"]


def test_the_best_rows_become_ids_and_scores() -> None:
    top = TopPassages(
        np.array([[2, 0], [3, 2]], np.int64), np.array([[0.5, 0.25], [1.5, -2]], np.float32)
    )
    expected = [("x", [("c", 0.5), ("a", 0.25)]), ("y", [("d", 1.5), ("c", -2.0)])]
    assert list(make_run_rows(top, ["x", "y"], list("abcd"))) == expected
    arrow = pa.chunked_array([["a", "b"], ["c", "d"]])
    assert list(make_run_rows(top, ["x", "y"], arrow)) == expected


def test_many_queries_keep_their_own_rows() -> None:
    rows = np.random.default_rng(3).permuted(np.tile(np.arange(7), (600, 1)), axis=1)[:, :3]
    top = TopPassages(rows, (-rows).astype(np.float32))
    run = list(make_run_rows(top, [f"q{n}" for n in range(600)], [f"d{n}" for n in range(7)]))
    assert [query for query, _ in run] == [f"q{n}" for n in range(600)]
    assert [[int(key[1:]) for key, _ in scores] for _, scores in run] == rows.tolist()
    assert all(score == -int(key[1:]) for _, scores in run for key, score in scores)


def test_nothing_retrieved_is_no_error(tmp_path: Path) -> None:
    top = TopPassages.allocate(2, 0)
    run = list(make_run_rows(top, ["x", "y"], []))
    assert run == [("x", []), ("y", [])]
    assert read_run(write_run(tmp_path / "run.gz", run)) == {}


@pytest.mark.parametrize(
    ("run", "message"),
    [
        ([("q 1", [("d", 1.0)])], "query id 'q 1' is empty or holds white space"),
        ([("q", [("d\u00a0", 1.0)])], "document id 'd\\\\xa0' is empty or holds white space"),
        ([("q", [("", 1.0)])], "document id '' is empty"),
        ([("#1", [("d", 1.0)])], "query id '#1' starts as comments do"),
        ([("q", [("d", float("nan"))])], "'d' has the score nan, no float32"),
        ([("q", [("c", 1.0), ("d", 1e39)])], r"'d' has the score 1e\+39, no float32"),
        ([("q", [("d", 1.0), ("e", 2.0), ("d", 1.0)])], "document 'd' twice for query 'q'"),
        ([("q", [("d", 1.0)]), ("p", []), ("q", [])], "query 'q' twice"),
    ],
)
def test_what_no_run_file_can_hold_is_refused_and_nothing_written(
    tmp_path: Path, run: RunRows, message: str
) -> None:
    with pytest.raises(BadData, match=message):
        write_run(tmp_path / "run.gz", run)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("tag", ["", "two words", "a\n"])
def test_a_tag_is_one_word(tmp_path: Path, tag: str) -> None:
    with pytest.raises(BadOption, match="must be one word"):
        write_run(tmp_path / "run", RUN, tag)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("q Q0 d 1 0.5 t\nq Q0 e 2 0.4\n", "line 2 has 5 columns; a run has 6"),
        ("q Q0 d 1 0.5\n", "line 1 has 5 columns"),
        ("\nq Q0 d 1 high t\n", "line 2: the score 'high' is no number"),
        ("q Q0 d 1 nan t\n", "line 1: the score 'nan' is no number"),
        ("q Q0 d 1 2 t\nq Q0 e 2 1 t\nq Q0 d 3 0 t\n", "line 3: document 'd' is there twice"),
    ],
)
def test_a_damaged_run_is_refused_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "run.txt"
    path.write_text(text)
    with pytest.raises(BadData, match=f"run.txt {message}"):
        read_run(path)


def test_files_that_are_no_runs_at_all(tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"there is no file .*absent"):
        read_run(tmp_path / "absent")
    (tmp_path / "latin").write_bytes(b"q Q0 d 1 1 t\nq Q0 \xe9 2 0 t\n")
    with pytest.raises(BadData, match="latin line 2 is not UTF-8"):
        read_run(tmp_path / "latin")
    for name, content in {"plain.gz": LINES.encode(), "empty.gz": b""}.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(BadData, match=f"{name} is truncated or no gzip file, after line 0"):
            read_run(tmp_path / name)


def test_a_truncated_gzip_is_refused(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run.gz", {"q": {f"d{n}": n / 7 for n in range(5000)}})
    content = path.read_bytes()
    path.write_bytes(content[:-9])
    with pytest.raises(BadData, match=r"run.gz is damaged or was edited: its checksum is another"):
        read_run(path)
    name_checksum_file(path).unlink()
    with pytest.raises(BadData, match=r"run.gz is truncated or no gzip file, after line \d+"):
        read_run(path)


def test_a_run_of_ours_is_compared_with_its_checksum(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run.trec", RUN)
    checksum = xxhash.xxh3_128_hexdigest(path.read_bytes())
    assert name_checksum_file(path).read_text() == f"{checksum}  run.trec\n"  # as xxh128sum has it
    path.write_bytes(path.read_bytes().replace(b" 0.5 ", b" 8.5 "))
    cure = r"make it again, or remove \.run\.trec\.xxh3 if you edited it$"
    with pytest.raises(BadData, match=rf"run.trec is damaged or was edited: .*; {cure}"):
        read_run(path)
    name_checksum_file(path).unlink()
    assert read_run(path)["q2"]  # a run of somebody else's has no checksum
    write_run(path, RUN)
    assert read_run(path) == RUN


@pytest.mark.parametrize("name", ["run.trec", "run.gz"])
def test_a_file_that_is_no_run_of_ours_is_not_replaced(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    open_file = gzip.open if name.endswith(".gz") else open
    for text in ("notes\n", "q Q0 d 1 0.5 theirs\n", "my beir-hybrid\n"):
        with open_file(path, "wt") as file:
            file.write(text)
        content = path.read_bytes()
        message = f"{name} is no run of beir-hybrid's; name another file, or remove this one"
        with pytest.raises(BadOption, match=message):
            write_run(path, RUN)
        assert path.read_bytes() == content
        assert [file.name for file in tmp_path.iterdir()] == [name]
    with open_file(path, "wt") as file:
        file.write("q Q0 d 1 0.5 theirs\n")
    with pytest.raises(BadOption, match=message):  # whatever tag is asked for
        write_run(path, RUN, "theirs")
    path.unlink()
    write_run(path, RUN, "mine")
    write_run(path, RUN)  # by its checksum
    name_checksum_file(path).unlink()
    write_run(path, RUN)  # by its tag, as after a kill
    path.write_bytes(b"")
    name_checksum_file(path).unlink()
    assert read_run(write_run(path, RUN)) == RUN


def test_columns_may_be_apart_by_tabs_and_ranks_do_not_count(tmp_path: Path) -> None:
    (tmp_path / "run").write_bytes(b"q\t0\td  9 1e-1 x\r\nq Q0 e 9 -inf x")
    assert read_run(tmp_path / "run") == {"q": {"d": 0.1, "e": -np.inf}}


def test_unknown_ids_are_counted_and_the_first_is_named(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run", RUN)
    message = r"run names 2 documents that are not there, first 'en:7' in line 1$"
    with pytest.raises(BadData, match=message):
        read_run(path, known_passages={"de:1"})
    message = r"run names 2 queries that are not there, first 'q2' in line 1$"
    with pytest.raises(BadData, match=message):
        read_run(path, known_queries={"q3": "text"})
    assert read_run(path, known_passages=["de:1", "en:7", "en:10"], known_queries=RUN) == RUN


def test_unknown_queries_are_ignored_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_run(tmp_path / "run", {**RUN, "q3": {"odd": 1.0}})
    assert read_run(path, known_queries={"q2"}, known_passages=RUN["q2"]) == {"q2": RUN["q2"]}
    (message,) = caplog.messages
    assert message.endswith(
        "run names 2 queries that are not there, first 'q1' in line 4; they are ignored"
    )


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_what_trec_eval_ignores_is_ignored(tmp_path: Path, mark: str) -> None:
    lines = LINES.replace("mine\n", "mine and more 7\n")
    (tmp_path / "run").write_text(f"{mark}# my best\n{lines}\n  # the end\n#", "utf-8")
    assert read_run(tmp_path / "run") == RUN
    (tmp_path / "run.gz").write_bytes(gzip.compress(f"{mark}{LINES}".encode()))
    assert read_run(tmp_path / "run.gz") == RUN


def test_a_run_in_utf_16_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run").write_text(LINES, "utf-16")
    with pytest.raises(BadData, match="run is UTF-16; save it as UTF-8"):
        read_run(tmp_path / "run")


def make_view(folder: Path, passage_lang: str | None, *, original_ids: bool) -> View:
    """Return English queries against some passages, among them one whose own id is ``de:2``."""
    folder.mkdir()
    writer = CollectionWriter(folder, "toy")
    writer.add_query("en", "1", "question", "1")
    for lang in ("en", "de"):
        writer.add_passage(lang, "1", "", f"{lang} one")
        writer.add_passage(lang, "de:2", "", f"{lang} two")
        writer.add_judgement("en:q:1", f"{lang}:1")
    writer.finish(original_ids=original_ids)
    return open_collection(folder).view("en", passage_lang)


COLLECTION_RUN: Run = {"en:q:1": {"de:1": 2.0, "de:de:2": 1.0}}


def test_ids_of_the_origin_are_restored_and_read(tmp_path: Path) -> None:
    view = make_view(tmp_path / "c", "de", original_ids=True)
    path = write_run(tmp_path / "run", COLLECTION_RUN, "t", view=view)
    assert path.read_text() == "1 Q0 1 1 2.0 t\n1 Q0 de:2 2 1.0 t\n"
    assert read_run(path, view=view) == COLLECTION_RUN
    known_ids = set(view.passages["id"].to_pylist()), set(view.queries["id"].to_pylist())
    assert (
        read_run(path, view=view, known_passages=known_ids[0], known_queries=known_ids[1])
        == COLLECTION_RUN
    )
    with pytest.raises(BadData, match="names 1 documents that are not there, first '1' in line 1"):
        read_run(path, view=view, known_passages={"de:de:2"})


def test_ids_of_ours_are_read_where_the_known_ones_tell(tmp_path: Path) -> None:
    view = make_view(tmp_path / "c", "de", original_ids=True)
    path = write_run(tmp_path / "run", COLLECTION_RUN)
    known_ids = set(view.passages["id"].to_pylist())
    assert (
        read_run(path, view=view, known_passages=known_ids, known_queries={"en:q:1"})
        == COLLECTION_RUN
    )


@pytest.mark.parametrize(("passage_lang", "original_ids"), [(None, True), ("de", False)])
def test_other_views_keep_our_ids(
    tmp_path: Path, passage_lang: str | None, original_ids: bool
) -> None:
    view = make_view(tmp_path / "c", passage_lang, original_ids=original_ids)
    path = write_run(tmp_path / "run", COLLECTION_RUN, "t", view=view)
    assert path.read_text() == "en:q:1 Q0 de:1 1 2.0 t\nen:q:1 Q0 de:de:2 2 1.0 t\n"
    assert read_run(path, view=view) == COLLECTION_RUN


def test_a_run_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run.trec", {"q": {"a": 1.0}})
    with pytest.raises(BadData, match="no float32"):
        write_run(path, {"q": {"a": float("nan")}})
    path.write_text(path.read_text().replace("1.0", "2.0"))
    with pytest.raises(BadData, match="checksum"):
        read_run(path)


def test_a_pipe_is_no_checksum_and_no_table(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run.trec", {"q": {"a": 1.0}})
    checksum = tmp_path / ".run.trec.xxh3"
    checksum.unlink()
    os.mkfifo(checksum)
    with pytest.raises(BadData, match="xxh3 is a folder, device or pipe; remove it"):
        read_run(path)
    with pytest.raises(BadData, match="xxh3 is a folder, device or pipe"):
        compute_checksum(checksum)


def test_a_file_in_the_place_of_our_run_is_not_replaced(tmp_path: Path) -> None:
    path = write_run(tmp_path / "a.trec", RUN, "mine")
    write_run(path, RUN, "other")  # ours, whatever its tag
    path.write_text("a letter\n")  # whose checksum is still that of the run
    with pytest.raises(BadOption, match="is no run of beir-hybrid's"):
        write_run(path, RUN, "mine")
    assert path.read_text() == "a letter\n"


def test_an_evaluation_removes_the_runs_of_settings_alone(tmp_path: Path) -> None:
    corpus = {f"{lang}:1": {"text": "x"} for lang in ("de", "en")}
    collection = from_beir(corpus, {"de:q": "x"}, {"de:q": {"de:1": 1, "en:1": 1}})
    for name in ("de-de", "de-all", "de-fused", "fused-bm25-e5"):
        write_run(tmp_path / f"{name}.trec", RUN)
    (tmp_path / "de-en.trec").write_text("q Q0 d 1 0.5 theirs\n")
    RunWriter(tmp_path, collection, []).clear()
    names = {path.name for path in tmp_path.glob("*.trec")}
    assert names == {"de-fused.trec", "fused-bm25-e5.trec", "de-en.trec"}
