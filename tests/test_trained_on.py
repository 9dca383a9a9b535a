"""What a model was trained on: sketches of sets of texts, and notes in results."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import beir_hybrid as bh
from beir_hybrid.encoding import text_sketch
from beir_hybrid.encoding.text_sketch import TextSketch
from beir_hybrid.errors import BadData
from beir_hybrid.results.render import list_notes
from tests.group_files import write_rows
from tests.test_cli_evaluate import RunCli, run_cli  # noqa: F401 - a fixture
from tests.test_train import SMALL, save_model


def make_column(numbers: range) -> pa.ChunkedArray:
    return pa.chunked_array([[f"text {n}" for n in numbers], [None, "text 3"]], pa.string())


def test_a_small_set_is_there_as_a_whole() -> None:
    sketch = TextSketch.from_columns([make_column(range(10)), make_column(range(5, 15))])
    assert sketch.n_distinct == 15
    again = TextSketch.from_record(sketch.to_record(), "here")
    assert again.measure_overlap(make_column(range(12, 20))) == {"shared": 4, "compared": 9}
    assert again.measure_overlap(pa.chunked_array([], pa.string())) == {"shared": 0, "compared": 0}


def test_of_a_large_set_the_least_hashes_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 1,000 texts 100 hashes stay, so that about a tenth of 2,000 others can be compared."""
    monkeypatch.setattr(text_sketch, "_SIZE", 100)
    sketch = TextSketch.from_columns([make_column(range(1000))])
    assert (len(sketch.hashes), sketch.n_distinct) == (100, 1000)
    assert sketch.measure_overlap(make_column(range(1000))) == {"shared": 100, "compared": 100}
    overlap = sketch.measure_overlap(make_column(range(500, 2500)))
    limit = sketch.hashes[-1]
    monkeypatch.setattr(text_sketch, "_SIZE", 9999)
    hashes = TextSketch.from_columns([make_column(range(500, 2500))]).hashes
    common = np.intersect1d(hashes, TextSketch.from_columns([make_column(range(1000))]).hashes)
    assert len(common) == 501  # and "text 3"
    assert overlap == {
        "shared": int((common <= limit).sum()), "compared": int((hashes <= limit).sum()),
    }  # fmt: skip
    assert 150 < overlap["compared"] < 250


def test_evaluation_says_that_a_model_was_trained_on_this(
    tmp_path: Path,
    run_cli: RunCli,  # noqa: F811
) -> None:
    pytest.importorskip("accelerate", reason="the trainer needs it: the extra 'train'")
    rows = [
        {"query": {"en": f"w{n}", "de": f"w{n} w9"}, "positive": {"en": f"w{n + 50}"}}
        for n in range(10, 40)
    ]
    train = write_rows(tmp_path / "train.jsonl", rows)
    test = write_rows(tmp_path / "test.jsonl", [*rows[:4], {**rows[5], "query": {"en": "w1 w2"}}])
    other = write_rows(tmp_path / "other.jsonl", [{**rows[5], "query": {"en": "w1 w2"}}])
    model = save_model(tmp_path / "start")
    bh.train(str(model), bh.read_pairs(train), tmp_path / "out", max_steps=1, **SMALL)
    trained = tmp_path / "out" / "model"
    outcome = run_cli("evaluate", trained, "--dataset", test, "--output", tmp_path / "r")
    note = "trained on this: 8 of 9 queries compared are training data"
    assert f"note: {note}\n" in outcome.out
    results = bh.Results.load(tmp_path / "r")
    assert results.provenance.model.trained_on == {"shared": 8, "compared": 9}
    assert note in list_notes(results)
    assert (
        note in json.loads(run_cli("evaluate", trained, "--dataset", test, "--json").out)["notes"]
    )
    for system, dataset in ((trained, other), (model, test)):
        assert "trained on this" not in run_cli("evaluate", system, "--dataset", dataset).out
    path = tmp_path / "out" / "training.json"
    record = json.loads(path.read_text())
    record["queries"]["least_hashes"] = "?"
    path.write_text(json.dumps(record))
    with pytest.raises(BadData, match=r"training\.json"):
        bh.evaluate(str(trained), bh.read_jsonl(test))


def test_training_data_are_named_by_what_they_are(
    tmp_path: Path,
    run_cli: RunCli,  # noqa: F811
) -> None:
    """A collection is told from groups, and almost a dataset's name from a name of the hub."""
    pytest.importorskip("accelerate", reason="the trainer needs it: the extra 'train'")
    faq = tmp_path / "faq.jsonl"
    faq.write_text(
        '{"passage": "p", "text": {"en": "w1", "de": "w2"}}\n'
        '{"query": "q", "text": {"en": "w3", "de": "w4"}, "relevant": ["p"]}\n'
    )
    options = ("--max-steps", 1, "--per-device-train-batch-size", 1, "--report-to", "none")
    model = save_model(tmp_path / "start")
    outcome = run_cli("train", model, "--train", faq, "--output", tmp_path / "out", *options)
    assert f"{faq} is a collection: each query makes a group" in outcome.out
    outcome = run_cli("train", model, "--train", "mlqa", "--output", tmp_path / "x")
    assert outcome.err == "UnknownName: no dataset or file 'mlqa'; did you mean 'mlqa-r'?\n"
