"""Any model becomes an encoder whose vectors are the model's own, and whose fingerprint tells."""
# mypy: allow-untyped-calls
# (transformers' logging has no types.)

import dataclasses
import importlib.metadata
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Router
from transformers.utils import logging

import beir_hybrid as bh
from beir_hybrid.encoding import (
    Embeddings,
    EncoderOptions,
    EncodingStats,
    SentenceTransformerEncoder,
    as_encoder,
    encode,
    model_encoder,
)
from beir_hybrid.encoding.encoder import EncoderAdapter, EncoderLike
from beir_hybrid.encoding.presets import BY_MODEL, PRESETS
from beir_hybrid.errors import BadData, BadOption, UnknownName
from beir_hybrid.retrieval import DenseScorer
from tests.models import static_model, transformer_model
from tests.test_evaluate import make_parallel_collection

TEXTS = ["w3", "w1 w2 w5 w5", "w7 w8"]
COMMIT = "c0ffee" + "0" * 34


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a saved transformer."""
    base = tmp_path_factory.mktemp("model")
    transformer_model(base / "parts").save(str(base / "saved"))
    return base / "saved"


def encode_plainly(model: SentenceTransformer, texts: Sequence[str], **options: Any) -> np.ndarray:
    """Return the model's own vectors, not normalised, no prompt."""
    return np.asarray(model.encode(list(texts), prompt="", convert_to_numpy=True, **options))


@pytest.fixture
def save_to_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Give what puts a model into the hub's cache, where no hub can be asked."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("BEIR_HYBRID_OFFLINE", "1")

    def put(name: str, **options: Any) -> str:
        home = tmp_path / f"models--{name.replace('/', '--')}"
        static_model(**options).save_pretrained(str(home / "snapshots" / COMMIT))
        (home / "refs").mkdir()
        (home / "refs" / "main").write_text(COMMIT)
        return name

    return put


E5 = "intfloat/multilingual-e5-base"
OWN = {"query": "w1 ", "document": "w2 "}


@pytest.mark.parametrize(
    ("model", "options", "prompts"),
    [
        ({"name": "me/multilingual-e5-base"}, {}, ("", "")),
        ({"name": "intfloat/multilingual-e5-base-v9"}, {}, ("", "")),
        ({"name": E5}, {}, ("query: ", "passage: ")),
        ({"name": E5}, {"preset": "hybrid"}, ("Query: ", "Passage: ")),
        ({"name": E5, "prompts": OWN}, {}, ("w1 ", "w2 ")),
        ({"name": E5, "prompts": {"query": "w1 "}}, {}, ("w1 ", "")),
        ({"name": E5, "prompts": {"passage": "w2 "}}, {}, ("", "w2 ")),
        ({"name": E5, "prompts": {"corpus": "w2 "}}, {}, ("", "w2 ")),
        ({"name": E5, "prompts": {"corpus": "w3 ", "passage": "w2 "}}, {}, ("", "w2 ")),
        ({"name": E5, "prompts": OWN}, {"preset": "hybrid"}, ("Query: ", "Passage: ")),
        ({"name": "me/own", "prompts": OWN}, {"preset": "e5"}, ("query: ", "passage: ")),
        ({"name": "me/own", "prompts": OWN}, {"preset": "labse"}, ("", "")),
        (
            {"name": "me/own", "prompts": OWN},
            {"preset": "e5", "query_prompt": "w3 "},
            ("w3 ", "passage: "),
        ),
        ({"name": "me/own", "prompts": OWN}, {"query_prompt": "w3 "}, ("w3 ", "w2 ")),
        ({"name": E5, "prompts": OWN}, {"query_prompt": "", "passage_prompt": ""}, ("", "")),
        ({"name": E5}, {"passage_prompt": "w3 "}, ("query: ", "w3 ")),
    ],
)
def test_prompts_come_from_the_first_that_names_them(
    save_to_cache: Callable[..., str],
    model: dict[str, Any],
    options: dict[str, Any],
    prompts: tuple[str, str],
) -> None:
    name = save_to_cache(**model)
    encoder = SentenceTransformerEncoder(name, normalize=False, **options)
    assert (encoder.name, encoder.revision) == (name, COMMIT)
    assert (encoder.prompts["queries"], encoder.prompts["passages"]) == prompts
    assert encoder.fingerprint["prompts"] == {"queries": prompts[0], "passages": prompts[1]}
    plain = static_model()
    for prompt, vectors in zip(
        prompts, (encoder.encode_queries(TEXTS), encoder.encode_passages(TEXTS)), strict=True
    ):
        assert vectors.tolist() == encode_plainly(plain, [prompt + text for text in TEXTS]).tolist()


def test_what_is_no_hub_name_gets_no_preset_and_no_name_of_its_base(
    save_to_cache: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = SentenceTransformer(save_to_cache(E5), device="cpu", local_files_only=True)
    loaded.model_card_data.base_model = E5  # as if the hub had been asked
    trained = SentenceTransformerEncoder(loaded)
    assert (trained.name, trained.revision) == ("SentenceTransformer", "")
    # A folder is no hub name, whatever it is called.
    monkeypatch.chdir(tmp_path)
    loaded.save_pretrained(E5)
    folder = SentenceTransformerEncoder(E5)
    assert (folder.name, folder.revision) == (E5, "")
    for encoder in (trained, folder):
        assert encoder.prompts == {"queries": "", "passages": ""}


def test_presets_are_those_of_the_models_cards() -> None:
    assert (PRESETS["e5"].query, PRESETS["e5"].passage) == ("query: ", "passage: ")
    assert (PRESETS["hybrid"].query, PRESETS["hybrid"].passage) == ("Query: ", "Passage: ")
    assert (PRESETS["arctic"].query, PRESETS["arctic"].passage) == ("query: ", "")
    for name in (
        "BAAI/bge-m3",
        "sentence-transformers/LaBSE",
        "Alibaba-NLP/gte-multilingual-base",
    ):
        assert (BY_MODEL[name].query, BY_MODEL[name].passage) == ("", "")
    assert BY_MODEL["intfloat/multilingual-e5-small"] is PRESETS["e5"]
    assert BY_MODEL["Snowflake/snowflake-arctic-embed-l-v2.0"] is PRESETS["arctic"]
    models = [model for preset in PRESETS.values() for model in preset.models]
    assert len(models) == len(set(models))


def test_an_unknown_preset_is_named_even_if_the_model_has_prompts() -> None:
    with pytest.raises(UnknownName, match="no preset 'e6'; did you mean 'e5'"):
        SentenceTransformerEncoder(static_model(prompts=OWN), preset="e6")


@pytest.mark.parametrize(
    ("similarity", "normalize", "unit"),
    [("cosine", None, True), ("dot", None, False), ("dot", True, True), ("cosine", False, False)],
)
def test_rows_have_unit_length_unless_the_model_says_dot(
    similarity: str, normalize: bool | None, unit: bool
) -> None:
    model = static_model(similarity_fn_name=similarity)
    plain_vectors = encode_plainly(model, TEXTS)
    expected = (
        plain_vectors / np.linalg.norm(plain_vectors, axis=1, keepdims=True)
        if unit
        else plain_vectors
    )
    vectors = SentenceTransformerEncoder(model, normalize=normalize).encode_queries(TEXTS)
    assert vectors == pytest.approx(expected, abs=1e-6)


def test_dimensions_are_cut_before_rows_get_unit_length() -> None:
    model = static_model()
    plain_vectors = encode_plainly(model, TEXTS)[:, :5]
    encoder = SentenceTransformerEncoder(model, truncate_dim=5)
    expected = plain_vectors / np.linalg.norm(plain_vectors, axis=1, keepdims=True)
    assert encoder.encode_passages(TEXTS) == pytest.approx(expected, abs=1e-6)
    encoder = SentenceTransformerEncoder(static_model(truncate_dim=5))
    assert encoder.encode_passages(TEXTS) == pytest.approx(expected, abs=1e-6)


def test_texts_are_cut_at_the_length_and_counted(folder: Path, tmp_path: Path) -> None:
    # A text has a token a word, one before it and one after it; the model reads 16.
    texts = [" ".join(["w1"] * n) for n in (1, 4, 5, 14, 15, 40)]
    encoder = SentenceTransformerEncoder(str(folder), batch_size=1)
    assert encoder.find_truncated(texts, "queries") == [4, 5]
    short = SentenceTransformerEncoder(str(folder), max_length=6, passage_prompt="w2 ")
    assert short.find_truncated(texts, "queries") == [2, 3, 4, 5]
    assert short.find_truncated(texts, "passages") == [1, 2, 3, 4, 5]
    vectors = encoder.encode_queries(texts)
    assert vectors[5] == pytest.approx(vectors[3], abs=1e-6)
    assert vectors[3] != pytest.approx(vectors[2], abs=1e-4)
    assert encode(encoder, [*texts, *texts], "queries", folder=tmp_path).truncated == 2
    # The same store, asked for fewer: those that were cut elsewhere do not count.
    assert encode(encoder, texts[:5], "queries", folder=tmp_path).truncated == 1
    assert encode(encoder, texts[:3], "queries", folder=tmp_path).truncated == 0


def test_a_roberta_counts_its_positions_from_behind_its_padding(tmp_path: Path) -> None:
    from transformers import RobertaConfig, RobertaModel

    transformer_model(tmp_path).save(str(tmp_path / "saved"))
    config = RobertaConfig(
        vocab_size=404,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=66,
        pad_token_id=1,
    )
    RobertaModel(config).save_pretrained(tmp_path / "saved")
    long = ["w1 " * 99]
    encoder_at_limits = SentenceTransformerEncoder(tmp_path / "saved", max_length=64)
    assert encoder_at_limits.encode_queries(long).shape == (1, 16)
    with pytest.raises(BadOption, match="max_length is 65; the model reads at most 64 tokens"):
        SentenceTransformerEncoder(tmp_path / "saved", max_length=65)


def test_an_encoder_may_leave_open_what_it_cuts(tmp_path: Path) -> None:
    class Tells(TwoSizes):
        fingerprint = {"kind": "tells"}  # noqa: RUF012

        def find_truncated(self, texts: Sequence[str], role: str) -> list[int] | None:
            long = [at for at, text in enumerate(texts) if len(text) > 3]
            return long if role == "queries" else None

    cases: list[tuple[EncoderLike, Any, list[str], int | None]] = [
        (TwoSizes(), "queries", ["a", "long"], None),
        (Tells(), "queries", ["a", "long", "long", "longer"], 2),
        (Tells(), "queries", ["a"], 0),
        (Tells(), "passages", ["a"], None),
        (Tells(), "passages", [], 0),
    ]
    for encoder, role, texts, n_truncated in cases:
        for _ in range(2):  # encoded, and from the store
            stats = EncodingStats(truncated=5)
            assert (
                encode(encoder, texts, role, folder=tmp_path, stats=stats).truncated == n_truncated
            )
            assert stats.truncated == (None if n_truncated is None else 5 + n_truncated)
    assert Embeddings.from_array(np.ones((2, 3), np.float32)).truncated is None


def test_nothing_is_printed_while_a_model_is_loaded(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Bars are for terminals, and stderr is none here; what users set of them stays."""
    logging.enable_progress_bar()
    SentenceTransformer(str(folder))
    assert "Loading weights" in capsys.readouterr().err
    SentenceTransformerEncoder(folder)
    assert capsys.readouterr() == ("", "")
    assert logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    SentenceTransformerEncoder(folder)
    assert not logging.is_progress_bar_enabled()
    logging.enable_progress_bar()


def test_word_vectors_have_no_limit() -> None:
    assert (
        SentenceTransformerEncoder(static_model()).find_truncated(["w1 " * 10_000], "queries") == []
    )
    with pytest.raises(BadOption, match="max_length: a StaticEmbedding has no limit to set"):
        SentenceTransformerEncoder(static_model(), max_length=8)


def test_a_loaded_model_is_left_as_it_is(folder: Path) -> None:
    model = SentenceTransformer(str(folder), device="cpu")
    long = SentenceTransformerEncoder(model)
    expected = long.encode_queries(["w1 w2 w3 w4 w5 w6"])
    short = SentenceTransformerEncoder(model, max_length=4, dtype="float16")
    assert (model.max_seq_length, model.dtype) == (16, torch.float32)
    assert long.encode_queries(["w1 w2 w3 w4 w5 w6"]).tolist() == expected.tolist()
    # [CLS] w1 w2 [SEP] is all that is read.
    expected = long.encode_queries(["w1 w2"])
    assert short.encode_queries(["w1 w2 w3 w4 w5 w6"]) == pytest.approx(expected, abs=5e-3)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_arithmetic_can_be_narrow(folder: Path, tmp_path: Path, dtype: Any) -> None:
    full_encoder = SentenceTransformerEncoder(str(folder))
    half_encoder = SentenceTransformerEncoder(str(folder), dtype=dtype)
    assert half_encoder.fingerprint["dtype"] == dtype
    vectors = encode(half_encoder, TEXTS, "queries", folder=tmp_path).take(slice(None))
    assert vectors.dtype == np.float32
    assert vectors == pytest.approx(full_encoder.encode_queries(TEXTS), abs=2e-2)
    assert vectors.tolist() != full_encoder.encode_queries(TEXTS).tolist()


def test_a_fingerprint_is_of_the_model_and_not_of_its_place(folder: Path, tmp_path: Path) -> None:
    first = SentenceTransformerEncoder(str(folder))
    assert json.loads(json.dumps(first.fingerprint)) == first.fingerprint
    first.encode_queries(TEXTS)
    assert SentenceTransformerEncoder(folder).fingerprint == first.fingerprint
    shutil.copytree(folder, tmp_path / "elsewhere")
    assert SentenceTransformerEncoder(tmp_path / "elsewhere").fingerprint == first.fingerprint
    loaded = SentenceTransformer(str(folder), device="cpu")
    assert SentenceTransformerEncoder(loaded).fingerprint == first.fingerprint
    fewer = SentenceTransformerEncoder(str(folder), batch_size=2)
    assert fewer.fingerprint == first.fingerprint


def test_a_fingerprint_names_the_machinery() -> None:
    model = static_model()
    fingerprint: Any = SentenceTransformerEncoder(model).fingerprint
    assert fingerprint["device"] == "cpu"
    assert fingerprint["versions"]["torch"] == importlib.metadata.version("torch")


def test_batches_of_long_texts_have_fewer_on_a_processor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch has 8 texts of 4 tokens, or as many tokens: two texts of 16, of which it reads 16."""
    monkeypatch.setattr(model_encoder, "_TOKENS", 4)
    texts = ["w1 " * n for n in (14, 1, 2, 99, 1, 5, 2, 1, 14, 2, 1, 1, 1, 1)]
    lengths = [16, 3, 4, 16, 3, 7, 4, 3, 16, 4, 3, 3, 3, 3]
    encoder = SentenceTransformerEncoder(transformer_model(tmp_path), batch_size=8)
    batches = encoder.list_batches(texts, "passages")
    assert sorted(np.concatenate(batches).tolist()) == list(range(14))
    assert [[lengths[row] for row in batch] for batch in batches] == [
        [16, 16], [16, 7], [4, 4, 4, 3, 3, 3, 3, 3], [3, 3],
    ]  # fmt: skip
    vectors = np.empty((14, 16), np.float32)
    for rows, batch_vectors in encoder.encode_batches(texts, "passages"):
        vectors[rows] = batch_vectors
    expected = encoder.model.encode(texts, normalize_embeddings=True)
    assert vectors == pytest.approx(expected, abs=1e-6)
    single = SentenceTransformerEncoder(encoder.model, batch_size=1)
    assert [len(batch) for batch in single.list_batches(texts, "passages")] == [1] * 14


def copy_with_settings(folder: Path, target: Path, name: str, **changes: Any) -> Path:
    """Copy a model and change its settings in one file."""
    shutil.copytree(folder, target)
    fingerprint = json.loads((target / name).read_text())
    (target / name).write_text(json.dumps(fingerprint | changes))
    return target


def test_whatever_vectors_depend_on_changes_the_fingerprint(folder: Path, tmp_path: Path) -> None:
    model = SentenceTransformer(str(folder), device="cpu")
    with torch.no_grad():
        next(model.parameters()).view(-1)[0] += 2.0**-20
    heads = copy_with_settings(folder, tmp_path / "heads", "config.json", num_attention_heads=4)
    pooled = copy_with_settings(
        folder, tmp_path / "pooled", "1_Pooling/config.json", pooling_mode="cls"
    )
    variants: list[tuple[Any, dict[str, Any]]] = [
        (folder, {}),
        (model, {}),
        (heads, {}),
        (pooled, {}),
        (folder, {"query_prompt": "w1 "}),
        (folder, {"passage_prompt": "w1 "}),
        (folder, {"max_length": 15}),
        (folder, {"dtype": "float16"}),
        (folder, {"dtype": "bfloat16"}),
        (folder, {"normalize": False}),
        (folder, {"truncate_dim": 8}),
    ]
    fingerprints = {
        json.dumps(SentenceTransformerEncoder(changed, **model_options).fingerprint, sort_keys=True)
        for changed, model_options in variants
    }
    assert len(fingerprints) == len(variants)


def test_a_changed_vocabulary_changes_the_fingerprint() -> None:
    first, second = static_model(), static_model()
    vocabulary = json.loads(second.tokenizer.to_str())
    words = vocabulary["model"]["vocab"]
    words["w1"], words["w2"] = words["w2"], words["w1"]
    second.tokenizer = type(second.tokenizer).from_str(json.dumps(vocabulary))
    prints = [SentenceTransformerEncoder(model).fingerprint for model in (first, second)]
    assert prints[0]["weights"] == prints[1]["weights"]
    assert prints[0] != prints[1]


class TwoSizes:
    """A model whose queries are longer than its passages."""

    fingerprint = {"kind": "two sizes"}  # noqa: RUF012 - the protocol's attribute

    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        return np.ones((len(texts), 3), np.float32)

    def encode_passages(self, texts: Sequence[str]) -> np.ndarray:
        return np.ones((len(texts), 2), np.float32)


def test_queries_and_passages_of_different_dimensions_are_refused() -> None:
    encoder = as_encoder(TwoSizes())
    queries, passages = encode(encoder, ["q"], "queries"), encode(encoder, ["q"], "passages")
    assert (queries.dim, passages.dim) == (3, 2)
    with pytest.raises(BadData, match="queries have 3 dimensions and passages 2"):
        DenseScorer(queries, passages)


def test_options_that_make_no_sense(folder: Path, tmp_path: Path) -> None:
    model, no_folder, saved = static_model(), str(tmp_path / "absent"), str(folder)
    cases: list[tuple[Any, dict[str, Any], str]] = [
        (model, {"max_length": 0}, "max_length is 0; it must be a whole number from 1 on"),
        (model, {"truncate_dim": 0}, "truncate_dim is 0; it must be a whole number from 1 on"),
        (model, {"dtype": "float8"}, "no dtype 'float8'; did you mean 'float32'"),
        (model, {"revision": "abc"}, "revision is for models by name"),
        (model, {"device": "cpu"}, "device is for models by name"),
        (model, {"trust_remote_code": True}, "trust_remote_code is for models by name"),
        (TwoSizes(), {"normalize": False}, r"\['normalize'\] do not apply to TwoSizes"),
        (no_folder, {}, "there is no folder .*absent"),
        (model, {"batch_size": 0}, "batch_size is 0; it must be a whole number from 1 on"),
        (model, {"batch_size": -1}, "batch_size is -1; it must be a whole number from 1 on"),
        (model, {"batch_size": 2.5}, "batch_size is 2.5; it must be a whole number from 1 on"),
        (model, {"truncate_dim": 17}, "truncate_dim is 17; the model has only 16 dimensions"),
        (
            static_model(truncate_dim=5),
            {"truncate_dim": 17},
            "truncate_dim is 17; the model has only 16 dimensions",
        ),
        (saved, {"max_length": 65}, "max_length is 65; the model reads at most 64 tokens"),
        (saved, {"max_length": 100_000}, "max_length is 100000; the model reads at most 64"),
        (saved, {"device": "foo"}, "device is 'foo', which torch does not have here; .* say cpu"),
        (saved, {"device": "cuda:99"}, "device is 'cuda:99', which torch does not have here"),
        (saved, {"revision": "abc"}, "revision is 'abc'; it is of the hub, and .* is a folder"),
        (model, {"foo": 3}, "no option 'foo'; "),
        (model, {"batchsize": 3}, "no option 'batchsize'; did you mean 'batch_size'"),
        (None, {}, "a model is a name on the hub, .*; None is none of them"),
        (object(), {}, "<object object at .* is none of them"),
        (torch.nn.Linear(1, 2), {}, r"Linear\(in_features=1, .* is none of them"),
        (TwoSizes, {}, "TwoSizes is a class; make an object of it"),
    ]
    for model_or_encoder, options, message in cases:
        with pytest.raises(BadOption, match=message):
            as_encoder(model_or_encoder, **options)
    for nothing in (None, object()):
        with pytest.raises(BadOption, match="none of them"):
            SentenceTransformerEncoder(nothing)  # type: ignore[arg-type]
    # The most that makes sense.
    encoder_at_limits = SentenceTransformerEncoder(saved, max_length=64, truncate_dim=16)
    assert encoder_at_limits.encode_queries(["w1 " * 99]).shape == (1, 16)
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadData, match=r"the folder .*empty holds no model"):
        as_encoder(str(tmp_path / "empty"))


def test_what_is_left_out_is_no_option() -> None:
    model = TwoSizes()
    wrapper = as_encoder(model, normalize=None, max_length=None)
    assert isinstance(wrapper, EncoderAdapter)
    assert wrapper.model is model
    assert as_encoder(wrapper, normalize=None) is wrapper
    adapter = as_encoder(static_model(), normalize=False, max_length=None)
    assert isinstance(adapter, SentenceTransformerEncoder)
    assert adapter.normalize is False


def test_options_that_a_model_of_mtebs_lacks_are_named() -> None:
    from mteb.models import ModelMeta

    class Model:
        mteb_model_meta = ModelMeta.create_empty({"name": "me/model", "revision": "1"})

        def encode(self, _inputs: Any, **_: Any) -> np.ndarray:
            return np.ones((1, 1))

    with pytest.raises(BadOption, match="query_prompt does not apply to Model, a model of mteb's"):
        as_encoder(Model(), query_prompt="w1 ")
    with pytest.raises(UnknownName, match="no option 'batchsize'; did you mean 'batch_size'"):
        as_encoder(Model(), batchsize=3)
    with pytest.raises(BadOption, match="batch_size is 0; it must be a whole number from 1 on"):
        as_encoder(Model(), batch_size=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"normalise": True}, "no option 'normalise'; did you mean 'normalize'"),
        ({"normalize": "yes"}, "normalize is 'yes'; it must be True or False"),
        ({"trust_remote_code": 2}, "trust_remote_code is 2; it must be True or False"),
        ({"batch_size": "32"}, "batch_size is '32'; it must be a whole number from 1 on"),
    ],
)
def test_options_are_validated_without_a_model(options: dict[str, Any], message: str) -> None:
    with pytest.raises(BadOption, match=message):
        EncoderOptions.parse(options)


def test_every_option_has_a_help_text_and_a_default() -> None:
    for option in dataclasses.fields(EncoderOptions):
        assert option.metadata["help"].endswith(".")
        assert getattr(EncoderOptions(), option.name) == option.default
    assert EncoderOptions.parse({"batch_size": None, "device": "cpu"}) == EncoderOptions(
        device="cpu"
    )
    loading = EncoderOptions(device="cpu", revision="main").loading_arguments()
    assert loading == {"device": "cpu", "revision": "main", "trust_remote_code": False}


@pytest.mark.parametrize(
    ("card", "licence"),
    [
        ("---\nlicense: apache-2.0\n---\n# A model\n", "apache-2.0"),
        ("---\nlicense: other\nlicense_name: gemma\n---\n", "gemma"),
        ("---\ntags: [a]\n---\n# A model\n", ""),
        ("# A model\n", ""),
        ("---\nlicense: [mit, gpl]\n---\n", ""),
        (f"---\nlicense: {'x' * 41}\n---\n", ""),
        ("---\n- license\n---\n", ""),
        ("---\nlicense: !!python/object/apply:os.getcwd []\n---\n", ""),
        ("---\nlicense: {\n---\n", ""),
        ("---\nlicense: 2024-02-31\n---\n", ""),
        ("---\na: !!timestamp x\nlicense: mit\n---\n", ""),
        (f"---\nlicense: mit\na: {'[' * 3000}\n---\n", ""),
        ('---\nlicense: "a\\e[31m"\n---\n', ""),
        ("---\n1: x\nself: y\ntags: 5\nmodel-index: 5\nlicense: mit\n---\n", "mit"),
        ("\ufeff---\r\nlicense: mit\r\n---\r\n", "mit"),
    ],
)
def test_the_licence_is_that_of_the_card(tmp_path: Path, card: str, licence: str) -> None:
    static_model().save_pretrained(str(tmp_path))
    (tmp_path / "README.md").write_text(card, "utf-8")
    encoder = as_encoder(str(tmp_path))
    assert encoder.licence == licence
    results = bh.evaluate(encoder, make_parallel_collection(), measures="AP")
    assert results.provenance.model.licence == licence
    results.save(tmp_path / "results")
    assert bh.Results.load(tmp_path / "results").provenance.model.licence == licence


def test_an_object_that_only_encodes_gets_the_defaults_of_an_encoder() -> None:
    encoder = as_encoder(TwoSizes())
    assert (encoder.name, encoder.revision, encoder.n_parameters) == ("TwoSizes", "", None)
    assert encoder.licence == ""
    assert (encoder.weight_bytes, encoder.concurrent_texts, encoder.normalize) == (0, 0, None)
    assert encoder.fingerprint == {"kind": "two sizes"}
    assert encoder.find_truncated(["a"], "queries") is None
    assert not encoder.reads_images
    with pytest.raises(BadOption, match="TwoSizes reads no images"):
        encoder.encode_images([])


def test_an_object_may_have_no_licence() -> None:
    class Unlicensed(TwoSizes):
        licence = None

    assert as_encoder(Unlicensed()).licence == ""


def test_an_object_with_more_attributes_keeps_them() -> None:
    class Rich(TwoSizes):
        name, revision, n_parameters, concurrent_texts = "rich", "abc", 7, 64
        licence = "mit"

        def encode_images(self, images: Sequence[Any]) -> np.ndarray:
            return np.zeros((len(images), 2), np.float32)

    encoder = as_encoder(Rich())
    assert (encoder.name, encoder.revision, encoder.n_parameters) == ("rich", "abc", 7)
    assert encoder.licence == "mit"
    assert encoder.concurrent_texts == 64
    assert encoder.reads_images
    assert encoder.encode_images(["an image"] * 3).shape == (3, 2)  # type: ignore[list-item]


def test_a_folder_without_pooler_weights_has_one_fingerprint(folder: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    shutil.copytree(folder, tmp_path / "bare")
    (path,) = (tmp_path / "bare").rglob("model.safetensors")
    weights = load_file(path)
    pooler = [name for name in weights if "pooler" in name]
    assert pooler
    kept = {name: tensor for name, tensor in weights.items() if name not in pooler}
    save_file(kept, path, metadata={"format": "pt"})
    state = torch.random.get_rng_state()
    first, second = (SentenceTransformerEncoder(tmp_path / "bare") for _ in range(2))
    assert first.fingerprint == second.fingerprint
    assert torch.equal(torch.random.get_rng_state(), state)
    full = SentenceTransformerEncoder(folder)
    assert first.encode_queries(TEXTS).tolist() == full.encode_queries(TEXTS).tolist()


def test_what_single_texts_depend_on_changes_the_fingerprint(folder: Path, tmp_path: Path) -> None:
    sides = copy_with_settings(
        folder, tmp_path / "left", "tokenizer_config.json", truncation_side="left"
    )
    encoders = [SentenceTransformerEncoder(path) for path in (folder, sides)]
    assert encoders[0].fingerprint != encoders[1].fingerprint
    text = " ".join(f"w{number}" for number in range(40))
    first, second = (encoder.encode_queries([text]) for encoder in encoders)
    assert np.abs(first - second).max() > 1e-3  # 16 tokens are read, from one end or the other
    pooled = copy_with_settings(
        folder, tmp_path / "pooled", "1_Pooling/config.json", pooling_mode="cls"
    )
    routed = []
    for path in (folder, pooled):
        modules: list[Any] = [*SentenceTransformer(str(path), device="cpu")]
        router = Router.for_query_document(query_modules=modules, document_modules=modules)
        routed.append(SentenceTransformerEncoder(SentenceTransformer(modules=[router])))
    first, second = (encoder.encode_queries([text]) for encoder in routed)
    assert np.abs(first - second).max() > 1e-3
    assert routed[0].fingerprint != routed[1].fingerprint


def test_a_model_that_is_trained_has_another_fingerprint(folder: Path, tmp_path: Path) -> None:
    model = SentenceTransformer(str(folder), device="cpu")
    encoder = SentenceTransformerEncoder(model)
    before = encode(encoder, ["w1 w2"], "queries", folder=tmp_path).take(slice(None)).copy()
    assert encoder.fingerprint is encoder.fingerprint  # hashed once
    with torch.no_grad():
        for weights in model.parameters():
            weights.mul_(1.5)
            weights.add_(0.1 * torch.ones_like(weights))
    after = encode(encoder, ["w1 w2"], "queries", folder=tmp_path).take(slice(None))
    assert np.array_equal(after, encoder.encode_queries(["w1 w2"]))
    assert not np.array_equal(after, before)


def test_models_that_compare_by_distance_are_refused(folder: Path) -> None:
    model = SentenceTransformer(str(folder), device="cpu", similarity_fn_name="euclidean")
    with pytest.raises(BadOption, match="compares by euclidean; only dot products and cosines"):
        SentenceTransformerEncoder(model)
    assert SentenceTransformerEncoder(model, normalize=True).normalize
