"""Turn a model of any make into an encoder: hub names, folders, loaded models, users' objects."""

import inspect
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from beir_hybrid.encoding import endpoint, mteb_registry
from beir_hybrid.encoding.encoder import Encoder, EncoderAdapter, is_encoder_like
from beir_hybrid.encoding.endpoint_encoder import EndpointEncoder
from beir_hybrid.encoding.families import Family, check_family, check_object_family
from beir_hybrid.encoding.late_model import LateInteractionEncoder
from beir_hybrid.encoding.model_encoder import ModelEncoder
from beir_hybrid.encoding.mteb_models import MtebEncoder
from beir_hybrid.encoding.options import EncoderOptions, check_option_names
from beir_hybrid.encoding.sentence_transformer import SentenceTransformerEncoder
from beir_hybrid.encoding.sparse_model import SparseModelEncoder
from beir_hybrid.errors import BadOption
from beir_hybrid.progress import show_clock
from beir_hybrid.text import to_one_line

ENCODERS: dict[Family, type[ModelEncoder]] = {
    "dense": SentenceTransformerEncoder,
    "sparse": SparseModelEncoder,
    "late-interaction": LateInteractionEncoder,
}

# Of names that are neither on the hub nor folders.
_PREFIXES: dict[str, Callable[..., Encoder]] = {
    endpoint.PREFIX: EndpointEncoder,
    mteb_registry.PREFIX: mteb_registry.load_mteb_encoder,
}


def as_encoder(model: object, **options: object) -> Encoder:
    """Return the `Encoder` of a model.

    Parameters
    ----------
    model
        A hub name, a folder, ``openai:MODEL@URL``, ``mteb:NAME``, a ``SentenceTransformer``,
        ``SparseEncoder`` or ``MultiVectorEncoder``, an mteb model, an `Encoder`, or any object with
        ``fingerprint``, ``encode_queries`` and ``encode_passages``.
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
        encoder = _open_encoder(model, values)
        encoder.load_request = model, values
        return encoder
    return ENCODERS[check_object_family(model, tuple(ENCODERS)) or "dense"](model, **values)


def _open_encoder(name: str | Path, options: Mapping[str, Any]) -> Encoder:
    """Open a model by name or folder."""
    for prefix, open_named in _PREFIXES.items():
        if str(name).startswith(prefix):
            return open_named(str(name), **options)
    files = ModelEncoder.locate(name, EncoderOptions.parse(options))
    with show_clock("loading libraries"):
        import sentence_transformers  # noqa: F401 - imported here first, and elsewhere in no time
    label = f"loading {to_one_line(Path(name).name)}"
    # The hub's own bars show how a download goes on.
    with nullcontext() if files.is_on_hub else show_clock(label):
        return ENCODERS[check_family(files, tuple(ENCODERS)) or "dense"](files, **options)


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
