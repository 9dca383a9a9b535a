"""Tables of a comparison in LaTeX, for papers."""

import re
from collections.abc import Iterable

from beir_hybrid.report.comparison_tables import TableCell, build_tables
from beir_hybrid.report.system_comparison import SystemComparison

PREAMBLE = r"% In the preamble: \usepackage{booktabs}"  # the first line of every comparison
_ESCAPES = str.maketrans({
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': "''",
    **{sign: f"\\{sign}" for sign in "{}$&%#_"},
    # At the start of a row, these would be arguments of the command that ends the row before.
    **{sign: f"{{{sign}}}" for sign in "[]*"},
    "†": r"$^{\dagger}$", "→": r"$\to$", "↓": r"$\downarrow$", "…": r"\ldots{}",
})  # fmt: skip


def escape_latex(text: str) -> str:
    r"""Return text that LaTeX shows unchanged.

    >>> escape_latex("50%_a&b")
    '50\\%\\_a\\&b'
    """
    return re.sub("(?<=-)-", "{-}", text.translate(_ESCAPES))  # two hyphens would make a dash


def write_latex(comparison: SystemComparison) -> str:
    """Return tables to paste into a paper: booktabs, rank 1 in bold, daggers for significance."""
    lines = [PREAMBLE]
    for table in build_tables(comparison):
        caption = f"{table.title}. {' '.join(table.notes)}"
        if table.has_ranks:
            caption += " Bold: the best, and systems that cannot be told apart from it."
        columns = "l" * table.text_columns + "r" * (len(table.headings) - table.text_columns)
        rows = [
            [_write_cell(cell, is_text=i < table.text_columns) for i, cell in enumerate(row)]
            for row in table.rows
        ]
        lines += [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{escape_latex(caption)}}}",
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            _write_row(map(escape_latex, table.headings)),
            r"\midrule",
            *map(_write_row, rows),
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
        ]
    return "\n".join(lines) + "\n"


def _write_row(cells: Iterable[str]) -> str:
    return f"{' & '.join(cells)} \\\\"


def _write_cell(cell: TableCell, *, is_text: bool) -> str:
    text = escape_latex(cell.text)
    if not is_text:
        text = text.replace("-", "$-$")
    bold = rf"\textbf{{{text}}}" if cell.rank == 1 else text
    return bold + r"$^{\dagger}$" * cell.is_significant
