"""Models that follow mteb's protocol as encoders."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from beir_hybrid.checks import check_positive
from beir_hybrid.encoding.encoder import Encoder, Role
from beir_hybrid.encoding.model_inputs import find_long_texts
from beir_hybrid.encoding.model_settings import read_prompts
from beir_hybrid.encoding.sentence_transformer import SentenceTransformerEncoder
from beir_hybrid.errors import BadOption, MissingExtra

if TYPE_CHECKING:
    from mteb.abstasks.task_metadata import TaskMetadata
    from sentence_transformers import SentenceTransformer

_MAX_WRAPPERS = 4  # wrappers of mteb's around one model
# Names and revisions that mteb gives to a model of which it knows nothing.
_UNKNOWN = {None, "", "no_model_name/available", "no_revision_available"}


class MtebEncoder(Encoder):
    """A model of mteb's (``mteb.get_model``, or any class with its ``encode``) as an `Encoder`.

    Prompts are those that the model uses for a retrieval task whose name it does not know.

    Parameters
    ----------
    normalize
        Whether vectors get unit length, so that scores are cosines. By default they do, unless the
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
        self.task_metadata = task_metadata or _make_retrieval_task()
        self._transformer = _unwrap_sentence_transformer(model)
        class_name = type(model if self._transformer is None else self._transformer).__name__
        meta_name = model.mteb_model_meta.name
        self.name = class_name if meta_name in _UNKNOWN else meta_name
        similarity = self._read_similarity()
        if normalize is None and similarity not in ("cosine", "dot"):
            raise BadOption(
                f"{self.name} scores by {similarity}; only cosines and dot products can be ranked, "
                "normalize=True or False chooses one of them"
            )
        self.normalize = similarity == "cosine" if normalize is None else normalize

    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        """Return the vectors of queries."""
        return self._encode_texts(texts, "queries")

    def encode_passages(self, texts: Sequence[str]) -> np.ndarray:
        """Return the vectors of passages."""
        return self._encode_texts(texts, "passages")

    def _encode_texts(self, texts: Sequence[str], role: Role) -> np.ndarray:
        import torch
        from datasets import Dataset
        from mteb.types import PromptType
        from torch.utils.data import DataLoader

        # The longest first, because not every model of mteb's sorts: batches of equal lengths pad
        # least.
        order = sorted(range(len(texts)), key=lambda i: -len(texts[i]))
        columns = {"id": [str(i) for i in order], "text": [texts[i] for i in order]}
        columns |= {"query" if role == "queries" else "body": columns["text"]}
        inputs: Any = Dataset.from_dict(columns)
        output = self.model.encode(
            DataLoader(inputs, batch_size=self.batch_size),
            task_metadata=self.task_metadata,
            hf_split="test",
            hf_subset="default",
            prompt_type=PromptType.query if role == "queries" else PromptType.document,
            batch_size=self.batch_size,
            show_progress_bar=False,
        )
        tensor = torch.as_tensor(output).detach().cpu().float()
        if self.normalize:
            tensor = torch.nn.functional.normalize(tensor, p=2, dim=1)
        sorted_rows: np.ndarray = tensor.numpy()
        rows = np.empty_like(sorted_rows)
        rows[order] = sorted_rows
        return rows

    def find_truncated(self, texts: Sequence[str], role: Role) -> list[int] | None:
        """Return the indexes of truncated texts, if this is a sentence-transformers model."""
        from mteb.types import PromptType

        if self._transformer is None:
            return None
        prompts = read_prompts(self._transformer)
        prompt = prompts.query if role == "queries" else prompts.passage
        if task_prompts := getattr(self.model, "model_prompts", None):
            kind = PromptType.query if role == "queries" else PromptType.document
            name = self.model.get_prompt_name(self.task_metadata, kind)
            prompt = task_prompts.get(name, prompt)
        return find_long_texts(self._transformer, texts, prompt)

    @cached_property
    def fingerprint(self) -> Mapping[str, object]:
        """The model's name, its task and, for sentence-transformers models, the weights."""
        meta = self.model.mteb_model_meta
        entries = {
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
        if self._transformer is not None:
            encoder = SentenceTransformerEncoder(self._transformer, normalize=self.normalize)
            return entries | {"model": dict(encoder.fingerprint)}
        if {meta.name, meta.revision} & _UNKNOWN:
            raise BadOption(
                f"{type(self.model).__name__} has no name or no revision in its mteb_model_meta: "
                "its vectors cannot be told from those of another model"
            )
        return entries

    @cached_property
    def weight_bytes(self) -> int:
        """Memory that the weights take, if this is a sentence-transformers model."""
        tensors = [] if self._transformer is None else self._transformer.state_dict().values()
        return sum(tensor.nbytes for tensor in tensors)

    def _read_similarity(self) -> str:
        """Return the name of the model's similarity, by default cosine, as in mteb."""
        if self._transformer is not None:
            return str(self._transformer.similarity_fn_name or "cosine")
        similarity = self.model.mteb_model_meta.similarity_fn_name
        return "cosine" if similarity is None else str(getattr(similarity, "value", similarity))


def _make_retrieval_task() -> "TaskMetadata":
    """Return metadata of a retrieval task that is not among those of mteb."""
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


def _unwrap_sentence_transformer(model: Any) -> "SentenceTransformer | None":
    """Return the sentence-transformers model within mteb's wrappers, if there is one."""
    from sentence_transformers import SentenceTransformer

    for _ in range(_MAX_WRAPPERS):
        if model is None or isinstance(model, SentenceTransformer):
            break
        model = getattr(model, "_model", None) or getattr(model, "model", None)
    return model if isinstance(model, SentenceTransformer) else None
