"""Figures in, files and inline SVG out, alike on every machine, without pyplot's global state."""

import hashlib
import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from beir_hybrid.errors import BadOption, MissingExtra
from beir_hybrid.files import atomic_file
from beir_hybrid.text import escape_unprintable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK = "#010203"  # black to the eye; inline SVG has the colour of the page's text in its place
# Okabe and Ito's colours, told apart by the colour-blind; seen on white and on black.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
_STYLE: dict[str, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib
    "font.size": 8,
    "text.parse_math": False,  # a dollar in a name is a dollar
    **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor"), INK),
    **dict.fromkeys(("xtick.color", "ytick.color"), INK),
    **dict.fromkeys(("axes.spines.top", "axes.spines.right", "legend.frameon"), False),
    **dict.fromkeys(("figure.facecolor", "axes.facecolor"), "none"),
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "beir-hybrid",
}
# The formats of files, each without what says when and with what it was made.
_FORMATS: dict[str, dict[str, None]] = {
    ".svg": dict.fromkeys(("Creator", "Date", "Format", "Type")),
    ".png": {"Software": None},
    ".pdf": dict.fromkeys(("Creator", "Producer", "CreationDate")),
}
_LETTERS = 10.5  # of a title, in an inch


def title(drawn: "Figure", name: str, below: str) -> None:
    """Write a name, and beneath it what is shown; each cut to the figure's width."""
    letters = int(drawn.get_figwidth() * _LETTERS)
    text = f"{short(name, letters)}\n{short(below, letters)}"
    drawn.suptitle(text, x=0.01, ha="left", fontsize=9, linespacing=1.5)


def short(name: str, most: int) -> str:
    """Return a name without control characters, and without its middle if it is long.

    Names of models differ at both ends.

    >>> short("organisation/model-large", 16), short("short", 16)
    ('organis…el-large', 'short')
    """
    shown = escape_unprintable(name)
    if len(shown) <= most:
        return shown
    end = most // 2
    return f"{shown[: most - end - 1]}…{shown[-end:]}"


def svg(drawn: "Figure") -> str:
    """Return SVG to put into a page: in the page's font, ink in the colour of its text.

    It loads nothing, and its ids are no other figure's.
    """
    text = _bytes(drawn, ".svg").decode("utf-8")
    text = text[text.index("<svg") :]
    # A style sheet inside a page would style all of the page.
    text = re.sub(r"\s*<defs>\s*<style.*?</style>\s*</defs>", "", text, count=1, flags=re.DOTALL)
    own = hashlib.sha256(text.encode()).hexdigest()[:8]
    used = set(re.findall(r'(?:url\(|href=")#([^")]+)', text))

    def id_of(match: re.Match[str]) -> str:
        return f' id="{match[1]}-{own}"' if match[1] in used else ""

    def inline(match: re.Match[str]) -> str:
        tag = match[0].replace(INK, "currentColor").replace("xlink:href", "href")
        tag = re.sub(r'font-family: [^;"]*', "font-family: inherit", tag)
        tag = re.sub(r'((?:url\(|href=")#[^")]+)', rf"\1-{own}", tag)
        return re.sub(r' id="([^"]*)"', id_of, tag)

    text = re.sub("<[^>]+>", inline, text)
    text = re.sub(r' xmlns:xlink="[^"]*"', "", text, count=1)
    return text.replace("<svg ", '<svg stroke-linejoin="round" stroke-linecap="butt" ', 1)


def plot_suffix(path: Path) -> str:
    """Return what a plot's file ends in, or raise `BadOption` if no plot does."""
    suffix = path.suffix.lower()
    if suffix not in _FORMATS:
        raise BadOption(f"a plot's file ends in {', '.join(_FORMATS)}, not as {path.name!r} does")
    return suffix


def write(drawn: "Figure", path: str | Path) -> Path:
    """Write a figure on white as SVG, PNG or PDF, by the name; the file is whole or not there."""
    path = Path(path)
    data = _bytes(drawn, plot_suffix(path), ground="white")
    with atomic_file(path) as temporary:
        temporary.write_bytes(data)
    return path


def _bytes(drawn: "Figure", suffix: str, ground: str = "none") -> bytes:
    file = io.BytesIO()
    about = _FORMATS[suffix]
    with drawing():
        drawn.savefig(file, format=suffix[1:], facecolor=ground, dpi=200, metadata=about)
    return file.getvalue()


@contextmanager
def drawing() -> Iterator[None]:
    """Draw in our style, whatever the user's own."""
    try:
        from matplotlib import style
    except ImportError as error:
        raise MissingExtra(
            "plots need matplotlib: pip install 'beir-hybrid[quickstart]'"
        ) from error
    with style.context(["default", _STYLE]), warnings.catch_warnings():
        # What the font lacks is a box in a PNG; a browser has other fonts.
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        yield
