"""Pages in Markdown in, their pieces of code and what they promise to print out."""

import doctest
import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
FETCHED = ("xquad-r", "mlqa-r", "miracl")  # datasets that only a mirror has
# A trainer prints lines of its own.
_TRAINS = re.compile(r"\b(trainer\.train|bh\.train|bh\.ablate)\(")
_FENCE = re.compile(r"^```(\w+)\n(.*?)^```\n(?:\n```text\n(.*?)^```)?", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """A piece of code of a page, and what the page says that it prints, if it says so."""

    language: str
    code: str
    printed: str | None

    @property
    def expected(self) -> str:
        """What it prints: the block of text behind it, or else what comments say."""
        return promised(self.code) if self.printed is None else self.printed


def blocks(page: Path) -> list[Block]:
    """Return a page's pieces of code; a block of text right behind one is what it prints."""
    found = _FENCE.finditer(f"{page.read_text('utf-8')}\n")
    return [Block(match[1], match[2], match[3]) for match in found]


def promised(code: str) -> str:
    """Return what the comments promise: those on a line of `print`, or on the lines after it."""
    found: list[str] = []
    lines = code.splitlines()
    for at, line in enumerate(lines):
        if _TRAINS.search(line):
            found.append("...")
        elif line.lstrip().startswith("print(") and "file=" not in line:
            behind = _comments(lines[at + 1 :])
            found += [line.partition(" # ")[2]] if " # " in line else behind or ["..."]
    return "".join(f"{line}\n" for line in found)


def _comments(lines: list[str]) -> list[str]:
    """Return the comments that the lines begin with."""
    found = []
    for line in lines:
        if not line.lstrip().startswith("# "):
            break
        found.append(line.partition("# ")[2])
    return found


def check(expected: str, found: str) -> None:
    """Compare what was printed with what was promised; ... stands for anything."""
    options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    assert doctest.OutputChecker().check_output(expected, found, options), found
