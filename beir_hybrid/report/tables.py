"""A comparison in; tables for a terminal, Markdown, LaTeX, CSV and JSON out."""

import csv
import io
import json
import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from ir_measures import Measure

from beir_hybrid.collection.setting import SETTING_KINDS, KindName, Setting
from beir_hybrid.report.compared import ALPHA, Compared, Row
from beir_hybrid.results.compare import rises
from beir_hybrid.results.render import figure, signed
from beir_hybrid.text import escape_unprintable

if TYPE_CHECKING:
    from rich.console import Group

_TESTS = {"randomisation": "randomisation test over questions", "t": "t test over questions"}


class Cell(NamedTuple):
    """A text, and what is to be seen of it."""

    text: str
    rank: int | None = None  # among systems, those that cannot be told apart sharing one
    differs: bool = False  # from the baseline


class Sheet(NamedTuple):
    """A table: a column of names and others of figures, what stands above and what below."""

    title: str
    headings: list[str]
    rows: list[list[Cell]]
    notes: list[str]
    names: int = 1  # columns, from the left, that hold words


def sheets(found: Compared) -> Iterator[Sheet]:
    """Yield the table of all systems, then one for each that is compared with the baseline."""
    yield _overview(found)
    note = (
        "Between brackets: 95% interval, resampling questions with all their translations. "
        f"p: {_TESTS[found.test]}, corrected by Holm's method over all comparisons by a measure. "
        "Effect: Cohen's d."
    )
    headings = ["measure", "where", "value", "difference", "95% interval", "p", "effect"]
    for system in list(found.systems)[1:]:
        rows = [_pair(row) for row in found.rows if row.system == system]
        title = escape_unprintable(f"{system} less {found.baseline}, the baseline")
        yield Sheet(title, headings, rows, [note], names=2)


def _overview(found: Compared) -> Sheet:
    rows = []
    for system in found.systems:
        cells = [Cell(escape_unprintable(system))]
        for measure, kind in found.columns:
            one = found.estimate(system, measure, kind)
            rank = found.ranks.get((measure, kind), {}).get(system)
            differs = found.differs(system, measure, kind)
            cells.append(Cell(figure(one.mean) if one else "", rank, differs))
        rows.append(cells)
    kinds = list(dict.fromkeys(kind for _, kind in found.columns))
    meant = ", ".join(
        f"{SETTING_KINDS[kind].short_label} {SETTING_KINDS[kind].label}" for kind in kinds
    )
    below = (
        f"{meant}: means over settings. † differs from the baseline, {found.baseline}: "
        f"{_TESTS[found.test]}, p at most {ALPHA:g} after Holm's correction."
    )
    title = f"{len(found.systems)} systems on {found.collection}"
    headings = ["system", *(_heading(found, *column) for column in found.columns)]
    return Sheet(escape_unprintable(title), headings, rows, [escape_unprintable(below)])


def _heading(found: Compared, measure: Measure, kind: KindName) -> str:
    falls = (measure, kind) in found.ranks and not rises(measure)
    return f"{measure} {SETTING_KINDS[kind].short_label}{' ↓' * falls}"


def _pair(row: Row) -> list[Cell]:
    one = row.found.found
    p = "<.0001" if row.found.p_holm < 0.00005 else figure(row.found.p_holm)  # noqa: PLR2004 - would show as 0
    return [
        Cell(str(row.found.measure)),
        Cell(_where(row.found.where)),
        Cell(figure(one.mean_a)),
        Cell(signed(one.difference)),
        Cell(f"[{signed(one.low)}, {signed(one.high)}]"),
        Cell(p, differs=row.found.p_holm <= ALPHA),
        Cell(f"{one.effect:+.2f}"),
    ]


def _where(where: KindName | Setting) -> str:
    if not isinstance(where, Setting):
        return where
    alone = " alone" if where.kind == "one-target" else ""
    return f"{where.queries} → {where.passages}{alone}"


def terminal(found: Compared) -> "Group":
    """Return tables for rich's console; what is too wide for it is folded, never cut."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    parts: list[Table | Text] = []
    for sheet in sheets(found):
        table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
        for number, heading in enumerate(sheet.headings):
            side: Any = "left" if number < sheet.names else "right"
            table.add_column(Text(heading), justify=side, overflow="fold")
        for row in sheet.rows:
            table.add_row(*(Text(_plain(cell), "bold" * (cell.rank == 1)) for cell in row))
        notes = [*sheet.notes, *[_RANKS] * _ranked(sheet)]
        parts += [Text(sheet.title, "bold"), table, Text(" ".join(notes), "dim italic"), Text()]
    return Group(*parts[:-1])


_RANKS = "In brackets: rank; a system that cannot be told apart from the best of a rank shares it."


def _ranked(sheet: Sheet) -> bool:
    return any(cell.rank for row in sheet.rows for cell in row)


def _plain(cell: Cell) -> str:
    rank = f" ({cell.rank})" if cell.rank else ""
    return f"{cell.text}{'†' * cell.differs}{rank}"


def plain(found: Compared) -> str:
    """Return what a terminal of 100 columns shows, without styles."""
    from rich.console import Console

    text = io.StringIO()
    Console(file=text, width=100, color_system=None).print(terminal(found))
    return "".join(f"{line.rstrip()}\n" for line in text.getvalue().splitlines())


def markdown(found: Compared) -> str:
    """Return tables in Markdown, the best in bold with all that cannot be told apart from it."""
    blocks = []
    for sheet in sheets(found):
        sides = [":--"] * sheet.names + ["--:"] * (len(sheet.headings) - sheet.names)
        rows = [list(map(_escaped, sheet.headings)), sides]
        rows += [[_bold(_escaped(_plain(cell)), cell, "**{}**") for cell in r] for r in sheet.rows]
        lines = [f"| {' | '.join(row)} |" for row in rows]
        notes = [*sheet.notes, *[_RANKS] * _ranked(sheet)]
        blocks += [f"**{_escaped(sheet.title)}**", "\n".join(lines), _escaped(" ".join(notes))]
    return "\n\n".join(blocks) + "\n"


def _bold(text: str, cell: Cell, frame: str) -> str:
    return frame.replace("{}", text) if cell.rank == 1 else text


def _escaped(text: str) -> str:
    """Return text that Markdown shows as it is, in a table as well."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_{}\[\]|~$])", r"\\\1", text)


_LATEX = str.maketrans({
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': "''",
    **{sign: f"\\{sign}" for sign in "{}$&%#_"},
    # At the start of a row these would be arguments of what ends the row before.
    **{sign: f"{{{sign}}}" for sign in "[]*"},
    "†": r"$^{\dagger}$", "→": r"$\to$", "↓": r"$\downarrow$", "…": r"\ldots{}",
})  # fmt: skip


def latex_text(text: str) -> str:
    r"""Return text that LaTeX shows as it is.

    >>> latex_text("50%_a&b")
    '50\\%\\_a\\&b'
    """
    return re.sub("(?<=-)-", "{-}", text.translate(_LATEX))  # two hyphens are no dash


def latex(found: Compared) -> str:
    """Return tables for a paper, to be pasted as they are: booktabs, best bold, daggers."""
    lines = [r"% In the preamble: \usepackage{booktabs}"]
    for sheet in sheets(found):
        caption = f"{sheet.title}. {' '.join(sheet.notes)}"
        if _ranked(sheet):
            caption += " Bold: the best, and what cannot be told apart from it."
        columns = "l" * sheet.names + "r" * (len(sheet.headings) - sheet.names)
        rows = [
            [_latex_cell(cell, words=at < sheet.names) for at, cell in enumerate(row)]
            for row in sheet.rows
        ]
        lines += [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{latex_text(caption)}}}",
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            _latex_row(map(latex_text, sheet.headings)),
            r"\midrule",
            *map(_latex_row, rows),
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
        ]
    return "\n".join(lines) + "\n"


def _latex_row(cells: Any) -> str:
    return f"{' & '.join(cells)} \\\\"


def _latex_cell(cell: Cell, *, words: bool) -> str:
    text = latex_text(cell.text)
    if not words:
        text = text.replace("-", "$-$")
    return _bold(text, cell, r"\textbf{{}}") + r"$^{\dagger}$" * cell.differs


def records(found: Compared) -> list[dict[str, Any]]:
    """Return a row for each comparison with the baseline, with all digits."""
    rows = []
    for system, one in found.rows:
        where = one.where
        kind, queries, passages = where if isinstance(where, Setting) else (where, None, None)
        ranks = {} if queries else found.ranks.get((one.measure, kind), {})
        rows.append({
            "system": system, "baseline": found.baseline, "measure": str(one.measure),
            "kind": kind, "queries": queries, "passages": passages,
            "mean": one.found.mean_a, "baseline_mean": one.found.mean_b,
            "difference": one.found.difference, "low": one.found.low, "high": one.found.high,
            "p": one.found.p, "p_holm": one.p_holm, "effect": one.found.effect,
            "questions": one.found.n_questions,
            "rank": ranks.get(system), "baseline_rank": ranks.get(found.baseline),
        })  # fmt: skip
    return rows


def as_csv(found: Compared) -> str:
    """Return the rows of `records` with their names above; nothing stands where there is none."""
    rows = records(found)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def as_record(found: Compared) -> dict[str, Any]:
    """Return everything, as JSON can hold it."""
    systems = []
    for system in found.systems:
        values = []
        for measure, kind in found.columns:
            if one := found.estimate(system, measure, kind):
                rank = found.ranks.get((measure, kind), {}).get(system)
                interval = {"mean": one.mean, "low": one.low, "high": one.high}
                values.append({"measure": str(measure), "kind": kind, **interval, "rank": rank})
        systems.append({"system": system, "values": values})
    return {
        "collection": found.collection,
        "baseline": found.baseline,
        "test": found.test,
        "systems": systems,
        "comparisons": records(found),
    }


def as_json(found: Compared) -> str:
    """Return everything as JSON."""
    return json.dumps(as_record(found), indent=1) + "\n"


FORMATS: dict[str, Callable[[Compared], str]] = {
    "table": plain,
    "markdown": markdown,
    "latex": latex,
    "csv": as_csv,
    "json": as_json,
}
