"""A tiny model of each family, saved as sentence-transformers saves it."""

from pathlib import Path
from typing import Any

import torch
from sentence_transformers import CrossEncoder, MultiVectorEncoder, SparseEncoder
from sentence_transformers.base.modules import Dense, Normalize, Router, Transformer
from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask
from sentence_transformers.sparse_encoder.modules import SparseStaticEmbedding, SpladePooling

from tests.models import transformer_model

TOKEN_DIM = 8


def save_dense(folder: Path, seed: int = 7) -> Path:
    """Save a mean-pooled BERT of one layer."""
    transformer_model(folder / "parts", seed).save(str(folder / "dense"))
    return folder / "dense"


def make_sparse(folder: Path, seed: int = 5) -> SparseEncoder:
    """Return a SPLADE whose weights are large enough that most terms have none."""
    save_body(folder / "masked", "BertForMaskedLM", seed)
    body = Transformer(str(folder / "masked"), transformer_task="fill-mask", max_seq_length=16)
    return SparseEncoder(modules=[body, SpladePooling()], device="cpu")


def make_late(folder: Path, seed: int = 5) -> MultiVectorEncoder:
    """Return a ColBERT of one layer."""
    save_body(folder / "body", "BertModel", seed)
    body = Transformer(str(folder / "body"), max_seq_length=16)
    torch.manual_seed(seed)
    projection = Dense(
        16, TOKEN_DIM, bias=False, activation_function=torch.nn.Identity(),
        module_input_name="token_embeddings",
    )  # fmt: skip
    modules = [body, projection, MultiVectorMask(), Normalize(module_input_name="token_embeddings")]
    return MultiVectorEncoder(modules=modules, device="cpu")


def make_cross(folder: Path, labels: int = 1, seed: int = 3) -> CrossEncoder:
    """Return a BERT of one layer that reads pairs, with weights large enough to tell them apart."""
    save_body(folder, "BertForSequenceClassification", seed, num_labels=labels)
    return CrossEncoder(str(folder), device="cpu")


def save_body(folder: Path, architecture: str, seed: int, **config: Any) -> None:
    """Save a BERT of one layer with a head, and a tokenizer."""
    import transformers

    transformer_model(folder)  # its tokenizer and configuration
    torch.manual_seed(seed)
    settings = transformers.AutoConfig.from_pretrained(folder, initializer_range=0.6, **config)
    getattr(transformers, architecture)(settings).save_pretrained(folder)


def make_inference_free(folder: Path, seed: int = 5) -> SparseEncoder:
    """Return a SPLADE whose queries are their words, each with a weight of its own."""
    document = make_sparse(folder, seed)
    modules: list[Any] = [*document]
    words = SparseStaticEmbedding(modules[0].tokenizer)
    torch.manual_seed(seed)
    words.weight.data.uniform_(0.5, 2)
    special = torch.tensor(modules[0].tokenizer.all_special_ids)
    words.weight.data[special] = 0
    router = Router.for_query_document(query_modules=[words], document_modules=modules)
    return SparseEncoder(modules=[router], device="cpu")
