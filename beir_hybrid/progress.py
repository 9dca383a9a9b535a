"""Progress bars, shown on terminals only."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import ProgressColumn, Task


@contextmanager
def progress_bar(
    label: str, total: int | None, unit: str = "bytes"
) -> Iterator[Callable[[int], None]]:
    """Show a bar while the block runs, and give the function that advances the bar.

    The time that has passed moves every second, whatever the block does. Nothing is shown unless
    stderr is a terminal.
    """
    if not sys.stderr.isatty():
        yield lambda _count: None
        return
    from rich import progress
    from rich.console import Console

    amount = progress.DownloadColumn() if unit == "bytes" else progress.MofNCompleteColumn()
    columns = (
        progress.SpinnerColumn(),
        progress.TextColumn("{task.description}"),
        progress.BarColumn(16),
        amount,
        progress.TimeElapsedColumn(),
        _make_pace_column(unit),
    )
    with progress.Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=total)
        yield lambda count: bar.advance(task, count)


@contextmanager
def show_clock(label: str) -> Iterator[None]:
    """Show the time that has passed while the block runs, such as an import of torch.

    Nothing is shown unless stderr is a terminal.
    """
    if not sys.stderr.isatty():
        yield
        return
    from rich import progress
    from rich.console import Console
    from rich.markup import escape

    columns = (
        progress.SpinnerColumn(),
        progress.TextColumn("{task.description}"),
        progress.TimeElapsedColumn(),
    )
    with progress.Progress(*columns, console=Console(stderr=True), transient=True) as clock:
        clock.add_task(escape(label), total=None)
        yield


def _make_pace_column(unit: str) -> "ProgressColumn":
    from rich.progress import ProgressColumn
    from rich.text import Text

    class PaceColumn(ProgressColumn):
        def render(self, task: "Task") -> Text:
            return Text(_describe_pace(task, unit))

    return PaceColumn()


def _describe_pace(task: "Task", unit: str) -> str:
    """Return a task's speed and the time that is left, such as ``12.5 texts/s, 0:01:04 left``."""
    if not task.speed:
        return ""
    speed = task.speed / 1e6 if unit == "bytes" else task.speed
    digits = 1 if speed < 100 else 0  # noqa: PLR2004 - three figures are enough
    pace = f"{speed:,.{digits}f} {'MB' if unit == 'bytes' else unit}/s"
    seconds = task.time_remaining
    return pace if seconds is None else f"{pace}, {timedelta(seconds=int(seconds))} left"


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
