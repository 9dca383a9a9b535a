"""Run and report experiments by name.

``python -m benchmarks.hybrid static-a`` runs everything that is missing and writes
``bench-results/hybrid/static-a/report.md``; it can be interrupted and continued at any time.
"""

import argparse
import logging
import warnings
from pathlib import Path

from beir_hybrid.errors import BeirHybridError
from benchmarks.hybrid.experiment import FOLDER, read_experiment
from benchmarks.hybrid.record import build_site, record_report
from benchmarks.hybrid.report import SavedExperiment, write_report
from benchmarks.hybrid.run import run_experiment
from benchmarks.hybrid.summary import write_summary

OUTPUT = Path("bench-results") / "hybrid"


def main() -> None:
    """Run and report the experiments named on the command line."""
    parser = _build_parser()
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    # `training.json` has what each epoch leaves out; the trainer itself says too much.
    for name in ("beir_hybrid", "httpx", "sentence_transformers", "transformers"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")
    experiments = []
    try:
        for name in arguments.names:
            experiment = read_experiment(name)
            output = arguments.output / experiment.name
            command = _write_command(experiment.name, arguments.model)
            if not (arguments.report or arguments.record):
                run_experiment(experiment, output, model=arguments.model, seeds=arguments.seeds)
            saved = SavedExperiment.load(experiment, output)
            experiments.append(saved)
            print(write_report(saved, command))
            if (summary := write_summary(saved)) is not None:
                print(summary)
            if arguments.record:
                print(record_report(saved, command))
        if arguments.site:
            print(build_site(experiments, arguments.site))
    except BeirHybridError as error:
        parser.exit(2, f"{error}\n")


def _build_parser() -> argparse.ArgumentParser:
    names = sorted(path.stem for path in FOLDER.glob("*.toml"))
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hybrid", description=__doc__)
    parser.add_argument(
        "names", nargs="+", metavar="NAME", help=f"a TOML file, or one of {', '.join(names)}"
    )
    parser.add_argument("--output", type=Path, default=OUTPUT, help=f"by default {OUTPUT}")
    parser.add_argument(
        "--seeds", nargs="+", type=int, default=(), help="some seeds, for one process of several"
    )
    parser.add_argument("--report", action="store_true", help="report saved runs, run nothing")
    parser.add_argument("--record", action="store_true", help="that, and write RESULTS.md")
    parser.add_argument("--site", type=Path, help="make a leaderboard in this folder")
    parser.add_argument("--model", help="a folder to start from instead of the encoder")
    return parser


def _write_command(name: str, model: str | None) -> str:
    return f"python -m benchmarks.hybrid {name}" + (f" --model {model}" if model else "")


if __name__ == "__main__":
    main()
