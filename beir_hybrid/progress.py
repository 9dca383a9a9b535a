"""A progress bar on a terminal, and silence anywhere else."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def progress(label: str, total: int | None, unit: str = "bytes") -> Iterator[Callable[[int], None]]:
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
