"""Each room imports only from the rooms above it, and importing the package costs little."""

import ast
import subprocess
import sys
import time
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
    "images",
    "fetch",
    "collection",
    "sources",
    "encoding",
    "retrieval",
    "measures",
    "results",
    "evaluation",
    "pairs",
    "batches",
    "training",
    "pyserini",
    "beir",
    "report",
    "extras",
    "cli",
    "__main__",
]


def imports(source: str) -> set[str]:
    """Return the rooms that a module's source imports, wherever in it the imports stand."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.level:
            raise AssertionError("relative imports are not used here")
        if isinstance(node, ast.ImportFrom) and node.module == "beir_hybrid":
            found |= {alias.name for alias in node.names}
        else:
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            found |= {name.split(".")[1] for name in names if name.startswith("beir_hybrid.")}
    return found


def test_every_arrow_between_rooms_points_up() -> None:
    wrong = []
    for path in ROOT.rglob("*.py"):
        room = path.relative_to(ROOT).parts[0].removesuffix(".py")
        if room == "__init__":
            continue
        above = ROOMS[: ROOMS.index(room) + 1]
        wrong += [f"{path.name} -> {other}" for other in imports(path.read_text()) - set(above)]
    assert wrong == []


def test_an_arrow_that_points_down_is_found() -> None:
    source = "def f():\n    from beir_hybrid.cli import app\n    import beir_hybrid.sources.spec"
    assert imports(source) == {"cli", "sources"}


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
    done = subprocess.run(
        [sys.executable, "-c", f"{report}; {code}"], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1].strip() == ""
    # Half a second is what people get; a busy machine gets more chances to show it.
    for _ in range(8):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
        if (seconds := time.perf_counter() - started) < 0.5:
            break
    assert seconds < 0.5


def test_public_names_resolve_and_are_listed_once() -> None:
    for name in beir_hybrid.__all__:
        assert getattr(beir_hybrid, name) is not None
    assert len(set(beir_hybrid.__all__)) == len(beir_hybrid.__all__)
    assert set(beir_hybrid.__all__) == set(dir(beir_hybrid))
    with pytest.raises(AttributeError, match="no attribute 'lode'"):
        beir_hybrid.lode  # noqa: B018
