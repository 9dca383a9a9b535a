"""The command line: readable tables, one line for an error, and exit codes."""

import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from beir_hybrid import read_folder
from beir_hybrid.sources import registry

PROGRAM = Path(sys.executable).with_name("beir-hybrid")


def run_program(*arguments: str | Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [PROGRAM, *arguments],
        env=os.environ | {"COLUMNS": "80"} | env,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def jsonl_file(tmp_path: Path) -> Path:
    """Give a file of parallel texts in three languages."""
    path = tmp_path / "mine.jsonl"
    path.write_text(
        '{"passage": "p", "text": {"en": "She.", "de": "Sie.", "tr": "O."}}\n'
        '{"query": "q", "text": {"en": "Who?", "de": "Wer?"}, "relevant": ["p"]}\n',
        "utf-8",
    )
    return path


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--nope", "Usage: No such option: --nope See beir-hybrid --help"),
        (
            "datasets shw",
            "Usage: No such command 'shw'. Did you mean 'show'? See beir-hybrid datasets --help",
        ),
        (
            "datasets show",
            "Usage: Missing argument 'NAME'. See beir-hybrid datasets show --help",
        ),
        (
            "datasets show xquadr",
            "UnknownName: no dataset 'xquadr'; did you mean 'xquad-r'?",
        ),
        (
            "datasets fetch jsonl -o path",
            "BadOption: --option takes KEY=VALUE, not 'path'",
        ),
        (
            "datasets fetch xquad-r --languages ja",
            "UnknownName: no language of xquad-r is 'ja'; there are ar (Arabic), ",
        ),
        ("datasets fetch jsonl -o path=none.jsonl", "BadData: there is no file none.jsonl"),
        ("datasets show -- --debug", "UnknownName: no dataset '--debug'; there are "),
    ],
)
def test_errors_are_one_line_and_exit_code_2(line: str, message: str) -> None:
    outcome = run_program(*line.split(), COLUMNS="40")
    assert outcome.returncode == 2
    assert outcome.stdout == ""
    assert outcome.stderr.count("\n") == 1
    if message.endswith(" "):
        assert outcome.stderr.startswith(message)
    else:
        assert outcome.stderr == f"{message}\n"


@pytest.mark.parametrize("line", ["", "datasets"])
def test_no_command_prints_help_and_exit_code_2(line: str) -> None:
    outcome = run_program(*line.split())
    help_outcome = run_program(*line.split(), "--help")
    assert (outcome.returncode, help_outcome.returncode) == (2, 0)
    assert "Usage: beir-hybrid" in help_outcome.stdout
    assert (outcome.stdout + outcome.stderr).strip() == help_outcome.stdout.strip()


@pytest.mark.parametrize(
    "line",
    [
        "--debug datasets show xquadr",
        "datasets --debug show xquadr",
        "datasets show --debug xquadr",
        "datasets show xquadr --debug",
    ],
)
def test_debug_shows_the_traceback(line: str) -> None:
    outcome = run_program(*line.split())
    assert outcome.returncode == 2
    assert outcome.stderr.startswith("Traceback (most recent call last):\n")
    message = "UnknownName: no dataset 'xquadr'; did you mean 'xquad-r'?"
    assert outcome.stderr.splitlines()[-2:] == [f"beir_hybrid.errors.{message}", message]


NOISY = """
import logging, sys
from beir_hybrid.cli import app
try:
    app(sys.argv[1:], standalone_mode=False)
finally:
    logging.basicConfig()  # as some libraries do when they are imported
    logging.getLogger("beir_hybrid.sources").warning("ours")
    logging.getLogger("beir_hybrid.sources").debug("our detail")
    logging.getLogger("httpx").info("theirs")
    logging.getLogger("httpx").debug("their detail")
"""


@pytest.mark.parametrize(("debug", "log"), [([], "ours\n"), (["--debug"], "ours\nour detail\n")])
def test_only_our_log_is_shown(debug: list[str], log: str) -> None:
    outcome = subprocess.run(
        [sys.executable, "-c", NOISY, *debug, "datasets", "list"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert outcome.stderr == log


DATASETS = list(registry._import_ours())  # noqa: SLF001 - of the package alone; others are installed
assert {"xquad-r", "mlqa-r", "miracl", "jsonl"} < set(DATASETS)


@pytest.mark.parametrize("columns", ["40", "50", "120"])
def test_tables_fold_on_narrow_terminals(columns: str) -> None:
    listing = run_program("datasets", "list", COLUMNS=columns).stdout
    assert "…" not in listing
    assert max(map(len, listing.splitlines())) <= int(columns)
    assert [line.split()[0] for line in listing.splitlines() if not line.startswith(" ")] == [
        "name",
        *sorted(DATASETS),
    ]
    page = run_program("datasets", "show", "xquad-r", COLUMNS=columns).stdout
    assert max(map(len, page.splitlines())) <= int(columns)
    values = "".join(line[len("please cite  ") :].strip() for line in page.splitlines())
    assert "https://github.com/google-research-datasets/lareqa" in values
    typed = "passage_text=sentence|sentence+context(sentencebydefault)"
    assert typed in values.replace(" ", "")


def test_tables_in_a_pipe_are_not_folded() -> None:
    env = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    listing = subprocess.run(
        [PROGRAM, "datasets", "list"], env=env, capture_output=True, text=True, check=True
    )
    first, *lines = listing.stdout.splitlines()
    assert first.split() == ["name", "languages", "licence", "what", "it", "is"]
    assert [line.split()[0] for line in lines] == sorted(DATASETS)
    assert max(map(len, lines)) > 80
    summary = "your own parallel queries and passages, a file of JSON lines"
    assert ["jsonl", "your", "own", summary] in [line.rstrip().split(maxsplit=3) for line in lines]


@pytest.mark.parametrize(
    ("command", "usage"),
    [
        ("fuse", "fuse [OPTIONS] {RUN}..."),
        ("pyserini", "pyserini [OPTIONS] -- MODULE [ARGS]..."),
    ],
)
def test_help_shows_usage(command: str, usage: str) -> None:
    page = run_program(command, "--help", COLUMNS="120").stdout
    assert f"Usage: beir-hybrid {usage}" in " ".join(page.split())


@pytest.mark.parametrize(
    ("command", "names"),
    [("encode", {"MODEL", "--dataset"}), ("topics", {"--dataset", "--output"})],
)
def test_help_marks_required_options(command: str, names: set[str]) -> None:
    page = run_program(command, "--help", COLUMNS="160").stdout
    required_names = {line.split()[2] for line in page.splitlines() if line.startswith("│ * ")}
    assert required_names == names


MARKUP = """
from beir_hybrid.cli.printing import print_table
print_table(["name"], [["[bold]a[/bold] [/red] :smile:"]])
print_table([], [["[b]", "[link=x]y"]])
"""


def test_markup_in_cells_is_printed_unchanged() -> None:
    outcome = subprocess.run(
        [sys.executable, "-c", MARKUP], capture_output=True, text=True, check=True
    )
    lines = [line.rstrip() for line in outcome.stdout.splitlines()]
    assert lines == ["name", "[bold]a[/bold] [/red] :smile:", "[b]  [link=x]y"]


def test_fetch_prints_sizes(jsonl_file: Path) -> None:
    outcome = run_program("datasets", "fetch", "jsonl", "-o", f"path={jsonl_file}")
    assert (outcome.returncode, outcome.stderr) == (0, "")
    assert outcome.stdout.splitlines() == [
        "jsonl: 2 queries, 3 passages",
        "  de          1 queries            1 passages",
        "  en          1 queries            1 passages",
        "  tr          0 queries            1 passages",
    ]


def test_export_writes_one_setting(jsonl_file: Path, tmp_path: Path) -> None:
    sides = ["--queries", "en", "--passages", "deu,tr"]
    outcome = run_program(
        "datasets", "export", "jsonl", tmp_path / "out", *sides, "-o", f"path={jsonl_file}"
    )
    assert (outcome.returncode, outcome.stderr) == (0, "")
    assert outcome.stdout == f"{tmp_path / 'out'}: 1 query, 2 passages\n"
    assert read_folder(tmp_path / "out").view().to_beir() == (
        {"de:p": {"title": "", "text": "Sie."}, "tr:p": {"title": "", "text": "O."}},
        {"en:q:q": "Who?"},
        {"en:q:q": {"de:p": 1, "tr:p": 1}},
    )


@pytest.mark.usefixtures("mirror")
def test_export_fetches_only_the_languages_of_both_sides(tmp_path: Path) -> None:
    """Fetching from a mirror builds a collection of what was loaded, and of nothing else."""
    cache = tmp_path / "cache"
    sides = ["--queries", "en", "--passages", "de"]
    outcome = run_program(
        "datasets", "export", "xquad-r", tmp_path / "out", *sides, BEIR_HYBRID_CACHE=str(cache)
    )
    assert outcome.stdout == f"{tmp_path / 'out'}: 1,190 queries, 1,276 passages\n"
    file_names = {path.name for path in cache.glob("collections/*/*.arrow")}
    assert file_names == {
        *("judgements.arrow", "passages-de.arrow", "passages-en.arrow"),
        *("queries-de.arrow", "queries-en.arrow"),
    }
    origins = json.loads((tmp_path / "out" / "collection.json").read_text("utf-8"))["provenance"]
    assert {origin["file"].rsplit("/")[-1] for origin in origins} == {"en.json", "de.json"}


def test_the_version() -> None:
    outcome = run_program("--version")
    assert (outcome.returncode, outcome.stdout) == (0, f"beir-hybrid {version('beir-hybrid')}\n")


def test_languages_are_repeated_or_with_commas(jsonl_file: Path, tmp_path: Path) -> None:
    texts = []
    for languages in (["en,tr"], ["en", "tr"]):
        options = [word for code in languages for word in ("--passages", code)]
        folder = tmp_path / "-".join(languages)
        outcome = run_program(
            "datasets", "export", "jsonl", folder, *options, "-o", f"path={jsonl_file}"
        )
        assert (outcome.returncode, outcome.stderr) == (0, "")
        texts.append((folder / "corpus.jsonl").read_text("utf-8"))
    assert texts[0] == texts[1]
    assert [json.loads(line)["_id"] for line in texts[0].splitlines()] == ["en:p", "tr:p"]
