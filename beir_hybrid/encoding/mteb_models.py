"""A model that follows mteb's protocol in, an `Encoder` out."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from beir_hybrid.checks import check_positive
from beir_hybrid.encoding.encoder import (
    Role,
    SentenceTransformerEncoder,
    own_prompts,
)
from beir_hybrid.encoding.parts import find_long
from beir_hybrid.errors import BadOption, MissingExtra

if TYPE_CHECKING:
    from mteb.abstasks.task_metadata import TaskMetadata
    from sentence_transformers import SentenceTransformer

_DEPTH = 4  # wrappers around wrappers that are looked into
# What mteb writes for a model of which it knows nothing.
_NOBODY = {None, "", "no_model_name/available", "no_revision_available"}


class MtebEncoder:
    """A model of mteb's (``mteb.get_model``, or any class with its ``encode``) as an `Encoder`.

    Prompts are those that the model chooses for a retrieval task that it does not know by name.

    Parameters
    ----------
    normalize
        Whether rows get unit length, so that scores are cosines. By default they do, unless the
        model's similarity is the dot product.
    task_metadata
        The task that the model is told of, for models that have prompts by task.
    """

    def __init__(
        self,
        model: Any,
        *,
        normalize: bool | None = None,
        batch_size: int = 32,
        task_metadata: "TaskMetadata | None" = None,
    ) -> None:
        try:
            import mteb  # noqa: F401
        except ImportError as error:
            raise MissingExtra(
                f"{type(model).__name__} is a model of mteb's: pip install 'mteb>=2.26'"
            ) from error
        check_positive(batch_size=batch_size)
        self.model = model
        self.batch_size = batch_size
        self.task_metadata = task_metadata or _retrieval_task()
        self._inside = _sentence_transformer(model)
        named = model.mteb_model_meta.name
        nameless = type(model if self._inside is None else self._inside).__name__
        self.name = nameless if named in _NOBODY else named
        similarity = self._similarity()
        if normalize is None and similarity not in ("cosine", "dot"):
            raise BadOption(
                f"{self.name} scores by {similarity}; only cosines and dot products can be ranked, "
                "normalize=True or False chooses one of them"
            )
        self.normalize = similarity == "cosine" if normalize is None else normalize

    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        """Return a row for each query."""
        return self._encode(texts, "queries")

    def encode_passages(self, texts: Sequence[str]) -> np.ndarray:
        """Return a row for each passage."""
        return self._encode(texts, "passages")

    def _encode(self, texts: Sequence[str], role: Role) -> np.ndarray:
        import torch
        from datasets import Dataset
        from mteb.types import PromptType
        from torch.utils.data import DataLoader

        # Longest first, for not every model of mteb's sorts: batches of equal lengths pad least.
        order = sorted(range(len(texts)), key=lambda at: -len(texts[at]))
        columns = {"id": [str(at) for at in order], "text": [texts[at] for at in order]}
        columns |= {"query" if role == "queries" else "body": columns["text"]}
        inputs: Any = Dataset.from_dict(columns)
        rows = self.model.encode(
            DataLoader(inputs, batch_size=self.batch_size),
            task_metadata=self.task_metadata,
            hf_split="test",
            hf_subset="default",
            prompt_type=PromptType.query if role == "queries" else PromptType.document,
            batch_size=self.batch_size,
            show_progress_bar=False,
        )
        found = torch.as_tensor(rows).detach().cpu().float()
        if self.normalize:
            found = torch.nn.functional.normalize(found, p=2, dim=1)
        sorted_rows: np.ndarray = found.numpy()
        vectors = np.empty_like(sorted_rows)
        vectors[order] = sorted_rows
        return vectors

    def find_cut(self, texts: Sequence[str], role: Role) -> list[int] | None:
        """Return the places of the texts that the model cuts, if it is of sentence-transformers."""
        from mteb.types import PromptType

        prompts = getattr(self.model, "model_prompts", None)
        if self._inside is None:
            return None
        kind = PromptType.query if role == "queries" else PromptType.document
        own = own_prompts(self._inside)
        prompt = own.query if role == "queries" else own.passage
        if prompts:
            name = self.model.get_prompt_name(self.task_metadata, kind)
            prompt = prompts.get(name, prompt)
        return find_long(self._inside, texts, prompt)

    @cached_property
    def fingerprint(self) -> Mapping[str, Any]:
        """What names the model, the task it is told of and, where they can be seen, its weights."""
        meta = self.model.mteb_model_meta
        known = {
            "kind": "mteb",
            "class": f"{type(self.model).__module__}.{type(self.model).__qualname__}",
            "name": meta.name,
            "revision": meta.revision,
            "options": repr((meta.loader_kwargs, meta.experiment_kwargs)),
            "model_prompts": getattr(self.model, "model_prompts", None),
            "task": [self.task_metadata.name, self.task_metadata.type, self.task_metadata.prompt],
            "normalize": self.normalize,
            "versions": {name: version(name) for name in ("mteb", "torch")},
        }
        if self._inside is not None:
            inside = SentenceTransformerEncoder(self._inside, normalize=self.normalize)
            return known | {"model": dict(inside.fingerprint)}
        if {meta.name, meta.revision} & _NOBODY:
            raise BadOption(
                f"{type(self.model).__name__} has no name or no revision in its mteb_model_meta: "
                "its vectors cannot be told from those of another model"
            )
        return known

    def _similarity(self) -> str:
        """Return the name of the model's similarity; cosine where none is named, as in mteb."""
        if self._inside is not None:
            return str(self._inside.similarity_fn_name or "cosine")
        named = self.model.mteb_model_meta.similarity_fn_name
        return "cosine" if named is None else str(getattr(named, "value", named))


def _retrieval_task() -> "TaskMetadata":
    """Return what mteb would say of a retrieval task that is not among its own."""
    from mteb.abstasks.retrieval import AbsTaskRetrieval
    from mteb.abstasks.task_metadata import TaskMetadata

    return TaskMetadata(
        name="BeirHybridRetrieval",
        description="Retrieval in several languages",
        dataset={"path": "beir-hybrid", "revision": "1"},
        type="Retrieval",
        eval_langs=["eng-Latn"],
        main_score="ndcg_at_10",
        prompt=AbsTaskRetrieval.abstask_prompt,
    )


def _sentence_transformer(model: Any) -> "SentenceTransformer | None":
    """Return the model inside mteb's wrappers, if it is of sentence-transformers."""
    from sentence_transformers import SentenceTransformer

    for _ in range(_DEPTH):
        if model is None or isinstance(model, SentenceTransformer):
            break
        model = getattr(model, "_model", None) or getattr(model, "model", None)
    return model if isinstance(model, SentenceTransformer) else None
