"""Plots show the values of the results, load nothing, run nothing, and are the same every time.

What the systems answer is worked out in `tests.test_tables`.
"""

import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import matplotlib as mpl
import numpy as np
import pytest
from ir_measures import RR
from matplotlib.figure import Figure

import beir_hybrid as bh
from beir_hybrid.encoding import Embeddings
from beir_hybrid.errors import BadData, BadOption, NotWritable, UnknownName
from beir_hybrid.evaluation.vectors import CollectionVectors
from beir_hybrid.measures.same_language_share import SameLanguageShare
from beir_hybrid.report.figures import render_svg, write_figure
from beir_hybrid.report.plots import _choose_ink, plot_bias, plot_languages, plot_matrix
from beir_hybrid.report.scatter import plot_points, plot_scatter
from beir_hybrid.results.estimate import Estimate
from beir_hybrid.results.provenance import ModelProvenance
from tests.test_compare import parallel, system
from tests.test_tables import EVERY, RIGHT

SVG = "{http://www.w3.org/2000/svg}"
MEASURES = RR, bh.RankDistance, bh.LanguagePreference, SameLanguageShare @ 2
HOSTILE = '<script>alert(1)</script>"><img src=x onerror=alert(1)> $x^2$ \x1b[31m שלום 工'


@pytest.fixture(scope="module")
def three() -> dict[str, bh.Results]:
    collection = parallel(n=12)
    return {name: system(collection, right, name, MEASURES) for name, right in RIGHT.items()}


def named(results: bh.Results, model: str) -> bh.Results:
    renamed = replace(results.provenance.model, name=model)
    return replace(results, provenance=replace(results.provenance, model=renamed))


class Drawn:
    """What an SVG shows: its texts with their places."""

    def __init__(self, figure: Figure) -> None:
        self.svg = render_svg(figure)
        self.root = ET.fromstring(self.svg)  # noqa: S314 - our own
        self.texts = [
            (node.text or "", float(node.get("x", "nan")), float(node.get("y", "nan")))
            for node in self.root.iter(f"{SVG}text")
        ]

    def words(self) -> list[str]:
        return [text for text, _, _ in self.texts]

    def place(self, word: str) -> tuple[float, float]:
        ((x, y),) = {(x, y) for text, x, y in self.texts if text == word}
        return x, y

    def figures(self) -> list[tuple[str, float, float]]:
        """Return the values with four digits, as they stand in cells and behind bars."""
        return [one for one in self.texts if re.fullmatch(r"[+-]?\d?\.\d{4}", one[0])]


def test_a_matrix_shows_each_value_in_its_place(three: dict[str, bh.Results]) -> None:
    drawn = Drawn(plot_matrix(three["twin"], "RR"))
    cells = drawn.figures()
    assert [text for text, _, _ in cells] == [".9236", ".9236", "1.0000", "1.0000"]
    # Rows are query languages, the first on top; columns are those of passages.
    rows = [drawn.place(word)[1] for word in ("German (de)", "English (en)")]
    columns = [drawn.place(word)[0] for word in ("de", "en")]
    assert rows[0] < rows[1]
    for (_, x, y), row, column in zip(cells, (0, 0, 1, 1), (0, 1, 0, 1), strict=True):
        assert x == pytest.approx(columns[column], abs=0.1)
        assert y == pytest.approx(rows[row], abs=2)
    assert {"twin", "RR on parallel", "language of queries"} <= set(drawn.words())


def test_a_matrix_of_differences(three: dict[str, bh.Results]) -> None:
    drawn = Drawn(plot_matrix(three["best"], "RR", less=three["twin"]))
    assert [text for text, _, _ in drawn.figures()] == ["+.0764", "+.0764", ".0000", ".0000"]
    assert "best less twin" in drawn.words()
    worse = Drawn(plot_matrix(three["twin"], "RR", less=three["best"]))
    assert [text for text, _, _ in worse.figures()][:2] == ["-.0764", "-.0764"]


def test_a_setting_that_is_not_judged_has_an_empty_cell() -> None:
    corpus = {name: {"text": name} for name in ("de:1", "en:1")}
    qrels = {"de:q:1": {"de:1": 1}, "en:q:1": {"de:1": 1, "en:1": 1}}
    some = bh.from_beir(corpus, dict.fromkeys(qrels, "?"), qrels, name="some")
    two = Embeddings.from_array(np.eye(2, dtype=np.float32))
    vectors = CollectionVectors(two, two, ModelProvenance("m"))
    drawn = Drawn(plot_matrix(bh.evaluate(vectors, some, measures=RR), RR))
    cells = drawn.figures()
    assert [text for text, _, _ in cells] == ["1.0000"] * 3
    (x, _), (x_other, _) = drawn.place("de"), drawn.place("en")
    assert [cell[1] for cell in cells] == pytest.approx([x, x, x_other], abs=0.1)
    assert cells[0][2] < cells[1][2] == cells[2][2]


@pytest.mark.parametrize("code", ["#440154", "#21918c", "#fde725", "#ffffff", "#67001f"])
def test_values_can_be_read_on_their_cells(code: str) -> None:
    from matplotlib.colors import to_rgb

    def luminance(colour: str) -> float:
        parts = [
            c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)
        ]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2] + 0.05

    chosen = luminance(_choose_ink(to_rgb(code)))
    low, high = sorted((luminance(code), chosen))
    assert high / low >= 4.5


def test_bars_by_language(three: dict[str, bh.Results]) -> None:
    drawn = Drawn(plot_languages(three["twin"], "RR"))
    # Monolingual, cross-lingual and in the pool, German first: see `tests.test_tables`.
    assert [text for text, _, _ in drawn.figures()] == [
        *(".9236", "1.0000"), *(".9236", "1.0000"), *(".9203", "1.0000"),
    ]  # fmt: skip
    assert {"monolingual", "cross-lingual", "multilingual"} <= set(drawn.words())
    german, english = (drawn.place(word)[1] for word in ("German (de)", "English (en)"))
    assert german < english


def test_bias_beside_its_unbiased_value(three: dict[str, bh.Results]) -> None:
    drawn = Drawn(plot_bias(three["best"]))
    # Both answers come first, with one score; of ties the last id does, which is English. So
    # German questions never see their own language first, and English ones always do.
    assert [text for text, _, _ in drawn.figures()] == [".0000", "1.0000", ".5000", ".5000"]
    assert drawn.words().count("- -  unbiased: .5000") == 2
    assert {"LanguagePreference", "SameLanguageShare@2"} <= set(drawn.words())
    only = system(parallel(), EVERY, "only", [RR])
    with pytest.raises(BadOption, match="no LanguagePreference and no SameLanguageShare"):
        plot_bias(only)


def test_a_scatter_places_systems_by_their_values(three: dict[str, bh.Results]) -> None:
    figure = plot_scatter(three, "RR", "RankDistance")
    (axes,) = figure.axes
    dots = [line for line in axes.lines if line.get_marker() == "o"]
    places = [np.asarray(line.get_xydata())[0] for line in dots]
    assert np.array(places) == pytest.approx(
        np.array([(1, 1), (1, 0.960145), (1, 1 / 23)]), abs=1e-5
    )
    drawn = Drawn(figure)
    assert {"RankDistance (lower is better)", "RR, multilingual"} <= set(drawn.words())
    # Names stand in the order of effectiveness, and apart.
    heights = [drawn.place(name)[1] for name in ("best", "twin", "worst")]
    assert heights[0] < heights[1] - 8 < heights[2] - 16
    assert "RR (higher is better)" in Drawn(plot_scatter(three, "RR", "RR")).words()
    odd = plot_scatter(three, "RR", "LanguagePreference")
    assert "LanguagePreference (best where unbiased)" in Drawn(odd).words()


def test_points_without_intervals() -> None:
    nan = float("nan")
    alone = Estimate(0.5, nan, nan, 0.5, 1)
    drawn = Drawn(plot_points({"published": (alone, alone)}, "across", "up", "data"))
    assert {"published", "across", "up", "on data, with 95% intervals"} <= set(drawn.words())


def every(results: bh.Results) -> list[Figure]:
    return [
        plot_matrix(results, "RR"),
        plot_matrix(results, "RR", less=results),
        plot_languages(results, "RR"),
        plot_bias(results),
        plot_scatter({results.model: results}, "RR"),
    ]


def test_names_are_shown_and_not_run(three: dict[str, bh.Results], tmp_path: Path) -> None:
    for number, figure in enumerate(every(named(three["best"], HOSTILE))):
        drawn = Drawn(figure)
        assert "<script" not in drawn.svg
        assert "<img" not in drawn.svg
        whole = " ".join(drawn.words())
        assert HOSTILE[:9] in whole
        assert "שלום 工" in whole
        for suffix in ("svg", "png", "pdf"):
            assert write_figure(figure, tmp_path / f"{number}.{suffix}").stat().st_size > 1000
    long = named(three["best"], "organisation/" + "x" * 200 + "-large")
    (title,) = [word for word in Drawn(plot_languages(long, "RR")).words() if "…" in word]
    assert title.startswith("organisation/xxx")
    assert title.endswith("xxx-large")
    assert len(title) <= 67
    costs = named(three["best"], "a $5_{x model $\\frac$")
    assert "a $5_{x model $\\frac$" in Drawn(plot_matrix(costs, "RR")).words()


def test_svg_for_a_page_loads_nothing_and_shares_no_ids(three: dict[str, bh.Results]) -> None:
    seen: set[str] = set()
    for figure in every(three["twin"]):
        drawn = Drawn(figure)
        links = set(re.findall(r'[a-z]+://[^"\s<]*', drawn.svg))
        assert links <= {"http://www.w3.org/2000/svg"}
        assert not set(re.findall(r"<(\w+)", drawn.svg)) & {"style", "script", "image", "metadata"}
        assert "currentColor" in drawn.svg
        assert "#010203" not in drawn.svg
        assert drawn.svg.startswith("<svg ")
        assert "font-family: inherit" in drawn.svg
        assert "DejaVu" not in drawn.svg
        ids = set(re.findall(r' id="([^"]*)"', drawn.svg))
        assert set(re.findall(r'(?:url\(|href=")#([^")]+)', drawn.svg)) == ids
        assert not ids & seen
        seen |= ids


DRAW = """
import sys
import beir_hybrid as bh
from beir_hybrid.report.figures import render_svg
from beir_hybrid.report.plots import plot_matrix
sys.stdout.write(render_svg(plot_matrix(bh.Results.load(sys.argv[1]), "RR")))
"""


def test_bytes_are_the_same_every_time(three: dict[str, bh.Results], tmp_path: Path) -> None:
    results = three["twin"]
    for suffix in ("svg", "png", "pdf"):
        one, two = (
            [write_figure(figure, tmp_path / f"{n}-{run}.{suffix}").read_bytes()
             for n, figure in enumerate(every(results))]
            for run in range(2)
        )  # fmt: skip
        assert one == two
    mine = render_svg(plot_matrix(results, "RR"))
    # A user's own style changes nothing, nor does another process.
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "red", "svg.fonttype": "path"}):
        assert render_svg(plot_matrix(results, "RR")) == mine
    folder = results.save(tmp_path / "results")
    done = subprocess.run(
        [sys.executable, "-c", DRAW, folder], capture_output=True, text=True, check=True
    )
    assert done.stdout == mine
    assert done.stderr == ""
    before = dict(mpl.rcParams)
    every(results)
    assert dict(mpl.rcParams) == before


def test_pyplot_is_left_alone() -> None:
    code = (
        "import sys; from tests.test_plots import *; r = system(parallel(), EVERY, 'a', MEASURES);"
        "[render_svg(f) for f in every(r)]; print('matplotlib.pyplot' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_files_are_whole_or_not_there(three: dict[str, bh.Results], tmp_path: Path) -> None:
    figure = plot_matrix(three["best"], "RR")
    write_figure(figure, tmp_path / "new" / "a.SVG")
    assert (tmp_path / "new" / "a.SVG").read_bytes().startswith(b"<?xml")
    assert write_figure(figure, tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert write_figure(figure, tmp_path / "a.pdf").read_bytes().startswith(b"%PDF")
    with pytest.raises(BadOption, match=r"ends in \.svg, \.png, \.pdf, not as 'a\.jpg' does"):
        write_figure(figure, tmp_path / "a.jpg")
    (tmp_path / "file").write_text("mine")
    with pytest.raises(NotWritable):
        write_figure(figure, tmp_path / "file" / "a.svg")
    assert {path.name for path in tmp_path.iterdir()} == {"new", "a.png", "a.pdf", "file"}


@pytest.mark.parametrize(
    ("draw", "error", "message"),
    [
        (lambda it: plot_matrix(it["best"], "AP"), UnknownName, "no measure .* 'AP'"),
        (lambda it: plot_matrix(it["best"], "RR", one_target=True), BadOption, "no one-target"),
        (lambda it: plot_matrix(it["best"], "RankDistance"), BadOption, "no mono or cross"),
        (lambda _: plot_scatter({}), BadOption, "a scatter needs results"),
        (lambda it: plot_scatter(it, "AP"), UnknownName, "no measure of best in multi .* 'AP'"),
        (
            lambda it: plot_scatter({**it, "o": system(parallel(name="o"), EVERY, "o")}, "RR"),
            BadData,
            "its name differs: parallel and o",
        ),
        (
            lambda it: plot_matrix(
                it["best"], "RR", less=system(parallel(name="o"), EVERY, "o", [RR])
            ),
            BadData,
            "its name differs",
        ),
    ],
)
def test_what_cannot_be_drawn(
    three: dict[str, bh.Results],
    draw: Callable[[Any], object],
    error: type[Exception],
    message: str,
) -> None:
    with pytest.raises(error, match=message):
        draw(three)
