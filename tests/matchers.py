"""Small BLIP and LXMERT models, and a small collection of images and captions."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from beir_hybrid.collection import Collection
from beir_hybrid.collection.cache import load_or_build
from beir_hybrid.collection.judgements import SELF_MATCH
from beir_hybrid.collection.writer import CollectionWriter
from beir_hybrid.encoding import Embeddings
from beir_hybrid.evaluation.vectors import CollectionVectors
from beir_hybrid.results.provenance import ModelProvenance
from tests.models import transformer_model

LANGUAGES = ("de", "en", "th")
_TOWER = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "initializer_range": 0.6,  # large enough to tell images apart
}


def make_blip(folder: Path, seed: int = 3, **text: Any) -> Path:
    """Save a BLIP that reads an image and a caption of words as in `tests.models`."""
    from transformers import AutoTokenizer, BlipConfig, BlipForImageTextRetrieval, BlipProcessor
    from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil

    transformer_model(folder)  # its tokenizer
    torch.manual_seed(seed)
    words = {"vocab_size": 404, "max_position_embeddings": 12, "encoder_hidden_size": 16}
    special_tokens = {"pad_token_id": 0, "bos_token_id": 2, "sep_token_id": 3, "eos_token_id": 3}
    config = BlipConfig(
        text_config=_TOWER | words | special_tokens | text,
        vision_config=_TOWER | {"image_size": 16, "patch_size": 8},
        image_text_hidden_size=8,
        initializer_range=0.6,
    )
    BlipForImageTextRetrieval(config).save_pretrained(folder)
    image_processor: Any = BlipImageProcessorPil
    processor: Any = BlipProcessor
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    processor(image_processor(size={"height": 16, "width": 16}), tokenizer).save_pretrained(folder)
    return folder


def make_lxmert(folder: Path, seed: int = 3) -> Path:
    """Save an LXMERT with 8 features a region."""
    from transformers import LxmertConfig, LxmertForPreTraining

    transformer_model(folder)  # its tokenizer
    torch.manual_seed(seed)
    config = LxmertConfig(
        vocab_size=404,
        hidden_size=16,
        intermediate_size=32,
        num_attention_heads=2,
        initializer_range=0.6,
        l_layers=1,
        r_layers=1,
        x_layers=1,
        visual_feat_dim=8,
        max_position_embeddings=12,
        num_qa_labels=2,
        num_object_labels=2,
        num_attr_labels=2,
    )
    LxmertForPreTraining(config).save_pretrained(folder)
    return folder


def write_regions(folder: Path, keys: list[str], seed: int = 5) -> Path:
    """Save features and boxes of 36 regions for each image."""
    draw = np.random.default_rng(seed)
    folder.mkdir()
    for key in keys:
        features = draw.normal(size=(36, 8)).astype(np.float32)
        np.savez(folder / f"{key}.npz", features=features, boxes=draw.random((36, 4)))
    return folder


def make_collection(folder: Path, count: int = 7) -> Collection:
    """Make images with a caption in each of three languages; the last two images are equal."""
    draw = np.random.default_rng(8)
    keys = [f"p{n}" for n in range(count)]
    shades = [draw.integers(0, 255, (12, 12, 3), dtype=np.uint8) for _ in keys[:-1]]
    for key, shade in zip(keys, [*shades, shades[-1]], strict=True):
        Image.fromarray(shade).save(folder / f"{key}.png")
    captions = {
        (lang, key): " ".join(f"w{word}" for word in draw.integers(0, 30, 3))
        for lang in LANGUAGES
        for key in keys
    }

    def build(writer: CollectionWriter) -> None:
        paths = {key: folder / f"{key}.png" for key in keys}
        sums = {k: f"sha256:{hashlib.sha256(p.read_bytes()).hexdigest()}" for k, p in paths.items()}
        for (lang, key), caption in captions.items():
            writer.add_passage(lang, f"{key}-0", "", caption)
        for key in keys:
            writer.add_passage("image", key, "", sums[key], image=str(paths[key]))
        for (lang, key), caption in captions.items():
            query = writer.add_query(lang, f"{key}-0", caption, key)
            writer.add_judgement(query, f"image:{key}")
            for language in LANGUAGES:
                writer.add_judgement(
                    query, f"{language}:{key}-0", SELF_MATCH if language == lang else 1
                )
        for key in keys:
            query = writer.add_query("image", key, sums[key], key, image=str(paths[key]))
            writer.add_judgement(query, f"image:{key}", SELF_MATCH)
            for lang in LANGUAGES:
                writer.add_judgement(query, f"{lang}:{key}-0")
        writer.finish()

    return load_or_build("images", {"folder": str(folder), "count": count}, build, has_images=True)


def draw_vectors(on: Collection, seed: int = 1) -> CollectionVectors:
    """Draw vectors of small whole numbers, so that products are exact and some tie."""
    draw = np.random.default_rng(seed)
    queries, passages = (
        Embeddings.from_array(draw.integers(-3, 4, (len(table), 6)).astype(np.float32))
        for table in (on.queries, on.passages)
    )
    model = ModelProvenance("drawn", fingerprint={"kind": "vectors", "seed": seed})
    return CollectionVectors(queries, passages, model)
