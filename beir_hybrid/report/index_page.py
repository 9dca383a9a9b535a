"""The content of the leaderboard's first page: a table, its figures and links a benchmark."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from beir_hybrid.collection.setting import SETTING_KINDS
from beir_hybrid.report.board import PAIRED_SYSTEMS, Board, build_board
from beir_hybrid.report.entries import Benchmark, Entry
from beir_hybrid.report.figures import render_svg
from beir_hybrid.report.page_names import make_titles
from beir_hybrid.report.publications import read_published_entries
from beir_hybrid.report.view_data import describe_board
from beir_hybrid.text import make_slugs

if TYPE_CHECKING:
    from markupsafe import Markup
    from matplotlib.figure import Figure


class PairLink(NamedTuple):
    """A link to the comparison of two systems; `slug` is the file name without its ending."""

    first: Entry
    second: Entry
    slug: str


class Section(NamedTuple):
    """The part of the first page about one benchmark.

    Attributes
    ----------
    id
        Of the element, for links.
    is_selection
        Whether there are more pairs than those that have a page.
    data
        What the page computes with; see `describe_board`.
    axes
        Of the plot, ``x`` and ``y``: values of the options, and their texts.
    """

    id: str
    title: str
    board: Board
    pairs: list[PairLink]
    is_selection: bool
    data: Mapping[str, object]
    axes: Mapping[str, list[tuple[str, str]]]


class Index(NamedTuple):
    """All sections, and the file names of the models' pages without their ending."""

    sections: list[Section]
    slugs: Mapping[Entry, str]


def build_index(entries: Sequence[Entry]) -> Index:
    """Build a section for each benchmark, those with images last."""
    groups: dict[Benchmark, list[Entry]] = {}
    for entry in entries:
        groups.setdefault(entry.benchmark, []).append(entry)
    benchmarks = sorted(groups, key=lambda b: (b.has_images, b.name, b.languages, b.key))
    boards = [build_board([*groups[b], *read_published_entries(b)]) for b in benchmarks]
    titles = make_titles(benchmarks)
    pages = [row.entry for board in boards for row in board.rows if row.entry.source != "published"]
    names = make_slugs(f"{entry.benchmark.name}-{entry.name}" for entry in pages)
    slugs = dict(zip(pages, names, strict=True))
    sections = [
        _build_section(board, title, f"on-{slug}", slugs)
        for board, title, slug in zip(boards, titles, make_slugs(titles), strict=True)
    ]
    return Index(sections, slugs)


def _build_section(
    board: Board, title: str, section_id: str, slugs: Mapping[Entry, str]
) -> Section:
    pairs = [PairLink(a, b, f"{slugs[a]}--{slugs[b]}") for a, b in board.pairs]
    is_selection = len(board.systems) > PAIRED_SYSTEMS
    data = describe_board(board, slugs, pairs)
    return Section(section_id, title, board, pairs, is_selection, data, _list_axes(board))


def _list_axes(board: Board) -> dict[str, list[tuple[str, str]]]:
    """Return the figures that the plot can show, the pool's effectiveness and bias first."""
    effectiveness = sorted(board.chosen_columns, key=lambda column: column.kind != board.pool_kind)
    measures = sorted(
        (column for column in board.columns if column.kind and column.measure),
        key=lambda column: column.is_extra,
    )
    effectiveness_columns = [
        (column.title, SETTING_KINDS[column.kind].label) for column in effectiveness if column.kind
    ]
    bias_columns = [(column.title, column.title) for column in measures]
    facts = [("size", "parameters"), ("speed", "seconds for 1,000 texts")]
    return {
        "y": effectiveness_columns + bias_columns,
        "x": [*bias_columns, *facts, *effectiveness_columns],
    }


def embed_svg(figure: "Figure") -> "Markup":
    """Render a figure to stand in a page; matplotlib has escaped its texts."""
    from markupsafe import Markup

    return Markup(render_svg(figure))  # noqa: S704
