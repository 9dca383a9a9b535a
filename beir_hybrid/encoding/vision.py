"""Build a model of texts and images, to be trained, from a text encoder and a vision encoder."""

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from beir_hybrid.checks import check_positive_or_none
from beir_hybrid.encoding.model_inputs import text_settings
from beir_hybrid.errors import BadData, find_reason
from beir_hybrid.hub import can_load_from_hub
from beir_hybrid.network import is_offline
from beir_hybrid.progress import hide_progress_bars

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

_DEFAULT_DIM = 512  # if the vision encoder has no projection whose size could be kept


def from_vision_text(
    text_encoder: str | Path,
    vision_encoder: str | Path,
    *,
    dim: int | None = None,
    seed: int = 0,
    device: str | None = None,
) -> "SentenceTransformer":
    """Build a model from any text encoder and any vision encoder, such as XLM-R and CLIP's.

    Each encoder is used up to its one vector of the whole input (``pooler_output``, which for texts
    is that of the first token), and a new linear projection makes vectors of `dim` numbers. The
    projections are random, so the model has to be trained before use; only that of CLIP's own
    vision encoder is kept, if `dim` allows. Random weights come from `seed`. Code that comes with a
    model is not run. The result is saved and loaded like any ``SentenceTransformer``.

    Parameters
    ----------
    text_encoder, vision_encoder
        Names on the hub, or folders. Of a model of texts and images, the encoder in question is
        taken.
    dim
        The length of a vector; by default that of the vision encoder's own projection, or 512.

    Examples
    --------
    >>> model = from_vision_text(  # doctest: +SKIP
    ...     "FacebookAI/xlm-roberta-base", "openai/clip-vit-base-patch32"
    ... )
    >>> model.supports("image")  # doctest: +SKIP
    True
    """
    check_positive_or_none(dim=dim)
    if is_offline():  # before the hub's client is imported, which reads this once
        os.environ["HF_HUB_OFFLINE"] = "1"
    import torch
    from sentence_transformers import SentenceTransformer
    from transformers import AutoImageProcessor, AutoTokenizer, VisionTextDualEncoderProcessor

    processor_class: Any = VisionTextDualEncoderProcessor  # untyped in transformers
    with hide_progress_bars(), TemporaryDirectory(prefix="beir-hybrid-") as folder:
        tokenizer = _load_part(AutoTokenizer, text_encoder)
        image_processor = _load_part(AutoImageProcessor, vision_encoder)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            _build_dual_encoder(text_encoder, vision_encoder, dim).save_pretrained(folder)
        processor_class(image_processor, tokenizer).save_pretrained(folder)
        model = SentenceTransformer(folder, device=device, local_files_only=True)
    if limit := text_settings(model).get("max_length"):
        model.max_seq_length = limit  # the tokenizer has no limit, or one beyond the positions
    return model


def _build_dual_encoder(
    text_encoder: str | Path, vision_encoder: str | Path, dim: int | None
) -> Any:
    """Return the model of both encoders, with projections behind them."""
    from torch import float32
    from transformers import AutoModel, VisionTextDualEncoderConfig, VisionTextDualEncoderModel

    text_model = _load_part(AutoModel, text_encoder, dtype=float32)
    vision_model = _load_part(AutoModel, vision_encoder, dtype=float32)
    projection = getattr(vision_model, "visual_projection", None)
    # A model of texts and images has a tower for each; other models are one tower.
    text_tower = _check_tower(getattr(text_model, "text_model", text_model), text_encoder)
    vision_tower = _check_tower(getattr(vision_model, "vision_model", vision_model), vision_encoder)
    own_dim = _DEFAULT_DIM if projection is None else projection.out_features
    config = VisionTextDualEncoderConfig.from_vision_text_configs(
        vision_tower.config, text_tower.config, projection_dim=dim or own_dim
    )
    model = VisionTextDualEncoderModel(config, vision_model=vision_tower, text_model=text_tower)
    if projection is not None and own_dim == (dim or own_dim):
        model.visual_projection.load_state_dict(projection.state_dict())
    return model


def _check_tower(tower: Any, name: str | Path) -> Any:
    """Return a tower; raise `BadData` if it cannot be loaded alone or does not make one vector."""
    from sentence_transformers.base.modules import Transformer
    from transformers import MODEL_MAPPING

    if type(tower.config) not in MODEL_MAPPING:  # transformers could not load it again
        raise BadData(
            f"{str(name)!r}: {type(tower).__name__} cannot be joined, because it is a part of its "
            "own model only; texts can be read by BERT, XLM-R or CLIP's text tower, and images by "
            "ViT or the vision tower of CLIP or SigLIP"
        )
    # By the annotated type of its result, as sentence-transformers finds it out.
    fields = Transformer._get_method_output_fields(tower.forward)  # noqa: SLF001
    if fields is not None and "pooler_output" not in fields:
        raise BadData(
            f"{str(name)!r}: {type(tower).__name__} makes no vector of a whole text or image, "
            "only of its parts; a model with a pooler is needed, such as BERT, XLM-R, ViT or CLIP"
        )
    return tower


def _load_part(kind: Any, name: str | Path, **options: Any) -> Any:
    """Load a tokenizer, processor or model from the hub or a folder."""
    is_on_hub = not Path(name).is_dir() and can_load_from_hub(str(name))
    options |= {"local_files_only": not is_on_hub, "trust_remote_code": False}
    try:
        return kind.from_pretrained(str(name), **options)
    except Exception as error:  # libraries raise anything on damaged or hostile files
        raise BadData(
            f"cannot load {str(name)!r} as a part of a model: {find_reason(error)}"
        ) from error
