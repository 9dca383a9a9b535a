"""Wrong names are refused before torch is imported, and results are named by folders alone."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from beir_hybrid.encoding import as_encoder
from beir_hybrid.errors import BadData
from beir_hybrid.evaluation.vectors import name_model
from beir_hybrid.results.estimate import Estimate
from beir_hybrid.results.render import format_interval, list_notes
from tests.hash_encoder import ROOT, HashEncoder
from tests.models import static_model
from tests.test_compare import evaluate_system, make_collection
from tests.test_tables import ALL_QUERIES

RUN = """
import sys
from beir_hybrid.cli import main
try:
    main()
except SystemExit:
    sys.exit(10 * ("torch" in sys.modules) + 1)
"""


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("evaluate MODEL --dataset xquadr", "UnknownName: no dataset 'xquadr'; did you mean"),
        ("evaluate ./nix --dataset xquad-r", "UnknownName: there is no folder './nix', and a hub"),
        (
            "evaluate EMPTY --dataset xquad-r",
            "BadData: the folder EMPTY holds no",
        ),
        ("encode MODEL --dataset xquadr", "UnknownName: no dataset"),
        ("calibrate EMPTY --dataset xquad-r --output OUT", "BadData: the folder EMPTY holds no"),
        ("train MODEL --train no.jsonl --output OUT", "BadData: there is no file no.jsonl"),
        (
            "train MODEL --train mlqa-r --dev xquadr --output OUT",
            "UnknownName: no dataset 'xquadr'",
        ),
        ("train a/b/c --train mlqa-r --output OUT", "UnknownName: there is no folder 'a/b/c'"),
        (
            "ablate MODEL --train mlqa-r --test xquadr --strategy x-y --output OUT",
            "UnknownName: no",
        ),
        (
            "evaluate MODEL --dataset xquad-r --settings mono,mult",
            "UnknownName: no kind of setting 'mult'; did you mean",
        ),
        (
            "evaluate MODEL --dataset xquad-r --calibration mean-langauge",
            "UnknownName: mean-langauge is no folder of a calibration: no",
        ),
        (
            "index MODEL --dataset xquad-r --calibration locale:k=3 --output OUT",
            "UnknownName: locale:k=3 is no folder of a calibration: no",
        ),
        (
            "train MODEL --train mlqa-r --strategy hybird --output OUT",
            "UnknownName: no strategy 'hybird'; did you mean",
        ),
        (
            "ablate MODEL --train x --test xquad-r --strategy x-y --settings mult --output OUT",
            "UnknownName: no kind of setting 'mult'",
        ),
    ],
)
def test_wrong_names_do_not_wait_for_torch(tmp_path: Path, line: str, message: str) -> None:
    model, empty = tmp_path / "model", tmp_path / "empty"
    static_model().save_pretrained(str(model))
    empty.mkdir()
    places = {"MODEL": model, "EMPTY": empty, "OUT": tmp_path / "out"}
    words = [str(places.get(word, word)) for word in line.split()]
    command = [sys.executable, "-c", RUN, *words]
    outcome = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert outcome.stderr.startswith(message.replace("EMPTY", str(empty)))
    assert outcome.returncode == 1


def test_a_model_of_a_folder_is_named_by_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "tmp" / "small-e5"
    static_model().save_pretrained(str(folder))
    assert name_model(as_encoder(folder)) == "small-e5"
    trained = tmp_path / "hybrid" / "model"
    static_model().save_pretrained(str(trained))
    assert name_model(as_encoder(trained)) == "model"
    (trained.parent / "training.json").write_text("{}")
    assert name_model(as_encoder(trained)) == "hybrid"
    assert name_model(HashEncoder()) == "HashEncoder"


def test_a_folder_without_a_model_is_called_so(tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"holds no model: no modules\.json, config\.json, "):
        as_encoder(tmp_path)


@pytest.mark.parametrize(
    ("prompts", "note"),
    [
        (
            {"queries": "q: ", "passages": ""},
            'prompts: "q: " before queries, "" before passages',
        ),
        ({"queries": "", "passages": ""}, "no prompts"),
        (None, None),
    ],
)
def test_notes_say_which_prompts_were_used(prompts: dict[str, str] | None, note: str) -> None:
    results = evaluate_system(make_collection(), ALL_QUERIES, "system")
    provenance = results.provenance
    fingerprint = {"kind": "x", **({"prompts": prompts} if prompts else {})}
    model = replace(provenance.model, fingerprint=fingerprint)
    results = replace(results, provenance=replace(provenance, model=model))
    assert [text for text in list_notes(results) if "prompts" in text] == ([note] if note else [])


def test_an_average_and_its_interval_have_equal_decimals() -> None:
    estimate = Estimate(12.25, 9.5, 15.125, 12.25, queries=3)
    assert format_interval(estimate) == "12.2 [9.5, 15.1]"
    assert format_interval(replace(estimate, mean=0.5, low=0.25, high=10.5)) == (
        ".5000 [.2500, 10.5000]"
    )
