"""Results in, a folder of pages out that opens from disk and loads nothing from elsewhere."""

import base64
import hashlib
import json
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from beir_hybrid._version import __version__
from beir_hybrid.collection.setting import SETTING_KINDS
from beir_hybrid.errors import BadOption, MissingExtra
from beir_hybrid.files import atomic_folder
from beir_hybrid.report import pages, plots
from beir_hybrid.report.board import FEW, Board, board_of
from beir_hybrid.report.columns import Column
from beir_hybrid.report.downloads import RUNS, write_files
from beir_hybrid.report.drawing import svg
from beir_hybrid.report.entries import Entry, Given, Group, read_entries
from beir_hybrid.report.hardest import TOP, hardest, offline_collection
from beir_hybrid.report.names import language, titles_of
from beir_hybrid.report.published import published
from beir_hybrid.results.render import figure
from beir_hybrid.text import make_slugs

if TYPE_CHECKING:
    from jinja2 import Environment
    from matplotlib.figure import Figure

    from beir_hybrid.collection import Collection

INDEX, DATA = "index.html", "leaderboard.json"
_OURS = {INDEX, DATA, "models", "comparisons", "files"}
_FORMAT = 1
_TEMPLATES = Path(__file__).with_name("templates")


def leaderboard(results: Given | Iterable[Given], output: str | Path) -> Path:
    """Write a leaderboard as a folder of pages, and return the path of the first.

    It opens from disk, and nothing in it is loaded from elsewhere. Equal results make equal bytes.
    A leaderboard that is there already is replaced as a whole.

    Parameters
    ----------
    results
        Folders of `Results.save`, folders that hold such folders, results themselves, and result
        files of mteb's, or folders of those; one or several.
    output
        The folder to write. It may hold an earlier leaderboard, and nothing else.
    """
    output = Path(output)
    _check_place(output)
    _check_extra()
    entries = read_entries(results)
    with _replacing(output.resolve()) as folder:
        _Site(entries).write(folder)
    return output / INDEX


def _check_extra() -> None:
    for name in ("jinja2", "matplotlib"):
        if find_spec(name) is None:
            raise MissingExtra(f"a leaderboard needs {name}: pip install 'beir-hybrid[quickstart]'")


def _check_place(output: Path) -> None:
    """Raise `BadOption` if the folder holds anything but an earlier leaderboard."""
    if not output.exists() or (output.is_dir() and not any(output.iterdir())):
        return
    if not output.is_dir():
        raise BadOption(f"{output} is no folder; name another place for the leaderboard")
    try:
        stored = json.loads((output / DATA).read_bytes())
        ours = stored["made with"] == "beir-hybrid leaderboard"
    except (OSError, ValueError, KeyError, TypeError):
        ours = False
    others = sorted(path.name for path in output.iterdir() if path.name not in _OURS)
    if not ours or others:
        what = f"holds {others[0]!r}, which is no part of a leaderboard" if others else "is none"
        raise BadOption(
            f"{output} {what}: a leaderboard is replaced as a whole; name another folder"
        )


@contextmanager
def _replacing(output: Path) -> Iterator[Path]:
    """Give an empty folder that takes the place of `output` when the block succeeds."""
    gone = output.with_name(f".{output.name}.{secrets.token_hex(4)}.tmp")  # swept if we are killed
    with atomic_folder(output) as folder:
        yield folder
        _check_place(output)
        if output.exists():
            output.rename(gone)
    shutil.rmtree(gone, ignore_errors=True)


class _Page(NamedTuple):
    """What the index shows of one collection."""

    id: str
    title: str
    board: Board
    sorted: Column | None
    pairs: list[tuple[Entry, Entry, str]]
    some: bool  # of the pairs, not all
    scatter: Any = None
    points: pages.Table | None = None


class _Site:
    """All pages of one leaderboard, and under which names they lie."""

    def __init__(self, entries: list[Entry]) -> None:
        groups: dict[Group, list[Entry]] = {}
        for entry in entries:
            groups.setdefault(entry.group, []).append(entry)
        ordered = sorted(groups, key=lambda group: (group.pictures, group.name, group.languages,
                                                    group.key))  # fmt: skip
        boards = [board_of([*groups[group], *published(group)]) for group in ordered]
        titles = dict(zip(ordered, titles_of(ordered), strict=True))
        shown = [row.entry for board in boards for row in board.rows
                 if row.entry.source != "published"]  # fmt: skip
        names = make_slugs(f"{entry.group.name}-{entry.name}" for entry in shown)
        self.slugs = dict(zip(shown, names, strict=True))
        ids = make_slugs(titles[group] for group in ordered)
        self.index = [
            self._page(board, titles[board.group], f"on-{id_}")
            for board, id_ in zip(boards, ids, strict=True)
        ]
        self.collections: dict[Group, Collection | None] = {}

    def _page(self, board: Board, title: str, id_: str) -> _Page:
        pairs = [(a, b, f"{self.slugs[a]}--{self.slugs[b]}") for a, b in board.pairs]
        by = next((column for column in board.columns if column.title == board.by), None)
        figure_, points = _scatter(board)
        return _Page(id_, title, board, by, pairs, len(board.judged) > FEW, figure_, points)

    @cached_property
    def environment(self) -> "Environment":
        """The templates, with all that every page has."""
        from jinja2 import Environment, FileSystemLoader, StrictUndefined
        from markupsafe import Markup

        made = Environment(
            loader=FileSystemLoader(_TEMPLATES),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        made.filters |= {"figure": figure, "language": language}
        texts = {name: (_TEMPLATES / name).read_text("utf-8")
                 for name in ("style.css", "script.js", "theme.js")}  # fmt: skip
        made.globals |= {
            # Our own files, not what results hold.
            "style": Markup(texts["style.css"]),  # noqa: S704
            "script": Markup(texts["script.js"]),  # noqa: S704
            "theme": Markup(texts["theme.js"]),  # noqa: S704
            "policy": _policy(texts["script.js"], texts["theme.js"]),
            "version": __version__,
        }
        return made

    def write(self, folder: Path) -> None:
        """Write all pages and files into an empty folder."""
        for name in ("models", "comparisons", "files"):
            (folder / name).mkdir()
        for page in self.index:
            for row in page.board.rows:
                if row.entry in self.slugs:
                    self._write_model(folder, page, row.entry)
            for first, second, address in page.pairs:
                self._write_comparison(folder, page, first, second, address)
        self._render(folder / INDEX, "index.html", boards=self.index, pages=self.slugs, few=FEW)
        stored = {
            "made with": "beir-hybrid leaderboard",
            "format": _FORMAT,
            "beir-hybrid": __version__,
            "systems": pages.as_plain(row.entry for page in self.index for row in page.board.rows),
        }
        text = json.dumps(stored, ensure_ascii=False, indent=1, allow_nan=False) + "\n"
        _write(folder / DATA, text)

    def _write_model(self, folder: Path, page: _Page, entry: Entry) -> None:
        slug, main = self.slugs[entry], page.board.main
        bars, bias = pages.by_language(entry, main), pages.bias_by_language(entry)
        written = write_files(entry, folder / "files" / slug)
        others = [(b if a is entry else a, address)
                  for a, b, address in page.pairs if entry in (a, b)]  # fmt: skip
        known: dict[str, Any] = {
            "bars_svg": None,
            "bias_svg": None,
            "hard": [],
            "commands": [],
            "elsewhere": False,
            "why_not": "",
        }
        if (results := entry.results) is not None:
            known["bars_svg"] = _svg(plots.languages(results, main)) if bars else None
            known["bias_svg"] = _svg(plots.bias(results)) if bias else None
            known["commands"], known["why_not"] = pages.commands_of(results)
            known["elsewhere"] = any(pages.ELSEWHERE in line for line in known["commands"])
            known |= self._hardest(entry, main)
        self._render(
            folder / "models" / f"{slug}.html",
            "model.html",
            entry=entry,
            slug=slug,
            title=page.title,
            id=page.id,
            main=main,
            facts=pages.facts_of(entry),
            summary=pages.summary_of(entry),
            notes=pages.notes_of(entry),
            pictures=entry.group.pictures,
            maps=pages.heat_maps(entry, main),
            bars=bars,
            bias=bias,
            pairs=others,
            **written._asdict(),
            **known,
        )

    def _hardest(self, entry: Entry, main: str) -> dict[str, Any]:
        if entry.results is None or not entry.means(main):
            return {"hard": []}
        if entry.group not in self.collections:
            self.collections[entry.group] = offline_collection(entry.results)
        collection = self.collections[entry.group]
        runs = entry.path.parent / RUNS if entry.path is not None else None
        hard = hardest(entry.results, main, runs, collection)
        no_runs = not any(asked.hits for one in hard for asked in one.asked)
        return {"hard": hard, "no_runs": no_runs, "no_texts": collection is None, "top": TOP}

    def _write_comparison(
        self, folder: Path, page: _Page, first: Entry, second: Entry, address: str
    ) -> None:
        self._render(
            folder / "comparisons" / f"{address}.html",
            "comparison.html",
            versus=pages.versus(first, second, page.board.main),
            slugs=(self.slugs[first], self.slugs[second]),
            title=page.title,
            id=page.id,
        )

    def _render(self, path: Path, template: str, **known: Any) -> None:
        _write(path, self.environment.get_template(template).render(known))


def _write(path: Path, text: str) -> None:
    # JSON can hold half a character, and UTF-8 cannot.
    path.write_text(text, "utf-8", errors="backslashreplace")


def _scatter(board: Board) -> tuple[Any, pages.Table | None]:
    """Return effectiveness against rank distance, in a picture and in figures."""
    across = "RankDistance"
    found = {}
    for row in board.rows:
        x, y = row.entry.found(across, board.pool), row.entry.found(board.main, board.pool)
        if x is not None and y is not None:
            source = " (published)" if row.entry.source == "published" else ""
            found[f"{row.entry.name}{source}"] = x, y
    if len(found) < 2:  # noqa: PLR2004 - a single point is no picture
        return None, None
    up = f"{board.main}, {SETTING_KINDS[board.pool].label}"
    drawn = plots.points(found, "rank distance (less is better)", up, board.group.name)
    rows = [(name, figure(x.mean), figure(y.mean)) for name, (x, y) in found.items()]
    table = pages.Table("Effectiveness and bias", ("system", "rank distance", board.main),
                        tuple(rows))  # fmt: skip
    return _svg(drawn), table


def _svg(drawn: "Figure") -> Any:
    """Return a picture to stand in a page: matplotlib has escaped what is text in it."""
    from markupsafe import Markup

    return Markup(svg(drawn))  # noqa: S704


def _policy(*scripts: str) -> str:
    """Return what a browser may load and run: our own scripts, and nothing from elsewhere."""
    digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()) for text in scripts]
    allowed = " ".join(f"'sha256-{digest.decode()}'" for digest in digests)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
