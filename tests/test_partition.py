"""Parts of a collection, encoded by separate jobs in any order, give the files of one job."""
# ruff: noqa: F811 - fixtures of another file

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from beir_hybrid.encoding import EncodingStats
from beir_hybrid.encoding.partition import Part, check_parts, encode_part
from beir_hybrid.errors import BadData, BadOption
from beir_hybrid.evaluation.evaluate import evaluate
from tests.hash_encoder import (
    ROOT,
    SHARD_TEXTS,
    HashEncoder,
    make_texts,
    read_files,
)
from tests.numbered_collection import N_PASSAGES, SAME_PROMPTS, make_numbered_collection
from tests.test_cli_evaluate import (  # noqa: F401 - fixtures
    RunCli,
    data_options,
    model_folder,
    run_cli,
)


def test_each_part_encodes_its_own_texts(tmp_path: Path) -> None:
    collection, lines = make_numbered_collection(), make_texts(N_PASSAGES)
    # Part 1 has the first shard and the fourth, and so on; the sixth, of part 3, are the queries
    # that are no passages.
    expected = {
        1: [*lines[:SHARD_TEXTS], *lines[3 * SHARD_TEXTS : 4 * SHARD_TEXTS]],
        2: [*lines[SHARD_TEXTS : 2 * SHARD_TEXTS], *lines[4 * SHARD_TEXTS :]],
        3: [*lines[2 * SHARD_TEXTS : 3 * SHARD_TEXTS], "who", "why"],
    }
    for number in (3, 1, 2):
        encoder, stats = HashEncoder(**SAME_PROMPTS), EncodingStats()
        n = encode_part(encoder, collection, Part(number, 3), folder=tmp_path, stats=stats)
        assert encoder.encoded_texts == expected[number]
        assert stats.texts == n == len(expected[number])
        new_encoder = HashEncoder(**SAME_PROMPTS)
        assert encode_part(new_encoder, collection, Part(number, 3), folder=tmp_path) == n
        assert new_encoder.encoded_texts == []
    assert check_parts(HashEncoder(**SAME_PROMPTS), collection, folder=tmp_path) == N_PASSAGES + 2


def test_parts_leave_the_files_of_one_job(tmp_path: Path) -> None:
    for number in (2, 3, 1):
        encode_part(
            HashEncoder(**SAME_PROMPTS),
            make_numbered_collection(),
            Part(number, 3),
            folder=tmp_path / "parts",
        )
    encoder = HashEncoder(**SAME_PROMPTS)
    evaluate(encoder, make_numbered_collection(), measures="AP", store=tmp_path / "whole")
    assert sorted(encoder.encoded_texts) == sorted([*make_texts(N_PASSAGES), "who", "why"])
    one_job_files = read_files(tmp_path / "whole")
    assert len(one_job_files) == 1 + 3 * 6  # of five shards of passages and one of queries
    part_files = read_files(tmp_path / "parts")
    notes = [part_files.pop(name) for name in list(part_files) if name.endswith(".parts.json")]
    assert [json.loads(note) for note in notes] == [{"parts": 3}] * 2
    assert part_files == one_job_files
    new_encoder = HashEncoder(**SAME_PROMPTS)
    results = evaluate(
        new_encoder, make_numbered_collection(), measures="AP", store=tmp_path / "parts"
    )
    assert (new_encoder.encoded_texts, results.timing.encoded_texts) == ([], 0)


def test_roles_with_prompts_of_their_own_share_nothing(tmp_path: Path) -> None:
    encoder = HashEncoder()
    for number in (1, 2):
        encode_part(encoder, make_numbered_collection(10), Part(number, 2), folder=tmp_path)
    assert encoder.encoded_texts == [*make_texts(10), "text 0", "text 1", "text 2", "who", "why"]


def test_missing_parts_are_named(tmp_path: Path) -> None:
    collection = make_numbered_collection()
    with pytest.raises(
        BadData, match=r"4,108 of 4,108 texts are not .*; missing parts: 1/1: encode"
    ):
        check_parts(HashEncoder(**SAME_PROMPTS), collection, folder=tmp_path)
    encode_part(HashEncoder(**SAME_PROMPTS), collection, Part(2, 4), folder=tmp_path)
    # What is left: shards 1, 3, 4 and 5 of passages, the last one of 10; two queries are in 2.
    with pytest.raises(BadData) as error:
        check_parts(HashEncoder(**SAME_PROMPTS), collection, folder=tmp_path)
    assert str(error.value) == (
        "beir: 3,082 of 4,108 texts are not encoded; missing parts: 1/4, 3/4, 4/4: encode them "
        "with --shard and the same options"
    )
    for number in (1, 4):
        encode_part(HashEncoder(**SAME_PROMPTS), collection, Part(number, 4), folder=tmp_path)
    with pytest.raises(
        BadData, match=r"1,024 of 4,108 texts are not .*; missing parts: 3/4: encode"
    ):
        check_parts(HashEncoder(**SAME_PROMPTS), collection, folder=tmp_path)
    encode_part(HashEncoder(**SAME_PROMPTS), collection, Part(3, 4), folder=tmp_path)
    assert check_parts(HashEncoder(**SAME_PROMPTS), collection, folder=tmp_path) == 4108


def test_more_parts_than_shards_leave_some_empty(tmp_path: Path) -> None:
    sizes = []
    for number in range(1, 9):
        encoder = HashEncoder(**SAME_PROMPTS)
        n = encode_part(encoder, make_numbered_collection(20), Part(number, 8), folder=tmp_path)
        assert n == len(encoder.encoded_texts)
        sizes.append(n)
    assert sizes == [20, 2, 0, 0, 0, 0, 0, 0]


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
from tests.hash_encoder import HashEncoder
from tests.numbered_collection import SAME_PROMPTS, make_numbered_collection
folder, log, part = sys.argv[1:]
encoder = HashEncoder(Path(log), 0.1, **SAME_PROMPTS)
encode_part(encoder, make_numbered_collection(), Part.parse(part), folder=Path(folder))
"""


def start_job(folder: Path, log: Path, part: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-c", SCRIPT, str(folder), str(log), part], cwd=ROOT)


def test_jobs_at_once_share_a_folder(tmp_path: Path) -> None:
    folder, log = tmp_path / "store", tmp_path / "log"
    with (
        start_job(folder, log, "1/2"),
        start_job(folder, log, "2/2"),
        start_job(folder, log, "2/2"),
    ):
        pass
    assert sorted(log.read_text().splitlines()) == sorted([*make_texts(N_PASSAGES), "who", "why"])
    assert (
        check_parts(HashEncoder(**SAME_PROMPTS), make_numbered_collection(), folder=folder)
        == N_PASSAGES + 2
    )


def test_a_killed_job_goes_on(tmp_path: Path) -> None:
    folder, log = tmp_path / "store", tmp_path / "log"
    with start_job(folder, log, "1/2") as running:
        while running.poll() is None and not list(folder.rglob("*.note.json")):
            time.sleep(0.002)
        running.kill()
    n_shards = len(list(folder.rglob("*.note.json")))
    encoder = HashEncoder(**SAME_PROMPTS)
    encode_part(encoder, make_numbered_collection(), Part(1, 2), folder=folder)
    encode_part(encoder, make_numbered_collection(), Part(2, 2), folder=folder)
    assert len(encoder.encoded_texts) == N_PASSAGES + 2 - n_shards * SHARD_TEXTS
    assert (
        check_parts(HashEncoder(**SAME_PROMPTS), make_numbered_collection(), folder=folder)
        == N_PASSAGES + 2
    )


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
