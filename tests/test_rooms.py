"""The order of the packages: imports point up and never in a circle, and importing is cheap."""

import ast
import resource
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from importlib import import_module
from pathlib import Path

import pytest

import beir_hybrid

ROOT = Path(beir_hybrid.__file__).parent
# From top to bottom; a module may import from its own room and from those before it.
ROOMS = [
    "errors",
    "text",
    "checks",
    "_version",
    "languages",
    "progress",
    "files",
    "records",
    "integrity",
    "array_files",
    "images",
    "network",
    "download",
    "hub",
    "collection",
    "sources",
    "encoding",
    "retrieval",
    "calibration",
    "measures",
    "results",
    "evaluation",
    "pairs",
    "curation",
    "batches",
    "training",
    "pyserini",
    "beir",
    "mteb",
    "report",
    "publication",
    "extras",
    "cli",
    "__main__",
]


def list_modules() -> dict[str, Path]:
    """Return the file of each module of the package; ``beir_hybrid`` is its `__init__`."""
    modules = {}
    for path in ROOT.rglob("*.py"):
        parts = path.relative_to(ROOT.parent).with_suffix("").parts
        modules[".".join(parts).removesuffix(".__init__")] = path
    return modules


MODULES = list_modules()


def list_imports(source: str) -> set[str]:
    """Return the modules of the package that a source imports, wherever the imports stand.

    `from package import name` imports the module `package.name` if there is one, else `package`.
    Imports that only type checkers see count, too.
    """
    imports = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            imports |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "relative imports are not used here"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            imports |= {name if name in MODULES else f"{node.module}" for name in names}
    return imports & MODULES.keys()


def find_room(module: str) -> str:
    """Return the room of a module; empty for the package itself."""
    return module.partition(".")[2].partition(".")[0]


def test_imports_are_found_wherever_they_stand() -> None:
    source = """
import numpy
import beir_hybrid
from beir_hybrid import errors
def f():
    from beir_hybrid import load
    from beir_hybrid.cli import datasets
    import beir_hybrid.sources.spec
if TYPE_CHECKING:
    from beir_hybrid.text import plural
"""
    assert list_imports(source) == {
        "beir_hybrid",
        "beir_hybrid.errors",
        "beir_hybrid.cli.datasets",
        "beir_hybrid.sources.spec",
        "beir_hybrid.text",
    }


def test_rooms_import_only_from_rooms_above() -> None:
    arrows = []
    for module, path in MODULES.items():
        if room := find_room(module):
            above = ROOMS[: ROOMS.index(room) + 1]
            # The whole package stands below all of its parts.
            arrows += [
                f"{module} -> {target}"
                for target in sorted(list_imports(path.read_text()))
                if find_room(target) not in above
            ]
    assert arrows == []


def test_only_the_command_line_imports_extras() -> None:
    importers = {
        find_room(module)
        for module, path in MODULES.items()
        if any(find_room(target) == "extras" for target in list_imports(path.read_text()))
    }
    assert importers <= {"", "cli", "__main__", "extras"}


def test_no_imports_go_in_a_circle() -> None:
    graph = {module: list_imports(path.read_text()) - {module} for module, path in MODULES.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"imports in a circle: {' <- '.join(error.args[1])}")


@pytest.mark.parametrize(
    "code",
    ["import beir_hybrid", "import sys; sys.argv = ['x', '--help']; import beir_hybrid.__main__"],
    ids=["import", "help"],
)
def test_importing_is_light(code: str) -> None:
    heavy = {"torch", "datasets", "faiss", "pyserini", "pyarrow", "pandas", "transformers"}
    report = (
        f"import atexit, sys; atexit.register(lambda: print('\\n', *({heavy} & set(sys.modules))))"
    )
    process = subprocess.run(
        [sys.executable, "-c", f"{report}; {code}"], capture_output=True, text=True, check=True
    )
    assert process.stdout.splitlines()[-1].strip() == ""
    # In seconds of the processor, and beside numpy in turns, since machines differ and may be busy.
    # torch alone takes ten times as long as numpy.
    turns = [(measure_cpu_seconds(code), measure_cpu_seconds("import numpy")) for _ in range(5)]
    seconds, numpy_seconds = map(min, zip(*turns, strict=True))
    assert seconds < 5 * numpy_seconds


def measure_cpu_seconds(code: str) -> float:
    """Return the seconds that processors work on a Python process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_public_names_resolve_and_are_listed_once() -> None:
    for name in beir_hybrid.__all__:
        assert getattr(beir_hybrid, name) is not None
    assert len(set(beir_hybrid.__all__)) == len(beir_hybrid.__all__)
    assert set(beir_hybrid.__all__) == set(dir(beir_hybrid))
    with pytest.raises(AttributeError, match="no attribute 'lode'"):
        beir_hybrid.lode  # noqa: B018


def test_type_checkers_see_the_same_public_names() -> None:
    tree = ast.parse((ROOT / "__init__.py").read_text())
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    modules = {
        alias.name: node.module
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert modules.keys() == set(beir_hybrid.__all__) - {"BeirHybridError", "__version__", "errors"}
    for name, module in modules.items():
        assert getattr(beir_hybrid, name) is getattr(import_module(f"{module}"), name)
