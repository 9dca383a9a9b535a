"""Style and files of figures: SVG, PNG and PDF with the same bytes on every machine.

Nothing here touches pyplot's global state.
"""

import hashlib
import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from beir_hybrid.errors import BadOption, MissingExtra
from beir_hybrid.files import atomic_file
from beir_hybrid.text import escape_unprintable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK = "#010203"  # black to the eye; inline SVG has the colour of the page's text in its place
# Okabe and Ito's colours, which the colour-blind can tell apart; visible on white and on black.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
_MATPLOTLIB_STYLE: dict[str, object] = {
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
# By the ending of the file: the metadata to leave out, since dates and versions change the bytes.
_EMPTY_METADATA: dict[str, dict[str, None]] = {
    ".svg": dict.fromkeys(("Creator", "Date", "Format", "Type")),
    ".png": {"Software": None},
    ".pdf": dict.fromkeys(("Creator", "Producer", "CreationDate")),
}
_LETTERS_PER_INCH = 10.5  # of a title


def create_figure(width: float, height: float) -> "Figure":
    """Create an empty figure of a width and height in inches."""
    with plot_style():
        from matplotlib.figure import Figure

        return Figure(figsize=(width, height), layout="constrained")


def write_title(figure: "Figure", title: str, subtitle: str) -> None:
    """Write two lines above a figure, each cut to the figure's width."""
    limit = int(figure.get_figwidth() * _LETTERS_PER_INCH)
    text = f"{shorten_name(title, limit)}\n{shorten_name(subtitle, limit)}"
    figure.suptitle(text, x=0.01, ha="left", fontsize=9, linespacing=1.5)


def shorten_name(name: str, limit: int) -> str:
    """Return a name without control characters, and without its middle if too long.

    Names of models differ at both ends.

    >>> shorten_name("organisation/model-large", 16), shorten_name("short", 16)
    ('organis…el-large', 'short')
    """
    text = escape_unprintable(name)
    if len(text) <= limit:
        return text
    end = limit // 2
    return f"{text[: limit - end - 1]}…{text[-end:]}"


def render_svg(figure: "Figure") -> str:
    """Render a figure as SVG that can stand inside a page.

    It has the page's font and text colour, loads nothing, and shares no id with another figure.
    """
    text = _render_bytes(figure, ".svg").decode("utf-8")
    text = text[text.index("<svg") :]
    # A style sheet inside a page would style all of the page.
    text = re.sub(r"\s*<defs>\s*<style.*?</style>\s*</defs>", "", text, count=1, flags=re.DOTALL)
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    targets = set(re.findall(r'(?:url\(|href=")#([^")]+)', text))

    def rename_id(match: re.Match[str]) -> str:
        return f' id="{match[1]}-{digest}"' if match[1] in targets else ""

    def adapt_tag(match: re.Match[str]) -> str:
        tag = match[0].replace(INK, "currentColor").replace("xlink:href", "href")
        tag = re.sub(r'font-family: [^;"]*', "font-family: inherit", tag)
        tag = re.sub(r'((?:url\(|href=")#[^")]+)', rf"\1-{digest}", tag)
        return re.sub(r' id="([^"]*)"', rename_id, tag)

    text = re.sub("<[^>]+>", adapt_tag, text)
    text = re.sub(r' xmlns:xlink="[^"]*"', "", text, count=1)
    return text.replace("<svg ", '<svg stroke-linejoin="round" stroke-linecap="butt" ', 1)


def check_suffix(path: Path) -> str:
    """Return the ending of a plot's file; raise `BadOption` if no plot can be written there."""
    suffix = path.suffix.lower()
    if suffix not in _EMPTY_METADATA:
        raise BadOption(
            f"a plot's file ends in {', '.join(_EMPTY_METADATA)}, not as {path.name!r} does"
        )
    return suffix


def write_figure(figure: "Figure", path: str | Path) -> Path:
    """Write a figure on white as SVG, PNG or PDF, by the ending of the path, and return the path.

    The file is written whole or not at all.
    """
    path = Path(path)
    data = _render_bytes(figure, check_suffix(path), background="white")
    with atomic_file(path) as temporary:
        temporary.write_bytes(data)
    return path


def _render_bytes(figure: "Figure", suffix: str, background: str = "none") -> bytes:
    file = io.BytesIO()
    metadata = _EMPTY_METADATA[suffix]
    with plot_style():
        figure.savefig(file, format=suffix[1:], facecolor=background, dpi=200, metadata=metadata)
    return file.getvalue()


@contextmanager
def plot_style() -> Iterator[None]:
    """Use the style of our plots, whatever the user's own."""
    try:
        from matplotlib import style
    except ImportError as error:
        raise MissingExtra(
            "plots need matplotlib: pip install 'beir-hybrid[quickstart]'"
        ) from error
    with style.context(["default", _MATPLOTLIB_STYLE]), warnings.catch_warnings():
        # A sign that the font lacks is a box in a PNG; a browser has other fonts.
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        yield
