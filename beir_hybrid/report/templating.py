"""The templates of the leaderboard's pages, with style, scripts and security policy.

The scripts are ours and no library's. Weighed were, minified: Observable Plot with d3 (209 + 281
kB), Chart.js (210 kB) and uPlot (51 kB) for the plot, Tabulator (448 kB) and Grid.js (53 kB) for
the table; our scripts for both, comparisons, exports and links included, take 37 kB. The large ones
alone would fill a page of 300 kB. uPlot draws series on a canvas, so names and links beside points
would still be ours, and a screen reader would see nothing; Grid.js builds its own table from data,
so a page without scripts would be empty, and grouped headings and variants below their models would
be ours again. With any of them, figures by language, paired errors and addresses remain to write.
"""

import base64
import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING

from beir_hybrid._version import __version__
from beir_hybrid.report.page_names import describe_language
from beir_hybrid.report.view_data import write_json
from beir_hybrid.results.render import format_value

if TYPE_CHECKING:
    from jinja2 import Environment

_FOLDER = Path(__file__).with_name("templates")
# Of the first page, in this order: what a table shows, and what is computed from it.
_BOARD_SCRIPTS = ("figures.js", "table.js", "plot.js", "comparison.js", "export.js", "view.js")


def load_templates() -> "Environment":
    """Return the templates, with everything that all pages share."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    templates = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters |= {
        "value": format_value,
        "language": describe_language,
        "json": write_json,
        "sort_key": lambda key: (
            "" if key is None else f"{key:.6g}" if isinstance(key, float) else str(key)
        ),
    }
    style = _shorten_style(_read("style.css"))
    theme, script = _read("theme.js"), _read("script.js")
    board = "\n".join((script, *map(_read, _BOARD_SCRIPTS)))
    templates.globals |= {
        # Files of this package, which hold nothing of the results.
        "style": Markup(style),  # noqa: S704
        "script": Markup(script),  # noqa: S704
        "board_script": Markup(board),  # noqa: S704
        "theme": Markup(theme),  # noqa: S704
        "policy": _build_policy(script, board, theme),
        "version": __version__,
    }
    return templates


def _read(name: str) -> str:
    """Return a file of styles or scripts without indentation, blank lines and final comments."""
    lines = (_FOLDER / name).read_text("utf-8").splitlines()
    texts = (re.sub(r"/\*((?!\*/).)*\*/$", "", line.strip()).rstrip() for line in lines)
    return "\n".join(filter(None, texts))


def _shorten_style(text: str) -> str:
    """Return a style sheet without the spaces around its signs; no text in ours has these."""
    return re.sub(r"\s*([{};,])\s*|(?<=:) ", r"\1", text)


def _build_policy(*scripts: str) -> str:
    """Return the content security policy: our own scripts run, and nothing is loaded."""
    digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()) for text in scripts]
    sources = " ".join(f"'sha256-{digest.decode()}'" for digest in digests)
    return (
        f"default-src 'none'; script-src {sources}; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
