"""Tables of a comparison hold the figures worked out here, in every format, whatever the names.

Twelve questions in two languages. `BEST` finds all answers, `TWIN` all but one German one, `WORST`
none: its answers come last, of 12 passages in a language and of 24 in the pool.
"""

import csv
import io
import json
import re
from typing import Any

import pytest
from ir_measures import AP, RR, R
from rich.console import Console

import beir_hybrid as bh
from beir_hybrid.collection.setting import Setting
from beir_hybrid.errors import BadData, BadOption, UnknownName
from beir_hybrid.report.comparison_tables import list_comparison_records
from beir_hybrid.report.formats import FORMATS, render_terminal
from beir_hybrid.report.latex import escape_latex
from beir_hybrid.report.system_comparison import SystemComparison, compare_systems
from tests.test_compare import parallel, system

EVERY = {(lang, number) for lang in ("de", "en") for number in range(12)}
RIGHT = {"best": EVERY, "twin": EVERY - {("de", 0)}, "worst": set[tuple[str, int]]()}
# Reciprocal ranks: of German questions the twin has 11 of 12, and one last.
TWIN = ((11 + 1 / 12) / 12 + 1) / 2, ((11 + 1 / 23) / 12 + 1) / 2  # a language; the pool
P = 2 / 2**12  # all twelve questions differ to one side, or all but those that do not


def results() -> dict[str, bh.Results]:
    collection = parallel(n=12)
    return {name: system(collection, right, name) for name, right in RIGHT.items()}


@pytest.fixture(scope="module")
def three() -> SystemComparison:
    return compare_systems(results(), baseline="worst")


def renamed(names: dict[str, str], **options: Any) -> SystemComparison:
    found = results()
    return compare_systems({names[name]: one for name, one in found.items()}, **options)


def test_the_rows_by_hand(three: SystemComparison) -> None:
    rows = {
        (row["system"], row["measure"], row["kind"]): row for row in list_comparison_records(three)
    }
    assert len(rows) == 2 * (3 + 3 + 1)
    for kind, mean, worst in (
        ("mono", TWIN[0], 1 / 12), ("cross", TWIN[0], 1 / 12), ("multi", TWIN[1], 1 / 23),
    ):  # fmt: skip
        row = rows["twin", "RR", kind]
        assert (row["mean"], row["baseline_mean"]) == pytest.approx((mean, worst))
        assert row["difference"] == pytest.approx(mean - worst)
        # One question of twelve gains half of what others do: d is a mean over a deviation.
        most = 1 - worst
        deviation = (most / 2) / 12**0.5
        assert row["effect"] == pytest.approx((mean - worst) / deviation)
        # A resample draws that question k times; P(k >= 4) < .025 < P(k >= 3).
        assert row["low"] == pytest.approx(most - 3 * most / 2 / 12)
        assert row["high"] == pytest.approx(most)
        # Six comparisons by RR have that p: two systems in three kinds.
        assert (row["p"], row["p_holm"]) == pytest.approx((P, 6 * P))
        assert (row["rank"], row["baseline_rank"], row["questions"]) == (1, 3, 12)
    distance = rows["best", "RankDistance", "multi"]
    assert (distance["difference"], distance["p_holm"], distance["rank"]) == (0, 1, 1)
    assert (distance["queries"], distance["passages"]) == (None, None)


def test_the_baseline_is_the_first_unless_named(three: SystemComparison) -> None:
    assert list(three.systems) == ["worst", "best", "twin"]
    other = compare_systems(results(), measures=["RR"])
    assert other.baseline == "best"
    (row,) = [
        row
        for row in list_comparison_records(other)
        if (row["system"], row["kind"]) == ("worst", "mono")
    ]
    assert row["difference"] == pytest.approx(1 / 12 - 1)
    assert (row["rank"], row["baseline_rank"]) == (3, 1)
    (row,) = [
        row
        for row in list_comparison_records(other)
        if (row["system"], row["kind"]) == ("twin", "mono")
    ]
    assert (row["p"], row["p_holm"]) == (1, 1)


def test_every_setting() -> None:
    found = compare_systems(results(), baseline="worst", measures=[RR], by="setting")
    where = [row.comparison.where for row in found.differences if row.system == "best"]
    assert where == [
        *(Setting("mono", "de", "de"), Setting("mono", "en", "en")),
        *(Setting("cross", "de", "en"), Setting("cross", "en", "de")),
        *(Setting("multi", "de", "all"), Setting("multi", "en", "all")),
    ]
    rows = [row for row in list_comparison_records(found) if row["system"] == "twin"]
    assert [(row["kind"], row["queries"], row["passages"]) for row in rows[:3]] == [
        ("mono", "de", "de"), ("mono", "en", "en"), ("cross", "de", "en"),
    ]  # fmt: skip
    # German: 11 questions differ, so 2 of 2^12 flips and their doubles by the twelfth: 2 * P.
    assert [row["p"] for row in rows[:2]] == pytest.approx([2 * P, P])
    # Smallest first, nine comparisons have P and three 2 * P.
    assert [row["p_holm"] for row in rows[:2]] == pytest.approx([12 * P, 12 * P])
    assert {row["rank"] for row in rows} == {None}
    assert "de → all" in FORMATS["table"].write(found)
    assert r"de $\to$ all & 1.0000 & +.9565 & {[}+.9565, +.9565{]}" in FORMATS["latex"].write(found)


def test_a_table_for_a_paper() -> None:
    names = {"best": "best_50%", "twin": "twin&co\\{x}", "worst": "[base|<line>]"}
    text = FORMATS["latex"].write(renamed(names, baseline=names["worst"]))
    first, *others = text.split("\\begin{table}\n")[1:]
    assert text.startswith("% In the preamble: \\usepackage{booktabs}\n\\begin{table}\n")
    assert len(others) == 2
    caption, _, rows = first.partition("\\begin{tabular}")
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
        r"RR & mono & .9618 & +.8785 & {[}+.8021, +.9167{]} & .0029$^{\dagger}$ & +6.64 \\"
        in (others[1])
    )
    worse = FORMATS["latex"].write(renamed(names, measures=["RR"]))
    assert r"RR & mono & .0833 & $-$.9167 & {[}$-$.9167, $-$.9167{]} & .0029$^{\dagger}$" in worse


def test_braces_of_a_paper_s_tables_are_in_pairs() -> None:
    hostile = {"best": "}{\\end{table}", "twin": "$x^2~#1", "worst": '--- "q" *'}
    text = FORMATS["latex"].write(renamed(hostile))
    bare = text.replace(r"\{", "").replace(r"\}", "")
    assert bare.count("{") == bare.count("}")
    assert text.count(r"\end{table}") == 3
    assert r"\}\{\textbackslash{}end\{table\} &" in text
    assert r"\$x\textasciicircum{}2\textasciitilde{}\#1 &" in text
    assert escape_latex('---"*[') == "-{-}{-}''{*}{[}"


def test_markdown(three: SystemComparison) -> None:
    lines = FORMATS["markdown"].write(three).splitlines()
    assert lines[:7] == [
        "**3 systems on parallel**",
        "",
        "| system | RR Mo | RR Cr | RR Mul | RankDistance Mul ↓ |",
        "| :-- | --: | --: | --: | --: |",
        "| worst | .0833 (3) | .0833 (3) | .0435 (3) | **1.0000 (1)** |",
        "| best | **1.0000† (1)** | **1.0000† (1)** | **1.0000† (1)** | **1.0000 (1)** |",
        "| twin | **.9618† (1)** | **.9618† (1)** | **.9601† (1)** | **1.0000 (1)** |",
    ]
    assert "| RR | mono | .9618 | +.8785 | \\[+.8021, +.9167\\] | .0029† | +6.64 |" in lines
    hostile = {"best": "a|b", "twin": "<img src=x onerror=alert(1)>", "worst": "[x](y)\n`c`_d_"}
    text = FORMATS["markdown"].write(renamed(hostile))
    assert "| a\\|b | " in text
    assert "| &lt;img src=x onerror=alert(1)&gt; | " in text
    assert "| \\[x\\](y)\\\\n\\`c\\`\\_d\\_ | " in text
    assert "<" not in text


def test_csv_has_all_digits(three: SystemComparison) -> None:
    text = FORMATS["csv"].write(three)
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [float(row["difference"]) for row in rows] == [
        row["difference"] for row in list_comparison_records(three)
    ]
    assert list(rows[0]) == [
        *("system", "baseline", "measure", "kind", "queries", "passages", "mean", "baseline_mean"),
        *("difference", "low", "high", "p", "p_holm", "effect", "questions", "rank"),
        "baseline_rank",
    ]
    assert (rows[0]["system"], rows[0]["baseline"], rows[0]["queries"]) == ("best", "worst", "")
    quoted = FORMATS["csv"].write(renamed({"best": 'a,"b"\n', "twin": "twin", "worst": "=1+1"}))
    assert {row["baseline"] for row in csv.DictReader(io.StringIO(quoted))} == {'a,"b"\n'}


def test_json_holds_the_table_and_the_rows(three: SystemComparison) -> None:
    stored = json.loads(FORMATS["json"].write(three))
    assert stored["comparisons"] == list_comparison_records(three)
    assert (stored["baseline"], stored["collection"]) == ("worst", "parallel")
    (twin,) = [one for one in stored["systems"] if one["system"] == "twin"]
    means = {(one["measure"], one["kind"]): (one["mean"], one["rank"]) for one in twin["values"]}
    assert means["RR", "multi"] == (pytest.approx(TWIN[1]), 1)
    assert means["RankDistance", "multi"] == (1, 1)


def shown(found: SystemComparison, width: int, **options: Any) -> str:
    text = io.StringIO()
    Console(file=text, width=width, **options).print(render_terminal(found))
    return text.getvalue()


def test_the_terminal(three: SystemComparison) -> None:
    lines = [" ".join(line.split()) for line in shown(three, 80).splitlines()]
    at = lines.index("twin less worst, the baseline")
    assert lines[at + 1] == "measure where value difference 95% interval p effect"
    assert lines[at + 2] == "RR mono .9618 +.8785 [+.8021, +.9167] .0029† +6.64"
    assert "twin .9618† (1) .9618† (1) .9601† (1) 1.0000 (1)" in lines
    coloured = shown(three, 80, force_terminal=True, color_system="standard")
    assert re.search(r"\x1b\[1m *\.9618† \(1\)\x1b\[0m", coloured)
    assert not re.search(r"\x1b\[1m *\.0833 \(3\)", coloured)
    assert shown(three, 100, color_system=None).split() == FORMATS["table"].write(three).split()
    steering = renamed({"best": "\x1b[31m", "twin": "[red]x[/red]", "worst": "w"})
    assert r"\x1b[31m" in shown(steering, 80)
    assert "[red]x[/red]" in shown(steering, 80)
    assert "\x1b" not in FORMATS["latex"].write(steering) + FORMATS["markdown"].write(steering)


@pytest.mark.parametrize("width", [60, 80, 120])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    names = {"best": "organisation/a-model-with-a-very-long-name", "twin": "t", "worst": "w"}
    text = shown(renamed(names), width)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text


def test_what_has_no_order_has_no_rank() -> None:
    collection = parallel()
    measures = [AP, R @ 1, bh.LanguagePreference, bh.RankDistance]
    systems = {
        name: system(collection, right, name, measures)
        for name, right in (("a", {("de", 0)}), ("b", {("en", 1)}))
    }
    found = compare_systems(systems)
    # AP comes before what else there is, and R@1 and LanguagePreference are left out.
    columns = [(str(measure), kind) for measure, kind in found.columns]
    assert columns == [
        ("AP", "mono"), ("AP", "cross"), ("AP", "multi"), ("RankDistance", "multi"),
    ]  # fmt: skip
    chosen = compare_systems(systems, measures=["LanguagePreference"])
    assert chosen.ranks == {}
    assert [str(measure) for measure, _ in chosen.columns] == ["LanguagePreference"]
    assert "(1)" not in FORMATS["table"].write(chosen)
    assert r"\textbf" not in FORMATS["latex"].write(chosen)


def test_what_cannot_be_compared() -> None:
    found = results()
    with pytest.raises(BadOption, match="takes two systems or more, not 1"):
        compare_systems({"best": found["best"]})
    with pytest.raises(UnknownName, match="no system 'bets'; did you mean 'best'"):
        compare_systems(found, baseline="bets")
    with pytest.raises(UnknownName, match="no measure of both results 'AP'; there are"):
        compare_systems(found, measures=["AP"])
    with pytest.raises(BadData, match="its name differs: other and parallel"):
        compare_systems({**found, "other": system(parallel(name="other"), set(), "other")})
    other = system(parallel(n=12), set(), "other", [AP])
    with pytest.raises(BadOption, match="no measure with values in common"):
        compare_systems({"best": found["best"], "other": other})
