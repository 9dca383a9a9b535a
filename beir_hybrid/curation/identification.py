"""Identification of texts that are in another language than they should be, by py3langid."""

from collections.abc import Sequence
from importlib.util import find_spec

from beir_hybrid.calibration.detection import load_identifier
from beir_hybrid.errors import MissingExtra

# A text is in another language if that is so probable, and its own so improbable.
_SURE, _IMPROBABLE = 0.5, 0.05


def check_identifier() -> None:
    """Raise `MissingExtra` if languages cannot be identified."""
    if find_spec("py3langid") is None:
        raise MissingExtra(
            "languages are identified by py3langid: pip install 'beir-hybrid[detect]'"
        )


def find_other_languages(texts: Sequence[str], lang: str) -> list[int]:
    """Return the indexes of texts that are surely in another language.

    Nothing is sure of a language that the identifier does not know.

    >>> find_other_languages(["Wo ist der Bahnhof?", "Where is the station, please?"], "de")
    [1]
    """
    identifier = load_identifier()
    if lang not in identifier.labels:
        return []
    rankings = (identifier.rank(text) for text in texts)
    return [
        i
        for i, ranking in enumerate(rankings)
        if ranking[0][1] >= _SURE and dict(ranking)[lang] < _IMPROBABLE
    ]
