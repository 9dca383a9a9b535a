"""Turn a model of any make into an encoder: hub names, folders, loaded models, users' objects."""

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from beir_hybrid.encoding.encoder import Encoder, EncoderAdapter, is_encoder_like
from beir_hybrid.encoding.mteb_models import MtebEncoder
from beir_hybrid.encoding.options import check_option_names
from beir_hybrid.encoding.sentence_transformer import SentenceTransformerEncoder
from beir_hybrid.errors import BadOption


def as_encoder(model: object, **options: object) -> Encoder:
    """Return the `Encoder` of a model.

    Parameters
    ----------
    model
        A hub name, a folder, a ``SentenceTransformer``, an mteb model, an `Encoder`, or any object
        with ``fingerprint``, ``encode_queries`` and ``encode_passages``.
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
    name_or_model: Any = model  # anything else is refused
    encoder = SentenceTransformerEncoder(name_or_model, **values)
    if isinstance(model, str | Path):
        encoder.load_request = model, values
    return encoder


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
