"""Parallel text files as training pairs: a line answers the same line of another file."""

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer

import beir_hybrid as bh
from beir_hybrid.errors import BadData
from beir_hybrid.pairs.reading import read_bitext
from beir_hybrid.training.train import train
from tests.test_cli_evaluate import RunCli, run_cli  # noqa: F401 - a fixture
from tests.test_train import SMALL, flatten_weights, save_model

GERMAN = ["w1 eins", "w2 zwei\u2028noch", "w3", "", "w5 \x85", "w6", "w7", "w8 \x0c"]
ENGLISH = ["w1 one", "w2 two", "w3", "w4 four", "w5", "w6", "w7", "w8"]


def test_lines_are_paired_by_number(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    # A mark before the first line, either end of a line, and no end of the last.
    (tmp_path / "news.de").write_bytes(b"\xef\xbb\xbf" + "\r\n".join(GERMAN).encode())
    with gzip.open(tmp_path / "news.en.gz", "wb") as file:
        file.write("".join(f"{line}\n" for line in ENGLISH).encode())
    files = {"deu": tmp_path / "news.de", "en": tmp_path / "news.en.gz"}
    for _ in range(2):  # converted, and then from the cache
        caplog.clear()
        pairs = read_bitext(files)
        assert pairs.sources == (("news", 8),)
        assert pairs.languages == ("de", "en")
        assert [record.getMessage() for record in caplog.records] == [
            "news: 1 blank texts are taken for missing translations, first in group '3'"
        ]
        complete = [row for row in range(8) if row != 3]
        codes = [int(pairs.row_codes.encode(row, 0, 1)) for row in complete]
        assert [(row["anchor"], row["positive"]) for row in pairs.__getitems__(codes)] == [
            (GERMAN[row], ENGLISH[row]) for row in complete
        ]
        assert pairs.digest() == (
            bh.pairs_from_bitext({"de": GERMAN, "en": ENGLISH}, name="news").digest()
        )
    assert read_bitext(files, languages=["en"])[3]["anchor"] == "w4 four"
    (tmp_path / "long").write_text("w\n" * 9)
    with pytest.raises(BadData, match=r"news\.de ends after line 8, another goes on"):
        read_bitext({"de": tmp_path / "news.de", "en": tmp_path / "long"})
    (tmp_path / "latin").write_bytes("w\nwär\n".encode("latin-1"))
    with pytest.raises(BadData, match="latin line 2 is not UTF-8"):
        read_bitext({"de": tmp_path / "latin", "en": tmp_path / "long"})


def test_bitext_on_the_command_line(
    tmp_path: Path,
    run_cli: RunCli,  # noqa: F811
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("accelerate", reason="the trainer needs it: the extra 'train'")
    texts = {"de": [f"w{i} w{i}" for i in range(24)], "en": [f"w{i} w{i + 1}" for i in range(24)]}
    for lang, lines in texts.items():
        (tmp_path / f"news.{lang}").write_text("".join(f"{line}\n" for line in lines))
    german_groups = [{"query": {"de": f"w{i}", "th": f"w{i}"}, "positive": {"de": f"w{i + 1}"}}
            for i in range(30, 42)]  # fmt: skip
    (tmp_path / "some.jsonl").write_text("".join(json.dumps(row) + "\n" for row in german_groups))
    start, out = save_model(tmp_path / "start"), tmp_path / "out"
    bitext = f"de={tmp_path / 'news.de'},en={tmp_path / 'news.en'}"
    options: list[Any] = ["--strategy", "x-y", "--per-device-train-batch-size", 4, "--use-cpu",
                         "--report-to", "none", "--learning-rate", 0.1]  # fmt: skip
    result = run_cli("train", start, "--bitext", bitext, "--train", tmp_path / "some.jsonl",
               "--dev-pairs", tmp_path / "some.jsonl", "--num-train-epochs", 2, "--output", out,
               *options)  # fmt: skip
    assert result.code == 0, result.err
    record = json.loads((out / "training.json").read_text())
    assert record["recipe"]["pairs"]["sources"] == [["some", 12], ["news", 24]]
    assert record["best"]["metric"] == "eval_loss"
    assert sum(record["audit"]["rows"].values()) == 2 * 36
    assert record["audit"]["sources"] == {"news": 48, "some": 24}
    assert record["audit"]["rows"]["th-de"] == 24
    capsys.readouterr()
    # The same as the functions.
    dev = bh.read_pairs(tmp_path / "some.jsonl")
    pairs = [dev, bh.pairs_from_bitext(texts, "news")]
    expected = train(start, pairs, tmp_path / "b", strategy="x-y", dev=dev,
                     num_train_epochs=2, **SMALL)  # fmt: skip
    trained = SentenceTransformer(str(out / "model"), device="cpu")
    np.testing.assert_array_equal(flatten_weights(trained), flatten_weights(expected))
    for arguments, message in (
        ([], "--train is needed, or --bitext"),
        (["--bitext", tmp_path / "news.de"], "--bitext takes LANG=FILE,LANG=FILE of two languages"),
        (["--bitext", f"de={tmp_path / 'news.de'}"], "of two languages, not 'de="),
        (["--bitext", "de=a,de=b"], "of two languages, not 'de=a,de=b'"),
        (["--bitext", "de=a,en="], "of two languages, not 'de=a,en='"),
        (["--bitext", "de=none,en=none"], "there is no file none"),
        (["--bitext", bitext, "--negatives", 1], "--negatives changes nothing of de="),
        (["--bitext", bitext, "--dev", "xquad-r", "--dev-pairs", "x"], "leave one"),
        (["--bitext", bitext, "--dev-languages", "de"], "goes with --dev or --dev-pairs"),
    ):  # fmt: skip
        result = run_cli("train", start, "--output", tmp_path / "x", *options, *arguments)
        assert (result.code, message in result.err) == (2, True), result.err
