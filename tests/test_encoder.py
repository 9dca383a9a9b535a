"""Any model becomes an encoder whose vectors are the model's own, and whose fingerprint tells."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer

from beir_hybrid.encoding import Embeddings, Encoder, SentenceTransformerEncoder, as_encoder, encode
from beir_hybrid.encoding.presets import BY_MODEL, PRESETS
from beir_hybrid.errors import BadData, BadOption, UnknownName
from beir_hybrid.retrieval import rank
from tests.models import static_model, transformer_model

TEXTS = ["w3", "w1 w2 w5 w5", "w7 w8"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a saved transformer."""
    base = tmp_path_factory.mktemp("model")
    transformer_model(base / "parts").save(str(base / "saved"))
    return base / "saved"


def rows(model: SentenceTransformer, texts: Sequence[str], **options: Any) -> np.ndarray:
    """Return the model's own vectors, not normalised, no prompt."""
    return np.asarray(model.encode(list(texts), prompt="", convert_to_numpy=True, **options))


def named(name: str, **options: Any) -> SentenceTransformer:
    """Return a model that says it is the one of that name on the hub."""
    model = static_model(**options)
    model.model_card_data.base_model = name
    return model


E5 = "intfloat/multilingual-e5-base"
OWN = {"query": "w1 ", "document": "w2 "}


@pytest.mark.parametrize(
    ("model", "options", "prompts"),
    [
        ({"name": ""}, {}, ("", "")),
        ({"name": "me/multilingual-e5-base"}, {}, ("", "")),
        ({"name": "intfloat/multilingual-e5-base-v9"}, {}, ("", "")),
        ({"name": E5}, {}, ("query: ", "passage: ")),
        ({"name": E5}, {"preset": "hybrid"}, ("Query: ", "Passage: ")),
        ({"name": E5, "prompts": OWN}, {}, ("w1 ", "w2 ")),
        ({"name": E5, "prompts": {"query": "w1 "}}, {}, ("w1 ", "")),
        ({"name": E5, "prompts": {"passage": "w2 "}}, {}, ("", "w2 ")),
        ({"name": "", "prompts": OWN}, {"preset": "e5"}, ("w1 ", "w2 ")),
        ({"name": "", "prompts": OWN}, {"query_prompt": "w3 "}, ("w3 ", "w2 ")),
        ({"name": E5, "prompts": OWN}, {"query_prompt": "", "passage_prompt": ""}, ("", "")),
        ({"name": E5}, {"passage_prompt": "w3 "}, ("query: ", "w3 ")),
    ],
)
def test_prompts_come_from_the_first_that_names_them(
    model: dict[str, Any], options: dict[str, Any], prompts: tuple[str, str]
) -> None:
    encoder = SentenceTransformerEncoder(named(**model), normalize=False, **options)
    assert (encoder.prompts["queries"], encoder.prompts["passages"]) == prompts
    assert encoder.fingerprint["prompts"] == {"queries": prompts[0], "passages": prompts[1]}
    plain = static_model()
    for prompt, found in zip(
        prompts, (encoder.encode_queries(TEXTS), encoder.encode_passages(TEXTS)), strict=True
    ):
        assert found.tolist() == rows(plain, [prompt + text for text in TEXTS]).tolist()


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
    ("similarity", "asked", "unit"),
    [("cosine", None, True), ("dot", None, False), ("dot", True, True), ("cosine", False, False)],
)
def test_rows_have_unit_length_unless_the_model_says_dot(
    similarity: str, asked: bool | None, unit: bool
) -> None:
    model = static_model(similarity_fn_name=similarity)
    raw = rows(model, TEXTS)
    expected = raw / np.linalg.norm(raw, axis=1, keepdims=True) if unit else raw
    found = SentenceTransformerEncoder(model, normalize=asked).encode_queries(TEXTS)
    assert found == pytest.approx(expected, abs=1e-6)


def test_dimensions_are_cut_before_rows_get_unit_length() -> None:
    model = static_model()
    raw = rows(model, TEXTS)[:, :5]
    encoder = SentenceTransformerEncoder(model, truncate_dim=5)
    expected = raw / np.linalg.norm(raw, axis=1, keepdims=True)
    assert encoder.encode_passages(TEXTS) == pytest.approx(expected, abs=1e-6)
    own = SentenceTransformerEncoder(static_model(truncate_dim=5))
    assert own.encode_passages(TEXTS) == pytest.approx(expected, abs=1e-6)


def test_texts_are_cut_at_the_length_and_counted(folder: Path, tmp_path: Path) -> None:
    # A text has a token a word, one before it and one after it; the model reads 16.
    texts = [" ".join(["w1"] * n) for n in (1, 4, 5, 14, 15, 40)]
    own = SentenceTransformerEncoder(str(folder), batch_size=1)
    assert own.find_cut(texts, "queries") == [4, 5]
    short = SentenceTransformerEncoder(str(folder), max_length=6, passage_prompt="w2 ")
    assert short.find_cut(texts, "queries") == [2, 3, 4, 5]
    assert short.find_cut(texts, "passages") == [1, 2, 3, 4, 5]
    found = own.encode_queries(texts)
    assert found[5] == pytest.approx(found[3], abs=1e-6)
    assert found[3] != pytest.approx(found[2], abs=1e-4)
    assert encode(own, [*texts, *texts], "queries", folder=tmp_path).cut == 2
    # The same store, asked for fewer: those that were cut elsewhere do not count.
    assert encode(own, texts[:5], "queries", folder=tmp_path).cut == 1
    assert encode(own, texts[:3], "queries", folder=tmp_path).cut == 0


def test_word_vectors_have_no_limit() -> None:
    assert SentenceTransformerEncoder(static_model()).find_cut(["w1 " * 10_000], "queries") == []
    with pytest.raises(BadOption, match="max_length: a StaticEmbedding has no limit to set"):
        SentenceTransformerEncoder(static_model(), max_length=8)


def test_a_loaded_model_is_left_as_it_is(folder: Path) -> None:
    model = SentenceTransformer(str(folder), device="cpu")
    long = SentenceTransformerEncoder(model)
    before = long.encode_queries(["w1 w2 w3 w4 w5 w6"])
    short = SentenceTransformerEncoder(model, max_length=4, dtype="float16")
    assert (model.max_seq_length, model.dtype) == (16, torch.float32)
    assert long.encode_queries(["w1 w2 w3 w4 w5 w6"]).tolist() == before.tolist()
    # [CLS] w1 w2 [SEP] is all that is read.
    cut = long.encode_queries(["w1 w2"])
    assert short.encode_queries(["w1 w2 w3 w4 w5 w6"]) == pytest.approx(cut, abs=5e-3)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_arithmetic_can_be_narrow(folder: Path, tmp_path: Path, dtype: Any) -> None:
    wide = SentenceTransformerEncoder(str(folder))
    narrow = SentenceTransformerEncoder(str(folder), dtype=dtype)
    assert narrow.fingerprint["dtype"] == dtype
    found = encode(narrow, TEXTS, "queries", folder=tmp_path).take(slice(None))
    assert found.dtype == np.float32
    assert found == pytest.approx(wide.encode_queries(TEXTS), abs=2e-2)
    assert found.tolist() != wide.encode_queries(TEXTS).tolist()


def test_a_fingerprint_is_of_the_model_and_not_of_its_place(folder: Path, tmp_path: Path) -> None:
    one = SentenceTransformerEncoder(str(folder))
    assert json.loads(json.dumps(one.fingerprint)) == one.fingerprint
    one.encode_queries(TEXTS)
    assert SentenceTransformerEncoder(folder).fingerprint == one.fingerprint
    shutil.copytree(folder, tmp_path / "elsewhere")
    assert SentenceTransformerEncoder(tmp_path / "elsewhere").fingerprint == one.fingerprint
    loaded = SentenceTransformer(str(folder), device="cpu")
    assert SentenceTransformerEncoder(loaded).fingerprint == one.fingerprint
    fewer = SentenceTransformerEncoder(str(folder), batch_size=2)
    assert fewer.fingerprint == one.fingerprint


def edited(folder: Path, target: Path, name: str, **changes: Any) -> Path:
    """Copy a model and change its settings in one file."""
    shutil.copytree(folder, target)
    known = json.loads((target / name).read_text())
    (target / name).write_text(json.dumps(known | changes))
    return target


def test_whatever_vectors_depend_on_changes_the_fingerprint(folder: Path, tmp_path: Path) -> None:
    model = SentenceTransformer(str(folder), device="cpu")
    with torch.no_grad():
        next(model.parameters()).view(-1)[0] += 2.0**-20
    heads = edited(folder, tmp_path / "heads", "config.json", num_attention_heads=4)
    pooled = edited(folder, tmp_path / "pooled", "1_Pooling/config.json", pooling_mode="cls")
    options: list[tuple[Any, dict[str, Any]]] = [
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
    seen = {
        json.dumps(SentenceTransformerEncoder(model, **given).fingerprint, sort_keys=True)
        for model, given in options
    }
    assert len(seen) == len(options)


def test_a_changed_vocabulary_changes_the_fingerprint() -> None:
    one, two = static_model(), static_model()
    vocabulary = json.loads(two.tokenizer.to_str())
    words = vocabulary["model"]["vocab"]
    words["w1"], words["w2"] = words["w2"], words["w1"]
    two.tokenizer = type(two.tokenizer).from_str(json.dumps(vocabulary))
    prints = [SentenceTransformerEncoder(model).fingerprint for model in (one, two)]
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
    none = np.empty(0, np.int64)
    with pytest.raises(BadData, match="queries have 3 dimensions and passages 2"):
        rank(queries, passages, (none, none), {"en": range(1)}, np.zeros(1, np.int32))


def test_options_that_make_no_sense(tmp_path: Path) -> None:
    model, absent = static_model(), str(tmp_path / "absent")
    wrong: list[tuple[Any, dict[str, Any], str]] = [
        (model, {"max_length": 0}, "max_length is 0; it must be at least 1"),
        (model, {"truncate_dim": 0}, "truncate_dim is 0; it must be at least 1"),
        (model, {"dtype": "float8"}, "no dtype 'float8'; did you mean 'float32'"),
        (model, {"revision": "abc"}, "revision is for models by name"),
        (model, {"device": "cpu"}, "device is for models by name"),
        (model, {"trust_remote_code": True}, "trust_remote_code is for models by name"),
        (TwoSizes(), {"normalize": False}, r"\['normalize'\] do not apply to TwoSizes"),
        (absent, {}, "there is no folder .*absent"),
    ]
    for of, options, message in wrong:
        with pytest.raises(BadOption, match=message):
            as_encoder(of, **options)
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadData, match=r"cannot load the model .*empty"):
        as_encoder(str(tmp_path / "empty"))


def test_what_is_left_out_is_no_option() -> None:
    encoder = TwoSizes()
    assert as_encoder(encoder, normalize=None, max_length=None) is encoder
    assert isinstance(encoder, Encoder)
    assert not isinstance(Embeddings, Encoder)
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
