"""Tiny models of translation: one is trained to translate words, one has tokens of languages."""

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from tokenizers.processors import TemplateProcessing

SPECIAL = ["<pad>", "</s>", "<unk>"]
TARGETS = {"de": ">>deu<<", "fr": ">>fra<<"}
N_WORDS, LONGEST = 10, 6


def save_word_model(folder: Path, steps: int = 800) -> Path:
    """Train a T5 that translates ``w3 w1`` into ``de3 de1`` or ``fr3 fr1``; return its folder."""
    from transformers import PreTrainedTokenizerFast, T5Config, T5ForConditionalGeneration

    words = [f"{lang}{n}" for lang in ("w", *TARGETS) for n in range(N_WORDS)]
    vocabulary = {word: i for i, word in enumerate([*SPECIAL, *TARGETS.values(), *words])}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="<unk>"))  # noqa: S106 - no password
    tokenizer.pre_tokenizer = WhitespaceSplit()
    tokenizer.post_processor = TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", vocabulary["</s>"])]
    )
    fast: Any = PreTrainedTokenizerFast  # transformers leaves it untyped
    names = dict(zip(("pad_token", "eos_token", "unk_token"), SPECIAL, strict=True))
    wrapped = fast(tokenizer_object=tokenizer, model_max_length=LONGEST, **names)
    torch.manual_seed(3)
    make_config: Any = T5Config  # whose types leave some of its parameters out
    config = make_config(
        vocab_size=len(vocabulary), d_model=64, d_kv=16, d_ff=128, num_layers=1, num_heads=4,
        dropout_rate=0.0, decoder_start_token_id=0, pad_token_id=0, eos_token_id=1,
    )  # fmt: skip
    model: Any = T5ForConditionalGeneration(config)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for step in range(steps):
        generator = torch.Generator().manual_seed(step)
        length = step % 6 + 1
        numbers = torch.randint(N_WORDS, (64, length), generator=generator)
        target = torch.randint(2, (64, 1), generator=generator)
        first_word = len(SPECIAL) + len(TARGETS)
        end = torch.full((64, 1), vocabulary["</s>"])
        inputs = torch.cat([len(SPECIAL) + target, first_word + numbers, end], dim=1)
        labels = torch.cat([first_word + (1 + target) * N_WORDS + numbers, end], dim=1)
        loss = model(input_ids=inputs, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.save_pretrained(folder)
    wrapped.save_pretrained(folder)
    return folder


def save_nllb_model(folder: Path) -> Path:
    """Save an untrained model with NLLB's tokenizer, which has tokens of languages."""
    from transformers import NllbTokenizer

    vocabulary = {token: i for i, token in enumerate(["<s>", "<pad>", "</s>", "<unk>", "▁", "a"])}
    make: Any = NllbTokenizer  # transformers leaves it untyped
    return _save_untrained(folder, make(vocab=vocabulary, merges=[]))


def save_plain_model(folder: Path) -> Path:
    """Save an untrained model whose tokenizer has no token of any language."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from transformers import PreTrainedTokenizerFast

    make: Any = PreTrainedTokenizerFast  # transformers leaves it untyped
    words = WordLevel({"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, "a": 4}, unk_token="<unk>")  # noqa: S106
    return _save_untrained(folder, make(tokenizer_object=Tokenizer(words), pad_token="<pad>"))  # noqa: S106


def _save_untrained(folder: Path, tokenizer: Any) -> Path:
    """Save a tokenizer with an untrained model of one layer that reads 32 tokens."""
    from transformers import M2M100Config, M2M100ForConditionalGeneration

    torch.manual_seed(3)
    config = M2M100Config(
        vocab_size=len(tokenizer), d_model=16, encoder_layers=1, decoder_layers=1,
        encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=16,
        decoder_ffn_dim=16, max_position_embeddings=32, pad_token_id=1, bos_token_id=0,
        eos_token_id=2, decoder_start_token_id=2,
    )  # fmt: skip
    model: Any = M2M100ForConditionalGeneration(config)
    model.save_pretrained(folder)
    tokenizer.model_max_length = config.max_position_embeddings
    tokenizer.save_pretrained(folder)
    return folder
