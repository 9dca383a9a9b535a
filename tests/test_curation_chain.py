"""From English groups to a model, step by step: each step is killed and goes on to equal bytes."""

import random
import sys
import time
from pathlib import Path

import pytest

from tests.group_files import read_rows, write_rows
from tests.hard.commands import Command, kill, read_digests, start
from tests.models import static_model

# A rule: words in reverse order, each with the next number.
ENGINE = """
import sys
for line in sys.stdin:
    print(*[f"w{int(word[1:]) + 1}" for word in reversed(line.split())])
"""
STEPS = [
    "translate IN/en.jsonl --to es --with command:IN/engine --output OUT/all.jsonl",
    "filter OUT/all.jsonl --no-numbers --model IN/model --output OUT/clean.jsonl",
    "mine IN/model OUT/clean.jsonl --languages mixed --negatives 1 --output OUT/mined.jsonl",
    (
        "train IN/model --train OUT/mined.jsonl --negatives 1 --output OUT/trained --max-steps 20 "
        "--per-device-train-batch-size 8 --learning-rate 0.1 --save-strategy steps --save-steps 5 "
        "--report-to none --use-cpu --seed 5"
    ),
]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a model, groups and an engine."""
    folder = tmp_path_factory.mktemp("chain") / "inputs"
    folder.mkdir()
    static_model().save(str(folder / "model"))
    rows = [
        {"query": {"en": f"w{n} w{n + 2}"}, "positive": {"en": f"w{n + 1} w{n + 5}"}}
        for n in range(0, 400, 2)
    ]
    write_rows(folder / "en.jsonl", [*rows, rows[0]])
    (folder / "engine").write_text(f"#!{sys.executable}\n{ENGINE}", "utf-8")
    (folder / "engine").chmod(0o700)
    return folder


def run_chain(inputs: Path, folder: Path, kills: random.Random | None = None) -> dict[str, str]:
    """Run all steps, each of which may be killed before; return digests of what they write."""
    output, cache, log = folder / "out", folder / "cache", folder / "log"
    output.mkdir(parents=True)
    for line in STEPS:
        words = Command("", line).split(inputs, output)
        if kills:
            process = start(words, cache, log)
            time.sleep(kills.random() * 3)
            kill(process)
        process = start(words, cache, log)
        process.join()
        assert process.exitcode == 0, log.read_text()
    return read_digests(output, cache)


def test_a_chain_of_killed_steps_writes_the_same_bytes(inputs: Path, tmp_path: Path) -> None:
    pytest.importorskip("accelerate", reason="the trainer needs it: the extra 'train'")
    whole = run_chain(inputs, tmp_path / "whole")
    groups = read_rows(tmp_path / "whole/out/all.jsonl")
    assert groups[0]["query"] == {"en": "w0 w2", "es": "w3 w1"}
    # The last group is the first again.
    dropped = read_rows(tmp_path / "whole/out/clean.dropped.jsonl")
    assert {row["reason"] for row in dropped} == {"duplicate", "similarity"}
    mined = read_rows(tmp_path / "whole/out/mined.jsonl")
    assert len(mined) == 200
    assert {lang for group in mined for lang in group["negative"]} == {"en", "es"}
    killed = run_chain(inputs, tmp_path / "killed", random.Random(1))  # noqa: S311 - moments
    assert killed == whole
