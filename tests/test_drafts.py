"""A killed run loses seconds of work, Ctrl-C says what is kept, and the bar moves all the time."""

import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_array

from beir_hybrid.encoding import encode
from beir_hybrid.encoding.drafts import Draft
from beir_hybrid.encoding.encoder import Role
from beir_hybrid.encoding.families import Family
from beir_hybrid.encoding.layouts import LAYOUTS
from beir_hybrid.encoding.sentence_transformer import SentenceTransformerEncoder
from beir_hybrid.errors import BadData
from tests.hash_encoder import ROOT, HashEncoder, assert_vectors, flip_bit, make_texts, read_files
from tests.models import transformer_model

N, BATCH = 120, 10


class BatchEncoder(HashEncoder):
    """An encoder of hashes that gives ten texts at a time, the last ones first."""

    def encode_batches(
        self, texts: Sequence[str], role: Role
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        assert role == "queries"
        for start in reversed(range(0, len(texts), BATCH)):
            indexes = np.arange(start, min(start + BATCH, len(texts)))
            yield indexes, self.encode_queries(texts[start : start + BATCH])


SCRIPT = """
import sys
from pathlib import Path
from beir_hybrid.encoding import encode
from tests.hash_encoder import make_texts
from tests.test_drafts import N, BatchEncoder
from beir_hybrid.errors import BadData
encode(BatchEncoder(Path(sys.argv[2]), 0.5), make_texts(N), "queries", folder=Path(sys.argv[1]))
"""


def start_encoding(folder: Path, log: Path, **streams: Any) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", SCRIPT, str(folder), str(log)]
    return subprocess.Popen(command, cwd=ROOT, text=True, **streams)


def wait_for(condition: Any) -> None:
    deadline = time.monotonic() + 60
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert condition()


def test_a_kill_loses_five_seconds_at_most(tmp_path: Path) -> None:
    encode(BatchEncoder(), make_texts(N), "queries", folder=tmp_path / "whole")
    folder, log = tmp_path / "killed", tmp_path / "log"
    with start_encoding(folder, log) as running:
        wait_for(lambda: list(folder.rglob("*.draft-*.npz")))
        running.send_signal(signal.SIGKILL)
    lost_and_kept = log.read_text().splitlines()
    encoder = BatchEncoder()
    assert_vectors(encode(encoder, make_texts(N), "queries", folder=folder), make_texts(N))
    assert len(encoder.encoded_texts) < N
    assert set(encoder.encoded_texts) | set(lost_and_kept) == set(make_texts(N))
    lost = set(encoder.encoded_texts) & set(lost_and_kept)
    assert len(lost) <= 5 / 0.5 * BATCH
    assert read_files(folder) == read_files(tmp_path / "whole")


def test_an_interrupt_keeps_everything_and_says_so(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with start_encoding(tmp_path / "store", log, stderr=subprocess.PIPE) as running:
        wait_for(lambda: log.exists() and len(log.read_text().splitlines()) == 3 * BATCH)
        running.send_signal(signal.SIGINT)
        errors = running.communicate()[1]
    assert errors.splitlines()[-1] == (
        "KeyboardInterrupt: 30 of 120 queries are encoded and kept; the same command goes on from "
        "there"
    )
    encoder = BatchEncoder()
    encode(encoder, make_texts(N), "queries", folder=tmp_path / "store")
    assert sorted(encoder.encoded_texts) == sorted(make_texts(N)[: N - 3 * BATCH])


class Interrupted(BatchEncoder):
    """An encoder whose user presses Ctrl-C at the third batch."""

    name = "BatchEncoder"

    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        if len(self.encoded_texts) == 2 * BATCH:
            raise KeyboardInterrupt
        return super().encode_queries(texts)


@pytest.mark.parametrize("damage", ["flip", "truncate", "others"])
def test_a_damaged_draft_is_encoded_again(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    encode(BatchEncoder(), make_texts(N), "queries", folder=tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        encode(Interrupted(), make_texts(N), "queries", folder=tmp_path / "store")
    (draft,) = tmp_path.rglob("*.npz")
    if damage == "flip":
        flip_bit(draft)
    elif damage == "truncate":
        os.truncate(draft, 300)
    else:
        np.savez(draft, rows=np.array([N]), vectors=np.ones((1, 4), np.float32))
    encoder = BatchEncoder()
    encode(encoder, make_texts(N), "queries", folder=tmp_path / "store")
    assert len(encoder.encoded_texts) == N
    assert f"{draft} " in caplog.text
    assert read_files(tmp_path / "store") == read_files(tmp_path / "whole")


def make_vectors(family: Family, n: int) -> Any:
    random = np.random.default_rng(n)
    if family == "sparse":
        return csr_array(random.integers(0, 3, (n, 6)).astype(np.float32))
    if family == "late-interaction":
        return [random.random((1 + i % 3, 4)).astype(np.float32) for i in range(n)]
    return random.random((n, 4)).astype(np.float32)


@pytest.mark.parametrize("family", LAYOUTS)
def test_a_draft_has_texts_of_every_family_in_their_order(tmp_path: Path, family: Family) -> None:
    layout = LAYOUTS[family]
    vectors = make_vectors(family, 9)
    batches = [np.array(rows) for rows in ([7, 2], [0, 8, 3], [1], [4, 6, 5])]
    draft = Draft(tmp_path / "shard", layout, 9, 0)
    for i, rows in enumerate(batches[:3]):
        draft.add(rows, layout.check(layout.take(vectors, rows), len(rows), draft.dim))
        if i != 0:
            draft.save()
    assert len(list(tmp_path.iterdir())) == 2
    draft = Draft(tmp_path / "shard", layout, 9, 0)
    assert draft.list_missing_rows().tolist() == [4, 5, 6]
    draft.add(batches[3], layout.check(layout.take(vectors, batches[3]), 3, draft.dim))
    expected = layout.split(layout.check(vectors, 9, 0))
    arrays = layout.split(draft.merge())
    assert list(arrays) == list(expected)
    for part, array in arrays.items():
        assert array.dtype == expected[part].dtype
        np.testing.assert_array_equal(array, expected[part])
    draft.remove()
    assert not list(tmp_path.iterdir())


def test_a_model_goes_on_with_the_batches_of_an_uninterrupted_run(tmp_path: Path) -> None:
    class Stopping(SentenceTransformerEncoder):
        def encode_batches(
            self, texts: Sequence[str], role: Role
        ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
            for number, batch in enumerate(super().encode_batches(texts, role)):
                if number == 3:
                    raise KeyboardInterrupt
                yield batch

    model = transformer_model(tmp_path / "model")
    texts = [f"w{i % 40} " * (1 + i % 13) + f"w{i}" for i in range(100)]
    encode(
        SentenceTransformerEncoder(model, batch_size=8), texts, "passages", folder=tmp_path / "a"
    )
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            encode(Stopping(model, batch_size=8), texts, "passages", folder=tmp_path / "b")
    assert len(list(tmp_path.rglob("*.npz"))) == 2
    encode(
        SentenceTransformerEncoder(model, batch_size=8), texts, "passages", folder=tmp_path / "b"
    )
    assert read_files(tmp_path / "a") == read_files(tmp_path / "b")


BAR = """
import time
from beir_hybrid.progress import progress_bar
with progress_bar("encoding passages", 1180, unit="texts") as advance:
    time.sleep(3.5)
    for _ in range(3):
        advance(32)
        time.sleep(0.5)
"""


CLOCK = """
import time
from beir_hybrid.progress import show_clock
with show_clock("loading a[b]c"):
    time.sleep(2.5)
"""


def read_terminal(script: str) -> str:
    """Run a script whose stderr is a terminal, and return what that shows."""
    parent, child = pty.openpty()
    environment = {**os.environ, "COLUMNS": "100", "TERM": "xterm"}
    with subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stderr=child, env=environment):
        os.close(child)
        frames: list[bytes] = []
        try:
            while frame := os.read(parent, 1 << 16):
                frames.append(frame)
        except OSError:  # the other side is closed
            os.close(parent)
    return re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", b"".join(frames).decode())


def test_the_bar_moves_every_second_and_tells_pace_and_time_left() -> None:
    output = read_terminal(BAR)
    for second in range(4):  # while no text was ready
        assert re.search(rf"encoding passages.* 0/1180 .*0:00:0{second}", output)
    assert re.search(r"96/1180 .*0:00:0[45].* \d+\.\d texts/s, 0:00:\d\d left", output)


def test_the_clock_moves_every_second() -> None:
    output = read_terminal(CLOCK)
    for second in range(3):
        assert f"loading a[b]c 0:00:0{second}" in output


def test_a_command_says_in_one_line_what_an_interrupt_leaves(tmp_path: Path) -> None:
    transformer_model(tmp_path / "body").save_pretrained(str(tmp_path / "model"))
    with (tmp_path / "data.jsonl").open("w") as file:
        for i in range(12_000):
            file.write(f'{{"passage": "{i}", "text": {{"en": "{"w1 w2 " * 8}{i}"}}}}\n')
        file.write('{"query": "q", "text": {"en": "w1"}, "relevant": ["1"]}\n')
    command = [sys.executable, "-m", "beir_hybrid", "evaluate", str(tmp_path / "model")]
    command += ["--dataset", str(tmp_path / "data.jsonl"), "--measures", "RR"]
    environment = {**os.environ, "BEIR_HYBRID_CACHE": str(tmp_path / "cache")}
    options: Any = {"cwd": ROOT, "env": environment, "text": True}
    with subprocess.Popen(command, **options, stderr=subprocess.PIPE) as running:
        wait_for(lambda: list(tmp_path.rglob("*.note.json")))
        running.send_signal(signal.SIGINT)
        errors = running.communicate()[1]
    line = re.fullmatch(
        r"Stopped: ([\d,]+) of 12,000 passages are encoded and kept; the same command goes on from "
        r"there\n",
        errors,
    )
    assert line
    assert 1024 <= int(line[1].replace(",", "")) < 12_000
    assert running.returncode == 130
    assert subprocess.run(command, **options, check=True, capture_output=True).stdout


@pytest.mark.parametrize(
    ("batches", "message"),
    [([[0, 1], [3]], "its batches lack 1 of the texts"), ([[0, 1], [1, 2, 3]], "a text twice")],
)
def test_batches_that_are_not_those_of_the_texts_are_refused(
    tmp_path: Path, batches: list[list[int]], message: str
) -> None:
    class Wrong(HashEncoder):
        def encode_batches(
            self, texts: Sequence[str], _role: Role
        ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
            for batch in batches:
                yield np.array(batch), self.encode_queries([texts[i] for i in batch])

    with pytest.raises(BadData, match=f"Wrong: .*{message}"):
        encode(Wrong(), make_texts(4), "queries", folder=tmp_path)
    assert not list(tmp_path.rglob("*.note.json"))


def test_any_error_keeps_what_is_encoded(tmp_path: Path) -> None:
    class Away(Interrupted):
        def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
            try:
                return super().encode_queries(texts)
            except KeyboardInterrupt as error:
                raise BadData("the endpoint is away") from error

    with pytest.raises(BadData, match="the endpoint is away"):
        encode(Away(), make_texts(N), "queries", folder=tmp_path)
    encoder = BatchEncoder()
    assert_vectors(encode(encoder, make_texts(N), "queries", folder=tmp_path), make_texts(N))
    assert len(encoder.encoded_texts) == N - 2 * BATCH


def test_truncated_texts_may_be_numbers_of_numpy(tmp_path: Path) -> None:
    class Cutting(HashEncoder):
        def find_truncated(self, texts: Sequence[str], _role: Role) -> Any:
            return np.flatnonzero([text.endswith("1") for text in texts])

    rows = encode(Cutting(), make_texts(4), "queries", folder=tmp_path)
    assert rows.truncated == 1
