"""The licence of a model, as its card names it."""

import re

import yaml

_LONGEST = 40  # characters
_FRONT_MATTER = re.compile(r"\A\ufeff?\s*---[ \t]*\r?\n(.*?)\r?\n---[ \t]*(?:\r?\n|\Z)", re.DOTALL)


def read_licence(model: object) -> str:
    """Return the licence in the card that a model of sentence-transformers came with.

    Empty where there is no card, or none in which a licence is a short text.
    """
    front_matter = _FRONT_MATTER.match(str(getattr(model, "_model_card_text", None) or ""))
    if not front_matter:
        return ""
    try:
        card = yaml.safe_load(front_matter[1])
    except Exception:  # noqa: BLE001 - YAML has many errors; a card must not end an evaluation
        return ""
    if not isinstance(card, dict):
        return ""
    name = card.get("license_name") or card.get("license")
    if not isinstance(name, str) or not name.isprintable() or len(name) > _LONGEST:
        return ""
    return name
