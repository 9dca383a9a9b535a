"""The recipe of the paper's method runs on miniatures of its datasets."""

import json
from hashlib import sha256
from pathlib import Path

import pytest

from beir_hybrid.sources import mmarco, mr_tydi, squadshifts
from tests.models import transformer_model
from tests.question_files import PAGES, ROWS, locate, write_pages, write_table
from tests.test_cli_evaluate import RunCli, run_cli  # noqa: F401 - a fixture
from tests.test_mmarco import write_lines
from tests.test_mr_tydi import ROWS as TYDI_ROWS
from tests.test_mr_tydi import write_file
from tests.test_question_sets import make_squad

RECIPE = Path(__file__).parent.parent / "examples" / "recipes" / "paper.yaml"


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a mirror with miniatures of all sources, in the recipe's languages alone."""
    mirror = tmp_path / "mirror"
    monkeypatch.setenv("BEIR_HYBRID_MIRROR", str(mirror))
    monkeypatch.setenv("BEIR_HYBRID_OFFLINE", "1")
    for name, rows in ROWS.items():
        write_table(mirror, name, rows)
    write_pages(mirror, "en", PAGES["en"])
    hub = mirror / "huggingface.co/datasets"
    write_file(hub / mr_tydi.REPOSITORY / "resolve" / mr_tydi.COMMIT, "en", TYDI_ROWS)
    triples = [f"{n}\t{n}\t0" for n in range(8)]
    path = locate(mirror, mmarco.REPOSITORY, mmarco.COMMIT, "data/triples.train.ids.small.tsv")
    write_lines(path, triples)
    for lang in ("ar", "de", "en", "es", "hi", "ru", "zh"):
        name, texts = mmarco.LANGUAGES[lang], [f"{n}\t{lang} w{n}" for n in range(8)]
        write_lines(path.parent / f"google/collections/{name}_collection.tsv", texts)
        write_lines(path.parent / f"google/queries/train/{name}_queries.train.tsv", texts)
    files = {}
    for name, (file, _) in squadshifts.FILES.items():
        content = make_squad(f"w1-{name}", 6)
        files[name] = file, sha256(content).hexdigest()
        path = mirror.joinpath(*squadshifts.ORIGIN.split("/")[2:], file)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    monkeypatch.setattr(squadshifts, "FILES", files)
    return mirror


@pytest.mark.usefixtures("sources")
def test_the_recipe_trains_on_all_sources(
    tmp_path: Path,
    run_cli: RunCli,  # noqa: F811
) -> None:
    pytest.importorskip("accelerate", reason="the trainer needs it: the extra 'train'")
    transformer_model(tmp_path / "body").save_pretrained(str(tmp_path / "model"))
    outcome = run_cli(
        "train", tmp_path / "model", "--config", RECIPE, "--output", tmp_path / "out",
        "--max-length", 16, "--max-steps", 2, "--per-device-train-batch-size", 4,
        "--report-to", "none", "--use-cpu",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    recipe = json.loads((tmp_path / "out" / "training.json").read_text())["recipe"]
    # Groups: a passage of a question each. Of Mr.TyDi three in English, of MFAQ three.
    assert recipe["pairs"]["sources"] == [
        ["wikiqa", 3], ["duorc", 2], ["newsqa", 2], ["natural-questions", 2],
        ["yahoo-answers", 3], ["mr-tydi", 3], ["mfaq", 3], ["mmarco", 8],
    ]  # fmt: skip
    assert recipe["strategy"]["kinds"] == [["mono", 0.5], ["cross-rows", 0.5]]
    assert recipe["model"]["prompts"] == {"queries": "Query: ", "passages": "Passage: "}
    arguments = recipe["arguments"]
    assert (arguments["weight_decay"], arguments["learning_rate"]) == (0.01, 3e-5)
    assert "adamw" in arguments.get("optim", "adamw")
    assert (recipe["dev"]["sources"], recipe["dev"]["patience"]) == ([["squadshifts", 4]], 5)
