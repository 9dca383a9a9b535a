"""The command line: thin over the public functions, one readable line for what a user can mend."""

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
from beir_hybrid.cli.index import index, pyserini, topics
from beir_hybrid.cli.leaderboard import leaderboard
from beir_hybrid.cli.quickstart import quickstart
from beir_hybrid.cli.report import compare, plot
from beir_hybrid.cli.reproduce import reproduce
from beir_hybrid.cli.search import bm25, fuse, search
from beir_hybrid.cli.train import train
from beir_hybrid.cli.trainer_arguments import EXTRA
from beir_hybrid.errors import BeirHybridError

# What typer raises of a line that it cannot make sense of; it has no public name for it.
UsageError = cast("type[typer.BadParameter]", typer.BadParameter.__base__)

app = typer.Typer(
    name="beir-hybrid",
    help="Train, judge and serve language-agnostic retrievers.",
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(quickstart)
app.add_typer(datasets, name="datasets")
app.command()(encode)
app.command()(evaluate)
app.command()(bm25)
app.command()(fuse)
app.command()(search)
app.command(context_settings=EXTRA)(train)
app.command(context_settings=EXTRA)(ablate)
app.command()(index)
app.command()(topics)
app.command(context_settings=EXTRA, options_metavar="[OPTIONS] -- MODULE [ARGS]...")(pyserini)
app.command()(reproduce)
app.command()(leaderboard)
app.command()(compare)
app.command()(plot)


@app.callback()
def common(
    debug: Annotated[
        bool, typer.Option("--debug", help="Show tracebacks and details; anywhere on the line.")
    ] = False,
) -> None:
    """Train, judge and serve language-agnostic retrievers."""
    # Only our own lines: other libraries keep theirs to themselves.
    logger = logging.getLogger("beir_hybrid")
    logger.setLevel(logging.DEBUG if debug else logging.WARNING)
    logger.handlers = [logging.StreamHandler()]
    logger.propagate = False


def main() -> None:
    """Run the command line; what a user can put right ends in one line and exit code 2."""
    arguments = sys.argv[1:]
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    debug = "--debug" in options
    if debug:  # wherever it stands, it is the program's own option
        rest = [argument for argument in options if argument != "--debug"]
        arguments = ["--debug", *rest, *arguments[len(options) :]]
    if not sys.stderr.isatty():  # before tqdm is imported: other libraries' bars, too
        os.environ.setdefault("TQDM_DISABLE", "1")
    try:
        sys.exit(app(arguments, prog_name="beir-hybrid", standalone_mode=False))
    except (BeirHybridError, UsageError, typer.Abort) as error:
        if debug:
            traceback.print_exc()
        sys.exit(_report(error))


def _report(error: Exception) -> int:
    """Say in one line what went wrong, and return the exit code."""
    if isinstance(error, typer.Abort):
        typer.echo("Aborted", err=True)
        return 1
    kind, message = type(error).__name__, str(error)
    if isinstance(error, UsageError):
        kind, message = "Usage", error.format_message()
        if not message:  # there were no arguments, and the help has been shown
            return 2
        if error.ctx:
            message = f"{message} See {error.ctx.command_path} --help"
    typer.echo(f"{kind}: {' '.join(message.split())}", err=True)
    return 2
