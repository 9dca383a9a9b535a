"""The families of models that `bh.train` trains: how each is opened, and its loss and trainer."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from beir_hybrid.encoding.families import Family, check_family, check_object_family
from beir_hybrid.encoding.late_model import LateInteractionEncoder
from beir_hybrid.encoding.model_encoder import ModelEncoder
from beir_hybrid.encoding.model_files import ModelFiles
from beir_hybrid.encoding.options import EncoderOptions, list_loading_options
from beir_hybrid.encoding.sentence_transformer import SentenceTransformerEncoder
from beir_hybrid.encoding.sparse_model import SparseModelEncoder
from beir_hybrid.errors import lookup
from beir_hybrid.evaluation.rerankers.cross_encoder import CrossEncoderScorer, load_cross_encoder
from beir_hybrid.training.family_losses import HybridCrossLoss, HybridLateLoss, HybridSparseLoss
from beir_hybrid.training.loss import HybridContrastiveLoss

if TYPE_CHECKING:
    from sentence_transformers import (
        CrossEncoder,
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
    )

    from beir_hybrid.encoding.encoder import Role


class CrossEncoderStart:
    """A cross-encoder to be trained, with the interface that a training needs.

    A model without a head gets a new one, from a fixed seed.
    """

    def __init__(self, model: "str | Path | ModelFiles | CrossEncoder", **options: object) -> None:
        self.options = EncoderOptions.parse(options)
        name = model.label if isinstance(model, ModelFiles) else str(model)
        self.options.check_applicable(
            list_loading_options() | {"max_length"}, f"{name:.80}, a cross-encoder"
        )
        if isinstance(model, str | Path):
            model = ModelFiles.locate(str(model), self.options.revision, "cross-encoder")
        if isinstance(model, ModelFiles):
            self.model, self.name, self.revision = (
                load_cross_encoder(model, self.options, makes_head=True), model.label, model.commit,
            )  # fmt: skip
        else:
            scorer = CrossEncoderScorer(model)
            self.model, self.name, self.revision = scorer.model, scorer.name, ""
        self.prompts: Mapping[Role, str] = {"queries": "", "passages": ""}


@dataclass(frozen=True)
class TrainingFamily:
    """A family of models that can be trained.

    Attributes
    ----------
    open
        Opens a model by name, folder or as an object, with options of `EncoderOptions`.
    loss
        A class whose parameters, but for the model, are options.
    trainer, arguments
        Names of classes of sentence-transformers.
    """

    name: Family
    open: Callable[..., Any]
    loss: type[nn.Module]
    trainer: str
    arguments: str

    def make_trainer(self, **arguments: Any) -> "SentenceTransformerTrainer":
        """Make the family's trainer."""
        import sentence_transformers

        trainer: SentenceTransformerTrainer = getattr(sentence_transformers, self.trainer)(
            **arguments
        )
        return trainer

    def make_arguments(
        self, folder: Path, **arguments: Any
    ) -> "SentenceTransformerTrainingArguments":
        """Make the arguments of the family's trainer."""
        import sentence_transformers

        kind: type[SentenceTransformerTrainingArguments]
        kind = getattr(sentence_transformers, self.arguments)
        return kind(str(folder), **arguments)


FAMILIES: dict[Family, TrainingFamily] = {
    family.name: family
    for family in (
        TrainingFamily(
            "dense", SentenceTransformerEncoder, HybridContrastiveLoss,
            "SentenceTransformerTrainer", "SentenceTransformerTrainingArguments",
        ),
        TrainingFamily(
            "sparse", SparseModelEncoder, HybridSparseLoss,
            "SparseEncoderTrainer", "SparseEncoderTrainingArguments",
        ),
        TrainingFamily(
            "late-interaction", LateInteractionEncoder, HybridLateLoss,
            "MultiVectorEncoderTrainer", "MultiVectorEncoderTrainingArguments",
        ),
        TrainingFamily(
            "cross-encoder", CrossEncoderStart, HybridCrossLoss,
            "CrossEncoderTrainer", "CrossEncoderTrainingArguments",
        ),
    )
}  # fmt: skip


def find_training_family(
    model: object, name: object, options: Mapping[str, object]
) -> TrainingFamily:
    """Return the family of a model, which its files or its class tell unless there is a name.

    Parameters
    ----------
    name
        Of a family, or a beginning such as ``late``; None for none. It says what to make of a model
        that is of no family yet; a model that is of another one is refused.
    options
        Of the encoder.
    """
    allowed = tuple(FAMILIES)
    if name is not None:
        names: dict[str, Family] = {family: family for family in FAMILIES}
        names |= {family.partition("-")[0]: family for family in FAMILIES}
        allowed = (lookup("family", str(name), names),)
    if isinstance(model, str | Path):
        files = ModelEncoder.locate(model, EncoderOptions.parse(options))
        family = check_family(files, allowed)
    else:
        family = check_object_family(model, allowed)
    if family is None:
        family = allowed[0] if name is not None else "dense"
    return FAMILIES[family]
