"""The content of the leaderboard's first page: a table, a scatter plot and links a benchmark."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from beir_hybrid.collection.setting import SETTING_KINDS
from beir_hybrid.measures.rank_distance import RankDistance
from beir_hybrid.report.board import PAIRED_SYSTEMS, Board, build_board
from beir_hybrid.report.entries import Benchmark, Entry
from beir_hybrid.report.figures import render_svg
from beir_hybrid.report.page_names import make_titles
from beir_hybrid.report.page_tables import TextTable, build_points_table
from beir_hybrid.report.publications import read_published_entries
from beir_hybrid.report.scatter import describe_direction, plot_points
from beir_hybrid.text import make_slugs

if TYPE_CHECKING:
    from markupsafe import Markup
    from matplotlib.figure import Figure

    from beir_hybrid.results.estimate import Estimate


class ScatterPlot(NamedTuple):
    """Effectiveness against language bias, as an image and as figures."""

    svg: "Markup"
    table: TextTable


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
    """

    id: str
    title: str
    board: Board
    pairs: list[PairLink]
    is_selection: bool
    scatter: ScatterPlot | None


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
    return Section(section_id, title, board, pairs, is_selection, _build_scatter(board))


def _build_scatter(board: Board) -> ScatterPlot | None:
    points: dict[str, tuple[Estimate, Estimate]] = {}
    for row in board.rows:
        x = row.entry.estimate(str(RankDistance), board.pool_kind)
        y = row.entry.estimate(board.main_measure, board.pool_kind)
        if x is not None and y is not None:
            suffix = " (published)" if row.entry.source == "published" else ""
            points[f"{row.entry.name}{suffix}"] = x, y
    if len(points) < 2:  # noqa: PLR2004 - a single point shows nothing
        return None
    y_label = f"{board.main_measure}, {SETTING_KINDS[board.pool_kind].label}"
    x_label = f"{RankDistance.label} ({describe_direction(RankDistance)})"
    figure = plot_points(points, x_label, y_label, board.benchmark.name)
    table = build_points_table(points, (RankDistance.label, board.main_measure))
    return ScatterPlot(embed_svg(figure), table)


def embed_svg(figure: "Figure") -> "Markup":
    """Render a figure to stand in a page; matplotlib has escaped its texts."""
    from markupsafe import Markup

    return Markup(render_svg(figure))  # noqa: S704
