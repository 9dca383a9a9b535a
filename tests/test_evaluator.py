"""The evaluator of a trainer has the values of `evaluate` at every step."""
# mypy: allow-untyped-calls

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from ir_measures import AP, R
from sentence_transformers import (
    SentenceTransformer,
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
)
from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

import beir_hybrid as bh
from beir_hybrid.collection import Collection
from beir_hybrid.errors import BadOption
from beir_hybrid.evaluation.evaluate import evaluate
from beir_hybrid.evaluation.evaluator import HybridEvaluator
from beir_hybrid.measures.bias.language_preference import LanguagePreference
from beir_hybrid.measures.bias.peer import PEER
from beir_hybrid.measures.bias.rank_distance import RankDistance
from beir_hybrid.results.results import Results
from tests.models import static_model

MEASURES: Any = [AP, R @ 2, RankDistance, LanguagePreference]


def make_collection() -> Collection:
    corpus, queries, qrels = {}, {}, {}
    for at, lang in enumerate(("de", "en")):
        for number in range(12):
            corpus[f"{lang}:{number}"] = {"text": f"w{20 * at + number} w{20 * at + number + 1}"}
            queries[f"{lang}:q:{number}"] = f"w{60 + number} w{61 + number}"
            qrels[f"{lang}:q:{number}"] = {f"de:{number}": 1, f"en:{number}": 1}
    return bh.from_beir(corpus, queries, qrels, name="small")


def evaluate_by_hand(model: SentenceTransformer, store: Path) -> dict[str, float]:
    results = evaluate(model, make_collection(), measures=MEASURES, store=store)
    return {
        f"small_{kind}_{measure}": estimate.mean
        for kind, row in results.summary().items()
        for measure, estimate in row.items()
    }


@pytest.mark.filterwarnings("ignore:.*pin_memory.*:UserWarning")  # torch, where no GPU is
def test_a_name_is_no_collection() -> None:
    with pytest.raises(BadOption, match="xquad-r"):
        HybridEvaluator("xquad-r")  # type: ignore[arg-type] # a likely mistake


def test_a_trainer_selects_the_best_checkpoint_by_a_value(tmp_path: Path, own_cache: Path) -> None:
    pytest.importorskip("accelerate", reason="the trainer needs it: the extra 'train'")
    model, collection = static_model(), make_collection()
    questions = [f"w{60 + n} w{61 + n}" for n in range(12)] * 4
    answers = [f"w{n} w{n + 1}" for n in range(12)] * 4
    evaluator = HybridEvaluator(collection, measures=MEASURES, primary="multi_AP")
    arguments = SentenceTransformerTrainingArguments(
        output_dir=str(tmp_path / "out"),
        max_steps=4,
        per_device_train_batch_size=12,
        learning_rate=0.3,
        eval_strategy="steps",
        save_strategy="steps",
        eval_steps=1,
        save_steps=1,
        load_best_model_at_end=True,
        metric_for_best_model=f"eval_{evaluator.primary_metric}",
        greater_is_better=evaluator.greater_is_better,
        report_to="none",
        disable_tqdm=True,
        use_cpu=True,
    )
    trainer = SentenceTransformerTrainer(
        model=model,
        args=arguments,
        train_dataset=Dataset.from_dict({"anchor": questions, "positive": answers}),
        loss=MultipleNegativesRankingLoss(model),
        evaluator=evaluator,
    )
    trainer.train()
    logged = [entry for entry in trainer.state.log_history if "eval_small_multi_AP" in entry]
    assert [entry["step"] for entry in logged] == [1, 2, 3, 4]
    values = [entry["eval_small_multi_AP"] for entry in logged]
    assert len(set(values)) == 4  # changed weights, changed values
    assert trainer.state.best_metric == max(values)
    # Of every checkpoint, and of the best one that the trainer loaded in the end.
    for entry in logged:
        saved = SentenceTransformer(str(tmp_path / "out" / f"checkpoint-{entry['step']}"))
        values_by_hand = evaluate_by_hand(saved, tmp_path / "store")
        assert {name: entry[f"eval_{name}"] for name in values_by_hand} == pytest.approx(
            values_by_hand, abs=1e-12
        )
    best = evaluate_by_hand(model, tmp_path / "store")
    assert best["small_multi_AP"] == pytest.approx(max(values), abs=1e-12)
    assert set(best) == {
        *(f"small_{kind}_{m}" for kind in ("mono", "cross", "multi") for m in ("AP", "R@2")),
        "small_multi_RankDistance",
        "small_multi_LanguagePreference",
    }
    assert not (own_cache / "embeddings").exists()


def test_a_direct_call_saves_results(tmp_path: Path, own_cache: Path) -> None:
    model = static_model()
    evaluator = HybridEvaluator(
        make_collection(), measures=MEASURES, name="dev", settings=["multi"]
    )
    first = evaluator(model, str(tmp_path / "out"), epoch=0.5, steps=20)
    saved = Results.load(tmp_path / "out" / "dev-0.5-20")
    assert first == {
        f"dev_multi_{measure}": estimate.mean
        for measure, estimate in saved.summary()["multi"].items()
    }
    assert list(first) == [f"dev_multi_{measure}" for measure in MEASURES]
    assert evaluator.primary_metric == "dev_multi_AP"
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["dev-0.5-20"]
    card = model.model_card_data.eval_results_dict
    assert card is not None
    assert first.items() <= card[evaluator].items()
    with torch.no_grad():
        model[0].embedding.weight.copy_(model[0].embedding.weight.flip(0))  # type: ignore[operator, union-attr]
    assert evaluator(model) != first
    with torch.no_grad():
        model[0].embedding.weight.copy_(model[0].embedding.weight.flip(0))  # type: ignore[operator, union-attr]
    assert evaluator(model) == first
    assert not (own_cache / "embeddings").exists()
    assert evaluator.get_config_dict() == {"collection": "small", "settings": ["multi"]}


def test_options_of_the_encoder() -> None:
    model, default_evaluator = static_model(), HybridEvaluator(make_collection(), measures=[AP])
    evaluator = HybridEvaluator(
        make_collection(), measures=[AP], truncate_dim=2, query_prompt="w1 "
    )
    results = evaluate(model, make_collection(), measures=[AP], truncate_dim=2, query_prompt="w1 ")
    assert evaluator(model)["small_mono_AP"] == results.summary()["mono"][AP].mean
    assert evaluator(model) != default_evaluator(model)


def test_the_direction_of_the_primary_value() -> None:
    def is_higher_better(primary: str, measures: Any = MEASURES) -> bool:
        return HybridEvaluator(
            make_collection(), measures=measures, primary=primary
        ).greater_is_better

    assert is_higher_better("mono_AP")
    assert is_higher_better("multi_PEER", [PEER])
    assert not is_higher_better("multi_RankDistance")
    assert not is_higher_better(
        "multi_RankDistance(normalized=True)", [RankDistance(normalized=True)]
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"primary": "mulit_AP"},
            "no value to choose by 'mulit_AP'; did you mean 'multi_AP'",
        ),
        ({"primary": "mono_RankDistance"}, "did you mean 'multi_RankDistance'"),
        ({"primary": "mono_AP", "settings": ["multi"]}, "did you mean 'multi_AP'"),
        (
            {"measures": [RankDistance], "settings": ["mono"]},
            "nothing to measure: RankDistance needs the settings 'multi'",
        ),
        ({"batchsize": 3}, "no option 'batchsize'; did you mean 'batch_size'"),
    ],
)
def test_impossible_primary_values_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(BadOption, match=message):
        HybridEvaluator(make_collection(), **({"measures": MEASURES} | options))


def test_the_model_is_unchanged() -> None:
    model = static_model()
    model.train()
    weights = copy.deepcopy(model.state_dict())
    HybridEvaluator(make_collection(), measures=[AP])(model)
    assert all(torch.equal(weights[name], value) for name, value in model.state_dict().items())


def test_a_calibration_is_fitted_in_each_call() -> None:
    collection, model = make_collection(), static_model()
    expected = evaluate(model, collection, measures=MEASURES, calibration="centre").summary()
    evaluator = HybridEvaluator(collection, measures=MEASURES, calibration="centre")
    values = evaluator(model)
    assert values["small_multi_AP"] == pytest.approx(expected["multi"][AP].mean)
    assert values != HybridEvaluator(collection, measures=MEASURES)(model)
    assert evaluator.get_config_dict()["calibration"] == "centre"
    with pytest.raises(BadOption, match="no calibration method 'center'"):
        HybridEvaluator(collection, calibration="center")
    fitted: Any = bh.calibrate(model, collection, "centre")
    with pytest.raises(BadOption, match="the calibration centre is of a model that training chang"):
        HybridEvaluator(collection, calibration=fitted)
    with pytest.raises(BadOption, match="is no folder of a calibration"):
        HybridEvaluator(collection, calibration="mine")
    merge: Any = bh.calibrate(model, collection, "local:k=2")
    assert str(HybridEvaluator(collection, calibration=merge).calibration) == "local:k=2"
