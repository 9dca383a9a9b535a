"""Modules that every command needs, imported once in the process that others are forked from."""

import faiss  # noqa: F401
import sentence_transformers  # noqa: F401
import torch
import transformers  # noqa: F401

import beir_hybrid.cli
import beir_hybrid.evaluation.evaluate
import beir_hybrid.pyserini.index  # noqa: F401

torch.set_num_threads(1)
