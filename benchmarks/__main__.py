"""Benchmarks by name in, or all of them; their tables on the screen and in ``RESULTS.md`` out."""

import argparse
import contextlib
import io
import re
import sys
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

from beir_hybrid.files import atomic_file
from benchmarks.measure import machine

HERE = Path(__file__).parent
RESULTS = HERE / "RESULTS.md"
INTRODUCTION = (
    "# Results\n\nWritten by `python -m benchmarks`; each section is one benchmark's last run.\n"
)
NAMES = sorted(path.stem for path in HERE.glob("[a-z]*.py") if path.stem != "measure")


class _Tee(io.StringIO):
    """Keeps what is printed and shows it too."""

    def write(self, text: str) -> int:
        if sys.__stdout__:
            sys.__stdout__.write(text)
        return super().write(text)


def main() -> None:
    """Run the benchmarks named on the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}")
    names = parser.parse_args().names or NAMES
    if unknown := sorted(set(names).difference(NAMES)):
        parser.error(f"no benchmark {unknown[0]!r}; there are {', '.join(NAMES)}")
    for name in names:
        record(name)


def record(name: str) -> None:
    """Run one benchmark and put what it printed in place of what it printed last time."""
    module = import_module(f"benchmarks.{name}")
    with contextlib.redirect_stdout(_Tee()) as printed:
        module.main()
    section = (
        f"## {name}\n\n{(module.__doc__ or '').splitlines()[0]}\n\n"
        f"`python -m benchmarks {name}`, {datetime.now(tz=UTC):%Y-%m-%d}, "
        f"{machine()}\n\n```text\n{printed.getvalue().strip()}\n```\n"
    )
    text = RESULTS.read_text("utf-8") if RESULTS.exists() else INTRODUCTION
    with atomic_file(RESULTS) as temporary:
        temporary.write_text(placed(text, name, section), "utf-8")


def placed(text: str, name: str, section: str) -> str:
    """Put a section where the one of its name stood, or at the end."""
    head, *sections = re.split(r"^(?=## )", text, flags=re.MULTILINE)
    mine = f"## {name}\n"
    if any(old.startswith(mine) for old in sections):
        kept = [section if old.startswith(mine) else old for old in sections]
    else:
        kept = [*sections, section]
    return "\n".join(part.strip() + "\n" for part in (head, *kept))


if __name__ == "__main__":
    main()
