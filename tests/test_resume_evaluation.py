"""An evaluation killed at any moment goes on where it stopped, and ends in the same bytes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

SCRIPT = """
import sys
import time
from pathlib import Path

import numpy as np

import beir_hybrid as bh


class Slow:
    name = "slow"
    fingerprint = {"kind": "slow"}

    def encode_queries(self, texts):
        with Path(sys.argv[1]).open("a") as file:  # one line a text, whole or not at all
            file.write("".join(f"{text}\\n" for text in texts))
        time.sleep(0.05)
        rows = [np.random.default_rng(len(text) * 7919 + sum(map(ord, text))) for text in texts]
        return np.stack([row.standard_normal(8) for row in rows]).astype(np.float32)

    encode_passages = encode_queries


corpus, queries, qrels = {}, {}, {}
for lang in ("de", "en", "th"):
    for number in range(4000):
        corpus[f"{lang}:{number}"] = {"text": f"{lang} passage {number}"}
    for number in range(1200):
        queries[f"{lang}:q:{number}"] = f"{lang} question {number}"
        qrels[f"{lang}:q:{number}"] = {f"{one}:{number}": 1 for one in ("de", "en", "th")}
collection = bh.from_beir(corpus, queries, qrels)
print("started", flush=True)
bh.evaluate(Slow(), collection, runs=None).save(sys.argv[2])
"""


def start_evaluation(folder: Path, cache: Path) -> "subprocess.Popen[str]":
    folder.mkdir(exist_ok=True)
    arguments = [sys.executable, "-c", SCRIPT, str(folder / "texts"), str(folder / "results")]
    environment = {**os.environ, "BEIR_HYBRID_CACHE": str(cache)}
    return subprocess.Popen(arguments, env=environment, stdout=subprocess.PIPE, text=True)


def read_encoded_texts(folder: Path) -> list[str]:
    path = folder / "texts"
    return path.read_text("utf-8").splitlines() if path.exists() else []


def test_five_kills_change_nothing(tmp_path: Path) -> None:
    with start_evaluation(tmp_path / "whole", tmp_path / "one") as uninterrupted:
        assert uninterrupted.wait(120) == 0
    expected = read_encoded_texts(tmp_path / "whole")
    assert len(expected) == len(set(expected)) == 3 * (4000 + 1200)
    random = np.random.default_rng(time.time_ns())
    kills = 0
    for _ in range(5):
        with start_evaluation(tmp_path / "killed", tmp_path / "two") as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "started\n"
            time.sleep(float(random.uniform(0.0, 0.5)))
            process.send_signal(signal.SIGKILL)
            kills += process.wait() == -signal.SIGKILL
    assert kills, "every run ended before it was killed"
    with start_evaluation(tmp_path / "killed", tmp_path / "two") as process:
        assert process.wait(120) == 0
    for name in ("results.json", "per_query.parquet"):
        first, second = (tmp_path / run / "results" / name for run in ("whole", "killed"))
        assert first.read_bytes() == second.read_bytes()
    # A text is encoded again only where the kill came before its shard was whole: once a kill.
    texts = read_encoded_texts(tmp_path / "killed")
    assert set(texts) == set(expected)
    assert len(texts) - len(expected) <= kills * 1024  # texts of a shard
    shards = [
        {path.name: path.read_bytes() for path in (tmp_path / cache).rglob("*.npy")}
        for cache in ("one", "two")
    ]
    assert shards[0] == shards[1]
