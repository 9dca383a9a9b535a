"""Progress bars, shown on terminals only."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def progress_bar(
    label: str, total: int | None, unit: str = "bytes"
) -> Iterator[Callable[[int], None]]:
    """Show a bar while the block runs, and give the function that advances the bar.

    Nothing is shown unless stderr is a terminal.
    """
    if not sys.stderr.isatty():
        yield lambda _count: None
        return
    from rich import progress
    from rich.console import Console

    amount = progress.DownloadColumn() if unit == "bytes" else progress.MofNCompleteColumn()
    columns = (progress.TextColumn("{task.description}"), progress.BarColumn(), amount)
    with progress.Progress(
        *columns, progress.TimeRemainingColumn(), console=Console(stderr=True), transient=True
    ) as bar:
        task = bar.add_task(label, total=total)
        yield lambda count: bar.advance(task, count)


@contextmanager
def hide_progress_bars() -> Iterator[None]:
    """Hide the bars of transformers and the hub while the block runs, except on terminals.

    What users have decided about these bars themselves stands.
    """
    from transformers.utils import logging

    is_decided = (
        "HF_HUB_DISABLE_PROGRESS_BARS" in os.environ or not logging.is_progress_bar_enabled()
    )
    if is_decided or sys.stderr.isatty():
        yield
        return
    logging.disable_progress_bar()  # type: ignore[no-untyped-call] # transformers has no types
    try:
        yield
    finally:
        logging.enable_progress_bar()  # type: ignore[no-untyped-call]
