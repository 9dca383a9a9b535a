"""The templates of the leaderboard's pages, with style, scripts and security policy."""

import base64
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from beir_hybrid._version import __version__
from beir_hybrid.report.page_names import describe_language
from beir_hybrid.results.render import format_value

if TYPE_CHECKING:
    from jinja2 import Environment

_FOLDER = Path(__file__).with_name("templates")


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
    templates.filters |= {"value": format_value, "language": describe_language}
    style, script, theme = (
        (_FOLDER / name).read_text("utf-8") for name in ("style.css", "script.js", "theme.js")
    )
    templates.globals |= {
        # Files of this package, which hold nothing of the results.
        "style": Markup(style),  # noqa: S704
        "script": Markup(script),  # noqa: S704
        "theme": Markup(theme),  # noqa: S704
        "policy": _build_policy(script, theme),
        "version": __version__,
    }
    return templates


def _build_policy(*scripts: str) -> str:
    """Return the content security policy: our own scripts run, and nothing is loaded."""
    digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()) for text in scripts]
    sources = " ".join(f"'sha256-{digest.decode()}'" for digest in digests)
    return (
        f"default-src 'none'; script-src {sources}; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
