"""Small models of real make: word vectors and a transformer, both with weights from a seed."""

from typing import Any

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


def _tokenizer(*words: str) -> Tokenizer:
    unknown = "[UNK]" if "[UNK]" in words else "?"
    vocabulary = {word: number for number, word in enumerate(words)}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token=unknown))
    tokenizer.pre_tokenizer = Whitespace()
    return tokenizer
