"""Settings of loaded models of sentence-transformers: prompts, maximal length and arithmetic."""

from typing import TYPE_CHECKING

from beir_hybrid.encoding.arithmetic import convert_weights
from beir_hybrid.encoding.encoder import Role
from beir_hybrid.encoding.model_inputs import count_positions, has_routes
from beir_hybrid.encoding.options import EncoderOptions
from beir_hybrid.encoding.presets import PRESETS, Preset
from beir_hybrid.errors import BadOption

if TYPE_CHECKING:
    from sentence_transformers.base.model import BaseModel

_LENGTHS = ("query_length", "document_length")  # of late interaction, in place of a common limit


def choose_prompts(
    options: EncoderOptions, own_prompts: Preset, hub_preset: Preset
) -> dict[Role, str]:
    """Return the prompts of queries and passages.

    Options come first, then the preset that they name, then the model's own prompts, then the
    preset of exactly the model's name on the hub.
    """
    preset = own_prompts if own_prompts.query or own_prompts.passage else hub_preset
    if options.preset:
        preset = PRESETS[options.preset]
    return {
        "queries": preset.query if options.query_prompt is None else options.query_prompt,
        "passages": preset.passage if options.passage_prompt is None else options.passage_prompt,
    }


def read_prompts(model: "BaseModel") -> Preset:
    """Return the prompts saved with a model, under the names that sentence-transformers tries."""
    prompts = model.prompts or {}
    passage = next(filter(None, map(prompts.get, ("document", "passage", "corpus"))), "")
    return Preset(prompts.get("query") or "", passage)


def apply_options(model: "BaseModel", options: EncoderOptions) -> None:
    """Set the arithmetic and the maximal length of a model."""
    convert_weights(model, options.dtype)
    if options.max_length is not None:
        set_max_length(model, options.max_length)


def set_max_length(model: "BaseModel", length: int) -> None:
    """Set the tokens to which a model truncates texts; raise `BadOption` for too many."""
    check_max_length(model, length)
    model.max_seq_length = length


def check_max_length(model: "BaseModel", length: int) -> None:
    """Raise `BadOption` if a model cannot truncate texts to a number of tokens."""
    if has_routes(model):
        raise BadOption(
            "max_length sets one limit, and the model has modules of their own for queries and "
            "passages: set theirs"
        )
    if all(getattr(model[0], name, None) is not None for name in _LENGTHS):
        raise BadOption(f"the model's {' and '.join(_LENGTHS)} count instead of max_length")
    n_positions = count_positions(model)
    if n_positions is not None and length > n_positions:
        raise BadOption(f"max_length is {length}; the model reads at most {n_positions} tokens")
    try:
        model.max_seq_length = model.max_seq_length  # no change: a model without a limit raises
    except AttributeError as error:
        raise BadOption(f"max_length: a {type(model[0]).__name__} has no limit to set") from error
