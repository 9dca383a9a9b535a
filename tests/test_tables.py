"""Tables of a comparison have the figures worked out here, in every format, whatever the names.

Twelve queries in two languages. `best` ranks all answers first, `twin` all but one German one, and
`worst` ranks answers last, of 12 passages in a language and of 24 in the pool.
"""

import csv
import io
import json
import re
from dataclasses import replace
from typing import Any

import pytest
from ir_measures import AP, RR, R
from rich.console import Console

import beir_hybrid as bh
from beir_hybrid.collection.setting import Setting
from beir_hybrid.errors import BadData, BadOption, UnknownName
from beir_hybrid.report.comparison_tables import (
    build_comparison_record,
    list_comparison_records,
)
from beir_hybrid.report.formats import FORMATS, render_terminal
from beir_hybrid.report.latex import escape_latex
from beir_hybrid.report.system_comparison import SystemComparison, compare_systems
from tests.test_compare import evaluate_system, make_collection

ALL_QUERIES = {(lang, number) for lang in ("de", "en") for number in range(12)}
CORRECT_QUERIES = {
    "best": ALL_QUERIES,
    "twin": ALL_QUERIES - {("de", 0)},
    "worst": set[tuple[str, int]](),
}
# Mean reciprocal ranks: 11 of 12 German queries rank their answer first, and one last.
TWIN = ((11 + 1 / 12) / 12 + 1) / 2, ((11 + 1 / 23) / 12 + 1) / 2  # a language; the pool
P = 2 / 2**12  # all twelve queries differ to one side


def evaluate_systems() -> dict[str, bh.Results]:
    collection = make_collection(n=12)
    return {
        name: evaluate_system(collection, queries, name)
        for name, queries in CORRECT_QUERIES.items()
    }


@pytest.fixture(scope="module")
def comparison() -> SystemComparison:
    return compare_systems(evaluate_systems(), baseline="worst")


def compare_renamed(names: dict[str, str], **options: Any) -> SystemComparison:
    systems = evaluate_systems()
    return compare_systems({names[name]: results for name, results in systems.items()}, **options)


def test_differences_by_hand(comparison: SystemComparison) -> None:
    rows = {
        (row["system"], row["measure"], row["kind"]): row
        for row in list_comparison_records(comparison)
    }
    assert len(rows) == 2 * (3 + 3 + 1)
    for kind, mean, worst in (
        ("mono", TWIN[0], 1 / 12), ("cross", TWIN[0], 1 / 12), ("multi", TWIN[1], 1 / 23),
    ):  # fmt: skip
        row = rows["twin", "RR", kind]
        assert (row["mean"], row["baseline_mean"]) == pytest.approx((mean, worst))
        assert row["difference"] == pytest.approx(mean - worst)
        # One query of twelve gains half of what the others gain: d is a mean over a deviation.
        gain = 1 - worst
        deviation = (gain / 2) / 12**0.5
        assert row["effect"] == pytest.approx((mean - worst) / deviation)
        # A resample draws that query k times; P(k >= 4) < .025 < P(k >= 3).
        assert row["low"] == pytest.approx(gain - 3 * gain / 2 / 12)
        assert row["high"] == pytest.approx(gain)
        # Six comparisons by RR have that p: two systems in three kinds.
        assert (row["p"], row["p_holm"]) == pytest.approx((P, 6 * P))
        assert (row["rank"], row["baseline_rank"], row["questions"]) == (1, 3, 12)
    distance = rows["best", "RankDistance", "multi"]
    assert (distance["difference"], distance["p_holm"], distance["rank"]) == (0, 1, 1)
    assert (distance["queries"], distance["passages"]) == (None, None)


def test_the_baseline_is_the_first_by_default(comparison: SystemComparison) -> None:
    assert list(comparison.systems) == ["worst", "best", "twin"]
    default = compare_systems(evaluate_systems(), measures=["RR"])
    assert default.baseline == "best"
    (row,) = [
        row
        for row in list_comparison_records(default)
        if (row["system"], row["kind"]) == ("worst", "mono")
    ]
    assert row["difference"] == pytest.approx(1 / 12 - 1)
    assert (row["rank"], row["baseline_rank"]) == (3, 1)
    (row,) = [
        row
        for row in list_comparison_records(default)
        if (row["system"], row["kind"]) == ("twin", "mono")
    ]
    assert (row["p"], row["p_holm"]) == (1, 1)


def test_differences_by_setting() -> None:
    comparison = compare_systems(evaluate_systems(), baseline="worst", measures=[RR], by="setting")
    settings = [row.comparison.setting for row in comparison.differences if row.system == "best"]
    assert settings == [
        *(Setting("mono", "de", "de"), Setting("mono", "en", "en")),
        *(Setting("cross", "de", "en"), Setting("cross", "en", "de")),
        *(Setting("multi", "de", "all"), Setting("multi", "en", "all")),
    ]
    rows = [row for row in list_comparison_records(comparison) if row["system"] == "twin"]
    assert [(row["kind"], row["queries"], row["passages"]) for row in rows[:3]] == [
        ("mono", "de", "de"), ("mono", "en", "en"), ("cross", "de", "en"),
    ]  # fmt: skip
    # German: 11 queries differ, so 2 of 2^12 flips and their doubles by the twelfth: 2 * P.
    assert [row["p"] for row in rows[:2]] == pytest.approx([2 * P, P])
    # Smallest first, nine comparisons have P and three 2 * P.
    assert [row["p_holm"] for row in rows[:2]] == pytest.approx([12 * P, 12 * P])
    assert {row["rank"] for row in rows} == {None}
    assert "de → all" in FORMATS["table"].write(comparison)
    assert r"de $\to$ all & 1.0000 & +.9565 & {[}+.9565, +.9565{]}" in FORMATS["latex"].write(
        comparison
    )


def test_a_difference_between_systems_of_one_rank_is_explained(
    comparison: SystemComparison,
) -> None:
    explanation = "It may share the baseline's rank all the same"
    assert explanation not in " ".join(FORMATS["table"].write(comparison).split())
    # Holm's corrections differ, so that a test of all pairs may find less than one of a few.
    tied = replace(comparison, ranks={column: dict.fromkeys(ranks, 1) for column, ranks in
                                      comparison.ranks.items()})  # fmt: skip
    assert explanation in " ".join(FORMATS["table"].write(tied).split())


def test_ranks_that_differ_without_a_significant_difference_are_explained(
    comparison: SystemComparison,
) -> None:
    explanation = "A system without † may have another rank than the baseline all the same"
    assert explanation not in " ".join(FORMATS["table"].write(comparison).split())
    averages = tuple(
        row._replace(comparison=replace(row.comparison, p_holm=0.06)) for row in comparison.averages
    )
    undecided = replace(comparison, averages=averages)
    assert explanation in " ".join(FORMATS["table"].write(undecided).split())


@pytest.mark.parametrize("name", ["table", "latex", "markdown"])
def test_systems_that_were_trained_on_the_queries_are_named(
    comparison: SystemComparison, name: str
) -> None:
    note = "best was trained on 1,000 of 2,000 queries of parallel."
    assert note not in " ".join(FORMATS[name].write(comparison).split())
    best = comparison.systems["best"]
    model = replace(best.provenance.model, trained_on={"shared": 1000, "compared": 2000})
    best = replace(best, provenance=replace(best.provenance, model=model))
    trained = replace(comparison, systems={**comparison.systems, "best": best})
    assert note in " ".join(FORMATS[name].write(trained).split())
    systems: Any = build_comparison_record(trained)["systems"]
    (record,) = (row for row in systems if "trained_on" in row)
    assert (record["system"], record["trained_on"]["shared"]) == ("best", 1000)


def test_latex() -> None:
    names = {"best": "best_50%", "twin": "twin&co\\{x}", "worst": "[base|<line>]"}
    text = FORMATS["latex"].write(compare_renamed(names, baseline=names["worst"]))
    overview, *differences = text.split("\\begin{table}\n")[1:]
    assert text.startswith("% In the preamble: \\usepackage{booktabs}\n\\begin{table}\n")
    assert len(differences) == 2
    caption, _, rows = overview.partition("\\begin{tabular}")
    assert caption.startswith("\\centering\n\\caption{3 systems on parallel. Mo monolingual, Cr ")
    assert r"$^{\dagger}$ differs from the baseline, {[}base\textbar{}\textless{}line" in caption
    assert caption.endswith("Bold: the best, and systems that cannot be told apart from it.}\n")
    assert rows.splitlines() == [
        "{lrrrr}",
        r"\toprule",
        r"system & RR Mo & RR Cr & RR Mul & RankDistance Mul $\downarrow$ \\",
        r"\midrule",
        (
            r"{[}base\textbar{}\textless{}line\textgreater{}{]} & .0833 & .0833 & .0435 & "
            r"\textbf{1.0000} \\"
        ),
        (
            r"best\_50\% & \textbf{1.0000}$^{\dagger}$ & \textbf{1.0000}$^{\dagger}$ & "
            r"\textbf{1.0000}$^{\dagger}$ & \textbf{1.0000} \\"
        ),
        (
            r"twin\&co\textbackslash{}\{x\} & \textbf{.9618}$^{\dagger}$ & "
            r"\textbf{.9618}$^{\dagger}$ & \textbf{.9601}$^{\dagger}$ & \textbf{1.0000} \\"
        ),
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    assert (
        r"RR & mono & .9618 & +.8785 & {[}+.8021, +.9167{]} & .0029$^{\dagger}$ & +6.64 &  \\"
        in differences[1]
    )
    lower = FORMATS["latex"].write(compare_renamed(names, measures=["RR"]))
    assert r"RR & mono & .0833 & $-$.9167 & {[}$-$.9167, $-$.9167{]} & .0029$^{\dagger}$" in lower


def test_latex_braces_are_balanced() -> None:
    hostile = {"best": "}{\\end{table}", "twin": "$x^2~#1", "worst": '--- "q" *'}
    text = FORMATS["latex"].write(compare_renamed(hostile))
    unescaped = text.replace(r"\{", "").replace(r"\}", "")
    assert unescaped.count("{") == unescaped.count("}")
    assert text.count(r"\end{table}") == 3
    assert r"\}\{\textbackslash{}end\{table\} &" in text
    assert r"\$x\textasciicircum{}2\textasciitilde{}\#1 &" in text
    assert escape_latex('---"*[') == "-{-}{-}''{*}{[}"


def test_markdown(comparison: SystemComparison) -> None:
    lines = FORMATS["markdown"].write(comparison).splitlines()
    assert lines[:7] == [
        "**3 systems on parallel**",
        "",
        "| system | RR Mo | RR Cr | RR Mul | RankDistance Mul ↓ |",
        "| :-- | --: | --: | --: | --: |",
        "| worst | .0833 (3) | .0833 (3) | .0435 (3) | **1.0000 (1)** |",
        "| best | **1.0000† (1)** | **1.0000† (1)** | **1.0000† (1)** | **1.0000 (1)** |",
        "| twin | **.9618† (1)** | **.9618† (1)** | **.9601† (1)** | **1.0000 (1)** |",
    ]
    assert "| RR | mono | .9618 | +.8785 | \\[+.8021, +.9167\\] | .0029† | +6.64 |  |" in lines
    # Two versions of an answer stand side by side if no language is preferred.
    distances = [line for line in lines if line.startswith("| RankDistance | multi |")]
    assert [line.endswith(" | 1.0000 |") for line in distances] == [True, True]
    hostile = {"best": "a|b", "twin": "<img src=x onerror=alert(1)>", "worst": "[x](y)\n`c`_d_"}
    text = FORMATS["markdown"].write(compare_renamed(hostile))
    assert "| a\\|b | " in text
    assert "| &lt;img src=x onerror=alert(1)&gt; | " in text
    assert "| \\[x\\](y)\\\\n\\`c\\`\\_d\\_ | " in text
    assert "<" not in text


def test_csv_has_all_digits(comparison: SystemComparison) -> None:
    text = FORMATS["csv"].write(comparison)
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [float(row["difference"]) for row in rows] == [
        row["difference"] for row in list_comparison_records(comparison)
    ]
    assert list(rows[0]) == [
        *("system", "baseline", "measure", "kind", "queries", "passages", "mean", "baseline_mean"),
        *("difference", "low", "high", "p", "p_holm", "effect", "questions", "rank"),
        "baseline_rank",
    ]
    assert (rows[0]["system"], rows[0]["baseline"], rows[0]["queries"]) == ("best", "worst", "")
    text = FORMATS["csv"].write(
        compare_renamed({"best": 'a,"b"\n', "twin": "twin", "worst": "=1+1"})
    )
    rows = list(csv.DictReader(io.StringIO(text)))
    assert {row["baseline"] for row in rows} == {'a,"b"\\n'}
    # A spreadsheet would compute what begins with an equals sign.
    assert {row["system"] for row in rows} == {"twin", "'=1+1"}


def test_json_has_the_table_and_the_rows(comparison: SystemComparison) -> None:
    stored = json.loads(FORMATS["json"].write(comparison))
    assert stored["comparisons"] == list_comparison_records(comparison)
    assert (stored["baseline"], stored["collection"]) == ("worst", "parallel")
    (twin,) = [system for system in stored["systems"] if system["system"] == "twin"]
    means = {(row["measure"], row["kind"]): (row["mean"], row["rank"]) for row in twin["values"]}
    assert means["RR", "multi"] == (pytest.approx(TWIN[1]), 1)
    assert means["RankDistance", "multi"] == (1, 1)


def render_text(comparison: SystemComparison, width: int, **options: Any) -> str:
    text = io.StringIO()
    Console(file=text, width=width, **options).print(render_terminal(comparison))
    return text.getvalue()


def test_terminal(comparison: SystemComparison) -> None:
    lines = [" ".join(line.split()) for line in render_text(comparison, 80).splitlines()]
    i = lines.index("twin less worst, the baseline")
    assert lines[i + 1] == "measure setting value difference 95% interval p effect unbiased"
    assert lines[i + 2] == "RR mono .9618 +.8785 [+.8021, +.9167] .0029† +6.64"
    assert "twin .9618† (1) .9618† (1) .9601† (1) 1.0000 (1)" in lines
    styled = render_text(comparison, 80, force_terminal=True, color_system="standard")
    assert re.search(r"\x1b\[1m *\.9618† \(1\)\x1b\[0m", styled)
    assert not re.search(r"\x1b\[1m *\.0833 \(3\)", styled)
    assert (
        render_text(comparison, 100, color_system=None).split()
        == FORMATS["table"].write(comparison).split()
    )
    hostile = compare_renamed({"best": "\x1b[31m", "twin": "[red]x[/red]", "worst": "w"})
    assert r"\x1b[31m" in render_text(hostile, 80)
    assert "[red]x[/red]" in render_text(hostile, 80)
    assert "\x1b" not in FORMATS["latex"].write(hostile) + FORMATS["markdown"].write(hostile)


@pytest.mark.parametrize("width", [60, 80, 120])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    names = {"best": "organisation/a-model-with-a-very-long-name", "twin": "t", "worst": "w"}
    text = render_text(compare_renamed(names), width)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text


def test_measures_without_direction_have_no_rank() -> None:
    collection = make_collection()
    measures = [AP, R @ 1, bh.LanguagePreference, bh.RankDistance]
    systems = {
        name: evaluate_system(collection, queries, name, measures)
        for name, queries in (("a", {("de", 0)}), ("b", {("en", 1)}))
    }
    default = compare_systems(systems)
    # AP is the main measure; R@1 and LanguagePreference are left out.
    columns = [(str(measure), kind) for measure, kind in default.columns]
    assert columns == [
        ("AP", "mono"), ("AP", "cross"), ("AP", "multi"), ("RankDistance", "multi"),
    ]  # fmt: skip
    preference = compare_systems(systems, measures=["LanguagePreference"])
    assert preference.ranks == {}
    assert [str(measure) for measure, _ in preference.columns] == ["LanguagePreference"]
    assert "(1)" not in FORMATS["table"].write(preference)
    assert r"\textbf" not in FORMATS["latex"].write(preference)


def test_many_systems_are_compared() -> None:
    systems = evaluate_systems()
    many = {f"{name} {number}": system for number in range(11) for name, system in systems.items()}
    comparison = compare_systems(many, measures=["RR"])
    assert len(comparison.systems) == 33
    # Twelve queries do not tell 528 pairs apart: the least p is 2 / 2^12, times 528.
    assert comparison.find_rank("worst 4", RR, "mono") == 1


def test_comparisons_that_raise() -> None:
    systems = evaluate_systems()
    with pytest.raises(BadOption, match="takes two systems or more, not 1"):
        compare_systems({"best": systems["best"]})
    with pytest.raises(UnknownName, match="no system 'bets'; did you mean 'best'"):
        compare_systems(systems, baseline="bets")
    with pytest.raises(UnknownName, match="no measure of both results 'AP'; there are"):
        compare_systems(systems, measures=["AP"])
    with pytest.raises(BadData, match="its name differs: other and parallel"):
        compare_systems(
            {**systems, "other": evaluate_system(make_collection(name="other"), set(), "other")}
        )
    other = evaluate_system(make_collection(n=12), set(), "other", [AP])
    with pytest.raises(BadOption, match="no measure with values in common"):
        compare_systems({"best": systems["best"], "other": other})
