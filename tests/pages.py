"""Code blocks of Markdown pages, and the output that the pages promise."""

import doctest
import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
REMOTE_DATASETS = ("xquad-r", "mlqa-r", "miracl")  # not among the tests' data; a mirror has them
# The trainer of sentence-transformers prints lines; ours writes to stderr.
_TRAINING = re.compile(r"\btrainer\.train\(")
_FENCE = re.compile(r"^```(\w+)\n(.*?)^```\n(?:\n```text\n(.*?)^```)?", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """A code block, and the text block that follows with its output, if there is one."""

    language: str
    code: str
    output: str | None

    @property
    def expected(self) -> str:
        """The output: the text block, or else the comments in the code."""
        return find_promises(self.code) if self.output is None else self.output


def read_blocks(page: Path) -> list[Block]:
    """Return a page's code blocks."""
    matches = _FENCE.finditer(f"{page.read_text('utf-8')}\n")
    return [Block(match[1], match[2], match[3]) for match in matches]


def find_promises(code: str) -> str:
    """Return the output that comments promise, on a line of `print` or on the lines after it."""
    promises: list[str] = []
    lines = code.splitlines()
    for i, line in enumerate(lines):
        if _TRAINING.search(line):
            promises.append("...")
        elif line.lstrip().startswith("print(") and "file=" not in line:
            comments = _read_comments(lines[i + 1 :])
            promises += [line.partition(" # ")[2]] if " # " in line else comments or ["..."]
    return "".join(f"{line}\n" for line in promises)


def _read_comments(lines: list[str]) -> list[str]:
    """Return the comments that the lines begin with."""
    comments = []
    for line in lines:
        if not line.lstrip().startswith("# "):
            break
        comments.append(line.partition("# ")[2])
    return comments


def check_output(expected: str, output: str) -> None:
    """Assert that an output is as expected; ... stands for any text."""
    options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    assert doctest.OutputChecker().check_output(expected, output, options), output
