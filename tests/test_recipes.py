"""The recipe of the paper's method runs on miniatures of its datasets."""

import json
from pathlib import Path

import pytest

from beir_hybrid.sources import mmarco, mr_tydi
from tests.models import transformer_model
from tests.test_cli_evaluate import RunCli, run_cli  # noqa: F401 - a fixture
from tests.test_mmarco import write_lines
from tests.test_mr_tydi import ROWS, write_file

RECIPE = Path(__file__).parent.parent / "examples" / "recipes" / "hybrid.yaml"


def test_the_recipe_trains_on_both_sources(
    tmp_path: Path,
    run_cli: RunCli,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("accelerate", reason="the trainer needs it: the extra 'train'")
    monkeypatch.setenv("BEIR_HYBRID_MIRROR", str(tmp_path / "mirror"))
    monkeypatch.setenv("BEIR_HYBRID_OFFLINE", "1")
    hub = tmp_path / "mirror/huggingface.co/datasets"
    folder = hub / mmarco.REPOSITORY / "resolve" / mmarco.COMMIT / "data"
    triples = [f"{n}\t{n}\t0" for n in range(8)]
    write_lines(folder / "triples.train.ids.small.tsv", triples)
    for lang, name in mmarco.LANGUAGES.items():
        texts = [f"{n}\t{lang} w{n}" for n in range(8)]
        write_lines(folder / f"google/collections/{name}_collection.tsv", texts)
        write_lines(folder / f"google/queries/train/{name}_queries.train.tsv", texts)
    for lang in mr_tydi.LANGUAGES:
        write_file(hub / mr_tydi.REPOSITORY / "resolve" / mr_tydi.COMMIT, lang, ROWS)
    transformer_model(tmp_path / "body").save_pretrained(str(tmp_path / "model"))
    outcome = run_cli(
        "train", tmp_path / "model", "--config", RECIPE, "--output", tmp_path / "out",
        "--max-length", 16, "--max-steps", 2, "--per-device-train-batch-size", 4,
        "--report-to", "none", "--use-cpu",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    recipe = json.loads((tmp_path / "out" / "training.json").read_text())["recipe"]
    assert recipe["pairs"]["sources"] == [["mmarco", 8], ["mr-tydi", 33]]
    assert recipe["strategy"]["kinds"] == [["mono", 0.5], ["cross-rows", 0.5]]
    assert recipe["model"]["prompts"] == {"queries": "Query: ", "passages": "Passage: "}
    assert recipe["arguments"]["weight_decay"] == 0.01
