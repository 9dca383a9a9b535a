"""Run benchmarks by name, or all of them, and record their tables in ``RESULTS.md``."""

import argparse
import contextlib
import io
import re
import sys
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

from beir_hybrid.files import atomic_file
from benchmarks.measure import describe_machine

FOLDER = Path(__file__).parent
RESULTS = FOLDER / "RESULTS.md"
INTRODUCTION = (
    "# Results\n\nWritten by `python -m benchmarks`; each section is one benchmark's last run.\n"
)
NAMES = sorted(path.stem for path in FOLDER.glob("[a-z]*.py") if path.stem != "measure")


class _Tee(io.StringIO):
    """A file that also writes to the screen."""

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
        record_benchmark(name)


def record_benchmark(name: str) -> None:
    """Run one benchmark and replace its section of ``RESULTS.md``."""
    module = import_module(f"benchmarks.{name}")
    with contextlib.redirect_stdout(_Tee()) as output:
        module.main()
    section = (
        f"## {name}\n\n{(module.__doc__ or '').splitlines()[0]}\n\n"
        f"`python -m benchmarks {name}`, {datetime.now(tz=UTC):%Y-%m-%d}, "
        f"{describe_machine()}\n\n```text\n{output.getvalue().strip()}\n```\n"
    )
    text = RESULTS.read_text("utf-8") if RESULTS.exists() else INTRODUCTION
    with atomic_file(RESULTS) as temporary:
        temporary.write_text(replace_section(text, name, section), "utf-8")


def replace_section(text: str, name: str, section: str) -> str:
    """Replace the section of a name, or append it."""
    head, *sections = re.split(r"^(?=## )", text, flags=re.MULTILINE)
    title = f"## {name}\n"
    if any(old.startswith(title) for old in sections):
        sections = [section if old.startswith(title) else old for old in sections]
    else:
        sections = [*sections, section]
    return "\n".join(part.strip() + "\n" for part in (head, *sections))


if __name__ == "__main__":
    main()
