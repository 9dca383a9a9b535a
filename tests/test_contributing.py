"""What CONTRIBUTING.md says of adding things is enough: done as it says, each is there."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.pages import ROOT, check_output, read_blocks

_PLACE = re.compile(
    r"# (beir_hybrid/\S+), (a new file|above|below|instead of)(?:: ([^\n]*))?\n(.*)", re.DOTALL
)


def put(place: re.Match[str], folder: Path) -> None:
    """Put the lines of a block where it says."""
    path, how, line, code = folder / place[1], place[2], place[3], place[4]
    if how == "a new file":
        assert not path.exists()
        path.write_text(code, "utf-8")
        return
    text = path.read_text("utf-8")
    assert text.count(f"\n{line}\n") == 1, line
    replacement = {"above": f"{code}\n\n{line}\n", "below": f"{line}\n{code}", "instead of": code}
    path.write_text(text.replace(f"\n{line}\n", f"\n{replacement[how]}"), "utf-8")


def test_things_are_added_as_the_page_says(tmp_path: Path) -> None:
    ours = ROOT / "beir_hybrid"
    shutil.copytree(ours, tmp_path / ours.name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    used, places = [], []
    for block in read_blocks(ROOT / "CONTRIBUTING.md"):
        if block.language == "python":
            place = _PLACE.match(block.code)
            if place:
                put(place, tmp_path)
                places.append(place[1].removeprefix("beir_hybrid/").partition("/")[0])
            else:
                used.append(block)
    assert set(places) == {"sources", "batches", "measures", "retrieval", "encoding", "report"}
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(block.code for block in used)],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    check_output("".join(block.expected for block in used), done.stdout)

    for command in (["check"], ["format", "--check"]):
        subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--no-cache", ours.name],
            cwd=tmp_path,
            check=True,
        )


def test_examples_are_short() -> None:
    """Some ten lines each, a dataset with its texts twice as many."""
    for block in read_blocks(ROOT / "CONTRIBUTING.md"):
        assert len([line for line in block.code.splitlines() if line]) <= 30, block.code


def test_the_table_of_packages_is_that_of_the_tests() -> None:
    from tests.test_rooms import ROOMS

    page = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    text = page.split("## Packages and their order")[1].split("\n## ")[0]
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    named = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    assert set(ROOMS) - {"__main__"} <= set(named)
    ordered = [name for name in named if name in ROOMS]
    assert ordered == [name for name in ROOMS if name in named]
