"""Names and docstrings of the package are plain: verbs and nouns of the field, short functions."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import beir_hybrid

ROOT = Path(beir_hybrid.__file__).parent
MODULES = sorted(ROOT.rglob("*.py"))
MAX_LINES, MAX_FUNCTION_LINES, MAX_PARAMETERS = 300, 40, 8
# Participles, pronouns, prepositions and the like: they do not say what a variable holds.
VAGUE = frozenset((
    "above", "across", "after", "again", "among", "another", "answered", "answering", "apart",
    "aside", "asked", "at", "back", "before", "below", "between", "both", "called", "checked",
    "chosen", "compared", "counted", "decoded", "done", "drawn", "each", "every", "few", "fitted",
    "flipped", "found", "gathered", "given", "gone", "held", "here", "it", "joined", "judged",
    "kept", "known", "lasting", "listed", "lost", "made", "many", "merged", "mine", "more",
    "named", "needed", "none", "of", "one", "ones", "only", "opened", "other", "others", "ours",
    "own", "packed", "parsed", "placed", "ranked", "scored", "seen", "several", "shown", "some",
    "spare", "suited", "taken", "that", "theirs", "them", "there", "these", "this", "those",
    "together", "told", "trained", "unfit", "used", "wanted", "what", "where", "which", "who",
    "whole", "widened", "wider", "written",
))  # fmt: skip
# The noun that such a sentence leans on is somewhere else.
LEANING = re.compile(r"\b(what|it|them|that which|those that)\b")
TURNING = re.compile(r"\bin[,;:.].*\bout\b", re.DOTALL)


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def find_functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def find_names(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield the lines and names of variables, attributes, parameters, functions and classes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.attr
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.lineno, node.name


def get_first_paragraph(node: ast.Module | ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    return (ast.get_docstring(node) or "").split("\n\n")[0]


def count_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Count the lines of a function without its docstring."""
    docstring = ast.get_docstring(function, clean=False)
    lines = (function.end_lineno or 0) - function.lineno + 1
    return lines - (docstring.count("\n") + 1 if docstring else 0)


def has_reason(path: Path, function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Return True if a comment stands directly above a function."""
    first = min([function.lineno, *(node.lineno for node in function.decorator_list)])
    return path.read_text("utf-8").splitlines()[first - 2].lstrip().startswith("#")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_names_and_docstrings(path: Path) -> None:
    tree = parse(path)
    assert [place for place in find_names(tree) if place[1].strip("_") in VAGUE] == []
    assert not TURNING.search(get_first_paragraph(tree))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_sizes(path: Path) -> None:
    assert path.read_text("utf-8").count("\n") <= MAX_LINES
    for function in find_functions(parse(path)):
        if count_lines(function) > MAX_FUNCTION_LINES:
            assert has_reason(path, function), function.name
        arguments = function.args
        parameters = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        names = [parameter.arg for parameter in parameters if parameter.arg not in ("self", "cls")]
        assert len(names) <= MAX_PARAMETERS, function.name


def test_first_lines_of_docstrings_name_their_object() -> None:
    lines = [
        get_first_paragraph(function).split("\n")[0]
        for path in MODULES
        for function in find_functions(parse(path))
        if ast.get_docstring(function)
    ]
    assert sum(bool(LEANING.search(line)) for line in lines) < 0.06 * len(lines)


def test_any_is_rare() -> None:
    """Parameters of type Any stand at the borders to libraries without types."""
    types = [
        ast.unparse(argument.annotation)
        for path in MODULES
        for function in find_functions(parse(path))
        for argument in ast.walk(function.args)
        if isinstance(argument, ast.arg) and argument.annotation is not None
    ]
    assert sum("Any" in name for name in types) < 0.05 * len(types)
