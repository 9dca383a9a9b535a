"""The leaderboard: a folder of pages that open from disk and load nothing from elsewhere."""

import json
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from beir_hybrid._version import __version__
from beir_hybrid.errors import BadOption, MissingExtra
from beir_hybrid.files import atomic_folder, sync_folder
from beir_hybrid.report import plots
from beir_hybrid.report.board import PAIRED_SYSTEMS, Row
from beir_hybrid.report.comparison_page import compare_entries
from beir_hybrid.report.downloads import find_runs_folder, list_records, write_downloads
from beir_hybrid.report.entries import Benchmark, Entry
from beir_hybrid.report.entry_files import (
    LEADERBOARD,
    MADE_WITH,
    ResultsOrPath,
    is_leaderboard,
    read_entries,
)
from beir_hybrid.report.hard_groups import HardGroup, find_hard_groups
from beir_hybrid.report.index_page import PairLink, Section, build_index, embed_svg
from beir_hybrid.report.local_collection import find_local_collection
from beir_hybrid.report.model_page import (
    build_measured_parts,
    build_plain_maps,
    build_pool_maps,
    list_commands,
    list_facts,
)
from beir_hybrid.report.page_tables import (
    build_bias_table,
    build_summary_table,
    list_preference_sentences,
)
from beir_hybrid.report.reproduction_check import CLOSE, EQUAL
from beir_hybrid.report.templating import load_templates
from beir_hybrid.report.top_passages import TOP
from beir_hybrid.report.variants import build_variant_table
from beir_hybrid.results.local_paths import PLACEHOLDER
from beir_hybrid.results.render import list_notes

if TYPE_CHECKING:
    from jinja2 import Environment

    from beir_hybrid.collection import Collection

INDEX = "index.html"
_NAMES = {INDEX, LEADERBOARD, "models", "comparisons", "files"}  # in the folder of a leaderboard
_FORMAT = 1


def leaderboard(
    results: ResultsOrPath | Iterable[ResultsOrPath],
    output: str | Path,
    *,
    local_files: bool = False,
    title: str = "Leaderboard",
) -> Path:
    """Write a leaderboard as a folder of pages, and return the path of the first page.

    The pages open from disk and load nothing from elsewhere. Equal results make equal bytes. An
    earlier leaderboard in the folder is replaced.

    Parameters
    ----------
    results
        Folders of `Results.save`, folders that hold such folders, results themselves, and result
        files of mteb's, or folders of those; one or several.
    output
        The folder to write. It may hold an earlier leaderboard, and nothing else.
    local_files
        Whether pages show texts and images of files of this machine that the results name, and
        records of trainings. Strangers' results may name any file, so this is for one's own. Texts
        of datasets that have an origin, such as ``xquad-r``, are shown either way.
    title
        The heading of the first page.
    """
    output = Path(output)
    _check_output(output)
    _check_packages()
    entries = read_entries(results, local_files=local_files)
    with _replace_leaderboard(output.resolve()) as folder:
        Site(entries, title, local_files=local_files).write(folder)
    return output / INDEX


def _check_packages() -> None:
    for name in ("jinja2", "matplotlib"):
        if find_spec(name) is None:
            raise MissingExtra(f"a leaderboard needs {name}: pip install 'beir-hybrid[quickstart]'")


def _check_output(output: Path) -> None:
    """Raise `BadOption` if the folder holds anything but an earlier leaderboard."""
    if not output.exists() or (output.is_dir() and not any(output.iterdir())):
        return
    if not output.is_dir():
        raise BadOption(f"{output} is no folder; name another place for the leaderboard")
    strangers = sorted(path.name for path in output.iterdir() if path.name not in _NAMES)
    if not is_leaderboard(output) or strangers:
        fault = "is not a leaderboard"
        if strangers:
            fault = f"holds {strangers[0]!r}, which is no part of a leaderboard"
        raise BadOption(f"{output} {fault}; name another folder, since this one would be replaced")


@contextmanager
def _replace_leaderboard(output: Path) -> Iterator[Path]:
    """Give an empty folder that replaces `output` when the block succeeds."""
    # A killed run leaves this name, and `atomic_folder` sweeps it.
    previous = output.with_name(f".{output.name}.{secrets.token_hex(4)}.tmp")
    try:
        with atomic_folder(output) as folder:
            yield folder
            sync_folder(folder)  # it may take seconds, or fail, while the old one is in its place
            _check_output(output)
            if output.exists():
                output.rename(previous)
    except BaseException:
        if previous.exists() and not output.exists():
            previous.rename(output)
        raise
    shutil.rmtree(previous, ignore_errors=True)


class Site:
    """All pages of one leaderboard.

    Attributes
    ----------
    title
        The heading of the first page, to which all others lead back.
    collections
        Collections for texts and images, by benchmark; looked for on this machine when needed.
    """

    def __init__(
        self, entries: list[Entry], title: str = "Leaderboard", *, local_files: bool = False
    ) -> None:
        self.title, self.local_files = title, local_files
        self.sections, self.slugs = build_index(entries)
        self.collections: dict[Benchmark, Collection | None] = {}

    @cached_property
    def _templates(self) -> "Environment":
        return load_templates()

    def write(self, folder: Path) -> None:
        """Write all pages and files into an empty folder."""
        for name in ("models", "comparisons", "files"):
            (folder / name).mkdir()
        for section in self.sections:
            for row in section.board.rows:
                if row.entry in self.slugs:
                    self._write_model(folder, section, row)
            for link in section.pairs:
                self._write_comparison(folder, section, link)
        context = {
            "sections": self.sections,
            "families": sorted({entry.family for entry in self.slugs} - {""}),
            "licences": sorted({entry.licence for entry in self.slugs} - {""}),
            "has_trained_on": any(entry.is_trained_on for entry in self.slugs),
            "slugs": self.slugs,
            "limit": PAIRED_SYSTEMS,
            "figures": {section.id: section.data for section in self.sections},
        }
        self._render(folder / INDEX, "index.html", context)
        entries = (row.entry for section in self.sections for row in section.board.rows)
        stored = {
            "made with": MADE_WITH,
            "format": _FORMAT,
            "beir-hybrid": __version__,
            "systems": list_records(entries),
        }
        text = json.dumps(stored, ensure_ascii=False, indent=1, allow_nan=False) + "\n"
        _write_text(folder / LEADERBOARD, text)

    def _write_model(self, folder: Path, section: Section, row: Row) -> None:
        entry = row.entry
        slug, measure = self.slugs[entry], section.board.main_measure
        bias = build_bias_table(entry)
        results = entry.results
        commands, obstacle = list_commands(results) if results else ([], "")
        context = {
            "entry": entry,
            "section": section,
            "slug": slug,
            "measure": measure,
            "has_images": entry.benchmark.has_images,
            "facts": list_facts(entry),
            "summary": build_summary_table(entry),
            "notes": list_notes(results) if results else [],
            "variant": row.variant,
            "variant_table": build_variant_table(row.variant) if row.variant else None,
            "slugs": self.slugs,
            "links": [link for link in section.pairs if entry in (link.first, link.second)],
            "measured": build_measured_parts(entry, section.board.measures),
            "pool_maps": build_pool_maps(results) if results else [],
            "plain_maps": build_plain_maps(row.variant) if row.variant else [],
            "bias": bias,
            "bias_sentences": list_preference_sentences(entry),
            "bias_svg": embed_svg(plots.plot_bias(results)) if results and bias else None,
            "hard_groups": self._find_hard_groups(entry, measure),
            "collection": self.collections.get(entry.benchmark),
            "top": TOP,
            "commands": commands,
            "placeholder": any(PLACEHOLDER in line for line in commands),
            "obstacle": obstacle,
            "equal": EQUAL,
            "close": CLOSE,
            "downloads": write_downloads(entry, folder / "files" / slug),
        }
        self._render(folder / "models" / f"{slug}.html", "model.html", context)

    def _find_hard_groups(self, entry: Entry, measure: str) -> list[HardGroup]:
        if entry.results is None or not entry.means(measure):
            return []
        if entry.benchmark not in self.collections:
            self.collections[entry.benchmark] = find_local_collection(
                entry.results, local_files=self.local_files
            )
        collection = self.collections[entry.benchmark]
        return find_hard_groups(entry.results, measure, find_runs_folder(entry), collection)

    def _write_comparison(self, folder: Path, section: Section, link: PairLink) -> None:
        context = {
            "comparison": compare_entries(link.first, link.second, section.board.main_measure),
            "slugs": (self.slugs[link.first], self.slugs[link.second]),
            "section": section,
        }
        self._render(folder / "comparisons" / f"{link.slug}.html", "comparison.html", context)

    def _render(self, path: Path, template: str, context: dict[str, object]) -> None:
        page = self._templates.get_template(template).render(context | {"title": self.title})
        _write_text(path, page)


def _write_text(path: Path, text: str) -> None:
    # JSON can hold half a character, and UTF-8 cannot.
    path.write_text(text, "utf-8", errors="backslashreplace")
