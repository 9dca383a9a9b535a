"""The command line: public functions as commands, and errors as one readable line."""

import logging
import os
import sys
import traceback
from typing import Annotated, cast

import typer

from beir_hybrid.cli.ablate import ablate
from beir_hybrid.cli.datasets import datasets
from beir_hybrid.cli.encode import encode
from beir_hybrid.cli.evaluate import evaluate
from beir_hybrid.cli.flatten import flatten_options
from beir_hybrid.cli.index import index, pyserini, topics
from beir_hybrid.cli.leaderboard import leaderboard
from beir_hybrid.cli.printing import LogFormatter, echo
from beir_hybrid.cli.quickstart import quickstart
from beir_hybrid.cli.report import compare, plot
from beir_hybrid.cli.reproduce import reproduce
from beir_hybrid.cli.search import bm25, fuse, search
from beir_hybrid.cli.train import train
from beir_hybrid.cli.trainer_arguments import EXTRA
from beir_hybrid.errors import BeirHybridError

# The error of typer for a line that it cannot parse, for which it has no public name.
UsageError = cast("type[typer.BadParameter]", typer.BadParameter.__base__)

SUMMARY = (
    "Evaluate and train multilingual retrievers, and build their indexes, in the Pyserini / BEIR "
    "ecosystem."
)

app = typer.Typer(
    name="beir-hybrid",
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
app.command()(flatten_options(bm25))
app.command()(fuse)
app.command()(flatten_options(search))
app.command(context_settings=EXTRA)(flatten_options(train))
app.command(context_settings=EXTRA)(flatten_options(ablate))
app.command()(flatten_options(index))
app.command()(flatten_options(topics))
app.command(context_settings=EXTRA, options_metavar="[OPTIONS] -- MODULE [ARGS]...")(pyserini)
app.command()(reproduce)
app.command()(leaderboard)
app.command()(compare)
app.command()(plot)


@app.callback(help=SUMMARY)
def common(
    debug: Annotated[
        bool, typer.Option("--debug", help="Show tracebacks and details; anywhere on the line.")
    ] = False,
) -> None:
    """Set up the log of the program."""
    # Only our own log: other libraries' is not shown.
    logger = logging.getLogger("beir_hybrid")
    logger.setLevel(logging.DEBUG if debug else logging.WARNING)
    handler = logging.StreamHandler()
    handler.setFormatter(LogFormatter())
    logger.handlers = [handler]
    logger.propagate = False


def main() -> None:
    """Run the command line; an error that a user can put right is one line and exit code 2."""
    arguments = sys.argv[1:]
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    debug = "--debug" in options
    if debug:  # in any place of the line it is an option of the program
        options_without_debug = [argument for argument in options if argument != "--debug"]
        arguments = ["--debug", *options_without_debug, *arguments[len(options) :]]
    if not sys.stderr.isatty():  # before tqdm is imported: other libraries' bars, too
        os.environ.setdefault("TQDM_DISABLE", "1")
    try:
        sys.exit(app(arguments, prog_name="beir-hybrid", standalone_mode=False))
    except (BeirHybridError, UsageError, typer.Abort) as error:
        if debug:
            echo(traceback.format_exc(), err=True)
        sys.exit(_report_error(error))


def _report_error(error: Exception) -> int:
    """Print an error in one line, and return the exit code."""
    if isinstance(error, typer.Abort):
        echo("Aborted", err=True)
        return 1
    kind, message = type(error).__name__, str(error)
    if isinstance(error, UsageError):
        kind, message = "Usage", error.format_message()
        if not message:  # there were no arguments, so the help was printed
            return 2
        if error.ctx:
            message = f"{message} See {error.ctx.command_path} --help"
    echo(f"{kind}: {' '.join(message.split())}", err=True)
    return 2
