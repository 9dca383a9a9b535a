"""A starved machine: a command succeeds, or says in one line what it lacks; never a traceback.

The long form starves every command in every way, the short form each in some ways.
"""

import json
import os
import re
import resource
import subprocess
import sys
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

import pytest

import beir_hybrid as bh
from tests.boards import build_capitals, evaluate_system
from tests.hard.effort import IS_LONG
from tests.models import static_model
from tests.test_failures import _mount, mount_disk
from tests.training_run import make_groups

pytestmark = pytest.mark.hard

ROOT = Path(__file__).parents[2]
GIB = 1 << 30
# {} stands for the folder of sound inputs; what is written goes to the working folder, or to /out.
COMMANDS = {
    "list": "datasets list",
    "fetch": "datasets fetch jsonl -o path={}/data/capitals.jsonl",
    "export": "datasets export jsonl OUT/exported -o path={}/data/capitals.jsonl",
    "evaluate": "evaluate {}/model --dataset jsonl -o path={}/data/capitals.jsonl"
    " --output OUT/results --runs",
    "evaluate runs": "evaluate --run {}/runs-one/en-all.trec --dataset jsonl"
    " -o path={}/data/capitals.jsonl --json",
    "index": "index {}/model --dataset jsonl -o path={}/data/capitals.jsonl --output OUT/index",
    "train": "train {}/model --train {}/groups.jsonl --output OUT/trained --max-steps 2"
    " --per-device-train-batch-size 4 --use-cpu",
    "compare": "compare {}/one {}/two",
    "reproduce": "reproduce {}/one",
    "leaderboard": "leaderboard {}/one {}/two --output OUT/site",
}


@dataclass(frozen=True)
class Starvation:
    """What a process lacks: variables, a shell's words before the command, limits, a disk."""

    environment: dict[str, str] = field(default_factory=dict)
    script: str = 'exec "$@"'
    limits: dict[int, int] = field(default_factory=dict)
    disk: str = ""  # options of a small disk for the working folder

    def apply_limits(self) -> None:
        """Set the limits, in the process to be."""
        for number, value in self.limits.items():
            resource.setrlimit(number, (value, value))


STARVATIONS = {
    "no home": Starvation(),
    "ASCII": Starvation(
        {"PYTHONIOENCODING": "ascii", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    ),
    "deleted folder": Starvation(script='mkdir gone; cd gone; rmdir ../gone; exec "$@"'),
    "full stdout": Starvation(script='exec "$@" >/dev/full'),
    "closed stdout": Starvation(script='exec "$@" >&-'),
    "closed stderr": Starvation(script='exec "$@" 2>&-'),
    "few open files": Starvation(limits={resource.RLIMIT_NOFILE: 20}),
    "some open files": Starvation(limits={resource.RLIMIT_NOFILE: 64}),
    "little memory": Starvation(limits={resource.RLIMIT_AS: GIB}),
    "some memory": Starvation(limits={resource.RLIMIT_AS: 4 * GIB}),
    "small files": Starvation(limits={resource.RLIMIT_FSIZE: 6000}),
    "full disk": Starvation(disk="size=64k"),
    "read-only disk": Starvation(disk="ro"),
}
PAIRS = list(product(COMMANDS, STARVATIONS))


@pytest.fixture(scope="module")
def pantry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder of sound inputs."""
    folder = tmp_path_factory.mktemp("pantry")
    (folder / "data").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BEIR_HYBRID_CACHE", str(folder / "cache"))
        capitals = build_capitals(folder / "data")
        for name, number in (("one", 1), ("two", 2)):
            runs = folder / f"runs-{name}"
            evaluate_system(name, capitals, failures=[("en", number)], runs=runs)
            bh.evaluate_runs(runs / "en-all.trec", capitals, name=name).save(folder / name)
    static_model().save_pretrained(str(folder / "model"))
    lines = "".join(f"{json.dumps(group)}\n" for group in make_groups(20))
    (folder / "groups.jsonl").write_text(lines, "utf-8")
    return folder


def run(
    line: str, pantry: Path, folder: Path, starvation: Starvation
) -> subprocess.CompletedProcess[bytes]:
    """Run a command with nothing in its environment but what is named."""
    words = line.replace("{}", str(pantry)).replace("OUT/", f"{folder}/").split()
    command = [sys.executable, "-m", "beir_hybrid", *words]
    environment = {
        "PYTHONPATH": str(ROOT),
        "XDG_CACHE_HOME": str(folder / "cache"),
        "OMP_NUM_THREADS": "1",
        # Python would leave half of a compiled module where files have to be small.
        "PYTHONDONTWRITEBYTECODE": "1",
        "PATH": os.environ["PATH"],
    }
    return subprocess.run(
        ["/bin/sh", "-c", starvation.script, "sh", *command],
        cwd=folder,
        env=environment | starvation.environment,
        capture_output=True,
        check=False,
        preexec_fn=starvation.apply_limits,
    )


def is_chosen(number: int) -> bool:
    """Return whether the short form tries a pair: each command in two ways or three."""
    return IS_LONG or number % 5 == 0


@pytest.mark.parametrize(
    ("command", "starvation"),
    [pair for number, pair in enumerate(PAIRS) if is_chosen(number)],
)
def test_a_starved_command_says_so_in_one_line(
    command: str, starvation: str, pantry: Path, tmp_path: Path
) -> None:
    hunger, folder = STARVATIONS[starvation], tmp_path / "work"
    if hunger.disk:
        with mount_disk(folder, "64k"):
            if hunger.disk == "ro":
                _mount("-o", "remount,ro", str(folder))
            process = run(COMMANDS[command], pantry, folder, hunger)
    else:
        folder.mkdir()
        process = run(COMMANDS[command], pantry, folder, hunger)
    assert_plain(process)
    if (
        process.returncode and not hunger.disk
    ):  # what the starved command has left does not hinder the next
        process = run(COMMANDS[command], pantry, folder, Starvation())
        assert process.returncode == 0, process.stderr.decode()


def assert_plain(process: subprocess.CompletedProcess[bytes]) -> None:
    """Assert that a command succeeded, or ended with a line that says what a user can do."""
    error = process.stderr.decode()
    assert process.returncode in (0, 1, 2), error
    assert "Traceback" not in error
    assert "this is a fault" not in error
    if process.returncode and error:
        assert re.match(r"\w+: \S", error.splitlines()[-1]), error
