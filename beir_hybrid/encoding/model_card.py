"""The licence of a model, as its card names it."""

from yaml import YAMLError

_LONGEST = 40  # characters


def read_licence(model: object) -> str:
    """Return the licence in the card that a model of sentence-transformers came with.

    Empty where there is no card, or none in which a licence is a short text.
    """
    # `ModelEncoder` says that it is offline before this is imported, which reads that once.
    from huggingface_hub import ModelCard

    text = getattr(model, "_model_card_text", None)
    if not text:
        return ""
    try:
        card = ModelCard(text, ignore_metadata_errors=True)
    except (ValueError, YAMLError):
        return ""
    name = card.data.get("license_name") or card.data.get("license")
    return name if isinstance(name, str) and len(name) <= _LONGEST else ""
