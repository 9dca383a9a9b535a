"""`beir-hybrid evaluate`, in this process, on vectors whose products can be worked out by hand.

A text is the sum of its words' unit vectors, cut to unit length. English: p1 "w1", p2 "w3", asked
"w1" and "w3"; German: p1 "w1 w2 w3", p2 "w4 w5", asked "w2" and "w4". Scores of 0 tie, and ties go
by descending id. So the relevant passages stand at

- mono: 1, 1 and 1, 1: AP 1
- cross: en-de 1, 2; de-en 2, 1: AP .75
- multi: en 1 2 and 1 4, AP 1 and .75; de 1 3 and 1 2, AP 5/6 and 1: on average .8958
"""

import importlib.metadata
import json
import logging
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer

import beir_hybrid as bh
from beir_hybrid.cli import main
from beir_hybrid.collection.setting import SETTING_KINDS
from tests.models import static_model
from tests.small_collections import write_parallel_words
from tests.test_rerank import make_cross_encoder

TEXTS = {
    "passages": {"en:p1": "w1", "en:p2": "w3", "de:p1": "w1 w2 w3", "de:p2": "w4 w5"},
    "queries": {"en:q:1": "w1", "en:q:2": "w3", "de:q:1": "w2", "de:q:2": "w4"},
}
AP = {"mono": 1.0, "cross": 0.75, "multi": (0.875 + 11 / 12) / 2}


class Outcome(NamedTuple):
    code: object
    out: str
    err: str


RunCli = Callable[..., Outcome]


@pytest.fixture
def run_cli(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[RunCli]:
    """Run a command line in this process, where torch has been imported already."""
    logger = logging.getLogger("beir_hybrid")
    before = logger.level, logger.handlers, logger.propagate
    monkeypatch.setenv("COLUMNS", "120")

    def run(*arguments: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["beir-hybrid", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            main()
        return Outcome(stop.value.code or 0, *capsys.readouterr())

    yield run
    logger.level, logger.handlers, logger.propagate = before


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the folder of a model in which each of the first words is a unit vector."""
    model = static_model(dim=16)
    with torch.no_grad():
        model.get_parameter("0.embedding.weight").copy_(torch.eye(401, 16))
    folder = tmp_path_factory.mktemp("models") / "units"
    model.save(str(folder))
    return folder


@pytest.fixture
def data_options(tmp_path: Path) -> list[str]:
    """Give the options that name the data."""
    lines = [
        {"passage": "p1", "text": {"en": "w1", "de": "w1 w2 w3"}},
        {"passage": "p2", "text": {"en": "w3", "de": "w4 w5"}},
        {"query": "1", "text": {"en": "w1", "de": "w2"}, "relevant": ["p1"]},
        {"query": "2", "text": {"en": "w3", "de": "w4"}, "relevant": ["p2"]},
    ]
    path = tmp_path / "mine.jsonl"
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines), "utf-8")
    return ["--dataset", "jsonl", "-o", f"path={path}"]


def read_figures(out: str, measure: str) -> list[str]:
    """Return the figures in a measure's row."""
    row = next(line for line in out.splitlines() if line.startswith(f"{measure} "))
    return re.findall(r"(\S+) ±", row)


def read_headings(outcome: Outcome) -> list[str]:
    """Return the headings of the columns."""
    return outcome.out.splitlines()[1].split()[1:]


def read_means(folder: Path, measure: str) -> dict[str, float]:
    summary = json.loads((folder / "results.json").read_text("utf-8"))["summary"]
    return {kind: row[measure]["mean"] for kind, row in summary.items() if measure in row}


def test_evaluate_prints_a_table_and_saves_results(
    run_cli: RunCli, model_folder: Path, data_options: list[str], tmp_path: Path
) -> None:
    out = tmp_path / "new" / "out"
    outcome = run_cli("evaluate", model_folder, *data_options, "--output", out, "--name", "mine")
    assert (outcome.code, outcome.err) == (0, "")
    lines = outcome.out.splitlines()
    assert lines[0] == "mine on mine: 2 languages, 4 queries, 4 passages, 6 settings"
    assert read_headings(outcome) == ["mono", "cross", "multi", "unbiased"]
    assert read_figures(outcome.out, "AP") == ["1.0000", ".7500", ".8958"]
    assert lines[-1] == f"saved in {out}"
    assert read_means(out, "AP") == pytest.approx(AP)
    assert bh.Results.load(out).model == "mine"
    assert not (out / "runs").exists()


def test_files_and_folders_in_place_of_a_dataset(
    run_cli: RunCli, model_folder: Path, data_options: list[str], tmp_path: Path
) -> None:
    path = data_options[-1].removeprefix("path=")
    folder = tmp_path / "folder"
    exported = run_cli("datasets", "export", path, folder, "--queries", "en", "--passages", "de")
    assert (exported.code, exported.err) == (0, "")
    tables = [
        run_cli("evaluate", model_folder, "--dataset", name, "--name", "x").out
        for name in (path, folder)
    ]
    assert tables[0] == run_cli("evaluate", model_folder, *data_options, "--name", "x").out
    assert "2 languages, 2 queries, 2 passages, 1 setting" in tables[1]
    missing = run_cli("evaluate", model_folder, "--dataset", tmp_path / "none.jsonl")
    assert missing.code == 2
    assert missing.err.startswith("UnknownName: no dataset")


def test_provenance_of_results(
    run_cli: RunCli, model_folder: Path, data_options: list[str], tmp_path: Path
) -> None:
    run_cli(
        "evaluate", model_folder, *data_options, "--output", tmp_path / "out", "--measures", "AP"
    )
    results = bh.Results.load(tmp_path / "out")
    assert results.provenance.versions["torch"] == importlib.metadata.version("torch")
    assert results.provenance.versions["numpy"] == np.__version__
    assert results.provenance.versions.keys() >= {"ir-measures", "sentence-transformers"}
    assert results.timing.seconds.keys() == {"encoding", "ranking and scoring"}
    machine = results.timing.machine
    assert machine is not None
    assert machine.python == ".".join(map(str, sys.version_info[:3]))
    cpus = Path("/proc/cpuinfo")
    if cpus.is_file():
        assert f": {machine.processor}\n" in cpus.read_text("utf-8")
        assert (machine.cores or 0) >= cpus.read_text("utf-8").count("processor\t:")
        memory = re.findall(r"MemTotal:\s+(\d+) kB", Path("/proc/meminfo").read_text("utf-8"))
        assert machine.memory == pytest.approx(int(memory[0]) / 2**20, rel=0.01)
    assert (machine.gpu is not None) == torch.cuda.is_available()


def test_measures_and_settings(
    run_cli: RunCli, model_folder: Path, data_options: list[str]
) -> None:
    outcome = run_cli(
        "evaluate", model_folder, *data_options, "--settings", "cross", "--measures", "RR,P@1 R@1"
    )
    assert (outcome.code, read_headings(outcome)) == (0, ["cross"])
    for name, value in (("RR", ".7500"), ("P@1", ".5000"), ("R@1", ".5000")):
        assert read_figures(outcome.out, name) == [value]


@pytest.mark.parametrize(
    "line",
    [
        ["--settings", "mono", "--settings", "multi", "--measures", "AP", "--measures", "RR"],
        ["--settings", "mono multi", "--measures", "AP RR"],
        ["--settings", "multi, mono", "--measures", "AP, RR"],
    ],
)
def test_options_repeat_and_take_spaces_and_commas(
    run_cli: RunCli, model_folder: Path, data_options: list[str], line: list[str]
) -> None:
    outcome = run_cli("evaluate", model_folder, *data_options, *line)
    assert (outcome.code, read_headings(outcome)) == (0, ["mono", "multi"])
    assert read_figures(outcome.out, "AP") == ["1.0000", ".8958"]
    assert read_figures(outcome.out, "RR") == ["1.0000", "1.0000"]


def test_a_note_names_measures_without_values(
    run_cli: RunCli, model_folder: Path, data_options: list[str]
) -> None:
    line = ["--settings", "mono,one-target", "--measures", "AP Bpref"]
    outcome = run_cli("evaluate", model_folder, *data_options, *line)
    assert read_figures(outcome.out, "Bpref") == ["1.0000"]
    assert len(read_figures(outcome.out, "AP")) == 2
    assert outcome.out.splitlines()[-1] == (
        "note: no value of Bpref in one-target: it needs a run to look at"
    )
    assert (
        "no value of"
        not in run_cli("evaluate", model_folder, *data_options, "--measures", "AP Bpref").out
    )


def read_words(path: Path) -> list[list[str]]:
    return [line.split() for line in path.read_text("utf-8").splitlines()]


def test_runs(run_cli: RunCli, model_folder: Path, data_options: list[str], tmp_path: Path) -> None:
    out = tmp_path / "out"
    outcome = run_cli(
        "evaluate", model_folder, *data_options, "--output", out, "--runs", "--depth", "3"
    )
    assert outcome.code == 0
    file_names = {path.name for path in (out / "runs").glob("*.trec")}
    assert file_names == {
        *("en-en.trec", "de-de.trec", "en-de.trec", "de-en.trec", "en-all.trec", "de-all.trec")
    }
    words = read_words(out / "runs" / "en-de.trec")
    root = "0.57735026"  # of a third, as float32
    assert [(line[0][-1], line[2][-2:], *line[3:]) for line in words] == [
        ("1", "p1", "1", root, "beir-hybrid"),
        ("1", "p2", "2", "0.0", "beir-hybrid"),
        ("2", "p1", "1", root, "beir-hybrid"),
        ("2", "p2", "2", "0.0", "beir-hybrid"),
    ]
    assert len(read_words(out / "runs" / "de-all.trec")) == 2 * 3
    run_options = [
        part for name in ("en-de", "de-en") for part in ("--run", out / f"runs/{name}.trec")
    ]
    second_outcome = run_cli(
        "evaluate", *run_options, *data_options, "--measures", "AP", "--name", "theirs"
    )
    assert second_outcome.out.startswith("theirs on mine: ")
    assert (read_headings(second_outcome), read_figures(second_outcome.out, "AP")) == (
        ["cross"],
        [".7500"],
    )


def test_runs_of_an_earlier_evaluation_are_replaced(
    run_cli: RunCli, model_folder: Path, data_options: list[str], tmp_path: Path
) -> None:
    runs = tmp_path / "out" / "runs"
    run_cli("evaluate", model_folder, *data_options, "--output", runs.parent, "--runs")
    (runs / "en-fr.trec").write_text("1 Q0 p1 1 0.5 theirs\n", "utf-8")
    (runs / "notes.txt").write_text("mine", "utf-8")
    for name in ("results.json", "per_query.parquet", "timing.json"):
        (runs.parent / name).unlink()
    line = ["--output", runs.parent, "--runs", "--settings", "multi"]
    assert run_cli("evaluate", model_folder, *data_options, *line).code == 0
    file_names = {path.name for path in runs.iterdir()}
    checksums = {".en-all.trec.xxh3", ".de-all.trec.xxh3"}
    assert file_names == {"en-all.trec", "de-all.trec", "en-fr.trec", "notes.txt"} | checksums


def test_no_resume_leaves_the_cache_unused(
    run_cli: RunCli, model_folder: Path, data_options: list[str], tmp_path: Path
) -> None:
    text_counts = []
    for line in ([], [], ["--no-resume"], []):
        run_cli(
            "evaluate",
            model_folder,
            *data_options,
            "--measures",
            "AP",
            "--output",
            tmp_path / "out",
            *line,
        )
        text_counts.append(bh.Results.load(tmp_path / "out").timing.encoded_texts)
    assert text_counts == [6, 0, 6, 0]  # of eight texts, two occur as query and passage


def test_vectors(run_cli: RunCli, data_options: list[str], tmp_path: Path) -> None:
    folder = tmp_path / "vectors"
    folder.mkdir()
    for kind, texts in TEXTS.items():
        words = [[int(word[1:]) for word in text.split()] for text in texts.values()]
        rows = [np.eye(6, dtype=np.float32)[word_numbers].mean(axis=0) for word_numbers in words]
        np.save(folder / f"{kind}.npy", np.stack(rows))
        (folder / f"{kind}.txt").write_text("".join(f"{key}\n" for key in texts), "utf-8")
    outcome = run_cli("evaluate", "--vectors", folder, *data_options, "--measures", "AP")
    assert (outcome.code, outcome.err) == (0, "")
    assert read_figures(outcome.out, "AP") == ["1.0000", ".7500", ".8958"]


def test_reranking_equals_the_function(
    run_cli: RunCli, model_folder: Path, data_options: list[str], tmp_path: Path
) -> None:
    reranker = tmp_path / "reranker"
    make_cross_encoder(reranker, seed=4)
    line = ["--rerank", reranker, "--depth", "4", "--measures", "AP", "--output", tmp_path / "out"]
    assert run_cli("evaluate", model_folder, *data_options, *line).code == 0
    collection = bh.load("jsonl", path=data_options[-1].removeprefix("path="))
    plain = SentenceTransformer(str(model_folder), device="cpu")
    results = bh.evaluate(plain, collection, measures="AP", rerank=str(reranker), depth=4)
    expected = {kind: row[results.measures[0]].mean for kind, row in results.summary().items()}
    assert read_means(tmp_path / "out", "AP") == expected
    assert expected["mono"] < 1  # it has another order than the model's


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (["--dataset", "jsonl"], "name one of MODEL, --run, --vectors; found none"),
        (
            ["M", "--run", "x.trec", "DATA"],
            "name one of MODEL, --run, --vectors; found ['MODEL', '--run']",
        ),
        (
            ["--run", "x.trec", "DATA", "--max-length", "9"],
            "--max-length is an option of a model, and --run needs none",
        ),
        (
            ["--run", "x.trec", "DATA", "--depth", "9"],
            "--depth is an option of a ranking, and --run needs none",
        ),
        (
            ["M", "bm25", "DATA", "--preset", "e5"],
            "bm25 reads no --preset; leave it out, or evaluate bm25 in a command of its own",
        ),
        (
            ["bm25", "DATA", "--engine", "ray"],
            "bm25 reads no --engine; leave it out, or evaluate bm25 in a command of its own",
        ),
        (
            ["bm25", "DATA", "--no-resume"],
            "bm25 reads no --no-resume; leave it out, or evaluate bm25 in a command of its own",
        ),
        (
            ["--run", "x.trec", "DATA", "--no-resume"],
            "--no-resume encodes all texts anew, and a --run has its ranking already; leave it out",
        ),
        (
            ["M", "bm25", "DATA", "--name", "x"],
            "--name names one model, and several keep their own names",
        ),
        (
            ["M", "DATA", "--runs"],
            "--runs takes --output, the folder that runs go to",
        ),
        (["M", "DATA", "--measures", ""], "no measure is named"),
        (["M", "DATA", "--measures", "R@0"], "no measure R@0: its cutoff must be at least 1"),
        (
            ["M", "DATA", "--settings", ""],
            f"no kind of setting is named; there are {', '.join(SETTING_KINDS)}",
        ),
        (["M", "DATA", "--depth", "0"], "depth is 0; it must be a whole number from 1 on"),
        (
            ["M", "DATA", "--settings", "one-target", "--runs", "--output", "OUT"],
            "one-target settings have no runs to write; name others, or leave runs out",
        ),
        (
            ["M", "DATA", "--settings", "one-target", "--rerank", "M"],
            "one-target settings cannot be reranked by M: it compares texts, in mono, cross, multi",
        ),
    ],
)
def test_conflicting_options(
    run_cli: RunCli,
    model_folder: Path,
    data_options: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    line: list[str],
    message: str,
) -> None:
    if line[-1] == "M":
        make_cross_encoder(tmp_path / "reranker")
        capsys.readouterr()  # bars of its making
        line = [*line[:-1], str(tmp_path / "reranker")]
        message = message.replace("by M:", f"by {line[-1]}:")
    places = {"M": [str(model_folder)], "DATA": data_options, "OUT": [str(tmp_path / "out")]}
    arguments = [part for word in line for part in places.get(word, [word])]
    assert run_cli("evaluate", *arguments) == (2, "", f"BadOption: {message}\n")


def test_dataset_is_required(run_cli: RunCli, model_folder: Path) -> None:
    message = "BadOption: name a --dataset, or the --qrels of a --run\n"
    assert run_cli("evaluate", model_folder) == (2, "", message)


def test_unknown_names_and_files(
    run_cli: RunCli, model_folder: Path, data_options: list[str], tmp_path: Path
) -> None:
    outcome = run_cli("evaluate", model_folder, *data_options, "--settings", "multy")
    message = "UnknownName: no kind of setting 'multy'; did you mean 'multi'?\n"
    assert outcome == (2, "", message)
    missing_folder = tmp_path / "none"
    outcome = run_cli(
        "evaluate", missing_folder, *data_options, "--output", tmp_path / "made" / "out"
    )
    assert not (tmp_path / "made").exists()
    assert outcome[:2] == (2, "")
    assert outcome.err.startswith(f"UnknownName: there is no folder '{missing_folder}'")
    assert outcome.err.count("\n") == 1
    outcome = run_cli("evaluate", "--run", missing_folder, *data_options)
    assert outcome == (
        2,
        "",
        f"BadData: there is no file {missing_folder}; a run is one in TREC's layout\n",
    )


def test_unwritable_output_is_refused_before_the_work(
    run_cli: RunCli, model_folder: Path, data_options: list[str], tmp_path: Path, own_cache: Path
) -> None:
    (tmp_path / "file").write_text("mine", "utf-8")
    outcome = run_cli("evaluate", model_folder, *data_options, "--output", tmp_path / "file")
    assert outcome[:2] == (2, "")
    assert outcome.err.startswith(
        f"NotWritable: cannot write {tmp_path / 'file'}/results: Not a dir"
    )
    assert outcome.err.count("\n") == 1
    assert not own_cache.exists()  # nothing was loaded or encoded


def test_names_are_escaped_for_the_terminal(
    run_cli: RunCli, model_folder: Path, data_options: list[str]
) -> None:
    outcome = run_cli(
        "evaluate", model_folder, *data_options, "--measures", "AP", "--name", "\x1b[31mhi\r\x07ä"
    )
    assert outcome.out.startswith(r"\x1b[31mhi\r\x07ä on mine: ")


def test_results_are_saved_before_they_are_printed(tmp_path: Path) -> None:
    """A reader such as `head` may leave in the middle of the table."""
    static_model().save(str(tmp_path / "model"))
    words = write_parallel_words(tmp_path / "words.jsonl", ["de", "en"])
    line = ["evaluate", str(tmp_path / "model"), "--dataset", str(words), "--measures", "AP"]
    program = Path(sys.executable).with_name("beir-hybrid")
    reader, writer = os.pipe()
    os.close(reader)
    process = subprocess.run(
        [program, *line, "--output", str(tmp_path / "out")],
        stdout=writer, stderr=subprocess.PIPE, check=False,
    )  # fmt: skip
    os.close(writer)
    assert process.returncode == 1
    assert b"Traceback" not in process.stderr
    assert bh.Results.load(tmp_path / "out").measures
