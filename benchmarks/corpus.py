"""Speed and memory of converting generated corpora of 1 and 2 million passages, as in MIRACL.

Every run is a fresh process: ``python -m benchmarks.corpus STEP FOLDER FILE ...`` prints JSON.
"""

import gzip
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any

from benchmarks.measure import (
    MIB,
    Usage,
    estimate,
    list_versions,
    print_table,
    run_child,
    run_in_turns,
)

SHARD = 500_000  # passages a file, as in MIRACL
FILES = 4
PAIRS = 9
BLOCK = 5_000  # passages written at once
# Scripts as their first letter and number of letters: Latin twice, Cyrillic, Greek, Arabic,
# Devanagari, Bengali, Thai, Han, Hiragana and Hangul.
SCRIPTS = (
    (0x61, 26), (0x61, 26), (0x430, 32), (0x3B1, 25), (0x627, 36), (0x915, 37),
    (0x995, 30), (0xE01, 46), (0x4E00, 3000), (0x3041, 80), (0xAC00, 2000),
)  # fmt: skip


def main() -> None:
    """Measure speed on one file, beside `datasets`, then memory on two files and on four."""
    print(f"Peer: load_dataset. {list_versions('datasets', 'pyarrow')}.\n")
    with tempfile.TemporaryDirectory(prefix="beir-hybrid-") as name:
        folder = Path(name)
        results = [run_child("corpus", "generate", folder, str(n)).result for n in range(FILES)]
        files = [folder / result["file"] for result in results]
        passages, size = (sum(result[key] for result in results) for key in ("passages", "bytes"))
        print(
            f"{passages:,} generated passages in {FILES} gz files of "
            f"{sum(file.stat().st_size for file in files) / MIB:,.0f} MiB together; "
            f"the texts are {size / passages:.0f} bytes long on average.\n"
        )
        _measure_speed(folder, files[0])
        _measure_memory(folder, files)


def _measure_speed(folder: Path, file: Path) -> None:
    runs = run_in_turns(
        lambda: run_child("corpus", "convert", folder, file),
        lambda: run_child("corpus", "peer", folder, file),
        PAIRS,
    )
    our_rates, peer_rates = (
        [SHARD / run.result["seconds"] for run in side] for side in zip(*runs, strict=True)
    )
    rate, peer_rate = estimate(our_rates), estimate(peer_rates)
    ratios = [our / peer for our, peer in zip(our_rates, peer_rates, strict=True)]
    ratio = estimate(ratios)
    print(f"One file of {SHARD:,} passages into Arrow, {PAIRS} interleaved pairs:\n")
    print_table(
        ("", f"median [{rate.confidence:.0%} interval]", "target", "verdict"),
        ("ours, passages/s", rate.show(",.0f"), ">= 50,000", rate.verdict(at_least=50_000)),
        ("peer, passages/s", peer_rate.show(",.0f"), "-", "-"),
        ("ours / peer", ratio.show(), "-", "-"),
    )


def _measure_memory(folder: Path, files: list[Path]) -> None:
    """Print time and memory of each step on half of the files and on all, in interleaved pairs."""
    run_child("corpus", "prepare", folder, *files)
    rows: list[tuple[str, ...]] = [
        ("", "passages", "passages/s", "peak MiB", "anonymous MiB", "file pages MiB")
    ]
    verdicts = [("", "median [96% interval]", "target", "verdict")]
    for step, label in (("convert", "gz into Arrow"), ("collect", "Arrow into a collection")):
        runs = run_in_turns(
            partial(run_child, "corpus", step, folder, *files[: FILES // 2]),
            partial(run_child, "corpus", step, folder, *files),
            PAIRS,
        )
        for count, side in zip((FILES // 2, FILES), zip(*runs, strict=True), strict=True):
            passages = count * SHARD
            rows.append((label, f"{passages:,}", *_format_medians(passages, side)))
        peak = estimate([large.peak / MIB for _, large in runs])
        growth = estimate([large.anonymous / small.anonymous for small, large in runs])
        verdicts += [
            (
                f"{label}: peak at 2 million, MiB",
                peak.show(".0f"),
                "< 1024",
                peak.verdict(below=1024),
            ),
            (
                f"{label}: anonymous, 2 : 1 million",
                growth.show(),
                "< 1.10",
                growth.verdict(below=1.1),
            ),
        ]
    print(f"\nAll files, medians of {PAIRS} interleaved pairs of 1 and 2 million:\n")
    print_table(*rows)
    print(
        "\nFile pages (libraries and the memory-mapped rows) are the kernel's to take back; "
        "memory is\nflat if what is anonymous grows by less than a tenth from 1 to 2 million:\n"
    )
    print_table(*verdicts)


def _format_medians(passages: int, runs: Sequence[Usage]) -> list[str]:
    rate = estimate([passages / run.result["seconds"] for run in runs])
    sizes = zip(*((run.peak, run.anonymous, run.mapped) for run in runs), strict=True)
    return [f"{rate.median:,.0f}", *(f"{estimate(size).median / MIB:,.0f}" for size in sizes)]


def generate(folder: Path, number: str) -> dict[str, Any]:
    """Write one file of passages of random sentences in ten scripts."""
    sentences, rng = _make_sentences(random.Random(0)), random.Random(int(number))
    path, size = folder / f"docs-{number}.jsonl.gz", 0
    with gzip.open(path, "wb", compresslevel=1) as file:
        for start in range(0, SHARD, BLOCK):
            lines = []
            for row in range(start, start + BLOCK):
                first, *rest = rng.choices(sentences, k=4)
                text = " ".join((first, *rest))
                size += len(text.encode())
                docid = f"{number}{row // 9}#{row % 9}"
                lines.append(f'{{"docid": "{docid}", "title": "{first[:20]}", "text": "{text}"}}\n')
            file.write("".join(lines).encode())
    return {"file": path.name, "passages": SHARD, "bytes": size}


def _make_sentences(rng: random.Random) -> list[str]:
    """Return sentences without JSON escapes, with word frequencies like those of real texts."""
    sentences = []
    for first, count in SCRIPTS:
        letters = [chr(first + place) for place in range(count)]
        max_length = 4 if count > 100 else 10
        words = ["".join(rng.choices(letters, k=rng.randint(2, max_length))) for _ in range(8_000)]
        weights = list(accumulate(1 / (rank + 3) for rank in range(len(words))))
        for _ in range(4_000):
            sentence = rng.choices(words, cum_weights=weights, k=rng.randint(5, 16))
            sentences.append(f"{' '.join(sentence)}.")
    return sentences


def convert(folder: Path, *files: str) -> dict[str, Any]:
    """Convert gz files to Arrow from nothing."""
    from beir_hybrid.sources.miracl import convert_to_arrow

    with tempfile.TemporaryDirectory(dir=folder) as target:
        return _time(lambda: [convert_to_arrow(Path(file), "en", Path(target)) for file in files])


def peer(folder: Path, *files: str) -> dict[str, Any]:
    """Convert gz files to Arrow with `datasets`."""
    import datasets

    datasets.disable_progress_bars()
    with tempfile.TemporaryDirectory(dir=folder) as cache:
        load = partial(datasets.load_dataset, "json", data_files=list(files), cache_dir=cache)
        return _time(load)


def prepare(folder: Path, *files: str) -> dict[str, Any]:
    """Convert gz files to Arrow and keep the result."""
    from beir_hybrid.sources.miracl import convert_to_arrow

    return _time(lambda: [convert_to_arrow(Path(file), "en", folder / "arrow") for file in files])


def collect(folder: Path, *files: str) -> dict[str, Any]:
    """Build a collection over converted files, and open it."""
    from beir_hybrid.collection import CollectionWriter
    from beir_hybrid.collection.store import open_collection
    from beir_hybrid.sources.miracl import convert_to_arrow

    # Converted by `prepare`: here only the notes beside them are read.
    shards = [convert_to_arrow(Path(file), "en", folder / "arrow") for file in files]

    def build(target: Path) -> None:
        writer = CollectionWriter(target, "generated")
        for shard in shards:
            writer.add_passage_file("en", shard.path, shard.rows)
        for query in range(100):
            identity = writer.add_query("en", str(query), "which one?", str(query))
            writer.add_judgement(identity, f"en:0{query}#0")
        writer.finish()
        if len(open_collection(target).passages) != sum(shard.rows for shard in shards):
            raise ValueError("passages were lost")

    with tempfile.TemporaryDirectory(dir=folder) as target:
        return _time(partial(build, Path(target)))


def _time(work: Callable[[], object]) -> dict[str, Any]:
    start = time.perf_counter()
    work()
    return {"seconds": time.perf_counter() - start}


if __name__ == "__main__":
    STEPS: dict[str, Callable[..., dict[str, Any]]] = {
        "generate": generate,
        "convert": convert,
        "peer": peer,
        "prepare": prepare,
        "collect": collect,
    }
    step, place, *rest = sys.argv[1:]
    print(json.dumps(STEPS[step](Path(place), *rest)))
