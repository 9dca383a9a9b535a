"""Small models of real make, with weights from a seed: word vectors, a transformer, a CLIP."""

from pathlib import Path
from typing import Any, cast

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import StaticEmbedding
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing

WORDS = [f"w{number}" for number in range(400)]


def static_model(seed: int = 7, dim: int = 16, **options: Any) -> SentenceTransformer:
    """Return a model whose vectors are means of words' and differ in length."""
    torch.manual_seed(seed)
    embedding = StaticEmbedding(_tokenizer("?", *WORDS), embedding_dim=dim)
    return SentenceTransformer(modules=[embedding], device="cpu", **options)


def transformer_model(folder: Any, seed: int = 7, limit: int = 16) -> SentenceTransformer:
    """Return a BERT of one layer, mean-pooled, that reads `limit` tokens; uses `folder`."""
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    torch.manual_seed(seed)
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    config = BertConfig(
        vocab_size=len(special) + len(WORDS),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
    )
    BertModel(config).save_pretrained(folder)
    tokenizer = _tokenizer(*special, *WORDS)
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = ("pad_token", "unk_token", "cls_token", "sep_token")
    fast: Any = PreTrainedTokenizerFast  # transformers leaves it untyped
    fast(tokenizer_object=tokenizer, **dict(zip(names, special, strict=True))).save_pretrained(
        folder
    )
    body = Transformer(str(folder), max_seq_length=limit)
    return SentenceTransformer(modules=[body, Pooling(16)], device="cpu")


def tiny_clip(folder: Path, seed: int = 7, dim: int = 16, side: int = 32) -> Path:
    """Save a CLIP that reads images and any text, a token a byte and at most 77; return its path.

    ``SentenceTransformer(str(path))`` loads it, as ``transformers.AutoModel`` does.
    """
    from transformers import CLIPConfig, CLIPModel

    torch.manual_seed(seed)
    tower = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "projection_dim": dim,
    }
    tokenizer = _clip_tokenizer()
    first, last = tokenizer.bos_token_id, tokenizer.eos_token_id
    config = CLIPConfig(
        text_config=tower
        | {
            "vocab_size": last + 1,
            "max_position_embeddings": 77,
            "bos_token_id": first,
            "eos_token_id": last,
            "pad_token_id": last,
        },
        vision_config=tower | {"image_size": side, "patch_size": side // 2},
        projection_dim=dim,
    )
    CLIPModel(config).save_pretrained(folder)
    _clip_processor(tokenizer, side).save_pretrained(folder)
    return folder


def tiny_siglip(folder: Path, seed: int = 7) -> Path:
    """Save a SigLIP that reads 16 tokens of `WORDS`, their padding too; return its path."""
    from transformers import PreTrainedTokenizerFast, SiglipConfig, SiglipModel, SiglipProcessor
    from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

    torch.manual_seed(seed)
    special = ["<pad>", "<unk>", "</s>"]
    tower = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
    }
    words = {"vocab_size": len(special) + len(WORDS), "max_position_embeddings": 16}
    config = SiglipConfig(
        text_config=tower | words | {"pad_token_id": 0, "eos_token_id": 2, "bos_token_id": 2},
        vision_config=tower | {"image_size": 32, "patch_size": 16},
    )
    SiglipModel(config).save_pretrained(folder)
    tokenizer = _tokenizer(*special, *WORDS)
    tokenizer.post_processor = TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 2)])
    fast, seen, whole = (
        cast("Any", kind)  # transformers leaves them untyped
        for kind in (PreTrainedTokenizerFast, SiglipImageProcessorPil, SiglipProcessor)
    )
    reads = fast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",  # noqa: S106 - no password
        unk_token="<unk>",  # noqa: S106
        eos_token="</s>",  # noqa: S106
        model_input_names=["input_ids"],  # as SigLIP's own: nothing hides the padding
        model_max_length=16,
    )
    whole(seen(size={"height": 32, "width": 32}), reads).save_pretrained(folder)
    return folder


def _clip_tokenizer() -> Any:
    """Return CLIP's tokenizer without merges: its tokens are bytes, those that end words apart."""
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import CLIPTokenizer

    signs = sorted(ByteLevel.alphabet())
    tokens = [*signs, *[f"{sign}</w>" for sign in signs], "<|startoftext|>", "<|endoftext|>"]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    made: Any = CLIPTokenizer  # transformers leaves it untyped
    return made(vocab=vocabulary, merges=[], model_max_length=77)


def _clip_processor(tokenizer: Any, side: int) -> Any:
    from transformers import CLIPProcessor
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    seen: Any = CLIPImageProcessorPil
    size = {"shortest_edge": side}
    whole: Any = CLIPProcessor
    return whole(seen(size=size, crop_size={"height": side, "width": side}), tokenizer)


def _tokenizer(*words: str) -> Tokenizer:
    unknown = next(word for word in ("[UNK]", "<unk>", "?") if word in words)
    vocabulary = {word: number for number, word in enumerate(words)}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token=unknown))
    tokenizer.pre_tokenizer = Whitespace()
    return tokenizer
