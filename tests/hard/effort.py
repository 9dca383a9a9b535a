"""How much the hard tests do: a short form of minutes, or a long one of hours."""

import os

IS_LONG = os.environ.get("BEIR_HYBRID_HARD") == "long"


def choose_count(short: int, long: int) -> int:
    """Return how many cases a test tries, in the form that ``BEIR_HYBRID_HARD`` names."""
    return long if IS_LONG else short
