"""Images and captions become vectors of one space, each once, and none is taken for another."""
# mypy: allow-untyped-calls
# (Pillow's and transformers' constructors have no types in part.)

import hashlib
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ir_measures import R
from PIL import Image
from sentence_transformers import SentenceTransformer

from beir_hybrid.collection import Collection
from beir_hybrid.encoding import (
    Embeddings,
    Encoder,
    EncodingStats,
    SentenceTransformerEncoder,
    encode,
)
from beir_hybrid.encoding.encoder import check_reads_images
from beir_hybrid.encoding.engines import MultiDeviceEncoder, RayEncoder
from beir_hybrid.encoding.images import IMAGES_PER_BATCH, decode_batches
from beir_hybrid.encoding.partition import encode_part
from beir_hybrid.encoding.vision import from_vision_text
from beir_hybrid.errors import BadData, BadOption
from beir_hybrid.evaluation.evaluate import evaluate
from beir_hybrid.pyserini.bm25 import bm25
from beir_hybrid.pyserini.index import build_index
from beir_hybrid.pyserini.lucene import build_lucene_index
from beir_hybrid.pyserini.topics import write_topics
from beir_hybrid.sources.image_text import CaptionedImage, build_image_collection
from beir_hybrid.training.loss import HybridContrastiveLoss
from tests.models import static_model, tiny_clip, tiny_siglip, transformer_model


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a saved CLIP."""
    return tiny_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Give five images, of noise and of different sizes."""
    draw = np.random.default_rng(3)
    vectors = []
    for number in range(5):
        path = tmp_path / f"image-{number}.png"
        pixels = draw.integers(0, 256, (20 + number, 30, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
        vectors.append(path)
    return vectors


def list_keys(files: Sequence[Path]) -> list[str]:
    return [f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}" for path in files]


def list_paths(files: Sequence[Path]) -> list[str]:
    return [str(path) for path in files]


class CornerEncoder(Encoder):
    """An encoder of images to their first pixel and of texts to their length; notes its calls."""

    def __init__(self) -> None:
        self.fingerprint: Mapping[str, Any] = {
            "kind": "corner",
            "prompts": {"queries": "", "passages": ""},
        }
        self.texts: list[str] = []
        self.batch_sizes: list[int] = []

    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        self.texts += texts
        return np.array([[len(text), 0, 0] for text in texts], np.float32)

    encode_passages = encode_queries

    def encode_images(self, images: Sequence[Image.Image]) -> np.ndarray:
        self.batch_sizes.append(len(images))
        return np.array([image.getpixel((0, 0)) for image in images], np.float32)


def corner_colours(files: Sequence[Path]) -> list[Any]:
    return [list(map(float, np.asarray(Image.open(path))[0, 0])) for path in files]


def test_a_image_is_encoded_once_whatever_its_name(tmp_path: Path, files: list[Path]) -> None:
    twin = tmp_path / "twin.png"
    twin.write_bytes(files[1].read_bytes())
    image_files = [files[2], files[1], twin, files[2]]
    encoder, stats = CornerEncoder(), EncodingStats()
    store = tmp_path / "store"
    vectors = encode(
        encoder,
        list_keys(image_files),
        "images",
        folder=store,
        stats=stats,
        paths=list_paths(image_files),
    )
    assert vectors.take(slice(None)).tolist() == corner_colours(
        [files[2], files[1], files[1], files[2]]
    )
    assert (encoder.batch_sizes, stats.images, stats.texts, vectors.truncated) == ([2], 2, 0, 0)
    image_keys = list_keys(image_files)
    for path in image_files:
        path.unlink(missing_ok=True)  # what the store holds is not opened
    new_vectors = encode(encoder, image_keys, "images", folder=store, paths=list_paths(image_files))
    assert new_vectors.take(slice(None)).tolist() == vectors.take(slice(None)).tolist()
    assert encoder.batch_sizes == [2]


def test_a_text_that_is_a_key_is_in_another_space(tmp_path: Path, files: list[Path]) -> None:
    encoder, (key,) = CornerEncoder(), list_keys(files[:1])
    encode(encoder, [key], "images", folder=tmp_path, paths=list_paths(files[:1]))
    vectors = encode(encoder, [key], "passages", folder=tmp_path)
    assert (encoder.texts, vectors.take(slice(None)).tolist()) == ([key], [[71.0, 0.0, 0.0]])


def test_a_changed_or_lost_image_is_named(tmp_path: Path, files: list[Path]) -> None:
    image_keys = list_keys(files)
    Image.new("RGB", (5, 5)).save(files[3])
    store = tmp_path / "store"
    with pytest.raises(
        BadData, match=r"image-3\.png is no longer .* load the collection or pairs anew"
    ):
        encode(CornerEncoder(), image_keys, "images", folder=store, paths=list_paths(files))
    files[2].unlink()
    with pytest.raises(BadData, match=r"there is no file .*image-2\.png; load .* anew"):
        encode(CornerEncoder(), image_keys, "images", folder=store, paths=list_paths(files))
    assert not list(store.rglob("*.npy"))
    with pytest.raises(BadOption, match="give paths"):
        encode(CornerEncoder(), image_keys[:1], "images", folder=store)


def test_bad_rows_name_the_image(tmp_path: Path, files: list[Path]) -> None:
    class Broken(CornerEncoder):
        def encode_images(self, images: Sequence[Image.Image]) -> np.ndarray:
            rows = super().encode_images(images)
            rows[4] = np.nan
            return rows

    with pytest.raises(BadData, match=r"Broken: 1 of 5 .* the image is '.*image-4\.png'"):
        encode(Broken(), list_keys(files), "images", folder=tmp_path / "s", paths=list_paths(files))


def test_few_decoded_images_are_in_memory_however_many_there_are(tmp_path: Path) -> None:
    image_files = []
    for number in range(2 * IMAGES_PER_BATCH + 3):
        path = tmp_path / f"{number}.png"
        Image.new("RGB", (4, 4), (number % 256, number // 256, 0)).save(path)
        image_files.append(path)
    encoder = CornerEncoder()
    vectors = encode(
        encoder,
        list_keys(image_files),
        "images",
        folder=tmp_path / "s",
        paths=list_paths(image_files),
    )
    assert encoder.batch_sizes == [IMAGES_PER_BATCH, IMAGES_PER_BATCH, 3]
    assert vectors.take(slice(None)).tolist() == [
        [n % 256, n // 256, 0] for n in range(len(image_files))
    ]


def test_large_images_come_a_few_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    Image.new("1", (6000, 6000)).save(path)  # 36 of 64 million pixels
    batches = decode_batches(list_keys([path]) * 5, list_paths([path] * 5))
    assert [len(batch) for batch in batches] == [2, 2, 1]


def test_a_model_of_texts_alone_says_so_before_an_image_is_opened(tmp_path: Path) -> None:
    for encoder, name in (
        (SentenceTransformerEncoder(static_model()), "SentenceTransformer"),
        (TextEncoder(), "TextEncoder"),
    ):
        assert not encoder.reads_images
        with pytest.raises(BadOption, match=f"{name} reads no images; .* such as CLIP or SigLIP"):
            encode(encoder, ["sha256:0"], "images", folder=tmp_path, paths=["nowhere.png"])


class TextEncoder(Encoder):
    fingerprint = {"kind": "silent"}  # noqa: RUF012 - as users write it

    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        raise NotImplementedError

    encode_passages = encode_queries


def test_clip_encodes_images_as_it_does_by_itself(
    clip: Path, files: list[Path], tmp_path: Path
) -> None:
    plain = SentenceTransformer(str(clip), device="cpu")
    images = [Image.open(path).convert("RGB") for path in files]
    expected = np.asarray(plain.encode(images))
    for options, rows in (
        ({"normalize": False}, expected),
        ({}, expected / np.linalg.norm(expected, axis=1, keepdims=True)),
        ({"truncate_dim": 5, "normalize": False}, expected[:, :5]),
    ):
        encoder = SentenceTransformerEncoder(clip, device="cpu", batch_size=2, **options)
        vectors = encode(
            encoder, list_keys(files), "images", folder=tmp_path, paths=list_paths(files)
        )
        np.testing.assert_allclose(vectors.take(slice(None)), rows, rtol=0, atol=1e-5)


CAPTIONS_LIKE_PATHS = (
    "cat.png",
    "https://localhost:9/cat.png",
    "data:image/png;base64,AAAA",
    "two cats",
)


def test_a_caption_that_is_a_path_or_an_address_is_a_text(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (40, 40), "red").save("cat.png")
    encoder = SentenceTransformerEncoder(clip, normalize=False, device="cpu")
    vectors = encoder.encode_passages(CAPTIONS_LIKE_PATHS)
    transformer: Any = encoder.model.transformers_model
    ids = encoder.model.tokenizer(list(CAPTIONS_LIKE_PATHS), padding=True, return_tensors="pt")
    with torch.inference_mode():
        expected = transformer.get_text_features(**ids).pooler_output.numpy()
    np.testing.assert_allclose(vectors, expected, rtol=0, atol=1e-5)
    np.testing.assert_allclose(
        encoder.encode_queries(CAPTIONS_LIKE_PATHS), expected, rtol=0, atol=1e-5
    )
    # By itself sentence-transformers opens the file, so the test has force.
    opened = np.asarray(encoder.model.encode(["cat.png"]))
    assert np.abs(opened - expected[:1]).max() > 0.1


def test_prompts_stand_before_captions_alone(clip: Path, files: list[Path]) -> None:
    plain = SentenceTransformerEncoder(clip, device="cpu")
    prompted = SentenceTransformerEncoder(clip, device="cpu", query_prompt="a photo of ")
    np.testing.assert_allclose(
        prompted.encode_queries(["a cat"]),
        plain.encode_queries(["a photo of a cat"]),
        rtol=0,
        atol=1e-6,
    )
    images = [Image.open(files[0])]
    assert np.array_equal(prompted.encode_images(images), plain.encode_images(images))


def test_long_captions_are_cut_and_counted(clip: Path, tmp_path: Path) -> None:
    # A token a letter, one before and one behind: 75 letters are read and 76 are not.
    texts = ["a" * 75, "a" * 76, "a" * 300, "é" * 38, "short"]
    encoder = SentenceTransformerEncoder(clip, device="cpu")
    assert encoder.find_truncated(texts, "passages") == [1, 2, 3]  # é is two bytes
    vectors = encode(encoder, texts, "passages", folder=tmp_path)
    assert vectors.truncated == 3
    rows = vectors.take(slice(None))
    np.testing.assert_allclose(rows[1], rows[2], rtol=0, atol=1e-6)
    with pytest.raises(BadOption, match="max_length is 78; the model reads at most 77 tokens"):
        SentenceTransformerEncoder(clip, device="cpu", max_length=78)
    short = SentenceTransformerEncoder(clip, device="cpu", max_length=10)
    assert short.find_truncated(["a" * 8, "a" * 9], "queries") == [1]


def test_without_a_limit_of_its_tokenizer_a_model_reads_as_far_as_it_has_places(
    clip: Path,
) -> None:
    model = SentenceTransformer(str(clip), device="cpu")
    long, truncated = ["a" * 200], ["a" * 76]
    expected = SentenceTransformerEncoder(model).encode_queries(truncated)
    model.max_seq_length = int(1e30)
    encoder = SentenceTransformerEncoder(model)
    assert encoder.find_truncated([*long, *truncated, "a" * 75], "queries") == [0, 1]
    np.testing.assert_allclose(encoder.encode_queries(long), expected, rtol=0, atol=1e-6)


def test_how_images_are_prepared_is_in_the_fingerprint(clip: Path) -> None:
    model = SentenceTransformer(str(clip), device="cpu")
    before = SentenceTransformerEncoder(model).fingerprint
    model.processor.image_processor.image_mean = [0.5, 0.5, 0.5]
    after = SentenceTransformerEncoder(model).fingerprint
    assert {name for name in before if before[name] != after[name]} == {"pictures"}
    texts = SentenceTransformerEncoder(static_model()).fingerprint
    assert not {"pictures", "texts"} & texts.keys()  # those of models of texts stay as they were


def test_siglip_reads_padding_so_it_always_gets_all_of_it(tmp_path: Path) -> None:
    model = SentenceTransformer(str(tiny_siglip(tmp_path / "siglip")), device="cpu")
    encoder = SentenceTransformerEncoder(model, normalize=False)
    texts = ["w1 w2", "w3 w4 w5 w6 w7 w8 w9"]
    alone, together = encoder.encode_queries(texts[:1]), encoder.encode_queries(texts)
    np.testing.assert_allclose(alone[0], together[0], rtol=0, atol=1e-6)
    assert encoder.fingerprint["texts"] == {"padding": "max_length", "max_length": 16}
    # Padded to the longest of the batch they differ, so the test has force.
    plain = [np.asarray(model.encode(batches))[0] for batches in (texts[:1], texts)]
    assert np.abs(plain[0] - plain[1]).max() > 1e-3
    # All 16 places are read, whatever the length.
    ids = model.tokenizer(texts[:1], padding="max_length", max_length=16, return_tensors="pt")
    transformer: Any = model.transformers_model
    with torch.inference_mode():
        expected = transformer.get_text_features(ids["input_ids"]).pooler_output.numpy()
    np.testing.assert_allclose(alone, expected, rtol=0, atol=1e-6)


def test_a_text_encoder_and_a_vision_encoder_become_one_model(
    clip: Path, files: list[Path], tmp_path: Path
) -> None:
    transformer_model(tmp_path / "bert")
    torch.manual_seed(5)
    model = from_vision_text(tmp_path / "bert", clip, seed=1, device="cpu")
    random_number = torch.rand(1).item()
    torch.manual_seed(5)
    assert random_number == torch.rand(1).item()  # the seed of everybody else is left alone
    images: Any = [Image.open(path) for path in files[:2]]
    texts = ["w1 w2", "w3"]
    assert model.modalities == ["text", "image"]
    # The map behind CLIP's tower is its own, that behind the text encoder is new.
    clip_model = SentenceTransformer(str(clip), device="cpu")
    np.testing.assert_allclose(model.encode(images), clip_model.encode(images), rtol=0, atol=1e-5)
    transformer: Any = model.transformers_model
    bert: Any = SentenceTransformer(str(tmp_path / "bert"), device="cpu")[0]
    ids = model.tokenizer(texts, padding=True, return_tensors="pt")
    with torch.inference_mode():
        pooled = bert.model(**ids).pooler_output
        expected = (pooled @ transformer.text_projection.weight.T).numpy()
    np.testing.assert_allclose(model.encode(texts), expected, rtol=0, atol=1e-5)
    model.save(str(tmp_path / "joined"))
    loaded = SentenceTransformerEncoder(tmp_path / "joined", device="cpu", normalize=False)
    np.testing.assert_allclose(loaded.encode_queries(texts), expected, rtol=0, atol=1e-5)
    np.testing.assert_allclose(
        loaded.encode_images(images), clip_model.encode(images), rtol=0, atol=1e-5
    )
    assert loaded.find_truncated(["w1 " * 62, "w1 " * 63], "queries") == [1]  # of 64 places


def test_new_maps_come_from_the_seed(clip: Path, tmp_path: Path) -> None:
    transformer_model(tmp_path / "bert")
    projections = []
    for seed, dim in ((1, 8), (1, 8), (2, 8)):
        transformer: Any = from_vision_text(
            tmp_path / "bert", clip, seed=seed, dim=dim, device="cpu"
        ).transformers_model
        assert transformer.visual_projection.weight.shape == (8, 32)
        assert transformer.text_projection.weight.shape == (8, 16)
        projections.append(
            torch.cat([transformer.visual_projection.weight, transformer.text_projection.weight], 1)
        )
    assert torch.equal(projections[0], projections[1])
    assert not torch.equal(projections[0], projections[2])


def test_any_pair_of_towers_will_do_that_makes_vectors(
    clip: Path, files: list[Path], tmp_path: Path
) -> None:
    vit, roberta = _vit(tmp_path / "vit"), _roberta(tmp_path / "roberta")
    model = from_vision_text(roberta, vit, dim=12, device="cpu")
    images: Any = [Image.open(files[0])]
    assert np.asarray(model.encode(images)).shape == (1, 12)
    encoder = SentenceTransformerEncoder(model)
    # RoBERTa begins to count its places behind the padding's: 20 of 22 are there.
    assert encoder.find_truncated(["w1 " * 18, "w1 " * 19], "queries") == [1]
    assert encoder.encode_queries(["w1 " * 60]).shape == (1, 12)
    # From a model of both the towers are taken apart.
    swapped = from_vision_text(clip, vit, device="cpu", dim=4)
    assert np.asarray(swapped.encode(["a cat"])).shape == (1, 4)


def test_what_cannot_be_joined_is_named(clip: Path, tmp_path: Path) -> None:
    from transformers import DistilBertConfig, DistilBertModel

    transformer_model(tmp_path / "bert")
    config = DistilBertConfig(vocab_size=404, dim=16, n_layers=1, n_heads=2, hidden_dim=32)
    transformer_model(tmp_path / "distil")
    DistilBertModel(config).save_pretrained(tmp_path / "distil")
    with pytest.raises(BadData, match=r"distil': DistilBertModel makes no vector of a whole text"):
        from_vision_text(tmp_path / "distil", clip)
    with pytest.raises(BadData, match=r"cannot load '.*bert' as a part of a model"):
        from_vision_text(tmp_path / "bert", tmp_path / "bert")
    siglip = tiny_siglip(tmp_path / "siglip")
    part = r"siglip': SiglipTextModel cannot be joined, .* texts can be read by BERT, XLM-R or"
    with pytest.raises(BadData, match=part) as error:
        from_vision_text(siglip, clip)
    assert "\n" not in str(error.value)
    vision_model = from_vision_text(tmp_path / "bert", siglip, device="cpu", dim=4)
    assert np.asarray(vision_model.encode(["a cat"])).shape == (1, 4)
    with pytest.raises(BadOption, match="dim is 0"):
        from_vision_text(tmp_path / "bert", clip, dim=0)


def _vit(folder: Path) -> Path:
    from transformers import ViTConfig, ViTModel
    from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

    config = ViTConfig(
        hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        image_size=16, patch_size=8,
    )  # fmt: skip
    torch.manual_seed(2)
    ViTModel(config).save_pretrained(folder)
    processor: Any = ViTImageProcessorPil
    processor(size={"height": 16, "width": 16}).save_pretrained(folder)
    return folder


def _roberta(folder: Path) -> Path:
    from transformers import XLMRobertaConfig, XLMRobertaModel

    transformer_model(folder)  # for its tokenizer, whose padding is token 0
    (folder / "model.safetensors").unlink()
    config = XLMRobertaConfig(
        vocab_size=404, hidden_size=8, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=16, max_position_embeddings=22, pad_token_id=1, type_vocab_size=1,
    )  # fmt: skip
    torch.manual_seed(2)
    XLMRobertaModel(config).save_pretrained(folder)
    return folder


COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}
GERMAN = {"red": "rot", "green": "grün", "blue": "blau"}


class ColourEncoder(CornerEncoder):
    """An encoder that knows colours by their names and as images, but takes blue in German."""

    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        self.texts += texts
        image_keys = COLOURS | {"rot": (255, 0, 0), "grün": (0, 255, 0), "blau": (255, 0, 0)}
        return np.array([image_keys[text] for text in texts], np.float32)

    encode_passages = encode_queries


@pytest.fixture
def collection(tmp_path: Path) -> Collection:
    """Give three images, each with a caption in English and in German."""
    rows = []
    for name, colour in COLOURS.items():
        path = tmp_path / f"{name}.png"
        Image.new("RGB", (3, 3), colour).save(path)
        rows.append(CaptionedImage(name, path, {"en": [name], "de": [GERMAN[name]]}, name))
    return build_image_collection("colours", rows, {})


def test_an_evaluation_encodes_every_caption_and_image_once_for_all_settings(
    collection: Collection, tmp_path: Path
) -> None:
    encoder = ColourEncoder()
    store = tmp_path / "store"
    results = evaluate(encoder, collection, measures=[R @ 1], store=store)
    assert sorted(encoder.texts) == sorted([*COLOURS, *GERMAN.values()])
    assert encoder.batch_sizes == [3]
    assert results.timing.encoded_texts == 6
    assert results.timing.encoded_images == 3
    matrix = results.matrix(R @ 1)
    assert (matrix["en", "image"], matrix["image", "en"]) == (1.0, 1.0)
    assert matrix["de", "image"] == pytest.approx(2 / 3)  # blau finds red, or nothing before it
    evaluate(encoder, collection, measures=[R @ 1], store=store)
    assert (len(encoder.texts), encoder.batch_sizes) == (6, [3])


def test_prompts_that_differ_part_captions_asked_from_captions_found(
    collection: Collection, tmp_path: Path
) -> None:
    encoder = ColourEncoder()
    encoder.fingerprint = {"kind": "colours", "prompts": {"queries": "a", "passages": "b"}}
    evaluate(encoder, collection, measures=[R @ 1], store=tmp_path / "store")
    assert sorted(encoder.texts) == sorted(2 * [*COLOURS, *GERMAN.values()])
    assert encoder.batch_sizes == [3]


def test_a_model_of_texts_alone_encodes_no_caption_of_images(
    collection: Collection, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    with pytest.raises(BadOption, match="SentenceTransformer reads no images") as error:
        evaluate(static_model(), collection, measures=[R @ 1], store=store)
    assert str(error.value).endswith(
        "; or ask for settings of captions alone: settings='cross multi'"
    )
    assert not list(store.rglob("*.npy"))
    results = evaluate(static_model(), collection, measures=[R @ 1], settings="cross multi")
    assert results.kinds == ("cross", "multi")


@pytest.mark.parametrize(("captions", "cure"), [(["a"], "SigLIP"), (["a", "b"], "settings='mono'")])
def test_a_model_of_texts_alone_is_told_what_there_is(
    tmp_path: Path, files: list[Path], captions: list[str], cure: str
) -> None:
    rows = [CaptionedImage(path.stem, path, {"en": captions}, path.stem) for path in files]
    with pytest.raises(BadOption, match=f"reads no images.* {cure}$"):
        evaluate(static_model(), build_image_collection("one", rows, {}), store=tmp_path / "store")


TEXT_ONLY_CALLS: dict[str, Callable[[Collection, Path], object]] = {
    "an index for Pyserini": lambda data, at: build_index(static_model(), data, at / "index"),
    "an index of Lucene's": lambda data, _: build_lucene_index(data),
    "a file of topics": lambda data, at: write_topics(data, at / "topics"),
    "BM25": lambda data, _: bm25(data),
    "encoding ahead": lambda data, _: encode_part(CornerEncoder(), data),
}


@pytest.mark.parametrize("what", TEXT_ONLY_CALLS)
def test_what_is_of_texts_alone_refuses_images(
    collection: Collection, tmp_path: Path, what: str
) -> None:
    with pytest.raises(BadOption, match=f"colours has images, and {what} is of texts alone"):
        TEXT_ONLY_CALLS[what](collection, tmp_path)


def test_several_devices_share_images_out_too(clip: Path, files: list[Path]) -> None:
    encoder = SentenceTransformerEncoder(clip, device="cpu")
    images = [Image.open(path) for path in files]
    expected = encoder.encode_images(images)
    parallel = MultiDeviceEncoder(encoder, ["cpu"])
    try:
        np.testing.assert_allclose(parallel.encode_images(images), expected, rtol=0, atol=1e-5)
    finally:
        parallel.close()
    text_parallel = MultiDeviceEncoder(SentenceTransformerEncoder(static_model()), ["cpu", "cpu"])
    assert not text_parallel.reads_images


def test_a_cluster_refuses_images() -> None:
    encoder = RayEncoder.__new__(RayEncoder)  # without the cluster, for which it does not matter
    with pytest.raises(BadOption, match="on this machine only: leave out the engine 'ray'"):
        check_reads_images(encoder)


def test_a_damaged_shard_of_images_is_redone(tmp_path: Path, files: list[Path]) -> None:
    store, encoder = tmp_path / "store", CornerEncoder()
    image_keys = list_keys(files)
    vectors = encode(encoder, image_keys, "images", folder=store, paths=list_paths(files))
    (vector_file,) = store.rglob("*.vectors.npy")
    expected = vectors.take(slice(None)).tolist()
    vector_file.write_bytes(vector_file.read_bytes()[:-1])
    new_vectors = encode(encoder, image_keys, "images", folder=store, paths=list_paths(files))
    assert (new_vectors.take(slice(None)).tolist(), encoder.batch_sizes) == (expected, [5, 5])


def test_joined_rows_lie_behind_each_other() -> None:
    first = Embeddings.from_array(np.array([[1, 2], [3, 4]], np.float32))
    empty = Embeddings([], np.zeros(0, np.int32), np.zeros(0, np.int32), 0)
    shards = [np.array([[5, 6]], np.float32), np.array([[7, 8], [9, 0]], np.float32)]
    second = Embeddings(shards, np.array([1, 0, 1]), np.array([1, 0, 0]), 3)
    joined = Embeddings.concatenate([first.slice_rows(range(1, 2)), empty, second])
    assert (len(joined), joined.dim, joined.truncated) == (4, 2, None)
    assert joined.take(slice(None)).tolist() == [[3, 4], [9, 0], [5, 6], [7, 8]]
    assert joined.slice_rows(range(2, 4)).take(np.array([1, 0])).tolist() == [[7, 8], [5, 6]]
    assert Embeddings.concatenate([empty, second]).truncated == 3
    assert len(Embeddings.concatenate([empty, empty])) == 0
    other = Embeddings.from_array(np.ones((2, 3), np.float32))
    with pytest.raises(BadData, match=r"have \[2, 3\] dimensions"):
        Embeddings.concatenate([first, other])


def test_the_learned_scale_of_clip_is_not_trained_and_does_not_count(clip: Path) -> None:
    """The loss scales cosines by its own temperature: what CLIP has learned takes no part."""
    model = SentenceTransformer(str(clip), device="cpu")
    (scale,) = (one for name, one in model.named_parameters() if name.endswith("logit_scale"))
    loss = HybridContrastiveLoss(model, temperature=0.1)
    images = [Image.new("RGB", (32, 32), colour) for colour in ("red", "blue")]
    vectors = []
    for value in (1.0, 5.0):
        scale.data.fill_(value)
        features = [
            model.preprocess([{"text": "red"}, {"text": "blue"}]),
            model.preprocess(images),
        ]
        vectors.append(loss(features, torch.tensor([[0, 0], [1, 1]])))
    assert vectors[0].item() == vectors[1].item()
    vectors[0].backward()
    assert scale.grad is None or not scale.grad.any()


def test_images_are_prepared_by_pillow_without_torchvision(clip: Path) -> None:
    if find_spec("torchvision") is not None:
        pytest.skip("torchvision is installed")
    encoder = SentenceTransformerEncoder(clip, device="cpu")
    rows = encoder.encode_images([Image.new("RGB", (48, 40), "red")])
    assert "Pil" in str(encoder.fingerprint["pictures"])
    assert np.isfinite(rows).all()
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, rtol=1e-5)
