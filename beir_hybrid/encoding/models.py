"""Turn a model of any make into an encoder: hub names, folders, loaded models, users' objects."""

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from beir_hybrid.encoding.encoder import Encoder, EncoderAdapter, is_encoder_like
from beir_hybrid.encoding.families import Family, check_family, check_object_family
from beir_hybrid.encoding.late_model import LateInteractionEncoder
from beir_hybrid.encoding.model_encoder import ModelEncoder
from beir_hybrid.encoding.mteb_models import MtebEncoder
from beir_hybrid.encoding.options import EncoderOptions, check_option_names
from beir_hybrid.encoding.sentence_transformer import SentenceTransformerEncoder
from beir_hybrid.encoding.sparse_model import SparseModelEncoder
from beir_hybrid.errors import BadOption

_ENCODERS: dict[Family, type[ModelEncoder]] = {
    "dense": SentenceTransformerEncoder,
    "sparse": SparseModelEncoder,
    "late-interaction": LateInteractionEncoder,
}


def as_encoder(model: object, **options: object) -> Encoder:
    """Return the `Encoder` of a model.

    Parameters
    ----------
    model
        A hub name, a folder, a ``SentenceTransformer``, ``SparseEncoder`` or
        ``MultiVectorEncoder``, an mteb model, an `Encoder`, or any object with ``fingerprint``,
        ``encode_queries`` and ``encode_passages``.
    options
        Fields of `EncoderOptions`; None stands for the default.
    """
    values = {name: value for name, value in options.items() if value is not None}
    if isinstance(model, type):
        raise BadOption(f"{model.__name__} is a class; make an object of it")
    if isinstance(model, Encoder) or is_encoder_like(model):
        if values:
            raise BadOption(f"options {sorted(values)} do not apply to {type(model).__name__}")
        return model if isinstance(model, Encoder) else EncoderAdapter(model)
    if hasattr(model, "mteb_model_meta"):
        return _wrap_mteb_model(model, values)
    check_option_names(options)
    if isinstance(model, str | Path):
        files = ModelEncoder.locate(model, EncoderOptions.parse(options))
        encoder = _ENCODERS[check_family(files, tuple(_ENCODERS)) or "dense"](files, **values)
        encoder.load_request = model, values
        return encoder
    return _ENCODERS[check_object_family(model, tuple(_ENCODERS)) or "dense"](model, **values)


def _wrap_mteb_model(model: Any, options: Mapping[str, Any]) -> MtebEncoder:
    allowed = inspect.signature(MtebEncoder).parameters.keys() - {"model"}
    other_names = sorted(options.keys() - allowed)
    check_option_names(other_names)
    if other_names:
        raise BadOption(
            f"{other_names[0]} does not apply to {type(model).__name__}, a model of mteb's: "
            "give it to mteb.get_model, or name the model as a string"
        )
    return MtebEncoder(model, **options)
