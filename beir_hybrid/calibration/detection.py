"""Detection of the language of a query, by py3langid: offline, small and fast."""

import logging
from collections.abc import Sequence
from functools import cache
from typing import Any

logger = logging.getLogger(__name__)

# The least probability of a candidate among all languages that py3langid knows. The texts of
# other languages have less; `benchmarks/detection.py` measures how often.
_MIN_PROBABILITY = 0.05


def detect_languages(texts: Sequence[str], candidates: Sequence[str]) -> list[str | None]:
    """Return the language of each text among the candidates, or None if it seems to be another.

    Two candidates that differ in script or region alone are not told apart: their texts have None.
    Without py3langid nothing is detected, and a warning names the cure.

    >>> detect_languages(["Wo ist der Bahnhof?", "Where is the station?"], ["de", "en-GB"])
    ['de', 'en-GB']
    """
    identifier = load_identifier()
    if identifier is None:
        return [None] * len(texts)
    variants: dict[str, str | None] = {}
    for candidate in candidates:
        code = candidate.partition("-")[0]
        variants[code] = None if code in variants else candidate
    choices = (_choose_language(identifier.rank(text), list(variants)) for text in texts)
    return [None if code is None else variants[code] for code in choices]


def _choose_language(ranking: Sequence[tuple[str, float]], candidates: Sequence[str]) -> str | None:
    """Return the most probable candidate, or None if none is probable.

    >>> _choose_language([("fr", 0.6), ("de", 0.39), ("en", 0.01)], ["de", "en"])
    'de'
    >>> _choose_language([("fr", 0.98), ("de", 0.02)], ["de", "en"])
    """
    best = next((entry for entry in ranking if entry[0] in candidates), None)
    return best[0] if best and best[1] >= _MIN_PROBABILITY else None


@cache
def load_identifier() -> Any:
    """Return the identifier of languages, or None without py3langid."""
    try:
        from py3langid.langid import MODEL_FILE, LanguageIdentifier
    except ImportError:
        logger.warning(
            "the language of a query is not detected: name it (--query-lang, query_language), or "
            "pip install 'beir-hybrid[detect]'"
        )
        return None
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
