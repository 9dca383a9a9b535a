"""Parts of the work, done apart and in any order, give what one job gives."""
# ruff: noqa: F811 - fixtures of another file

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beir_hybrid.encoding import EncodingStats, SentenceTransformerEncoder, encode
from beir_hybrid.encoding.engines import MultiDeviceEncoder
from beir_hybrid.encoding.partition import Part, check_parts, encode_part
from beir_hybrid.errors import BadData, BadOption
from beir_hybrid.evaluation.evaluate import evaluate
from beir_hybrid.retrieval import rank
from beir_hybrid.retrieval.count import RankCounts
from beir_hybrid.retrieval.sharded import ShardResult, map_in_process, merge_shards, rank_sharded
from tests.parallel import ALIKE, PASSAGES, collection
from tests.rankings import assert_same_ranking, make_request, make_scorer
from tests.test_cli_evaluate import RunCli, data_options, model_folder, run_cli  # noqa: F401 - fixtures
from tests.test_rank import check_ranking
from tests.test_store import ROOT, SHARD, Hashes, assert_right, texts, tree


def test_each_part_encodes_its_own_texts(tmp_path: Path) -> None:
    whole, lines = collection(), texts(PASSAGES)
    # Part 1 has the first shard and the fourth, and so on; the sixth, of part 3, are the queries
    # that are no passages.
    wanted = {
        1: [*lines[:SHARD], *lines[3 * SHARD : 4 * SHARD]],
        2: [*lines[SHARD : 2 * SHARD], *lines[4 * SHARD :]],
        3: [*lines[2 * SHARD : 3 * SHARD], "who", "why"],
    }
    for number in (3, 1, 2):
        encoder, done = Hashes(**ALIKE), EncodingStats()
        n = encode_part(encoder, whole, Part(number, 3), folder=tmp_path, stats=done)
        assert encoder.seen == wanted[number]
        assert done.texts == n == len(wanted[number])
        again = Hashes(**ALIKE)
        assert encode_part(again, whole, Part(number, 3), folder=tmp_path) == n
        assert again.seen == []
    assert check_parts(Hashes(**ALIKE), whole, folder=tmp_path) == PASSAGES + 2


def test_parts_leave_the_files_of_one_job(tmp_path: Path) -> None:
    for number in (2, 3, 1):
        encode_part(Hashes(**ALIKE), collection(), Part(number, 3), folder=tmp_path / "parts")
    encoder = Hashes(**ALIKE)
    evaluate(encoder, collection(), measures="AP", store=tmp_path / "whole")
    assert sorted(encoder.seen) == sorted([*texts(PASSAGES), "who", "why"])
    whole = tree(tmp_path / "whole")
    assert len(whole) == 1 + 3 * 6  # of five shards of passages and one of queries
    parts = tree(tmp_path / "parts")
    notes = [parts.pop(name) for name in list(parts) if name.endswith(".parts.json")]
    assert [json.loads(note) for note in notes] == [{"parts": 3}] * 2
    assert parts == whole
    after = Hashes(**ALIKE)
    results = evaluate(after, collection(), measures="AP", store=tmp_path / "parts")
    assert (after.seen, results.timing.encoded_texts) == ([], 0)


def test_roles_with_prompts_of_their_own_share_nothing(tmp_path: Path) -> None:
    encoder = Hashes()
    for number in (1, 2):
        encode_part(encoder, collection(10), Part(number, 2), folder=tmp_path)
    assert encoder.seen == [*texts(10), "text 0", "text 1", "text 2", "who", "why"]


def test_missing_parts_are_named(tmp_path: Path) -> None:
    whole = collection()
    with pytest.raises(
        BadData, match=r"4,108 of 4,108 texts are not .*; missing parts: 1/1: encode"
    ):
        check_parts(Hashes(**ALIKE), whole, folder=tmp_path)
    encode_part(Hashes(**ALIKE), whole, Part(2, 4), folder=tmp_path)
    # What is left: shards 1, 3, 4 and 5 of passages, the last one of 10; two queries are in 2.
    with pytest.raises(BadData) as error:
        check_parts(Hashes(**ALIKE), whole, folder=tmp_path)
    assert str(error.value) == (
        "beir: 3,082 of 4,108 texts are not encoded; missing parts: 1/4, 3/4, 4/4: encode them "
        "with --shard and the same options"
    )
    for number in (1, 4):
        encode_part(Hashes(**ALIKE), whole, Part(number, 4), folder=tmp_path)
    with pytest.raises(
        BadData, match=r"1,024 of 4,108 texts are not .*; missing parts: 3/4: encode"
    ):
        check_parts(Hashes(**ALIKE), whole, folder=tmp_path)
    encode_part(Hashes(**ALIKE), whole, Part(3, 4), folder=tmp_path)
    assert check_parts(Hashes(**ALIKE), whole, folder=tmp_path) == 4108


def test_more_parts_than_shards_leave_some_empty(tmp_path: Path) -> None:
    seen = []
    for number in range(1, 9):
        encoder = Hashes(**ALIKE)
        n = encode_part(encoder, collection(20), Part(number, 8), folder=tmp_path)
        assert n == len(encoder.seen)
        seen.append(n)
    assert seen == [20, 2, 0, 0, 0, 0, 0, 0]


@pytest.mark.parametrize("text", ["2", "2/", "/8", "2-8", "0/8", "9/8", "1/0", "-1/8", "two/8", ""])
def test_what_is_no_part(text: str) -> None:
    with pytest.raises(BadOption, match=r"part"):
        Part.parse(text)


def test_a_part_is_read_as_it_is_written() -> None:
    assert (Part.parse("2/8"), str(Part(2, 8))) == (Part(2, 8), "2/8")


SCRIPT = """
import sys
from pathlib import Path
from beir_hybrid.encoding.partition import Part, encode_part
from tests.parallel import ALIKE, collection
from tests.test_store import Hashes
folder, log, part = sys.argv[1:]
encode_part(Hashes(Path(log), 0.1, **ALIKE), collection(), Part.parse(part), folder=Path(folder))
"""


def job(folder: Path, log: Path, part: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-c", SCRIPT, str(folder), str(log), part], cwd=ROOT)


def test_jobs_at_once_share_a_folder(tmp_path: Path) -> None:
    folder, log = tmp_path / "store", tmp_path / "log"
    with job(folder, log, "1/2"), job(folder, log, "2/2"), job(folder, log, "2/2"):
        pass
    assert sorted(log.read_text().splitlines()) == sorted([*texts(PASSAGES), "who", "why"])
    assert check_parts(Hashes(**ALIKE), collection(), folder=folder) == PASSAGES + 2


def test_a_killed_job_goes_on(tmp_path: Path) -> None:
    folder, log = tmp_path / "store", tmp_path / "log"
    with job(folder, log, "1/2") as running:
        while running.poll() is None and not list(folder.rglob("*.note.json")):
            time.sleep(0.002)
        running.kill()
    kept = len(list(folder.rglob("*.note.json")))
    encoder = Hashes(**ALIKE)
    encode_part(encoder, collection(), Part(1, 2), folder=folder)
    encode_part(encoder, collection(), Part(2, 2), folder=folder)
    assert len(encoder.seen) == PASSAGES + 2 - kept * SHARD
    assert check_parts(Hashes(**ALIKE), collection(), folder=folder) == PASSAGES + 2


def test_calls_at_once_leave_the_files_of_one_after_another(tmp_path: Path) -> None:
    class Several(Hashes):
        concurrent_texts = 3 * SHARD

    done = EncodingStats()
    found = encode(
        Several(delay=0.05), texts(PASSAGES), "queries", folder=tmp_path / "a", stats=done
    )
    assert_right(found, texts(PASSAGES))
    assert done.texts == PASSAGES
    encode(Hashes(), texts(PASSAGES), "queries", folder=tmp_path / "b")
    assert tree(tmp_path / "a") == tree(tmp_path / "b")


def test_an_error_in_one_of_several_calls_keeps_what_was_finished(tmp_path: Path) -> None:
    class Breaking(Hashes):
        concurrent_texts = 2 * SHARD

        def encode_queries(self, some: Sequence[str]) -> np.ndarray:
            if "text 3000" in some:
                raise BadData("broken")
            return super().encode_queries(some)

    with pytest.raises(BadData, match="broken"):
        encode(Breaking(), texts(8 * SHARD), "queries", folder=tmp_path)
    rest = Hashes()
    assert_right(encode(rest, texts(8 * SHARD), "queries", folder=tmp_path), texts(8 * SHARD))
    assert "text 0" not in rest.seen
    assert "text 3000" in rest.seen


def test_several_devices_give_the_rows_of_one() -> None:
    from tests.models import static_model

    encoder = SentenceTransformerEncoder(static_model(seed=3), query_prompt="w1 ")
    asked = [f"w{number % 90} w{number % 7}" for number in range(300)]
    before, known = encoder.encode_queries(asked), dict(encoder.fingerprint)
    spread = MultiDeviceEncoder(encoder, ["cpu", "cpu"])
    try:
        assert dict(spread.fingerprint) == known
        rows = spread.encode_queries(asked)
        assert len(encoder.pool["processes"]) == 2
        passages = spread.encode_passages(asked)
    finally:
        spread.close()
    assert np.array_equal(rows, before)
    assert np.array_equal(passages, encoder.encode_passages(asked))
    assert not np.array_equal(passages, rows)
    assert encoder.pool is None


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**31), st.integers(1, 13), st.integers(1, 30), st.booleans())
def test_shards_rank_as_a_sort_does(seed: int, shard_size: int, k: int, backwards: bool) -> None:
    draw = np.random.default_rng(seed)
    n, n_queries = int(draw.integers(1, 40)), int(draw.integers(1, 5))
    # Small whole numbers: float64 sums are exact, and many scores tie.
    passages = draw.integers(-2, 3, (n, 3)).astype(np.float32)
    queries = draw.integers(-2, 3, (n_queries, 3)).astype(np.float32)
    cuts = np.sort(draw.integers(0, n + 1, 2)).tolist()
    languages = {"x": range(cuts[0]), "y": range(*cuts), "z": range(cuts[1], n)}
    golds = np.sort(draw.integers(0, n_queries, 9)), draw.integers(0, n, 9)
    id_order = draw.permutation(n).astype(np.int32)

    def map_shards(*call: Any) -> list[ShardResult]:
        """Give the results in another order."""
        results = list(map_in_process(*call))
        return results[::-1] if backwards else results

    scorer = make_scorer(queries, passages)
    request = make_request(golds, languages, id_order, k=k, collects_languages=True)
    ranked = rank_sharded(scorer, request, shard_size=shard_size, map_shards=map_shards)
    check_ranking(ranked, queries @ passages.T, golds, languages, id_order, k)
    assert_same_ranking(ranked, rank(scorer, request))


@pytest.mark.parametrize("shard_size", [700, 5000, 9001, 20_000, None])
def test_shards_of_real_numbers_rank_as_all_passages_do(shard_size: int | None) -> None:
    draw = np.random.default_rng(6)
    n, n_queries = 9001, 1030  # blocks and batches have rests
    passages = draw.standard_normal((n, 24), np.float32)
    scorer = make_scorer(draw.standard_normal((n_queries, 24), np.float32), passages)
    languages = {"x": range(4000), "y": range(4000, 4000), "z": range(4000, n)}
    golds = np.sort(draw.integers(0, n_queries, 3000)), draw.integers(0, n, 3000)
    id_order = draw.permutation(n).astype(np.int32)
    request = make_request(golds, languages, id_order, k=20, collects_languages=True)
    ranked = rank_sharded(scorer, request, shard_size=shard_size)
    assert_same_ranking(ranked, rank(scorer, request))


def test_no_more_travels_than_can_be_among_the_best() -> None:
    """With one number a vector, a passage's score is the number itself, or its negative."""
    numbers = [9, 0, 1, 8, 5, 6, 7, 4, 3, 2, 10, 4, -1, 11, 12, 5]
    scorer = make_scorer(np.array([[1], [-1]], np.float32), np.array(numbers, np.float32)[:, None])
    golds = np.array([0]), np.array([0])
    request = make_request(golds, {"x": range(16)}, np.arange(16, dtype=np.int32), k=2)
    widths = []

    def map_shards(*call: Any) -> Iterator[ShardResult]:
        for result in map_in_process(*call):
            widths.append(result.counts.top_keys[""].shape[1])
            yield result

    ranked = rank_sharded(scorer, request, shard_size=4, map_shards=map_shards)
    # 9 8 and 0 1 are best; none of 5 6 7 4; 10 alone of 3 2 10 4; then 12 11, and -1.
    assert widths == [2, 0, 1, 2]
    assert ranked.top[""].rows.tolist() == [[14, 13], [12, 1]]
    assert ranked.top[""].scores.tolist() == [[12, 11], [1, 0]]


@given(st.integers(0, 2**31), st.integers(0, 9), st.integers(0, 9), st.integers(1, 20))
def test_merging_is_sorting(seed: int, left: int, right: int, k: int) -> None:
    keys = np.random.default_rng(seed).permutation(3 * (left + right)) - 9
    rows = keys.reshape(3, left + right).astype(np.int64)
    parts = (-np.sort(-part, axis=1) for part in (rows[:, :left], rows[:, left:]))
    no_counts = np.zeros((0, 3), np.int64)
    first, second = (RankCounts(no_counts, no_counts, None, {"x": part}) for part in parts)
    merged_keys = merge_shards(first, second, k).top_keys["x"]
    assert merged_keys.tolist() == [sorted(row, reverse=True)[:k] for row in rows.tolist()]


def test_shards_without_passages_are_refused() -> None:
    scorer = make_scorer(np.ones((1, 2), np.float32), np.ones((1, 2), np.float32))
    golds = np.array([0]), np.array([0])
    request = make_request(golds, {"": range(1)}, np.zeros(1, np.int32))
    with pytest.raises(BadOption, match="shard_size is 0; it must be a whole number from 1 on"):
        rank_sharded(scorer, request, shard_size=0)


def test_parts_on_the_command_line(  # fixtures
    run_cli: RunCli, model_folder: Path, data_options: list[str], tmp_path: Path
) -> None:
    # Four distinct texts of passages (w1, w3, "w1 w2 w3", "w4 w5") are the first part, two of
    # queries (w2, w4) the second: either fill no shard, and a third part has nothing.
    def missing(texts: int, parts: str) -> str:
        return (
            f"BadData: mine: {texts} of 6 texts are not encoded; missing parts: {parts}: encode "
            "them with --shard and the same options\n"
        )

    done = run_cli("encode", model_folder, *data_options, "--shard", "3/3")
    assert done == (0, "mine: part 3/3 has no texts: there are too few for 3 parts\n", "")
    assert run_cli("encode", model_folder, *data_options, "--merge") == (
        2,
        "",
        missing(6, "1/3, 2/3"),
    )
    done = run_cli("encode", model_folder, *data_options, "--shard", "2/3")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("mine: 2 texts of part 2/3 encoded in ")
    assert run_cli("encode", model_folder, *data_options, "--merge") == (2, "", missing(4, "1/3"))
    done = run_cli("encode", model_folder, *data_options, "--shard", "1/3")
    assert done.out.startswith("mine: 4 texts of part 1/3 encoded in ")
    done = run_cli("encode", model_folder, *data_options, "--shard", "1/3")
    assert done.out.startswith("mine: 0 texts of part 1/3 encoded in ")
    done = run_cli("encode", model_folder, *data_options, "--merge")
    assert (done.code, done.out) == (0, "mine: all 6 texts are encoded\n")
    assert run_cli("evaluate", model_folder, *data_options, "--output", tmp_path / "out").code == 0
    timing = json.loads((tmp_path / "out" / "timing.json").read_text("utf-8"))
    assert timing["texts encoded"] == 0
    done = run_cli("encode", model_folder, *data_options, "--query-prompt", "w5 ")
    assert done.out.startswith("mine: 4 texts encoded in ")  # queries anew


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--shard", "3/2"], "BadOption: there is no part 3/2; parts are 1/N to N/N"),
        (["--shard", "x"], "BadOption: a part is I/N, such as 2/8, not 'x'"),
        (
            ["--shard", "1/2", "--merge"],
            "BadOption: --merge checks the parts of all jobs; leave out --shard",
        ),
        (["--engine", "rai"], "UnknownName: no engine 'rai'; did you mean 'ray'?"),
    ],
)
def test_bad_options_are_one_line(
    run_cli: RunCli, data_options: list[str], arguments: list[str], message: str
) -> None:
    done = run_cli("encode", "model", *data_options, *arguments)
    assert done == (2, "", f"{message}\n")


def test_what_is_missing_is_said(run_cli: RunCli, data_options: list[str]) -> None:
    needed = "Usage: Missing {} See beir-hybrid encode --help\n"
    assert run_cli("encode", *data_options) == (2, "", needed.format("argument 'MODEL'."))
    assert run_cli("encode", "model") == (2, "", needed.format("option '--dataset'."))
