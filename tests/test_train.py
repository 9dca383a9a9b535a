"""`train` and `ablate`: the folders they write, resuming, refusals, and their commands."""

import dataclasses
import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from ir_measures import AP
from safetensors.numpy import load_file
from sentence_transformers import SentenceTransformer, SparseEncoder

import beir_hybrid as bh
from beir_hybrid.collection import Collection
from beir_hybrid.errors import BadData, BadOption, UnknownName
from beir_hybrid.extras.ablation import ablate
from beir_hybrid.training.ablation import tabulate_trials
from beir_hybrid.training.record import _list_differences
from beir_hybrid.training.train import train
from tests.families import make_sparse
from tests.models import static_model, transformer_model
from tests.test_cli_evaluate import RunCli, run_cli  # noqa: F401 - a fixture
from tests.training_run import make_groups

if TYPE_CHECKING:
    from collections.abc import Callable

pytest.importorskip("accelerate", reason="the trainer needs it: the extra 'train'")
SMALL: dict[str, Any] = {
    "per_device_train_batch_size": 4,
    "learning_rate": 0.1,
    "use_cpu": True,
    "disable_tqdm": True,
    "report_to": [],
}


def make_collection(n: int = 12) -> Collection:
    """Return questions and passages in two languages, of the words that `groups` has."""
    corpus, queries, qrels = {}, {}, {}
    for row in make_groups(n):
        for lang in ("de", "en"):
            corpus[f"{lang}:{row['id']}"] = {"text": row["positive"][lang]}
            queries[f"{lang}:q:{row['id']}"] = row["query"][lang]
            qrels[f"{lang}:q:{row['id']}"] = {f"{one}:{row['id']}": 1 for one in ("de", "en")}
    return bh.from_beir(corpus, queries, qrels, name="small")


def save_model(folder: Path) -> Path:
    """Save the small model, for what takes models by name."""
    static_model().save_pretrained(str(folder))
    return folder


def flatten_weights(model: SentenceTransformer) -> np.ndarray:
    return torch.cat([tensor.flatten() for tensor in model.state_dict().values()]).numpy()


def test_texts_are_cut_in_training_only(tmp_path: Path) -> None:
    pairs = bh.pairs_from_groups(make_groups(12))
    options: dict[str, Any] = {"strategy": "x-x-mono", "max_steps": 2, **SMALL}
    start = transformer_model(tmp_path / "parts")
    own_length = start.max_seq_length
    start.save_pretrained(str(tmp_path / "start"))
    model = train(tmp_path / "start", pairs, tmp_path / "cut", encoder={"max_length": 3}, **options)
    saved_model = SentenceTransformer(str(tmp_path / "cut" / "model"), device="cpu")
    assert own_length is not None
    assert own_length > 3
    assert model.max_seq_length == saved_model.max_seq_length == own_length
    # The same weights as of a model that reads no more itself.
    start.max_seq_length = 3
    short_model = train(start, pairs, tmp_path / "short", **options)
    np.testing.assert_array_equal(flatten_weights(model), flatten_weights(short_model))
    whole_model = train(tmp_path / "start", pairs, tmp_path / "whole", **options)
    assert not np.array_equal(flatten_weights(model), flatten_weights(whole_model))
    # The length belongs to the record, so that another one is not taken for finished.
    with pytest.raises(BadOption, match="another model: max_length"):
        train(tmp_path / "start", pairs, tmp_path / "cut", encoder={"max_length": 4}, **options)


def test_a_record_with_another_option_names_it() -> None:
    plain = {"strategy": {"name": "hybrid"}, "loss": {"mask": True}}
    for strategy in ({"name": "x-y"}, {}, {"name": None}):
        assert list(_list_differences(plain | {"strategy": strategy}, plain)) == ["strategy: name"]
    with_null = plain | {"strategy": {"name": "hybrid", "kinds": None}}
    assert list(_list_differences(with_null, plain)) == ["strategy: kinds"]
    assert list(_list_differences(plain, plain)) == []


def test_a_frozen_vocabulary(tmp_path: Path) -> None:
    start = transformer_model(tmp_path / "parts")
    before = {name: weight.clone() for name, weight in start.state_dict().items()}
    model = train(
        start,
        bh.pairs_from_groups(make_groups(12)),
        tmp_path / "out",
        strategy="x-x-mono",
        max_steps=2,
        tuning={"freeze": "vocabulary"},
        **SMALL,
    )
    unchanged = {
        name for name, weight in model.state_dict().items() if torch.equal(weight, before[name])
    }
    assert [name for name in unchanged if "word_embeddings" in name]
    # Positions and layers are trained, and the pooler is not used.
    assert all(
        "word_embeddings" in name or "pooler" in name or "key.bias" in name for name in unchanged
    )


def test_shared_weights_are_averaged_once(tmp_path: Path) -> None:
    """The words of a SPLADE model are the weights of its last layer, too."""
    start, pairs = make_sparse(tmp_path / "parts"), bh.pairs_from_groups(make_groups(12))
    options: dict[str, Any] = SMALL | {"strategy": "x-x-mono", "max_steps": 3}
    start.save_pretrained(str(tmp_path / "start"))
    for name, share in (("plain", None), ("mixed", 0.25)):
        tuning: Any = {"start_share": share}
        train(tmp_path / "start", pairs, tmp_path / name, tuning=tuning, **options)
    before, plain, mixed = (
        SparseEncoder(str(tmp_path / folder), device="cpu").state_dict()
        for folder in ("start", "plain/model", "mixed/model")
    )
    addresses = [weights.data_ptr() for weights in mixed.values()]
    assert len(set(addresses)) < len(addresses)
    for name, weights in mixed.items():
        expected = 0.25 * before[name].double() + 0.75 * plain[name].double()
        np.testing.assert_allclose(weights, expected, atol=1e-7, err_msg=name)
    assert any(not torch.equal(before[name], plain[name]) for name in before)


@pytest.mark.parametrize("lora", [None, {"r": 2, "target_modules": ["query", "value"]}])
def test_weights_before_and_after_are_averaged(lora: dict[str, Any] | None, tmp_path: Path) -> None:
    pytest.importorskip("peft")
    transformer_model(tmp_path / "parts").save_pretrained(str(tmp_path / "start"))
    pairs = bh.pairs_from_groups(make_groups(12))
    options: dict[str, Any] = SMALL | {"strategy": "x-x-mono", "max_steps": 3}
    for name, share in (("plain", None), ("mixed", 0.25)):
        tuning: Any = {"lora": lora, "start_share": share}
        train(tmp_path / "start", pairs, tmp_path / name, tuning=tuning, **options)
    before, plain, mixed = (
        load_file(tmp_path / folder / "model.safetensors")
        for folder in ("start", "plain/model", "mixed/model")
    )
    assert before.keys() == plain.keys() == mixed.keys()
    moved = 0
    for name, weights in mixed.items():
        expected = 0.25 * before[name].astype(np.float64) + 0.75 * plain[name]
        np.testing.assert_allclose(weights, expected, atol=1e-7, err_msg=name)
        moved += not np.allclose(before[name], plain[name], atol=1e-4)
    assert moved
    recipes = [
        json.loads((tmp_path / name / "training.json").read_text())["recipe"]
        for name in ("plain", "mixed")
    ]
    assert [recipe.get("start share") for recipe in recipes] == [None, 0.25]
    wrong_shares: list[Any] = [0, 1, -0.5, float("nan"), "half"]
    for share in wrong_shares:
        with pytest.raises(BadOption, match=r"start_share is .* between 0 and 1"):
            train(tmp_path / "start", pairs, tmp_path / "no", tuning={"start_share": share})


@pytest.mark.filterwarnings("error:'pin_memory'")  # on a machine without a GPU
def test_train_writes_model_record_and_batches(tmp_path: Path) -> None:
    start = save_model(tmp_path / "start")
    model = train(
        start, bh.pairs_from_groups(make_groups(42)), tmp_path / "out", strategy="hybrid:alpha=0.4",
        max_steps=7, seed=3, encoder={"query_prompt": "w1 "}, **SMALL,
    )  # fmt: skip
    assert not np.allclose(
        flatten_weights(model), flatten_weights(SentenceTransformer(str(start), device="cpu"))
    )
    # A plain folder, whose model knows its prompts.
    saved_model = SentenceTransformer(str(tmp_path / "out" / "model"), device="cpu")
    np.testing.assert_array_equal(flatten_weights(saved_model), flatten_weights(model))
    assert saved_model.prompts["query"] == "w1 "
    np.testing.assert_allclose(
        saved_model.encode_query("w5"), saved_model.encode("w1 w5", prompt=""), atol=1e-6
    )
    record = json.loads((tmp_path / "out" / "training.json").read_text())
    assert record["steps"] == 7
    assert record["recipe"]["strategy"]["kinds"] == [["mono", 0.4], ["cross-rows", 0.6]]
    assert record["recipe"]["arguments"]["learning_rate"] == 0.1
    assert record["recipe"]["arguments"]["weight_decay"] == 0.01
    assert sum(record["audit"]["rows"].values()) == 7 * 4
    lines = (tmp_path / "out" / "batches.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == list(range(1, 8))
    card = (tmp_path / "out" / "model" / "README.md").read_text("utf-8")
    assert "## Hybrid batch training" in card
    assert "rows: 28" in card
    assert not list((tmp_path / "out" / "model").glob("*.bin"))  # no pickles


@pytest.mark.parametrize("limit", [None, 1])
def test_the_loss_is_shown_and_no_checkpoint_stays_unless_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], limit: int | None
) -> None:
    options: dict[str, Any] = SMALL | {"save_strategy": "steps", "save_steps": 2, "max_steps": 4}
    if limit:
        options["save_total_limit"] = limit
    train(static_model(), bh.pairs_from_groups(make_groups(42)), tmp_path / "out", **options)
    output = capsys.readouterr()
    assert not output.out
    assert re.findall(r"step (\d) of 4: loss [\d.]+, ", output.err) == list("1234")
    names = [path.name for path in (tmp_path / "out").glob("checkpoints/*")]
    assert names == (["checkpoint-4"] if limit else [])
    assert (tmp_path / "out" / "checkpoints").exists() == bool(limit)


def test_a_finished_training_is_not_repeated(tmp_path: Path) -> None:
    start, pairs = save_model(tmp_path / "start"), bh.pairs_from_groups(make_groups(42))
    first = train(start, pairs, tmp_path / "out", max_steps=3, **SMALL)
    modification_time = (tmp_path / "out" / "model" / "model.safetensors").stat().st_mtime_ns
    second = train(
        start, bh.pairs_from_groups(make_groups(42)), tmp_path / "out", max_steps=3, **SMALL
    )
    assert (
        tmp_path / "out" / "model" / "model.safetensors"
    ).stat().st_mtime_ns == modification_time
    np.testing.assert_array_equal(flatten_weights(first), flatten_weights(second))
    changes: list[tuple[str, Callable[[], Any]]] = [
        ("arguments", lambda: train(start, pairs, tmp_path / "out", max_steps=4, **SMALL)),
        (
            "strategy",
            lambda: train(start, pairs, tmp_path / "out", strategy="x-y", max_steps=3, **SMALL),
        ),
        (
            "pairs",
            lambda: train(
                start, bh.pairs_from_groups(make_groups(40)), tmp_path / "out", max_steps=3, **SMALL
            ),
        ),
        (
            "loss",
            lambda: train(
                start, pairs, tmp_path / "out", loss={"temperature": 0.1}, max_steps=3, **SMALL
            ),
        ),
        (
            "model",
            lambda: train(static_model(seed=8), pairs, tmp_path / "out", max_steps=3, **SMALL),
        ),
    ]
    for key, train_changed in changes:
        with pytest.raises(BadOption, match=f"another {key}.* name another folder"):
            train_changed()
    (tmp_path / "out" / "training.json").write_text("{")
    with pytest.raises(BadData, match=r"training.json is not JSON"):
        train(start, pairs, tmp_path / "out", max_steps=3, **SMALL)
    (tmp_path / "out" / "training.json").unlink()
    with pytest.raises(BadOption, match="holds something else than a training"):
        train(start, pairs, tmp_path / "out", max_steps=3, **SMALL)


def test_irrelevant_arguments_may_change(tmp_path: Path) -> None:
    start, pairs = save_model(tmp_path / "start"), bh.pairs_from_groups(make_groups(42))
    first = train(
        start,
        pairs,
        tmp_path / "out",
        max_steps=3,
        hub_token="hush",  # noqa: S106
        **SMALL,
    )
    assert "hush" not in (tmp_path / "out" / "training.json").read_text()
    free = SMALL | {"disable_tqdm": False, "logging_steps": 7, "dataloader_num_workers": 1}
    second = train(
        os.path.relpath(start), pairs, tmp_path / "out", max_steps=3, save_total_limit=9, **free
    )
    np.testing.assert_array_equal(flatten_weights(first), flatten_weights(second))


def test_a_folder_without_checkpoint_can_be_reused(tmp_path: Path) -> None:
    pairs = bh.pairs_from_groups(make_groups(42))
    with pytest.raises(BadData, match="batches of 99 rows are too large"):
        train(static_model(), pairs, tmp_path, max_steps=3,
              **SMALL | {"per_device_train_batch_size": 99})  # fmt: skip
    train(static_model(), pairs, tmp_path, max_steps=3, **SMALL)


def test_another_dev_set_is_another_training(tmp_path: Path) -> None:
    def run(n: int, measures: Any = (AP,)) -> Any:
        return train(
            static_model(),
            bh.pairs_from_groups(make_groups(42)),
            tmp_path / "out",
            max_steps=2,
            dev=bh.DevSet(make_collection(n), measures=measures),
            **SMALL,
        )

    run(12)
    with pytest.raises(BadOption, match="another dev: sha256"):
        run(11)
    with pytest.raises(BadOption, match="another dev: measures"):
        run(12, ("R@1",))
    run(12)


def test_empty_prompts_stay_empty(tmp_path: Path) -> None:
    model = static_model(prompts={"query": "w9 ", "passage": "w8 "})
    off = {"query_prompt": "", "passage_prompt": ""}
    trained_model = train(
        model, bh.pairs_from_groups(make_groups(42)), tmp_path, max_steps=1, encoder=off, **SMALL
    )
    assert trained_model.prompts["query"] == trained_model.prompts["document"] == ""
    np.testing.assert_array_equal(
        trained_model.encode_query("w5"), trained_model.encode("w5", prompt="")
    )
    assert bh.SentenceTransformerEncoder(trained_model).prompts == {"queries": "", "passages": ""}


def test_a_collection_is_training_data(tmp_path: Path, run_cli: RunCli) -> None:  # noqa: F811
    rows = make_groups(12)
    faq, groups = tmp_path / "faq.jsonl", tmp_path / "groups.jsonl"
    lines = [{"passage": row["id"], "text": row["positive"]} for row in rows]
    lines += [{"query": row["id"], "text": row["query"], "relevant": [row["id"]]} for row in rows]
    faq.write_text("".join(json.dumps(line) + "\n" for line in lines))
    groups.write_text("".join(json.dumps(row) + "\n" for row in rows))
    start = save_model(tmp_path / "start")
    options = ["--max-steps", 2, "--per-device-train-batch-size", 4, "--use-cpu", "--seed", 3]
    weights = []
    for path in (faq, groups):
        out = tmp_path / path.stem
        outcome = run_cli("train", start, "--train", path, "--output", out, *options)
        assert outcome.code == 0, outcome.err
        weights.append(flatten_weights(SentenceTransformer(str(out / "model"), device="cpu")))
    np.testing.assert_array_equal(weights[0], weights[1])


def test_accelerate_trains_in_two_processes(tmp_path: Path) -> None:
    pairs = tmp_path / "pairs.jsonl"
    pairs.write_text("".join(json.dumps(row) + "\n" for row in make_groups(42)))
    words = [
        "-m",
        "beir_hybrid",
        "train",
        str(save_model(tmp_path / "start")),
        "--train",
        str(pairs),
        "--output",
        str(tmp_path / "out"),
        "--max-steps",
        "3",
        "--use-cpu",
        "--ddp-backend",
        "gloo",
        "--per-device-train-batch-size",
        "4",
        "--report-to",
        "none",
        "--gather",
        "--centre",
        "0.9",
    ]
    accelerate = ["accelerate.commands.launch", "--multi_gpu", "--num_processes", "2",
                  "--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no",
                  "--main_process_port", "0"]  # fmt: skip
    process = subprocess.run(
        [sys.executable, "-m", *accelerate, *words], env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, check=False, timeout=240,
    )  # fmt: skip
    assert process.returncode == 0, process.stderr[-2000:]
    # What the plan for two says, of three steps.
    read_pairs = bh.read_pairs(pairs)
    batches = bh.HybridBatchSampler(
        read_pairs, 4, seed=42, strategy="hybrid", world_size=2
    ).batches()
    rows = [read_pairs.decode_row(int(code)) for batch in batches[:3] for code in batch.codes]
    assert len({row.group for row in rows}) == 3 * 2 * 4
    audit = json.loads((tmp_path / "out" / "training.json").read_text())["audit"]
    assert audit["rows"] == Counter(f"{row.query_language}-{row.passage_language}" for row in rows)
    assert audit["batches"] == Counter(batch.kind for batch in batches[:3] for _ in range(2))
    # One process alone would draw other batches.
    with pytest.raises(BadOption, match="another processes"):
        train(tmp_path / "start", bh.read_pairs(pairs), tmp_path / "out", max_steps=3,
              loss={"temperature": 0.05, "symmetric": False, "consistency": 0.0, "mask": True,
                    "centre": 0.9, "mini_batch_size": None, "gather_across_devices": True},
              per_device_train_batch_size=4, use_cpu=True)  # fmt: skip


def test_the_best_checkpoint_is_loaded(tmp_path: Path) -> None:
    dev, options = make_collection(), SMALL | {"learning_rate": 3.0}  # too high: it gets worse
    model = train(
        static_model(),
        bh.pairs_from_groups(make_groups(42)),
        tmp_path / "out",
        dev=bh.DevSet(dev, primary="multi_AP"),
        max_steps=12,
        eval_strategy="steps",
        eval_steps=2,
        logging_steps=2,
        save_total_limit=2,
        **options,
    )
    record = json.loads((tmp_path / "out" / "training.json").read_text())
    state = json.loads(
        (tmp_path / "out" / "checkpoints" / "checkpoint-12" / "trainer_state.json").read_text()
    )
    values = {
        entry["step"]: entry["eval_small_multi_AP"]
        for entry in state["log_history"]
        if "eval_small_multi_AP" in entry
    }
    assert list(values) == [2, 4, 6, 8, 10, 12]
    best = max(values, key=lambda step: values[step])
    assert best != 12, values
    assert record["best"]["step"] == best
    assert record["best"]["value"] == values[best]
    value = bh.evaluate(model, dev, measures=[AP]).summary()["multi"][AP].mean
    assert value == pytest.approx(values[best])
    # Bias is in the logs, too.
    assert "eval_small_multi_RankDistance" in state["log_history"][-1]


def test_patience_ends_a_training(tmp_path: Path) -> None:
    options = SMALL | {"learning_rate": 0.0}  # no evaluation is better than the first
    train(
        static_model(),
        bh.pairs_from_groups(make_groups(42)),
        tmp_path / "out",
        dev=bh.DevSet(make_collection(), patience=2),
        max_steps=40,
        eval_strategy="steps",
        eval_steps=2,
        **options,
    )
    assert json.loads((tmp_path / "out" / "training.json").read_text())["steps"] == 6


def test_adapters_are_trained_alone_and_merged(tmp_path: Path) -> None:
    pytest.importorskip("peft")
    start = tmp_path / "start"
    transformer_model(tmp_path / "body").save_pretrained(str(start))
    model = train(
        start, bh.pairs_from_groups(make_groups(42)), tmp_path / "out", dev=make_collection(),
        tuning={"lora": {"r": 2, "target_modules": ["query", "value"]}}, max_steps=6,
        eval_steps=3, save_total_limit=2, **SMALL,
    )  # fmt: skip
    before = dict(SentenceTransformer(str(start), device="cpu").state_dict())
    after = dict(model.state_dict())
    assert before.keys() == after.keys()  # a plain model
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert all(name.endswith(("query.weight", "value.weight")) for name in changed), changed
    # Merged, it gives what the best checkpoint gives with its adapters apart.
    record = json.loads((tmp_path / "out" / "training.json").read_text())
    assert record["best"]["step"] in (3, 6)  # each third step was evaluated
    checkpoint = tmp_path / "out" / "checkpoints" / f"checkpoint-{record['best']['step']}"
    assert (checkpoint / "adapter_config.json").exists()
    checkpoint_model = SentenceTransformer(str(checkpoint), device="cpu")
    texts = ["w1 w2", "w7"]
    np.testing.assert_allclose(model.encode(texts), checkpoint_model.encode(texts), atol=1e-5)
    with pytest.raises(BadOption, match="lora: a StaticEmbedding takes no such adapters"):
        train(
            static_model(),
            bh.pairs_from_groups(make_groups(9)),
            tmp_path / "no",
            tuning={"lora": {"r": 2}},
            max_steps=1,
            **SMALL,
        )


def test_a_model_that_is_an_object_is_loaded_again_for_the_same_call(tmp_path: Path) -> None:
    pairs = bh.pairs_from_groups(make_groups(42))
    model = static_model()
    trained = train(model, pairs, tmp_path / "out", max_steps=2, **SMALL)
    message = "with another model: weights; load the model again if it was an object and trained"
    with pytest.raises(BadOption, match=message):
        train(model, pairs, tmp_path / "out", max_steps=2, **SMALL)
    loaded = train(static_model(), pairs, tmp_path / "out", max_steps=2, **SMALL)
    for name, tensor in loaded.state_dict().items():
        assert torch.equal(tensor, trained.state_dict()[name])


def test_invalid_options_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    pairs = bh.pairs_from_groups(make_groups(42))
    for options, error, message in (
        ({"learning_rat": 1}, UnknownName, "did you mean 'learning_rate'"),
        ({"prompts": {}}, BadOption, "prompts cannot be set; query_prompt and passage_prompt"),
        ({"resume_from_checkpoint": "x"}, BadOption, "goes on by itself"),
        ({"eval_strategy": "steps"}, BadOption, "eval_strategy is for a training with dev"),
        ({"eval_steps": 5}, BadOption, "eval_steps is for a training with dev"),
        ({"data_seed": 5}, BadOption, "data_seed cannot be set; seed determines it"),
        ({"report_to": "nobody"}, BadOption, "the trainer refuses: .*nobody"),
        ({"loss": {"mini_batch_size": 2}}, BadOption, "StaticEmbedding has no batches to cut"),
        ({"loss": {"scale": 20}}, UnknownName, "no option of the loss 'scale'"),
        (
            {"tuning": {"lore": {}}},
            UnknownName,
            "no option of the tuning 'lore'; did you mean 'lora'",
        ),
        ({"encoder": {"max_length": 0}}, BadOption, "max_length is 0"),
        ({"strategy": "hybird"}, UnknownName, "did you mean 'hybrid'"),
        ({"strategy": "en-en:alpha=1"}, BadOption, "has no option 'alpha'; it has none"),
        ({"strategy": "hybrid:beta=1"}, BadOption, "no option 'beta'; there are alpha, cross"),
        ({"eval_strategy": "sometimes"}, BadOption, "arguments of the training: sometimes is not"),
    ):
        with pytest.raises(error, match=message):
            train(static_model(), pairs, tmp_path / "out", **(options | {"max_steps": 1}))
    assert not (tmp_path / "out" / "model").exists()


def test_ablate_equals_single_trainings_and_resumes(tmp_path: Path) -> None:
    def run(strategies: list[str], seeds: tuple[int, ...]) -> Any:
        return ablate(
            static_model(),
            bh.pairs_from_groups(make_groups(42)),
            tmp_path / "out",
            strategies=strategies,
            seeds=seeds,
            test=make_collection(),
            max_steps=5,
            **SMALL,
        )

    first = run(["x-x-mono", "hybrid:alpha=0.4"], (1,))
    assert [(t.strategy, t.seed) for t in first] == [("x-x-mono", 1), ("hybrid-alpha=0.4", 1)]
    run_folder = tmp_path / "out" / "runs" / "x-x-mono-1"
    modification_time = (run_folder / "training.json").stat().st_mtime_ns
    trials = run(["x-x-mono", "hybrid:alpha=0.4"], (1, 2))
    assert (run_folder / "training.json").stat().st_mtime_ns == modification_time
    # Damaged results are made again.
    stored_results = tmp_path / "out" / "results" / "small" / "x-x-mono-1" / "per_query.parquet"
    content = stored_results.read_bytes()
    stored_results.write_bytes(content[:-1])
    assert run(["x-x-mono"], (1,))[0].results.summary() == trials[0].results.summary()
    assert stored_results.read_bytes() == content
    # Each equals a single training and evaluation.
    for trial in trials:
        strategy = trial.strategy.replace("-alpha", ":alpha")
        model = train(
            static_model(),
            bh.pairs_from_groups(make_groups(42)),
            tmp_path / f"{trial.strategy}{trial.seed}",
            strategy=strategy,
            max_steps=5,
            seed=trial.seed,
            **SMALL,
        )
        expected = bh.evaluate(model, make_collection()).summary()
        folder = tmp_path / "out" / "results" / "small" / f"{trial.strategy}-{trial.seed}"
        for summary in (trial.results.summary(), bh.Results.load(folder).summary()):
            assert summary["multi"][AP].mean == pytest.approx(expected["multi"][AP].mean)
    rows = list(tabulate_trials(trials, {"multi": (AP, "multi")}))
    assert [row[:2] for row in rows] == [["small", "x-x-mono"], ["small", "hybrid-alpha=0.4"]]
    values = [t.results.summary()["multi"][AP].mean for t in trials if t.strategy == "x-x-mono"]
    assert rows[0][2] == f"{np.mean(values):.4f} ± {np.std(values, ddof=1):.4f}"
    assert not list((tmp_path / "out").rglob("checkpoint-*"))
    with pytest.raises(BadOption, match="cannot name a strategy"):
        run(["x-y", "x-y"], (1,))


def test_ablate_evaluates_again_on_other_data(tmp_path: Path) -> None:
    def run(test: Collection, measures: Any = None) -> Any:
        (trial,) = ablate(
            static_model(),
            bh.pairs_from_groups(make_groups(42)),
            tmp_path / "out",
            strategies=["x-y"],
            seeds=(1,),
            test=test,
            measures=measures,
            max_steps=2,
            **SMALL,
        )
        return trial.results

    first, second = run(make_collection(12)), run(make_collection(9))
    assert [results.provenance.collection.queries for results in (first, second)] == [24, 18]
    assert [str(results) for results in run(make_collection(9), ["R@1"]).measures] == ["R@1"]
    hostile = dataclasses.replace(make_collection(9), name="../../escaped")
    run(hostile)
    assert not (tmp_path / "escaped").exists()
    assert (tmp_path / "out" / "results" / "escaped" / "x-y-1" / "results.json").exists()


def test_train_on_the_command_line(
    tmp_path: Path,
    run_cli: RunCli,  # noqa: F811
    capsys: pytest.CaptureFixture[str],
) -> None:
    pairs = tmp_path / "pairs.jsonl"
    pairs.write_text("".join(json.dumps(row) + "\n" for row in make_groups(42)))
    start = save_model(tmp_path / "start")
    config = tmp_path / "train.yaml"
    config.write_text(
        f"train: {pairs}\nstrategy: [x-y]\ntemperature: 0.1\nmax-steps: 3\nlearning_rate: 1e-1\n"
        "languages: [de, en, th]\nlora: null\nwarmup_ratio: null\n"
        "per_device_train_batch_size: 4\nuse_cpu: true\nreport_to: none\n"
    )
    outcome = run_cli(
        "train",
        start,
        "--config",
        config,
        "--output",
        tmp_path / "a",
        "--max-steps",
        4,
        "--strategy",
        "hybrid:alpha=0.4",
        "--seed",
        3,
    )
    assert outcome.code == 0, outcome.err
    assert f"saved in {tmp_path / 'a' / 'model'}" in outcome.out
    record = json.loads((tmp_path / "a" / "training.json").read_text())
    assert record["steps"] == 4  # the line comes before the file
    assert record["recipe"]["strategy"]["kinds"] == [["mono", 0.4], ["cross-rows", 0.6]]
    assert record["recipe"]["loss"]["temperature"] == 0.1
    assert record["recipe"]["arguments"]["learning_rate"] == 0.1
    # The same as the function.
    model = train(
        start, bh.read_pairs(pairs), tmp_path / "b", strategy="hybrid:alpha=0.4", max_steps=4,
        seed=3, loss={"temperature": 0.1}, **SMALL,
    )  # fmt: skip
    saved_model = SentenceTransformer(str(tmp_path / "a" / "model"), device="cpu")
    capsys.readouterr()
    np.testing.assert_array_equal(flatten_weights(saved_model), flatten_weights(model))
    for words, message in (
        (["train"], "MODEL is needed"),
        (["train", start, "--output", tmp_path / "x"], "--train is needed"),
        (["train", "--max-steps", 3, start], "MODEL comes before options such as --max-steps"),
        (["train", start, "--config", config, "--output", tmp_path / "x", "--learning-rat", 1],
         "did you mean --learning-rate?"),
        (["train", start, "--config", config, "--output", tmp_path / "x", "--switch-on", "both"],
         "--switch-on goes with --switch"),
        (["train", start, "--config", config, "--output", tmp_path / "x", "--dev-languages", "de"],
         "--dev-languages goes with --dev"),
        (["train", start, "--config", config, "--output", tmp_path / "x", "-o", "split=dev"],
         "--option changes nothing of"),
        (["train", start, "--config", config, "--output", tmp_path / "x", "--lora", "r"],
         "--lora takes KEY=VALUE"),
        (["train", start, "--config", config, "--output", tmp_path / "x", "--switch", 0.5],
         "--switch and --lexicon go together"),
        (["train", start, "--config", tmp_path / "none.yaml"], "there is no file"),
        (["train", start, "--config", config, "--output", tmp_path / "x", "--max-steps", "few"],
         "invalid int value: 'few'"),
        (["train", start, "--train", tmp_path / "no.jsonl", "--output", tmp_path / "x"],
         "there is no file"),
        (["ablate", start, "--train", pairs, "--test", "xquad-r", "--output", tmp_path / "x",
          "--strategy", "x-y"], "needs --max-steps"),
    ):  # fmt: skip
        outcome = run_cli(*words)
        assert (outcome.code, message in outcome.err) == (2, True), outcome.err
        assert len(outcome.err.splitlines()) == 1


@pytest.mark.usefixtures("mirror")
def test_ablate_on_the_command_line(tmp_path: Path, run_cli: RunCli) -> None:  # noqa: F811
    config = tmp_path / "ablation.yaml"
    config.write_text("languages: de,es\nper-device-train-batch-size: 8\nuse_cpu: true\n")
    outcome = run_cli(
        "ablate", save_model(tmp_path / "start"), "--train", "mlqa-r", "--test", "mlqa-r",
        "--test-languages", "es,vi", "--strategy", "x-x-mono", "--strategy", "x-y", "--seed", 1,
        "--max-steps", 2, "--config", config, "--output", tmp_path / "out",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    header, *rows, saved_in = outcome.out.splitlines()[-4:]
    assert saved_in == f"saved in {tmp_path / 'out'}"
    assert header.split("  ")[0] == "collection"
    assert [row.split()[:2] for row in rows] == [["mlqa-r", "x-x-mono"], ["mlqa-r", "x-y"]]
    record = json.loads((tmp_path / "out" / "runs" / "x-y-1" / "training.json").read_text())
    assert record["recipe"]["pairs"]["languages"] == ["de", "es"]
    assert set(record["audit"]["rows"]) <= {"de-es", "es-de"}


def test_another_part_of_the_model_or_the_pairs_is_another_training(tmp_path: Path) -> None:
    start = save_model(tmp_path / "start")
    pairs = bh.pairs_from_groups(make_groups(42))
    train(start, pairs, tmp_path / "out", max_steps=1, **SMALL)
    with pytest.raises(BadOption, match="columns"):
        train(
            start, pairs.select_columns(["anchor", "positive"]), tmp_path / "out", max_steps=1,
            **SMALL,
        )  # fmt: skip
    path = Path(start) / "tokenizer.json"
    tokenizer = json.loads(path.read_text())
    tokenizer["normalizer"] = {"type": "Lowercase"}
    path.write_text(json.dumps(tokenizer))
    with pytest.raises(BadOption, match="tokenizer"):
        train(start, pairs, tmp_path / "out", max_steps=1, **SMALL)


def test_checkpoints_are_those_that_are_evaluated(tmp_path: Path) -> None:
    pairs = bh.pairs_from_groups(make_groups(42))
    with pytest.raises(BadOption, match="save_steps is 4 and eval_steps 2"):
        train(
            static_model(), pairs, tmp_path / "out", max_steps=8, eval_steps=2, save_steps=4,
            dev=pairs, **SMALL,
        )  # fmt: skip
    with pytest.raises(BadOption, match="save_only_model cannot be set"):
        train(static_model(), pairs, tmp_path / "out", max_steps=8, save_only_model=True, **SMALL)


def test_files_with_one_stem_and_dev_pairs_without_negatives(
    tmp_path: Path,
    run_cli: RunCli,  # noqa: F811
) -> None:
    start = save_model(tmp_path / "start")
    for target in ("en", "fr"):
        for lang in ("de", target):
            lines = "".join(f"{lang} w{n}\n" for n in range(20))
            (tmp_path / f"news.de-{target}.{lang}").write_text(lines)
    files = [f"de={tmp_path}/news.de-{x}.de,{x}={tmp_path}/news.de-{x}.{x}" for x in ("en", "fr")]
    options = ["--max-steps", 1, "--use-cpu", "--report-to", "none", "--strategy", "x-y",
               "--per-device-train-batch-size", 4]  # fmt: skip
    outcome = run_cli(
        "train", start, "--bitext", files[0], "--bitext", files[1], "--output", tmp_path / "a",
        *options,
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    groups = make_groups(42)
    mined = [{**g, "negative": {lang: ["w9"] for lang in g["positive"]}} for g in groups]
    for name, rows in (("mined", mined), ("held", groups)):
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (tmp_path / f"{name}.jsonl").write_text(text)
    outcome = run_cli(
        "train", start, "--train", tmp_path / "mined.jsonl", "--negatives", 1, "--dev-pairs",
        tmp_path / "held.jsonl", "--eval-steps", 1, "--output", tmp_path / "b", *options,
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
