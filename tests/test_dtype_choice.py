"""`--dtype auto`: average precision in float32 and with bfloat16 products, by brute force."""
# mypy: allow-untyped-calls

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Dense

import beir_hybrid as bh
from beir_hybrid.collection import Collection
from beir_hybrid.encoding import as_encoder
from beir_hybrid.encoding.arithmetic import multiplies_bfloat16
from beir_hybrid.errors import BadOption
from beir_hybrid.evaluation.dtype_choice import RankingSample, choose_dtype, draw_sample
from beir_hybrid.extras.doctor import read_processor_flags
from beir_hybrid.pyserini.manifest import read_manifest
from tests.families import make_late, make_sparse, save_dense
from tests.models import static_model
from tests.small_collections import make_word_collection, write_parallel_words
from tests.test_cli_evaluate import RunCli, run_cli

__all__ = ["run_cli"]
MIXED = "mixed-bfloat16"
HAS_INSTRUCTIONS = bool(read_processor_flags() & {"avx512_bf16", "amx_bf16"})
needs_instructions = pytest.mark.skipif(
    not multiplies_bfloat16(), reason="needs a processor that multiplies bfloat16"
)


@pytest.fixture(scope="module")
def collection() -> Collection:
    return make_word_collection()


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Give models whose rankings hold in bfloat16, and fall apart.

    The one has no products. The other adds 40 to each number, and bfloat16 has 8 binary digits.
    """
    base = tmp_path_factory.mktemp("models")
    static_model().save(str(base / "holds"))
    words: Any = static_model()[0]
    words.embedding.weight.data[:, 0] = 40
    layer = Dense(16, 16, bias=False, activation_function=torch.nn.Identity())
    weights = torch.eye(16)
    weights[:, 0] = 1
    layer.linear.weight.data.copy_(weights)
    SentenceTransformer(modules=[words, layer], device="cpu").save(str(base / "falls"))
    return {name: base / name for name in ("holds", "falls")}


def average_precision(sample: RankingSample, queries: Any, passages: Any) -> float:
    """Return the mean average precision, ties with the later passage first, pair by pair."""
    values = []
    for query in range(len(sample.queries)):
        golds = sample.gold_passages[sample.gold_queries == query].tolist()
        scores = (passages @ queries[query]).tolist()
        order = sorted(range(len(scores)), key=lambda row: (-scores[row], -row))
        places = sorted(1 + order.index(gold) for gold in golds)
        values.append(np.mean([(n + 1) / place for n, place in enumerate(places)]))
    return float(np.mean(values))


@pytest.mark.skipif(not read_processor_flags(), reason="needs Linux, which names instructions")
def test_the_processor_is_asked() -> None:
    assert multiplies_bfloat16() == HAS_INSTRUCTIONS


def test_products_are_in_bfloat16_and_the_rest_in_float32(tmp_path: Path) -> None:
    folder = save_dense(tmp_path)
    texts = [f"w{n} w{3 * n % 50} w{7 * n % 90}" for n in range(50)]
    encoder: Any = as_encoder(str(folder), dtype=MIXED, batch_size=64)
    rows = encoder.encode_passages(texts)
    model = SentenceTransformer(str(folder), device="cpu")
    with torch.autocast("cpu", torch.bfloat16):
        expected = model.encode(texts, normalize_embeddings=True)
    assert rows == pytest.approx(expected, abs=1e-7)
    assert np.linalg.norm(rows, axis=1) == pytest.approx(1, abs=1e-5)
    exact = model.encode(texts, normalize_embeddings=True)
    assert np.abs(rows - exact).max() > 1e-5
    assert not torch.is_autocast_enabled("cpu")
    assert encoder.fingerprint["dtype"] == MIXED
    plain = as_encoder(str(folder)).fingerprint
    assert {name for name in plain if plain[name] != encoder.fingerprint[name]} == {"dtype"}
    batches: Any = as_encoder(str(folder), dtype=MIXED, batch_size=4)
    assert batches.encode_passages(texts) == pytest.approx(rows, abs=1e-4)


@pytest.mark.parametrize("family", ["sparse", "late-interaction"])
def test_other_families_multiply_in_bfloat16_too(tmp_path: Path, family: str) -> None:
    make = {"sparse": make_sparse, "late-interaction": make_late}[family]
    texts = [f"w{n} w{n + 5}" for n in range(9)]

    def encode(**options: Any) -> np.ndarray:
        vectors: Any = as_encoder(make(tmp_path / "model"), **options).encode_passages(texts)
        return vectors.toarray() if family == "sparse" else np.concatenate(vectors)

    exact, mixed = encode(), encode(dtype=MIXED)
    assert 0 < np.abs(mixed - exact).mean() < 0.01 * np.abs(exact).max()


def test_arithmetic_ends_with_each_batch(tmp_path: Path) -> None:
    """Whoever takes the batches computes as before, whatever becomes of the others."""
    folder, texts = str(save_dense(tmp_path)), [f"w{n} w{n * n % 50}" for n in range(20)]
    exact = as_encoder(folder).encode_passages(texts)
    encoder = as_encoder(folder, dtype=MIXED, batch_size=4)
    first: Any
    second: Any
    first, second = (encoder.encode_batches(texts, role) for role in ("queries", "passages"))
    for _ in range(2):
        next(first), next(second)
        assert not torch.is_autocast_enabled("cpu")
        np.testing.assert_array_equal(as_encoder(folder).encode_passages(texts), exact)
    first.close(), second.close()
    assert not torch.is_autocast_enabled("cpu")


def test_weights_may_change_between_batches(tmp_path: Path) -> None:
    """An encoding that was not finished keeps no converted weights."""
    encoder: Any = as_encoder(str(save_dense(tmp_path)), dtype=MIXED, batch_size=4)
    texts = [f"w{n} w{n * n % 50}" for n in range(20)]
    batches: Any = encoder.encode_batches(texts, "passages")
    next(batches)

    def encode() -> np.ndarray:
        features = encoder.model.preprocess(texts)
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            vectors: torch.Tensor = encoder.model(features)["sentence_embedding"]
        return vectors.float().numpy()

    before_change = encode()
    with torch.no_grad():
        for weights in encoder.model.parameters():
            weights.mul_(3) if weights.ndim == 2 else None
    after_change = encode()
    assert np.abs(after_change - before_change).max() > 0.01
    batches.close()
    np.testing.assert_array_equal(encode(), after_change)


def test_autocast_of_the_caller_stays(tmp_path: Path) -> None:
    encoder = as_encoder(str(save_dense(tmp_path)), dtype=MIXED, batch_size=4)
    with torch.autocast("cpu", torch.bfloat16):
        batches: Any = encoder.encode_batches([f"w{n}" for n in range(9)], "passages")
        next(batches)
        assert torch.is_autocast_enabled("cpu")
    batches.close()
    assert not torch.is_autocast_enabled("cpu")


def test_a_sample_has_all_relevant_passages_of_its_queries(collection: Collection) -> None:
    corpus, queries, qrels = collection.view().to_beir()
    sample = draw_sample(collection, n_queries=6, n_passages=30)
    assert (len(sample.queries), len(sample.passages)) == (6, 30)
    texts = sample.passages.to_pylist()
    for row, text in enumerate(sample.queries.to_pylist()):
        expected = [
            sorted(corpus[key]["text"] for key in qrels[query])
            for query in queries if queries[query] == text
        ]  # fmt: skip
        golds = sample.gold_passages[sample.gold_queries == row]
        assert sorted(texts[gold] for gold in golds) in expected
    # More than there are: all of them, in their order.
    whole = draw_sample(collection)
    assert whole.queries.to_pylist() == list(queries.values())
    assert whole.passages.to_pylist() == [document["text"] for document in corpus.values()]


def test_queries_come_with_their_translations(tmp_path: Path) -> None:
    words = write_parallel_words(tmp_path / "words.jsonl", ["de", "en", "fr"])
    sample = draw_sample(bh.load("jsonl", path=str(words)), n_queries=9, n_passages=20)
    first_words = [text.split()[0] for text in sample.queries.to_pylist()]
    assert len(set(first_words)) == 3
    assert len(sample.passages) == 20


def encode_sample(model: SentenceTransformer, sample: RankingSample) -> list[np.ndarray]:
    parts = (sample.queries.to_pylist(), sample.passages.to_pylist())
    return [model.encode(part, normalize_embeddings=True) for part in parts]


@pytest.mark.parametrize("name", ["holds", "falls"])
def test_average_precision_is_that_of_brute_force(
    folders: dict[str, Path], collection: Collection, name: str
) -> None:
    sample = draw_sample(collection)
    model = SentenceTransformer(str(folders[name]), device="cpu")
    exact = average_precision(sample, *encode_sample(model, sample))
    with torch.autocast("cpu", torch.bfloat16):
        mixed = average_precision(sample, *encode_sample(model, sample))
    assert (abs(mixed - exact) <= 1e-3) == (name == "holds")
    assert exact < 1
    for dtype, value in (("float32", exact), (MIXED, mixed)):
        assert sample.measure(as_encoder(str(folders[name]), dtype=dtype)) == pytest.approx(value)


@needs_instructions
@pytest.mark.parametrize(("name", "dtype"), [("holds", MIXED), ("falls", "float32")])
def test_the_figures_decide(
    folders: dict[str, Path], collection: Collection, name: str, dtype: str,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    encoder: Any = as_encoder(str(folders[name]), dtype="auto", query_prompt="w9 ")
    chosen: Any = choose_dtype(encoder, collection)
    explicit: Any = as_encoder(str(folders[name]), dtype=dtype, query_prompt="w9 ")
    assert chosen.fingerprint == explicit.fingerprint
    assert chosen.load_request == explicit.load_request
    (message,) = caplog.messages
    sample = draw_sample(collection)
    expected = [
        sample.measure(as_encoder(str(folders[name]), dtype=kind, query_prompt="w9 "))
        for kind in (MIXED, "float32")
    ]
    assert message == (
        f"dtype auto takes {dtype}: AP {expected[0]:.4f}, and {expected[1]:.4f} in float32, "
        f"with {len(sample.queries)} queries and {len(sample.passages)} passages"
    )


def test_half_weights_become_whole(folders: dict[str, Path], collection: Collection) -> None:
    encoder = as_encoder(SentenceTransformer(str(folders["holds"])).bfloat16(), dtype="auto")
    chosen: Any = choose_dtype(encoder, collection)
    assert chosen.model.dtype == torch.float32
    assert chosen.load_request is None


@needs_instructions
def test_the_command_line_records_what_was_used(
    run_cli: RunCli, folders: dict[str, Path], tmp_path: Path, own_cache: Path
) -> None:
    words = write_parallel_words(tmp_path / "words.jsonl", ["de", "en"])
    line = ["evaluate", folders["holds"], "--dataset", "jsonl", "-o", f"path={words}"]
    line += ["--measures", "AP", "--output", tmp_path / "out"]
    outcome = run_cli(*line, "--dtype", "auto")
    assert outcome.code == 0
    assert re.fullmatch(rf"dtype auto takes {MIXED}: AP [^\n]*\n", outcome.err)
    results = bh.Results.load(tmp_path / "out")
    assert results.provenance.model.fingerprint["dtype"] == MIXED
    assert results.timing.request is not None
    assert results.timing.request.options == {"dtype": MIXED}
    commands = "\n".join(bh.reproduce_commands(results))
    assert f"--dtype {MIXED}" in commands
    assert "auto" not in commands
    # The explicit name finds all vectors in the store, and so does the next choice.
    files = sorted(own_cache.rglob("*.npy"))
    assert run_cli(*line, "--dtype", MIXED).err == ""
    assert run_cli(*line, "--dtype", "auto").code == 0
    assert sorted(own_cache.rglob("*.npy")) == files
    data = line[2:6]
    assert run_cli("encode", folders["holds"], *data, "--dtype", "auto").code == 0
    index = tmp_path / "index"
    line = ["index", folders["holds"], *data, "--dtype", "auto", "--output", index]
    assert run_cli(*line).code == 0
    assert read_manifest(index)["model"]["options"] == {"dtype": MIXED}
    assert run_cli("search", index, "w1 w2").code == 0


def test_a_choice_without_texts_is_refused(
    run_cli: RunCli, folders: dict[str, Path], tmp_path: Path
) -> None:
    encoder: Any = as_encoder(str(folders["holds"]), dtype="auto")
    with pytest.raises(BadOption, match="none is at hand: name float32 or mixed-bfloat16"):
        encoder.encode_queries(["w1"])
    with pytest.raises(BadOption, match="'auto', which is chosen by the queries"):
        encoder.fingerprint  # noqa: B018 - a property
    line = ["encode", folders["holds"], "--dataset", tmp_path, "--dtype", "auto"]
    outcome = run_cli(*line, "--shard", "1/2")
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert "name float32 or mixed-bfloat16" in outcome.err
