"""Experiments by name in; their runs, tables and plots out.

``python -m benchmarks.hybrid static-a`` runs what is not there yet and writes
``bench-results/hybrid/static-a/report.md``; killed at any moment, it goes on.
"""

import argparse
import logging
import warnings
from pathlib import Path

from beir_hybrid.errors import BeirHybridError
from benchmarks.hybrid.experiment import HERE, read
from benchmarks.hybrid.record import record, site
from benchmarks.hybrid.report import Found, write
from benchmarks.hybrid.run import run

OUTPUT = Path("bench-results") / "hybrid"


def main() -> None:
    """Run and report the experiments named on the command line."""
    names = sorted(path.stem for path in HERE.glob("*.toml"))
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hybrid", description=__doc__)
    parser.add_argument(
        "names", nargs="+", metavar="NAME", help=f"a TOML file, or one of {', '.join(names)}"
    )
    parser.add_argument("--output", type=Path, default=OUTPUT, help=f"by default {OUTPUT}")
    parser.add_argument("--report", action="store_true", help="run nothing, report what is there")
    parser.add_argument("--record", action="store_true", help="that, and put it into RESULTS.md")
    parser.add_argument("--site", type=Path, help="make a leaderboard of them all in this folder")
    parser.add_argument("--model", help="a folder to start from in place of the encoder")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    # What each epoch leaves out stands in `training.json`; the trainer's own remarks are many.
    for name in ("beir_hybrid", "httpx", "sentence_transformers", "transformers"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")
    every = []
    try:
        for name in given.names:
            experiment = read(name)
            output, command = given.output / experiment.name, _command(experiment.name, given.model)
            if not (given.report or given.record):
                run(experiment, output, model=given.model)
            every.append(Found.load(experiment, output))
            print(write(every[-1], command))
            if given.record:
                print(record(every[-1], command))
        if given.site:
            print(site(every, given.site))
    except BeirHybridError as error:
        parser.exit(2, f"{error}\n")


def _command(name: str, model: str | None) -> str:
    return f"python -m benchmarks.hybrid {name}" + (f" --model {model}" if model else "")


if __name__ == "__main__":
    main()
