"""`cache list` and `cache prune`: what lies in the cache, and how it is removed."""

import json
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from beir_hybrid.encoding import encode
from beir_hybrid.errors import BadOption
from beir_hybrid.extras.cache import _date_use, list_cache, measure_file, remove_entry
from beir_hybrid.files import atomic_file
from tests.hash_encoder import HashEncoder, make_texts
from tests.test_cli import run_program

DAY = 86400


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """Give a cache with vectors of ten days ago, a dataset of fifty, and a download of today."""
    folder = tmp_path / "cache"
    model = HashEncoder(prompts={"queries": "q: ", "passages": ""})
    encode(model, make_texts(1000), "queries", folder=folder / "embeddings")
    write_file(folder / "collections" / "capitals-0123" / "collection.json", 3_000_000)
    write_file(folder / "files" / "host" / "owner" / "data" / "v1" / "train.jsonl", 2_000_000)
    write_file(folder / "images" / "ab" / "abcd", 500_000)
    write_file(folder / "collections" / ".capitals-0123.lock", 0)  # processes may hold it
    for kind, days in (("embeddings", 10), ("collections", 50), ("images", 60)):
        for path in (folder / kind).rglob("*"):
            os.utime(path, (time.time() - days * DAY,) * 2)
    return folder


def write_file(path: Path, size: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(size))


def run_json(cache: Path, *words: str) -> Any:
    outcome = run_program("cache", *words, "--json", BEIR_HYBRID_CACHE=str(cache))
    assert (outcome.returncode, outcome.stderr) == (0, "")
    return json.loads(outcome.stdout)


def test_the_list(cache: Path) -> None:
    rows = run_json(cache, "list")
    assert [(row["kind"], row["name"], round(row["age"])) for row in rows] == [
        ("embeddings", 'HashEncoder, prompt "q: "', 10),
        ("collections", "capitals-0123", 50),
        ("files", "host/owner/data", 0),
        ("images", "images", 50),  # as fresh as the collections that name them
    ]
    # 1,000 texts of 16 bytes each for the vector and the hash, and the heads of the files.
    assert 32_000 < rows[0]["size"] < 34_000
    assert [row["size"] for row in rows[1:]] == [3_000_000, 2_000_000, 500_000]
    outcome = run_program("cache", "list", BEIR_HYBRID_CACHE=str(cache))
    lines = [" ".join(line.split()) for line in outcome.stdout.splitlines()]
    assert lines[0] == "kind what MB days unused"
    assert lines[2] == "collections capitals-0123 3.0 50"
    assert lines[-1] == f"4 parts, 5.5 MB, in {cache}"


def test_files_may_go_while_the_list_is_made(cache: Path) -> None:
    """As do temporary files of another process; a link to nothing stands for one."""
    place = cache / "collections" / "capitals-0123"
    missing = place / "gone"
    assert (measure_file(missing), _date_use(missing)) == (0, 0.0)
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            with atomic_file(place / "x") as temporary:
                temporary.write_bytes(b"1")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("BEIR_HYBRID_CACHE", str(cache))
            for _ in range(100):
                assert len(list_cache()) == 4
    finally:
        stop.set()
        writer.join()


def test_pruning_takes_what_is_old_and_only_if_told_to(cache: Path) -> None:
    outcome = run_program("cache", "prune", BEIR_HYBRID_CACHE=str(cache))
    lines = outcome.stdout.splitlines()
    assert lines[-1] == "--yes removes these 2 parts, 3.5 MB; nothing was removed"
    assert len(run_json(cache, "list")) == 4
    removed = run_json(cache, "prune", "--older-than", "55", "--yes")
    assert removed == {"removed": True, "entries": []}
    removed = run_json(cache, "prune", "collections", "--yes")
    assert [row["name"] for row in removed["entries"]] == ["capitals-0123"]
    assert [path.suffix for path in (cache / "collections").iterdir()] == [".lock"]
    outcome = run_program(
        "cache", "prune", "--older-than", "0", "--yes", BEIR_HYBRID_CACHE=str(cache)
    )
    assert outcome.stdout.splitlines()[-1] == "removed 3 parts, 2.5 MB"
    assert run_json(cache, "list") == []
    outcome = run_program("cache", "prune", BEIR_HYBRID_CACHE=str(cache))
    assert outcome.stdout == "nothing was unused for 30 days\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["embedings"], "UnknownName: no kind 'embedings'; did you mean 'embeddings'?"),
        (["--older-than", "-1"], "BadOption: --older-than is a number of days, not -1"),
    ],
)
def test_bad_requests(cache: Path, words: list[str], message: str) -> None:
    outcome = run_program("cache", "prune", *words, BEIR_HYBRID_CACHE=str(cache))
    assert (outcome.returncode, outcome.stderr) == (2, f"{message}\n")


def test_no_cache_is_an_empty_one(tmp_path: Path) -> None:
    outcome = run_program("cache", "list", BEIR_HYBRID_CACHE=str(tmp_path / "none"))
    assert (outcome.returncode, outcome.stdout) == (0, f"0 parts, 0.0 MB, in {tmp_path / 'none'}\n")


def test_a_link_is_not_removed(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BEIR_HYBRID_CACHE", str(cache))
    big_disk = tmp_path / "big-disk"
    folder = cache / "collections" / "capitals-0123"
    folder.rename(big_disk)
    folder.symlink_to(big_disk, target_is_directory=True)
    (entry,) = [entry for entry in list_cache() if entry.path == folder]
    with pytest.raises(BadOption, match="capitals-0123 is a link; remove it"):
        remove_entry(entry)
    assert folder.is_symlink()
