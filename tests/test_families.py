"""Nothing is judged as what it is not: families are told by files, and by classes of objects."""
# mypy: allow-untyped-calls

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from sentence_transformers import CrossEncoder, SentenceTransformer

from beir_hybrid import encoding
from beir_hybrid.encoding import as_encoder
from beir_hybrid.encoding.endpoint_encoder import EndpointEncoder
from beir_hybrid.encoding.families import find_family
from beir_hybrid.encoding.model_encoder import ModelEncoder
from beir_hybrid.encoding.model_files import ModelFiles
from beir_hybrid.encoding.models import ENCODERS
from beir_hybrid.encoding.options import EncoderOptions, list_loading_options
from beir_hybrid.encoding.sentence_transformer import SentenceTransformerEncoder
from beir_hybrid.errors import BadData, BadOption, UnknownName
from beir_hybrid.evaluation.rerankers.cross_encoder import CrossEncoderScorer
from tests.families import make_cross, make_late, make_sparse, save_body, save_dense

ALL_ENCODERS: list[type[ModelEncoder | EndpointEncoder]] = [*ENCODERS.values(), EndpointEncoder]
TEXTS = ["w3", "w1 w2 w5 w5", "w7 w8"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Give a saved model of each family."""
    base = tmp_path_factory.mktemp("families")
    models = {
        "sparse": make_sparse(base),
        "late-interaction": make_late(base),
        "cross-encoder": make_cross(base / "classifier"),
    }
    for family, model in models.items():
        model.save_pretrained(str(base / family))
    save_dense(base)
    # As transformers saves them: no modules.json, no model_type.
    shutil.copytree(base / "classifier", base / "plain cross-encoder")
    shutil.copytree(base / "body", base / "plain body")
    return {path.name: path for path in base.iterdir()}


def read_family(folder: Path) -> str:
    evidence = find_family(ModelFiles.locate(str(folder), None, "org"))
    return evidence.family if evidence else ""


@pytest.mark.parametrize("family", ["dense", "sparse", "late-interaction", "cross-encoder"])
def test_a_saved_model_tells_its_family(folders: dict[str, Path], family: str) -> None:
    assert read_family(folders[family]) == family


def test_models_of_transformers_tell_by_their_heads(folders: dict[str, Path]) -> None:
    assert read_family(folders["plain cross-encoder"]) == "cross-encoder"
    assert read_family(folders["plain body"]) == ""
    assert read_family(folders["masked"]) == ""  # a base of dense models and of SPLADE alike


def write_files(folder: Path, **files: Any) -> Path:
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    return folder


def list_modules(*types: str) -> list[dict[str, Any]]:
    return [{"idx": i, "path": f"{i}_x", "type": name} for i, name in enumerate(types)]


TRANSFORMER = "sentence_transformers.models.Transformer"
MODULES = "sentence_transformers.sparse_encoder.modules"


@pytest.mark.parametrize(
    ("files", "family"),
    [
        # Models of older versions, and of other packages.
        ({"modules": list_modules(TRANSFORMER, "sentence_transformers.models.Pooling")}, "dense"),
        ({"modules": list_modules("sentence_transformers.models.StaticEmbedding")}, "dense"),
        ({"modules": list_modules(TRANSFORMER, f"{MODULES}.SpladePooling")}, "sparse"),
        (
            {
                "modules": list_modules(
                    TRANSFORMER, "sentence_transformers.models.Pooling", "x.CSRSparsity"
                ),
                "config_sentence_transformers": {"model_type": "SparseEncoder"},
            },
            "sparse",
        ),
        ({"config": {"architectures": ["HF_ColBERT"]}}, "late-interaction"),
        ({"config_sentence_transformers": {"model_type": "ColBERT"}}, "late-interaction"),
        (
            {"modules": list_modules(TRANSFORMER, "pylate.models.Dense.Dense")},
            "late-interaction",
        ),
        ({"modules": list_modules(TRANSFORMER, "x.modules.LogitScore")}, "cross-encoder"),
        ({"config": {"architectures": ["XLMRobertaForSequenceClassification"]}}, "cross-encoder"),
        # gte-multilingual-base names two architectures, and is dense.
        (
            {
                "config": {"architectures": ["NewModel", "NewForTokenClassification"]},
                "modules": list_modules(TRANSFORMER, "sentence_transformers.models.Pooling"),
            },
            "dense",
        ),
        ({"config": {"architectures": None}}, ""),
    ],
)
def test_each_file_tells_the_family(tmp_path: Path, files: Any, family: str) -> None:
    assert read_family(write_files(tmp_path / "model", **files)) == family


def test_modules_behind_a_router_tell_the_family(tmp_path: Path) -> None:
    folder = write_files(
        tmp_path / "model", modules=[{"idx": 0, "path": "", "type": "x.modules.router.Router"}]
    )
    types = {"query_0": f"{MODULES}.SparseStaticEmbedding", "document_0": TRANSFORMER}
    write_files(folder, router_config={"types": types, "structure": {}})
    assert read_family(folder) == "sparse"


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            {
                "modules": list_modules(TRANSFORMER, "sentence_transformers.models.Pooling"),
                "config_sentence_transformers": {"model_type": "SparseEncoder"},
            },
            (
                "has files of two models: config_sentence_transformers.json has model_type "
                "SparseEncoder, of a sparse model, and modules.json has sentence_transformers."
                "models.Pooling, of a dense one; save the model again, into an empty folder"
            ),
        ),
        (
            {
                "modules": list_modules(TRANSFORMER, "sentence_transformers.models.Pooling"),
                "config": {"architectures": ["BertForSequenceClassification"]},
            },
            (
                "has files of two models: modules.json .* of a dense model, and config.json has "
                "BertForSequenceClassification, of a cross-encoder one"
            ),
        ),
        ({"modules": {"type": 3}}, r"modules.json of .*model is \{'type': 3\}; it must be a list"),
        (
            {"config_sentence_transformers": {"model_type": 3}},
            "config_sentence_transformers.json of .*: model_type is 3; it must be text",
        ),
    ],
)
def test_contradictions_and_damage_are_refused(tmp_path: Path, files: Any, message: str) -> None:
    folder = write_files(tmp_path / "model", **files)
    for load in (as_encoder, CrossEncoderScorer):
        with pytest.raises(BadData, match=message):
            load(str(folder))


def test_a_class_of_the_future_is_refused(tmp_path: Path) -> None:
    folder = write_files(
        tmp_path / "model", config_sentence_transformers={"model_type": "SparseEncoder2"}
    )
    with pytest.raises(UnknownName, match="did you mean 'SparseEncoder'"):
        as_encoder(str(folder))


ENCODER_CASES = [
    ("sparse", r"is a sparse model \(config_sentence_transformers.json has model_type Sparse"),
    ("late-interaction", "is a late-interaction model .*and a dense one is wanted"),
    ("cross-encoder", "it scores pairs, so give it as rerank, beside a model that retrieves"),
    ("plain cross-encoder", r"\(config.json has BertForSequenceClassification\)"),
]


@pytest.mark.parametrize(("name", "message"), ENCODER_CASES)
def test_a_dense_encoder_takes_dense_models_alone(
    folders: dict[str, Path], name: str, message: str
) -> None:
    with pytest.raises(BadOption, match=message):
        SentenceTransformerEncoder(str(folders[name]))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("dense", r"is a dense model .* cross-encoder one is wanted; it makes vectors, so give it"),
        ("sparse", r"is a sparse model .* cross-encoder one is wanted"),
        ("plain body", r"has no head that scores pairs \(config.json has BertModel\): name a"),
        ("masked", r"has no head that scores pairs \(config.json has BertForMaskedLM\)"),
    ],
)
def test_a_reranker_has_a_head(folders: dict[str, Path], name: str, message: str) -> None:
    with pytest.raises(BadOption, match=message):
        CrossEncoderScorer(str(folders[name]))


def test_rerankers_that_are_cross_encoders_still_load(folders: dict[str, Path]) -> None:
    for name in ("cross-encoder", "plain cross-encoder"):
        scorer = CrossEncoderScorer(str(folders[name]))
        expected = CrossEncoder(str(folders["classifier"]), device="cpu").predict([("w1", "w2")])
        assert scorer.score(['["w1", "w2"]']).tolist() == expected.tolist()


@pytest.mark.parametrize(
    ("make", "load", "message"),
    [
        (make_sparse, SentenceTransformerEncoder, "this SparseEncoder is a sparse model"),
        (make_late, SentenceTransformerEncoder, "this MultiVectorEncoder is a late-interaction"),
        (make_cross, as_encoder, "this CrossEncoder is a cross-encoder model, and .*rerank"),
        (make_sparse, CrossEncoderScorer, "this SparseEncoder is a sparse model"),
        (
            lambda folder: SentenceTransformer(str(save_dense(folder)), device="cpu"),
            CrossEncoderScorer,
            "this SentenceTransformer is a dense model, and a cross-encoder one is wanted",
        ),
        (lambda _: object(), CrossEncoderScorer, "a reranker is a name on the hub, .*none of them"),
    ],
)
def test_objects_tell_by_their_class(
    tmp_path: Path, make: Callable[[Path], Any], load: Callable[[Any], Any], message: str
) -> None:
    with pytest.raises(BadOption, match=message):
        load(make(tmp_path))


def drop_weights(source: Path, target: Path, part: str) -> Path:
    """Copy a model without the weights whose names have a part."""
    shutil.copytree(source, target)
    (path,) = target.rglob("model.safetensors")
    weights = load_file(path)
    names = [name for name in weights if part in name]
    assert names
    kept = {name: tensor for name, tensor in weights.items() if name not in names}
    save_file(kept, path, metadata={"format": "pt"})
    return target


def test_random_weights_are_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = drop_weights(folders["plain cross-encoder"], tmp_path / "headless", "classifier")
    message = (
        "lack 2 weights of this cross-encoder, which would be random: 0.model.classifier.weight, "
        "0.model.classifier.bias; is it a cross-encoder, and is its folder complete?"
    )
    with pytest.raises(BadData, match=message):
        CrossEncoderScorer(str(folder))
    folder = drop_weights(folders["dense"], tmp_path / "torn", "attention.output")
    with pytest.raises(BadData, match=r"lack 4 weights of this model.*\.attention\.output\."):
        as_encoder(str(folder))


def test_weights_that_nothing_reads_are_no_part_of_the_fingerprint(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    folder = drop_weights(folders["dense"], tmp_path / "bare", "pooler")
    full, bare = as_encoder(str(folders["dense"])), as_encoder(str(folder))
    assert full.encode_queries(TEXTS).tolist() == bare.encode_queries(TEXTS).tolist()
    assert full.fingerprint == bare.fingerprint
    # Loaded by other hands, where each load has other random weights.
    objects: list[Any] = [SentenceTransformer(str(folder), device="cpu") for _ in range(2)]
    poolers = [model[0].model.pooler.dense.weight for model in objects]
    assert not torch.equal(*poolers)
    assert [as_encoder(model).fingerprint for model in objects] == [full.fingerprint] * 2


def test_a_pooler_that_is_read_is_part_of_the_fingerprint(tmp_path: Path) -> None:
    fingerprints = []
    for seed in (1, 2):
        folder = tmp_path / str(seed)
        save_body(folder, "BertModel", seed=5)
        (path,) = folder.rglob("model.safetensors")
        weights = load_file(path)
        torch.manual_seed(seed)
        weights["pooler.dense.weight"] = torch.randn(16, 16)
        save_file(weights, path, metadata={"format": "pt"})
        fingerprints.append(CrossEncoderScorer(str(make_scorer(folder))).fingerprint["weights"])
    assert fingerprints[0] != fingerprints[1]


def make_scorer(folder: Path) -> Path:
    """Give a model a head, which reads its pooler."""
    import transformers

    torch.manual_seed(0)
    model: Any = transformers.AutoModelForSequenceClassification
    model.from_pretrained(folder, num_labels=1).save_pretrained(folder)
    return folder


def test_each_option_is_read_by_a_class_that_says_so() -> None:
    sources = "".join(
        path.read_text("utf-8") for path in Path(encoding.__file__).parent.glob("*.py")
    )
    names = {option.name for option in dataclasses.fields(EncoderOptions)}
    read = list_loading_options()
    for kind in ALL_ENCODERS:
        assert names >= kind.OPTIONS
        assert all(f"options.{name}" in sources for name in kind.OPTIONS)
        read |= kind.OPTIONS
    assert names == read, "name an option in the OPTIONS of the encoders that read it"


def test_an_option_that_nobody_reads_is_refused() -> None:
    @dataclasses.dataclass(frozen=True)
    class MoreOptions(EncoderOptions):
        colour: str | None = None

    for kind in ALL_ENCODERS:
        MoreOptions().check_applicable(kind.OPTIONS, "this model")
        with pytest.raises(BadOption, match=r"^colour does not apply to this model$"):
            MoreOptions(colour="red").check_applicable(kind.OPTIONS, "this model")
