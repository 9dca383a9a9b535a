"""The notebooks of examples/ run from the first cell to the last, and are kept without outputs."""
# mypy: allow-untyped-calls
# (nbformat leaves functions without types.)

import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from tests.pages import ROOT

BOOKS = sorted((ROOT / "examples").glob("*.ipynb"))


def run_notebook(book: Path, folder: Path) -> list[str]:
    """Run a notebook in a folder and return what each cell of code prints or shows."""
    notebook = nbformat.read(book, as_version=4)
    client = NotebookClient(
        notebook, timeout=60, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    )
    client.execute()
    return [
        "".join(map(read_output, cell.outputs))
        for cell in notebook.cells
        if cell.cell_type == "code"
    ]


def read_output(output: Any) -> str:
    if output.output_type == "stream":
        return str(output.text) if output.name == "stdout" else ""
    return str(output.data.get("text/html", output.data.get("text/plain", "")))


@pytest.mark.parametrize("book", BOOKS, ids=lambda book: str(book.stem))
def test_notebooks_have_no_outputs(book: Path) -> None:
    for cell in nbformat.read(book, as_version=4).cells:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


def test_evaluate_notebook(tmp_path: Path) -> None:
    collection, example, table, matrix, comparison, files = run_notebook(
        ROOT / "examples/evaluate.ipynb", tmp_path
    )
    assert collection == (
        "Collection('capitals', 3 languages, 36 queries, 36 passages)\n"
        "{'mono': 3, 'cross': 6, 'multi': 3}\n"
    )
    assert "'de:Oslo': 1, 'en:Oslo': 1, 'es:Oslo': 1" in example
    assert "<th>multilingual</th>" in table
    rows = [line.split() for line in matrix.splitlines()]
    assert rows[0] == ["de", "en", "es"]
    assert rows[2][0] == "en"
    assert float(rows[2][2]) > 0.9  # English, which the model knows
    assert [line.split(":")[0] for line in comparison.splitlines()] == ["mono", "cross", "multi"]
    assert files.splitlines() == [
        "['per_query.parquet', 'results.json', 'timing.json']",
        "Results('MiniLM' on 'capitals': mono, cross, multi)",
    ]


def test_train_notebook(tmp_path: Path) -> None:
    pairs, _, counts, _, results, comparison = run_notebook(ROOT / "examples/train.ipynb", tmp_path)
    assert pairs == "('de', 'en', 'es') True\n"
    kinds, languages = counts.splitlines()
    assert kinds == "['cross-rows', 'mono']"
    assert len(re.findall(r"\w\w-\w\w", languages)) == 9
    values = {line.split()[0]: line.split()[2::2] for line in results.splitlines()}
    assert float(values["hybrid"][1]) > float(values["x-x-mono"][1])  # across languages
    assert "AP cross better p < 0.05" in comparison
    assert "RankDistance multi better p < 0.05" in comparison
