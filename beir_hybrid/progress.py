"""A progress bar on a terminal, and silence anywhere else."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def progress_bar(
    label: str, total: int | None, unit: str = "bytes"
) -> Iterator[Callable[[int], None]]:
    """Give a function that advances the bar; there is none unless stderr is a terminal."""
    if not sys.stderr.isatty():
        yield lambda _count: None
        return
    from rich import progress as bars
    from rich.console import Console

    amount = bars.DownloadColumn() if unit == "bytes" else bars.MofNCompleteColumn()
    columns = (bars.TextColumn("{task.description}"), bars.BarColumn(), amount)
    with bars.Progress(
        *columns, bars.TimeRemainingColumn(), console=Console(stderr=True), transient=True
    ) as bar:
        task = bar.add_task(label, total=total)
        yield lambda count: bar.advance(task, count)


@contextmanager
def hide_progress_bars() -> Iterator[None]:
    """Keep the bars of transformers and the hub to terminals, while something is loaded."""
    from transformers.utils import logging

    decided = "HF_HUB_DISABLE_PROGRESS_BARS" in os.environ or not logging.is_progress_bar_enabled()
    if decided or sys.stderr.isatty():
        yield
        return
    logging.disable_progress_bar()  # type: ignore[no-untyped-call] # theirs has no types
    try:
        yield
    finally:
        logging.enable_progress_bar()  # type: ignore[no-untyped-call]
