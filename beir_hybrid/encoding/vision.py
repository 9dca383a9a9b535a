"""A text encoder and a vision encoder in, one model of texts and images out, to be trained."""

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from beir_hybrid.checks import check_positive_or_none
from beir_hybrid.encoding.model_inputs import text_settings
from beir_hybrid.errors import BadData
from beir_hybrid.hub import can_load_from_hub
from beir_hybrid.network import is_offline
from beir_hybrid.progress import hide_progress_bars

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


def from_vision_text(
    text_encoder: str | Path,
    vision_encoder: str | Path,
    *,
    dim: int | None = None,
    seed: int = 0,
    device: str | None = None,
) -> "SentenceTransformer":
    """Join any text encoder with any vision encoder, such as XLM-R with CLIP's vision tower.

    Each is read up to its one vector of the whole (``pooler_output``, of a text's first token); a
    linear map behind it makes vectors of `dim` numbers. The maps are new, so that the model has to
    be trained before it is of use; only the one behind CLIP's own vision tower is kept where `dim`
    allows. New weights come from `seed`. Code that a model brings along is not run. The result is
    saved and loaded as any ``SentenceTransformer``.

    Parameters
    ----------
    text_encoder, vision_encoder
        Names on the hub or folders. Of a model of texts and images the tower in question is taken.
    dim
        The length of a vector; by default as long as the vision tower's own map makes it, or 512.

    Examples
    --------
    >>> model = from_vision_text(  # doctest: +SKIP
    ...     "FacebookAI/xlm-roberta-base", "openai/clip-vit-base-patch32"
    ... )
    >>> model.supports("image")  # doctest: +SKIP
    True
    """
    check_positive_or_none(dim=dim)
    if is_offline():  # before the hub's client is imported: it has questions of its own
        os.environ["HF_HUB_OFFLINE"] = "1"
    import torch
    from sentence_transformers import SentenceTransformer
    from transformers import AutoImageProcessor, AutoTokenizer
    from transformers import VisionTextDualEncoderProcessor as Processor

    made: Any = Processor  # transformers leaves it untyped
    with hide_progress_bars(), TemporaryDirectory(prefix="beir-hybrid-") as folder:
        tokenizer = _loaded(AutoTokenizer, text_encoder)
        images = _loaded(AutoImageProcessor, vision_encoder)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            _joined(text_encoder, vision_encoder, dim).save_pretrained(folder)
        made(images, tokenizer).save_pretrained(folder)
        model = SentenceTransformer(folder, device=device, local_files_only=True)
    if limit := text_settings(model).get("max_length"):
        model.max_seq_length = limit  # the tokenizer names none, or more than there are places
    return model


def _joined(text_encoder: str | Path, vision_encoder: str | Path, dim: int | None) -> Any:
    """Return the model of both towers, with maps behind them."""
    from torch import float32
    from transformers import AutoModel, VisionTextDualEncoderConfig, VisionTextDualEncoderModel

    reading = _loaded(AutoModel, text_encoder, dtype=float32)
    seeing = _loaded(AutoModel, vision_encoder, dtype=float32)
    own = getattr(seeing, "visual_projection", None)
    # Models of texts and images have a tower for each; others are one.
    texts = _one_vector(getattr(reading, "text_model", reading), text_encoder)
    images = _one_vector(getattr(seeing, "vision_model", seeing), vision_encoder)
    length = dim or (own.out_features if own is not None else 512)
    config = VisionTextDualEncoderConfig.from_vision_text_configs(
        images.config, texts.config, projection_dim=length
    )
    both = VisionTextDualEncoderModel(config, vision_model=images, text_model=texts)
    if own is not None and own.out_features == length:
        both.visual_projection.load_state_dict(own.state_dict())
    return both


def _one_vector(tower: Any, name: str | Path) -> Any:
    """Return a tower, or raise `BadData` if it cannot be loaded alone or makes no one vector."""
    from sentence_transformers.base.modules import Transformer
    from transformers import MODEL_MAPPING

    if type(tower.config) not in MODEL_MAPPING:  # transformers would not load it again
        raise BadData(
            f"{str(name)!r}: {type(tower).__name__} cannot be joined, for it is a part of its own "
            "model only; texts can be read by BERT, XLM-R or CLIP's text tower, and pictures by "
            "ViT or the vision tower of CLIP or SigLIP"
        )
    # By the type that its result has, as sentence-transformers goes.
    fields = Transformer._get_method_output_fields(tower.forward)  # noqa: SLF001
    if fields is not None and "pooler_output" not in fields:
        raise BadData(
            f"{str(name)!r}: {type(tower).__name__} makes no vector of a whole text or picture, "
            "only of its parts; a model with a pooler is needed, such as BERT, XLM-R, ViT or CLIP"
        )
    return tower


def _loaded(kind: Any, name: str | Path, **options: Any) -> Any:
    """Load a part of a model from the hub or a folder."""
    hub = not Path(name).is_dir() and can_load_from_hub(str(name))
    options |= {"local_files_only": not hub, "trust_remote_code": False}
    try:
        return kind.from_pretrained(str(name), **options)
    except (OSError, ValueError) as error:
        first = str(error).strip().splitlines()[0]
        raise BadData(f"cannot load {str(name)!r} as a part of a model: {first}") from error
