"""Plots show the values of results, load nothing, run nothing, and are the same every time.

The values of the systems are worked out in `tests.test_tables`.
"""

import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
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
from beir_hybrid.measures.bias.same_language_share import SameLanguageShare
from beir_hybrid.report.figures import render_svg, write_figure
from beir_hybrid.report.plots import _choose_ink, plot_bias, plot_languages, plot_matrix
from beir_hybrid.report.scatter import plot_points, plot_scatter
from beir_hybrid.results.estimate import Estimate
from beir_hybrid.results.provenance import ModelProvenance
from tests.test_compare import evaluate_system, make_collection
from tests.test_tables import ALL_QUERIES, CORRECT_QUERIES

SVG = "{http://www.w3.org/2000/svg}"
MEASURES = RR, bh.RankDistance, bh.LanguagePreference, SameLanguageShare @ 2
HOSTILE = '<script>alert(1)</script>"><img src=x onerror=alert(1)> $x^2$ \x1b[31m שלום 工'


@pytest.fixture(scope="module")
def systems() -> dict[str, bh.Results]:
    collection = make_collection(n=12)
    return {
        name: evaluate_system(collection, queries, name, MEASURES)
        for name, queries in CORRECT_QUERIES.items()
    }


def rename_model(results: bh.Results, name: str) -> bh.Results:
    model = replace(results.provenance.model, name=name)
    return replace(results, provenance=replace(results.provenance, model=model))


class Svg:
    """The texts of a figure, with their places."""

    def __init__(self, figure: Figure) -> None:
        self.source = render_svg(figure)
        self.root = ET.fromstring(self.source)  # noqa: S314 - our own
        self.places = [
            (node.text or "", float(node.get("x", "nan")), float(node.get("y", "nan")))
            for node in self.root.iter(f"{SVG}text")
        ]
        self.texts = [text for text, _, _ in self.places]

    def find_place(self, text: str) -> tuple[float, float]:
        ((x, y),) = {(x, y) for label, x, y in self.places if label == text}
        return x, y

    def find_values(self) -> list[tuple[str, float, float]]:
        """Return the values with four digits, as they stand in cells and behind bars."""
        return [place for place in self.places if re.fullmatch(r"[+-]?\d?\.\d{4}", place[0])]


def test_a_matrix_shows_each_value_in_its_place(systems: dict[str, bh.Results]) -> None:
    svg = Svg(plot_matrix(systems["twin"], "RR"))
    cells = svg.find_values()
    assert [text for text, _, _ in cells] == [".9236", ".9236", "1.0000", "1.0000"]
    # Rows are query languages, the first on top; columns are those of passages.
    rows = [svg.find_place(word)[1] for word in ("German (de)", "English (en)")]
    columns = [svg.find_place(word)[0] for word in ("de", "en")]
    assert rows[0] < rows[1]
    for (_, x, y), row, column in zip(cells, (0, 0, 1, 1), (0, 1, 0, 1), strict=True):
        assert x == pytest.approx(columns[column], abs=0.1)
        assert y == pytest.approx(rows[row], abs=2)
    assert {"twin", "RR on parallel", "language of queries"} <= set(svg.texts)


def test_a_matrix_of_differences(systems: dict[str, bh.Results]) -> None:
    svg = Svg(plot_matrix(systems["best"], "RR", less=systems["twin"]))
    assert [text for text, _, _ in svg.find_values()] == ["+.0764", "+.0764", ".0000", ".0000"]
    assert "best less twin" in svg.texts
    negative = Svg(plot_matrix(systems["twin"], "RR", less=systems["best"]))
    assert [text for text, _, _ in negative.find_values()][:2] == ["-.0764", "-.0764"]


def test_a_setting_without_judgements_has_an_empty_cell() -> None:
    corpus = {name: {"text": name} for name in ("de:1", "en:1")}
    qrels = {"de:q:1": {"de:1": 1}, "en:q:1": {"de:1": 1, "en:1": 1}}
    collection = bh.from_beir(corpus, dict.fromkeys(qrels, "?"), qrels, name="collection")
    identity = Embeddings.from_array(np.eye(2, dtype=np.float32))
    vectors = CollectionVectors(identity, identity, ModelProvenance("m"))
    svg = Svg(plot_matrix(bh.evaluate(vectors, collection, measures=RR), RR))
    cells = svg.find_values()
    assert [text for text, _, _ in cells] == ["1.0000"] * 3
    (german, _), (english, _) = svg.find_place("de"), svg.find_place("en")
    assert [cell[1] for cell in cells] == pytest.approx([german, german, english], abs=0.1)
    assert cells[0][2] < cells[1][2] == cells[2][2]


@pytest.mark.parametrize("code", ["#440154", "#21918c", "#fde725", "#ffffff", "#67001f"])
def test_values_can_be_read_on_their_cells(code: str) -> None:
    from matplotlib.colors import to_rgb

    def luminance(colour: str) -> float:
        parts = [
            c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)
        ]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2] + 0.05

    ink = luminance(_choose_ink(to_rgb(code)))
    low, high = sorted((luminance(code), ink))
    assert high / low >= 4.5


def test_bars_by_language(systems: dict[str, bh.Results]) -> None:
    svg = Svg(plot_languages(systems["twin"], "RR"))
    # Monolingual, cross-lingual and in the pool, German first: see `tests.test_tables`.
    assert [text for text, _, _ in svg.find_values()] == [
        *(".9236", "1.0000"), *(".9236", "1.0000"), *(".9203", "1.0000"),
    ]  # fmt: skip
    assert {"monolingual", "cross-lingual", "multilingual"} <= set(svg.texts)
    german, english = (svg.find_place(word)[1] for word in ("German (de)", "English (en)"))
    assert german < english


def test_bias_beside_its_unbiased_value(systems: dict[str, bh.Results]) -> None:
    svg = Svg(plot_bias(systems["best"]))
    # Both answers have the best score, and the last id of a tie comes first, which is English. So
    # the German answer never comes first, and the English one always does.
    assert [text for text, _, _ in svg.find_values()] == [".0000", "1.0000", ".5000", ".5000"]
    assert svg.texts.count("- -  unbiased: .5000") == 2
    assert {"LanguagePreference", "SameLanguageShare@2"} <= set(svg.texts)
    results = evaluate_system(make_collection(), ALL_QUERIES, "only", [RR])
    with pytest.raises(BadOption, match=r"no LanguagePreference .*and no SameLanguageShare"):
        plot_bias(results)


def test_a_scatter_places_systems_by_their_values(systems: dict[str, bh.Results]) -> None:
    figure = plot_scatter(systems, "RR", "RankDistance")
    (axes,) = figure.axes
    dots = [line for line in axes.lines if line.get_marker() == "o"]
    places = [np.asarray(line.get_xydata())[0] for line in dots]
    assert np.array(places) == pytest.approx(
        np.array([(1, 1), (1, 0.960145), (1, 1 / 23)]), abs=1e-5
    )
    svg = Svg(figure)
    assert {"RankDistance (lower is better)", "RR, multilingual"} <= set(svg.texts)
    # Names are in the order of effectiveness, with space between them.
    heights = [svg.find_place(name)[1] for name in ("best", "twin", "worst")]
    assert heights[0] < heights[1] - 8 < heights[2] - 16
    assert "RR (higher is better)" in Svg(plot_scatter(systems, "RR", "RR")).texts
    preference = plot_scatter(systems, "RR", "LanguagePreference")
    assert "LanguagePreference (best near its unbiased value)" in Svg(preference).texts


def test_points_without_intervals() -> None:
    nan = float("nan")
    estimate = Estimate(0.5, nan, nan, 0.5, 1)
    svg = Svg(plot_points({"published": (estimate, estimate)}, "x", "y", "data"))
    assert {"published", "x", "y", "on data, with 95% intervals"} <= set(svg.texts)


def plot_all(results: bh.Results) -> list[Figure]:
    return [
        plot_matrix(results, "RR"),
        plot_matrix(results, "RR", less=results),
        plot_languages(results, "RR"),
        plot_bias(results),
        plot_scatter({results.model: results}, "RR"),
    ]


def test_names_are_escaped(systems: dict[str, bh.Results], tmp_path: Path) -> None:
    for i, figure in enumerate(plot_all(rename_model(systems["best"], HOSTILE))):
        svg = Svg(figure)
        assert "<script" not in svg.source
        assert "<img" not in svg.source
        text = " ".join(svg.texts)
        assert HOSTILE[:9] in text
        assert "שלום 工" in text
        for suffix in ("svg", "png", "pdf"):
            assert write_figure(figure, tmp_path / f"{i}.{suffix}").stat().st_size > 1000
    long = rename_model(systems["best"], "organisation/" + "x" * 200 + "-large")
    (title,) = [text for text in Svg(plot_languages(long, "RR")).texts if "…" in text]
    assert title.startswith("organisation/xxx")
    assert title.endswith("xxx-large")
    assert len(title) <= 67
    costs = rename_model(systems["best"], "a $5_{x model $\\frac$")
    assert "a $5_{x model $\\frac$" in Svg(plot_matrix(costs, "RR")).texts


def test_svg_for_a_page_loads_nothing_and_shares_no_ids(systems: dict[str, bh.Results]) -> None:
    other_ids: set[str] = set()
    for figure in plot_all(systems["twin"]):
        svg = Svg(figure)
        links = set(re.findall(r'[a-z]+://[^"\s<]*', svg.source))
        assert links <= {"http://www.w3.org/2000/svg"}
        assert not set(re.findall(r"<(\w+)", svg.source)) & {"style", "script", "image", "metadata"}
        assert "currentColor" in svg.source
        assert "#010203" not in svg.source
        assert svg.source.startswith("<svg ")
        assert "font-family: inherit" in svg.source
        assert "DejaVu" not in svg.source
        ids = set(re.findall(r' id="([^"]*)"', svg.source))
        assert set(re.findall(r'(?:url\(|href=")#([^")]+)', svg.source)) == ids
        assert not ids & other_ids
        other_ids |= ids


DRAW = """
import sys
import beir_hybrid as bh
from beir_hybrid.report.figures import render_svg
from beir_hybrid.report.plots import plot_matrix
sys.stdout.write(render_svg(plot_matrix(bh.Results.load(sys.argv[1]), "RR")))
"""


def test_bytes_are_the_same_every_time(systems: dict[str, bh.Results], tmp_path: Path) -> None:
    results = systems["twin"]
    for suffix in ("svg", "png", "pdf"):
        first, second = (
            [write_figure(figure, tmp_path / f"{i}-{j}.{suffix}").read_bytes()
             for i, figure in enumerate(plot_all(results))]
            for j in range(2)
        )  # fmt: skip
        assert first == second
    source = render_svg(plot_matrix(results, "RR"))
    # Neither the user's style nor another process changes anything.
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "red", "svg.fonttype": "path"}):
        assert render_svg(plot_matrix(results, "RR")) == source
    folder = results.save(tmp_path / "results")
    process = subprocess.run(
        [sys.executable, "-c", DRAW, folder], capture_output=True, text=True, check=True
    )
    assert process.stdout == source
    assert process.stderr == ""
    parameters = dict(mpl.rcParams)
    plot_all(results)
    assert dict(mpl.rcParams) == parameters


def test_pyplot_is_not_imported() -> None:
    code = """
import sys
from tests.test_plots import *
results = evaluate_system(make_collection(), ALL_QUERIES, "a", MEASURES)
for figure in plot_all(results):
    render_svg(figure)
print("matplotlib.pyplot" in sys.modules)
"""
    command = [sys.executable, "-c", code]
    process = subprocess.run(command, capture_output=True, text=True, check=True)
    assert process.stdout == "False\n"


def test_files_are_written_or_left_alone(systems: dict[str, bh.Results], tmp_path: Path) -> None:
    figure = plot_matrix(systems["best"], "RR")
    write_figure(figure, tmp_path / "new" / "a.SVG")
    assert (tmp_path / "new" / "a.SVG").read_bytes().startswith(b"<?xml")
    assert write_figure(figure, tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert write_figure(figure, tmp_path / "a.pdf").read_bytes().startswith(b"%PDF")
    with pytest.raises(BadOption, match=r"ends in \.svg, \.png, \.pdf, not as 'a\.jpg' does"):
        write_figure(figure, tmp_path / "a.jpg")
    (tmp_path / "file").write_text("text")
    with pytest.raises(NotWritable):
        write_figure(figure, tmp_path / "file" / "a.svg")
    assert {path.name for path in tmp_path.iterdir()} == {"new", "a.png", "a.pdf", "file"}


def plot_other_collection(systems: dict[str, bh.Results]) -> Figure:
    other = evaluate_system(make_collection(name="o"), ALL_QUERIES, "o")
    return plot_scatter({**systems, "o": other}, "RR")


def subtract_other_collection(systems: dict[str, bh.Results]) -> Figure:
    other = evaluate_system(make_collection(name="o"), ALL_QUERIES, "o", [RR])
    return plot_matrix(systems["best"], "RR", less=other)


@pytest.mark.parametrize(
    ("plot", "error", "message"),
    [
        (lambda s: plot_matrix(s["best"], "AP"), UnknownName, "no measure .* 'AP'"),
        (lambda s: plot_matrix(s["best"], "RR", one_target=True), BadOption, "no one-target"),
        (lambda s: plot_matrix(s["best"], "RankDistance"), BadOption, "no mono or cross"),
        (lambda _: plot_scatter({}), BadOption, "a scatter needs results"),
        (lambda s: plot_scatter(s, "AP"), UnknownName, "no measure of best in multi .* 'AP'"),
        (plot_other_collection, BadData, "its name differs: parallel and o"),
        (subtract_other_collection, BadData, "its name differs"),
    ],
)
def test_plots_that_raise(
    systems: dict[str, bh.Results],
    plot: Callable[[dict[str, bh.Results]], object],
    error: type[Exception],
    message: str,
) -> None:
    with pytest.raises(error, match=message):
        plot(systems)
