"""`compare` and `plot`; JSON output, colours and completion of all commands.

The values of the systems are worked out in `tests.test_tables`.
"""

import csv
import io
import json
import os
import pty
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ir_measures import RR

import beir_hybrid as bh
from beir_hybrid.pyserini.index import build_index
from tests import image_boards
from tests.test_cli import PROGRAM, jsonl_file, run_program  # noqa: F401 - a fixture
from tests.test_cli_evaluate import (  # noqa: F401 - fixtures
    RunCli,
    data_options,
    model_folder,
    run_cli,
)
from tests.test_compare import evaluate_system, make_collection
from tests.test_tables import ALL_QUERIES, CORRECT_QUERIES, P
from tests.test_train import save_model

COLOUR = re.compile(r"\x1b\[[\d;]*\b(3\d|4\d|9\d|10\d)\b[\d;]*m")


@pytest.fixture(scope="module")
def result_folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder of three systems' results, each in a folder of its own."""
    folder, collection = tmp_path_factory.mktemp("results"), make_collection(n=12)
    for name, right in CORRECT_QUERIES.items():
        evaluate_system(collection, right, f"m_{name}").save(folder / name)
    return folder


def pick_folders(three: Path, *names: str) -> list[Path]:
    return [three / name for name in names or ("best", "twin", "worst")]


def test_compare_prints_tables_of_the_terminal_width(result_folders: Path) -> None:
    outcome = run_program("compare", *pick_folders(result_folders), "--baseline", "m_worst")
    assert (outcome.returncode, outcome.stderr) == (0, "")
    assert max(map(len, outcome.stdout.splitlines())) <= 80
    assert "\x1b" not in outcome.stdout
    rows = [" ".join(line.split()) for line in outcome.stdout.splitlines()]
    assert "m_twin .9618† (1) .9618† (1) .9601† (1) 1.0000 (1)" in rows
    assert "RR mono .9618 +.8785 [+.8021, +.9167] .0029† +6.64" in rows
    # A folder names a system as well, and t is another test.
    t_outcome = run_program(
        "compare",
        *pick_folders(result_folders),
        "--baseline",
        result_folders / "worst",
        "--test",
        "t",
    )
    assert "m_twin less m_worst, the baseline" in t_outcome.stdout
    assert "t test over queries" in " ".join(t_outcome.stdout.split())


def test_compare_by_setting_and_measure(result_folders: Path) -> None:
    outcome = run_program(
        "compare",
        *pick_folders(result_folders, "twin", "worst"),
        "--by",
        "setting",
        "--measures",
        "RR",
        "--format",
        "csv",
    )
    rows = list(csv.DictReader(io.StringIO(outcome.stdout)))
    assert [(row["queries"], row["passages"]) for row in rows] == [
        *(("de", "de"), ("en", "en"), ("de", "en"), ("en", "de"), ("de", "all"), ("en", "all")),
    ]
    assert [float(row["p"]) for row in rows] == pytest.approx([2 * P, P] * 3)
    # Three of six comparisons have each p: 6 * P, and no more for those behind.
    assert [float(row["p_holm"]) for row in rows] == pytest.approx([6 * P] * 6)


@pytest.mark.parametrize(
    ("name", "start"),
    [
        ("x.tex", "% In the preamble: \\usepackage{booktabs}\n\\begin{table}"),
        ("x.md", "**3 systems on parallel**\n\n| system | RR Mo |"),
        ("x.csv", "system,baseline,measure,kind,"),
        ("x.json", '{\n "collection": "parallel",'),
        ("x.txt", "3 systems on parallel\nsystem"),
    ],
)
def test_compare_writes_the_format_of_the_suffix(
    result_folders: Path,
    tmp_path: Path,
    run_cli: RunCli,  # noqa: F811
    name: str,
    start: str,
) -> None:
    path = tmp_path / "new" / name
    outcome = run_cli("compare", *pick_folders(result_folders), "--output", path)
    assert outcome == (0, f"saved in {path}\n", "")
    assert path.read_text("utf-8").startswith(start)
    assert [sibling.name for sibling in path.parent.iterdir()] == [name]
    run_cli("compare", *pick_folders(result_folders), "--output", path, "--format", "markdown")
    assert path.read_text("utf-8").startswith("**3 systems")
    for text in ("notes", "system,points\na,1\n", '{"collection": "mine"}', "3 systems of mine"):
        path.write_text(text, "utf-8")
        outcome = run_cli("compare", *pick_folders(result_folders), "--output", path)
        message = f"{path} holds no comparison; name another file, or remove this one"
        assert outcome == (2, "", f"BadOption: {message}\n")
        assert path.read_text("utf-8") == text


def test_systems_with_equal_names_are_named_by_folders(tmp_path: Path) -> None:
    collection = make_collection()
    for folder, right in (("a", ALL_QUERIES), ("b", set[tuple[str, int]]())):
        evaluate_system(collection, right, "same", [RR]).save(tmp_path / folder)
    outcome = run_program("compare", tmp_path / "a", tmp_path / "b", "--json")
    stored = json.loads(outcome.stdout)
    assert [entry["system"] for entry in stored["systems"]] == ["a", "b"]
    shutil.copytree(tmp_path / "b", tmp_path / "deep" / "a")
    outcome = run_program("compare", tmp_path / "a", tmp_path / "deep" / "a", "--json")
    stored = json.loads(outcome.stdout)
    assert [entry["system"] for entry in stored["systems"]] == [
        f"{tmp_path}/a",
        f"{tmp_path}/deep/a",
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("compare RES/best", "BadOption: compare takes two folders of results or more"),
        ("compare RES/best RES/twin/../best", "BadOption: RES/twin/../best is named twice"),
        ("compare RES/best RES", "BadData: RES holds no results: it lacks results.json"),
        (
            "compare RES/best OTHER",
            "BadData: results are compared on one collection, but its name differs: o and parallel",
        ),
        (
            "compare RES/best RES/twin --baseline m_bets",
            "UnknownName: no system 'm_bets'; did you mean 'm_best'?",
        ),
        (
            "compare RES/best RES/twin --format latx",
            "UnknownName: no format 'latx'; did you mean 'latex'?",
        ),
        (
            "compare RES/best RES/twin --by kinds",
            "UnknownName: no way to compare 'kinds'; did you mean 'kind'?",
        ),
        (
            "compare RES/best RES/twin --test u",
            "UnknownName: no test 'u'; there are randomisation, t",
        ),
        (
            "compare RES/best RES/twin --measures AP",
            "UnknownName: no measure of both results 'AP'; there are R@1, RR, RankDistance",
        ),
        (
            "compare RES/best RES/twin --json --format csv",
            "BadOption: name --json or --format csv, not both",
        ),
        (
            "plot matrx RES/best --output x.svg",
            "UnknownName: no plot 'matrx'; did you mean 'matrix'?",
        ),
        (
            "plot matrix RES/best --output x.jpg",
            "BadOption: a plot's file ends in .svg, .png, .pdf, not as 'x.jpg' does",
        ),
        (
            "plot bias RES/best RES/twin --output x.svg",
            "BadOption: bias takes 1 folder of results, not 2",
        ),
        (
            "plot bias RES/best --one-target --output x.svg",
            "BadOption: --one-target is an option of matrix",
        ),
        (
            "plot bias RES/best --measure RR --output x.svg",
            "BadOption: bias shows the measures of bias; leave --measure out",
        ),
        (
            "plot matrix RES/best --bias PEER --output x.svg",
            "BadOption: --bias is an option of scatter",
        ),
        (
            "plot matrix RES/best --output x.svg",
            "UnknownName: no measure of these results 'AP'; there are R@1, RR, RankDistance",
        ),
        ("plot matrix RES/best", "Usage: Missing option '--output'. See beir-hybrid plot --help"),
    ],
)
def test_conflicting_options(
    result_folders: Path,
    tmp_path: Path,
    run_cli: RunCli,  # noqa: F811
    line: str,
    message: str,
) -> None:
    if "OTHER" in line:
        evaluate_system(make_collection(name="o"), ALL_QUERIES, "o").save(tmp_path / "o")
    places = {"RES": str(result_folders), "OTHER": str(tmp_path / "o")}
    words = [re.sub("RES|OTHER", lambda name: places[name[0]], word) for word in line.split()]
    outcome = run_cli(*words)
    assert outcome == (2, "", f"{message.replace('RES', str(result_folders))}\n")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("matrix twin", {"m_twin", "RR on parallel", ".9236"}),
        ("matrix best twin", {"m_best less m_twin", "+.0764"}),
        ("languages twin", {"m_twin", ".9203"}),
        ("scatter best twin worst", {"m_best", "m_twin", "m_worst"}),
    ],
)
def test_plot(
    result_folders: Path,
    tmp_path: Path,
    run_cli: RunCli,  # noqa: F811
    line: str,
    words: set[str],
) -> None:
    kind, *names = line.split()
    path = tmp_path / "x.svg"
    outcome = run_cli(
        "plot", kind, *pick_folders(result_folders, *names), "--measure", "RR", "--output", path
    )
    assert outcome == (0, f"saved in {path}\n", "")
    assert words <= set(re.findall(r"<text[^>]*>([^<]*)</text>", path.read_text("utf-8")))


def test_plot_of_images(tmp_path: Path, run_cli: RunCli) -> None:  # noqa: F811
    collection = image_boards.load_squares(image_boards.write_squares(tmp_path / "squares"))
    image_boards.evaluate_image_system("m", collection, failures=[("de", 0)]).save(tmp_path / "m")
    path = tmp_path / "x.svg"
    outcome = run_cli("plot", "matrix", tmp_path / "m", "--output", path)
    assert outcome == (0, f"saved in {path}\n", "")
    words = re.findall(r"<text[^>]*>([^<]*)</text>", path.read_text("utf-8"))
    assert words.count("images") == 2  # a row and a column
    assert words.count("English (en)") == words.count("en") == 1
    assert "image" not in words
    # In Arabic, in English and among images, one of 12 German captions ranks its own last of 12.
    assert words.count(".9236") == 3


def test_plot_of_bias_as_png(tmp_path: Path) -> None:
    measures = [RR, bh.LanguagePreference]
    evaluate_system(make_collection(), ALL_QUERIES, "m", measures).save(tmp_path / "m")
    outcome = run_program("plot", "bias", tmp_path / "m", "--output", tmp_path / "x.png")
    assert outcome.stdout == f"saved in {tmp_path}/x.png\n"
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")


def test_json_of_datasets(jsonl_file: Path) -> None:  # noqa: F811
    entries = json.loads(run_program("datasets", "list", "--json").stdout)
    assert [entry["name"] for entry in entries] == sorted(bh.datasets())
    page = json.loads(run_program("datasets", "show", "mlqa-r", "--json").stdout)
    assert page in entries
    assert page["languages"] == ["ar", "de", "en", "es", "hi", "vi", "zh"]
    assert "CC BY-NC 4.0" in page["licence"]
    outcome = run_program("datasets", "fetch", "jsonl", "-o", f"path={jsonl_file}", "--json")
    assert json.loads(outcome.stdout) == {
        "name": "jsonl",
        "languages": {
            "de": {"queries": 1, "passages": 1},
            "en": {"queries": 1, "passages": 1},
            "tr": {"queries": 0, "passages": 1},
        },
        "caveat": "",
    }


def test_json_of_an_evaluation_is_the_only_output(
    model_folder: Path,  # noqa: F811
    data_options: list[str],  # noqa: F811
    tmp_path: Path,
) -> None:
    out = tmp_path / "out"
    line = ["--measures", "AP RankDistance", "--output", str(out), "--json", "--name", "ä"]
    outcome = run_program("evaluate", model_folder, *data_options, *line)
    # No bars, no warnings: only what is said of the values and the files.
    note = (
        "note: no prompts\nnote: multi: for 3 queries a relevant passage has the score of another "
        "one, and ids decide their order"
    )
    assert (outcome.returncode, outcome.stderr) == (0, f"{note}\nsaved in {out}\n")
    assert outcome.stdout.isascii()
    printed_json = json.loads(outcome.stdout)
    stored = json.loads((out / "results.json").read_text("utf-8"))
    assert (printed_json["model"], printed_json["collection"]) == ("ä", "mine")
    assert (printed_json["summary"], printed_json["settings"]) == (
        stored["summary"],
        stored["settings"],
    )
    # Worked out in `tests.test_cli_evaluate`.
    assert printed_json["summary"]["multi"]["AP"]["mean"] == pytest.approx((0.875 + 11 / 12) / 2)


def test_json_of_a_search(
    model_folder: Path,  # noqa: F811
    data_options: list[str],  # noqa: F811
    tmp_path: Path,
    run_cli: RunCli,  # noqa: F811
) -> None:
    collection = bh.load("jsonl", path=data_options[-1].removeprefix("path="))
    folder = build_index(str(model_folder), collection, tmp_path / "index")
    outcome = run_cli("search", folder, "w1", "-k", "2", "--json")
    assert (outcome.code, outcome.err) == (0, "")
    about: dict[str, Any] = {"rank": 1, "lang": "en", "id": "en:p1", "text": "w1", "gold": True}
    printed_json = json.loads(outcome.out)
    assert printed_json["hits"][0] == about | {"score": pytest.approx(1)}
    assert printed_json["hits"][1]["score"] == pytest.approx(3**-0.5)
    assert printed_json["relevant"] == 2


def test_json_of_bm25(data_options: list[str], run_cli: RunCli) -> None:  # noqa: F811
    pytest.importorskip("pyserini", reason="BM25 needs it: the extra 'pyserini'")
    outcome = run_cli("bm25", *data_options, "--measures", "AP", "--json")
    assert outcome.code == 0
    # Worked out in `tests.test_bm25`.
    assert json.loads(outcome.out)["summary"]["cross"]["AP"]["mean"] == 0.25


@pytest.mark.usefixtures("mirror")
def test_json_of_an_ablation(tmp_path: Path, run_cli: RunCli) -> None:  # noqa: F811
    outcome = run_cli(
        "ablate", save_model(tmp_path / "start"), "--train", "mlqa-r", "--languages", "de,es",
        "--test", "mlqa-r", "--test-languages", "es,vi", "--strategy", "x-x-mono", "--seed", 4,
        "--max-steps", 1, "--per-device-train-batch-size", 4, "--use-cpu", "true",
        "--output", tmp_path / "out", "--json",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    (trial,) = json.loads(outcome.out)
    assert (trial["strategy"], trial["seed"], trial["collection"]) == ("x-x-mono", 4, "mlqa-r")
    folder = tmp_path / "out" / "results" / "mlqa-r" / "x-x-mono-4"
    assert trial["summary"] == json.loads((folder / "results.json").read_text())["summary"]
    assert outcome.err.endswith(f"saved in {tmp_path / 'out'}\n")


def test_an_error_with_json_is_one_line() -> None:
    outcome = run_program("datasets", "show", "xquadr", "--json")
    assert (outcome.returncode, outcome.stdout) == (2, "")
    assert outcome.stderr == "UnknownName: no dataset 'xquadr'; did you mean 'xquad-r'?\n"


def run_in_terminal(*arguments: str | Path, **env: str) -> str:
    """Run a command in a terminal of its own, and return what it shows there."""
    ours, theirs = pty.openpty()
    base = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    running = subprocess.Popen(
        [PROGRAM, *arguments],
        env=base | {"COLUMNS": "80", "TERM": "xterm-256color"} | env,
        stdin=theirs, stdout=theirs, stderr=theirs,
    )  # fmt: skip
    os.close(theirs)
    output = b""
    while True:
        try:
            part = os.read(ours, 4096)
        except OSError:  # how a terminal says that all have left it
            break
        if not part:
            break
        output += part
    os.close(ours)
    assert running.wait() == 0
    return output.decode()


@pytest.mark.parametrize("line", ["--help", "datasets list", "compare"])
def test_no_color(result_folders: Path, line: str) -> None:
    words = line.split() + [
        str(folder) for folder in pick_folders(result_folders) if line == "compare"
    ]
    plain, coloured = run_in_terminal(*words, NO_COLOR="1"), run_in_terminal(*words)
    assert not COLOUR.search(plain)
    assert bool(COLOUR.search(coloured)) == (line == "--help")
    # Bold is no colour.
    assert "\x1b[1m" in plain
    piped = run_program(*words)
    assert "\x1b" not in piped.stdout
    assert piped.stderr == ""


def complete_line(shell_line: str) -> list[str]:
    """Return what bash is told to offer for the last word of a line."""
    words = shell_line.split(" ")
    outcome = subprocess.run(
        [PROGRAM],
        env=os.environ
        | {
            "_BEIR_HYBRID_COMPLETE": "complete_bash",
            "COMP_WORDS": " ".join(words),
            "COMP_CWORD": str(len(words) - 1),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert outcome.stderr == ""
    return outcome.stdout.split()


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("beir-hybrid comp", ["compare"]),
        ("beir-hybrid datasets show ml", ["mlqa-r"]),
        ("beir-hybrid evaluate m --dataset xq", ["xquad-r", "xquad"]),
        ("beir-hybrid train m --train mir", ["miracl"]),
        ("beir-hybrid train m --strategy hy", ["hybrid", "hybrid-image"]),
        ("beir-hybrid ablate m --strategy x-x-", ["x-x-mono"]),
        ("beir-hybrid ablate m --test ml", ["mlqa-r"]),
        ("beir-hybrid compare a b --format l", ["latex"]),
        ("beir-hybrid compare a b --json --format m", ["markdown"]),
        ("beir-hybrid compare a b --by s", ["setting"]),
        ("beir-hybrid plot sc", ["scatter"]),
    ],
)
def test_a_shell_completes(line: str, offered: list[str]) -> None:
    assert complete_line(line) == offered


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_shown_and_installed(shell: str, tmp_path: Path) -> None:
    quiet = {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1", "HOME": str(tmp_path)}
    script = run_program("--show-completion", shell, **quiet)
    assert (script.returncode, script.stderr) == (0, "")
    assert "_BEIR_HYBRID_COMPLETE" in script.stdout
    outcome = run_program("--install-completion", shell, **quiet)
    assert (outcome.returncode, outcome.stderr) == (0, "")
    files = [path.read_text() for path in tmp_path.rglob("*") if path.is_file()]
    assert any(script.stdout.strip() in text for text in files)


def test_help_lists_compare_and_plot() -> None:
    outcome = subprocess.run([sys.executable, "-m", "beir_hybrid", "--help"], capture_output=True,
                          text=True, check=True)  # fmt: skip
    assert re.search(r"│ compare\s+Compare systems", outcome.stdout)
    assert re.search(r"│ plot\s+Plot results", outcome.stdout)
