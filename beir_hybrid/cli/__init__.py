"""The command line: public functions as commands, and errors as one readable line."""

import logging
import os
import sys
import traceback
from typing import Annotated

import typer

from beir_hybrid._version import __version__
from beir_hybrid.cli.ablate import ablate
from beir_hybrid.cli.cache import cache
from beir_hybrid.cli.calibrate import calibrate, merge
from beir_hybrid.cli.conversion import export_rows, import_rows
from beir_hybrid.cli.curation import (
    filter_groups,
    mine_hard_negatives,
    translate,
)
from beir_hybrid.cli.datasets import datasets
from beir_hybrid.cli.doctor import doctor
from beir_hybrid.cli.encode import encode
from beir_hybrid.cli.evaluate import evaluate
from beir_hybrid.cli.failures import (
    Program,
    check_encoding,
    check_working_directory,
    describe_failure,
    finish_stdout,
    prepare_stdout,
)
from beir_hybrid.cli.flatten import flatten_options
from beir_hybrid.cli.index import index, pyserini, topics
from beir_hybrid.cli.leaderboard import leaderboard
from beir_hybrid.cli.printing import LogFormatter, echo
from beir_hybrid.cli.push import push
from beir_hybrid.cli.quickstart import quickstart
from beir_hybrid.cli.report import compare, plot
from beir_hybrid.cli.reproduce import reproduce
from beir_hybrid.cli.search import bm25, fuse, search
from beir_hybrid.cli.sweep import sweep
from beir_hybrid.cli.train import train
from beir_hybrid.cli.trainer_arguments import EXTRA

SUMMARY = (
    "Evaluate and train multilingual retrievers, and build their indexes, in the Pyserini / BEIR "
    "ecosystem."
)

app = typer.Typer(
    name="beir-hybrid",
    cls=Program,
    help=SUMMARY,
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(quickstart)
app.add_typer(datasets, name="datasets")
app.command()(flatten_options(encode))
app.command()(flatten_options(evaluate))
app.command()(flatten_options(sweep))
app.command()(flatten_options(bm25))
app.command()(flatten_options(calibrate))
app.command()(fuse)
app.command()(merge)
app.command()(flatten_options(search))
app.command()(flatten_options(translate))
app.command("filter")(flatten_options(filter_groups))
app.command("mine")(flatten_options(mine_hard_negatives))
app.command("export-pairs")(flatten_options(export_rows))
app.command("import-pairs")(flatten_options(import_rows))
app.command(context_settings=EXTRA)(flatten_options(train))
app.command(context_settings=EXTRA)(flatten_options(ablate))
app.command()(flatten_options(index))
app.command()(flatten_options(topics))
app.command(context_settings=EXTRA, options_metavar="[OPTIONS] -- MODULE [ARGS]...")(pyserini)
app.command()(reproduce)
app.command()(leaderboard)
app.command()(compare)
app.command()(plot)
app.command()(push)
app.add_typer(cache, name="cache")
app.command()(doctor)


def print_version(is_wanted: bool) -> None:
    """Print the version, and end."""
    if is_wanted:
        echo(f"beir-hybrid {__version__}")
        raise typer.Exit


@app.callback(help=SUMMARY)
def common(
    *,
    version: Annotated[
        bool,
        typer.Option("--version", callback=print_version, is_eager=True, help="Show the version."),
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show tracebacks and details; anywhere on the line.")
    ] = False,
) -> None:
    """Set up the log of the program."""
    del version  # its callback has printed it
    # Only our own log: other libraries' is not shown.
    logger = logging.getLogger("beir_hybrid")
    logger.setLevel(logging.DEBUG if debug else logging.WARNING)
    handler = logging.StreamHandler()
    handler.setFormatter(LogFormatter())
    logger.handlers = [handler]
    logger.propagate = False


def main() -> None:
    """Run the command line; every error is one line, and a traceback with ``--debug`` alone."""
    arguments = sys.argv[1:]
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    debug = "--debug" in options
    if debug:  # in any place of the line it is an option of the program
        options_without_debug = [argument for argument in options if argument != "--debug"]
        arguments = ["--debug", *options_without_debug, *arguments[len(options) :]]
    if not sys.stderr.isatty():  # before tqdm is imported: other libraries' bars, too
        os.environ.setdefault("TQDM_DISABLE", "1")
    prepare_stdout()
    line = ""
    try:
        check_encoding(arguments)
        check_working_directory()
        code = app(arguments, prog_name="beir-hybrid", standalone_mode=False) or 0
    except BrokenPipeError:  # the reader of stdout has gone
        code = 1
    except Exception as error:  # noqa: BLE001 - the last net
        if debug:
            echo(traceback.format_exc().rstrip(), err=True)
        line, code = describe_failure(error)
    complaint = finish_stdout()
    if complaint and not line:
        line, code = f"NotWritable: {complaint}", 2
    if line:
        echo(line, err=True)
    sys.exit(code)
