"""Cross-encoders of sentence-transformers as scorers of a query and a passage."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from beir_hybrid.encoding.families import (
    TransformerConfig,
    check_family,
    check_object_family,
)
from beir_hybrid.encoding.fingerprint import describe_model
from beir_hybrid.encoding.loading import load_model
from beir_hybrid.encoding.model_files import ModelFiles
from beir_hybrid.encoding.model_inputs import find_long_texts
from beir_hybrid.encoding.options import EncoderOptions
from beir_hybrid.errors import BadData, BadOption
from beir_hybrid.evaluation.rerankers.text_pairs import TextPairScorer, read_text_pairs

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder


class CrossEncoderScorer(TextPairScorer):
    """The `PairScorer` of a cross-encoder.

    Parameters
    ----------
    model
        A loaded ``CrossEncoder``, or a name on the hub, a folder or its files.
    """

    def __init__(self, model: object, batch_size: int = 32) -> None:
        from sentence_transformers import CrossEncoder

        if isinstance(model, CrossEncoder):
            self.name = type(model).__name__
            cross_encoder: Any = model
        elif not isinstance(model, str | Path | ModelFiles):
            check_object_family(model, ("cross-encoder",))
            raise BadOption(
                f"a reranker is a name on the hub, a folder or a CrossEncoder; {model!r:.80} is "
                "none of them"
            )
        else:
            files = locate_reranker(model)
            self.name, cross_encoder = files.label, load_cross_encoder(files)
        self.model = cross_encoder  # untyped: its own types list every kind of input
        if self.model.num_labels != 1:
            raise BadData(
                f"{self.name} gives {self.model.num_labels} labels; a reranker gives one score"
            )
        self.batch_size = batch_size
        self.prompt: str = self.model.prompts.get(self.model.default_prompt_name, "")
        self.fingerprint: Mapping[str, object] = {
            "kind": "cross-encoder",
            **describe_model(self.model),
            "prompt": self.prompt,
            "activation": str(self.model.activation_fn),
        }

    def score(self, pairs: Sequence[str]) -> np.ndarray:
        """Return the score of each pair, (n,) float32."""
        scores = self.model.predict(
            read_text_pairs(pairs), batch_size=self.batch_size, show_progress_bar=False
        )
        return np.asarray(scores, np.float32)

    def find_truncated(self, pairs: Sequence[str]) -> list[int] | None:
        """Return the indexes of pairs that are longer than the model reads."""
        return find_long_texts(self.model, read_text_pairs(pairs), self.prompt)


def locate_reranker(model: str | Path | ModelFiles) -> ModelFiles:
    """Find the files of a reranker."""
    if isinstance(model, ModelFiles):
        return model
    return ModelFiles.locate(str(model), None, "cross-encoder")


def load_cross_encoder(
    files: ModelFiles, options: EncoderOptions | None = None, *, makes_head: bool = False
) -> "CrossEncoder":
    """Load a cross-encoder.

    Parameters
    ----------
    makes_head
        Whether a model without a head gets a new one, which is to be trained; else it is refused.
    """
    from sentence_transformers import CrossEncoder

    is_cross_encoder = check_family(files, ("cross-encoder",)) is not None
    if makes_head and not is_cross_encoder:
        constructor = partial(CrossEncoder, num_labels=1)
        return load_model(constructor, files, options or EncoderOptions(), has_new_weights=True)
    if not is_cross_encoder:
        _check_head(files)
    return load_model(CrossEncoder, files, options or EncoderOptions(), "cross-encoder")


def _check_head(files: ModelFiles) -> None:
    """Raise `BadOption` for a transformer without a head that scores pairs."""
    config = files.read("config.json", TransformerConfig)
    if config and config.architectures and not config.find_head("ForCausalLM"):
        raise BadOption(
            f"{files.name} has no head that scores pairs (config.json has "
            f"{', '.join(config.architectures)}): name a cross-encoder"
        )
