"""`bh.ablate` with the suffixes +adapters and +tip, whose parts the core does not import.

Importing this module adds the suffixes; `bh.ablate` and the command line import `ablate` from here.
"""

from functools import partial
from pathlib import Path
from typing import Any

from beir_hybrid.collection.setting import IMAGE
from beir_hybrid.errors import BadOption
from beir_hybrid.extras.language_adapters import LanguageAdapters, train_adapters
from beir_hybrid.extras.tip_cache import TipCache
from beir_hybrid.pairs.parallel_pairs import ParallelPairs
from beir_hybrid.training.ablation import ablate
from beir_hybrid.training.variants import SUFFIXES, Change, make_fixed_suffix

__all__ = ["ablate"]


def fit_adapters(
    model: Any, pairs: ParallelPairs, output: Path, *, max_steps: int, **options: Any
) -> "partial[LanguageAdapters]":
    """Train an adapter for each language; all languages share the steps of one row.

    Returns `LanguageAdapters` of the model and these adapters, which lacks only the collection.
    """
    languages = [lang for lang in pairs.languages if lang != IMAGE]
    steps_each, remainder = divmod(max_steps, len(languages))
    if not steps_each:
        raise BadOption(
            f"max_steps is {max_steps}; +adapters needs {len(languages)} at least, for its "
            "languages share the steps"
        )
    adapters: dict[str, Path] = {}
    for i, lang in enumerate(languages):
        steps = steps_each + (i < remainder)
        adapters |= train_adapters(
            model, pairs, output, languages=[lang], max_steps=steps, **options
        )
    # Texts are cut at max_length in training alone, as in the other rows.
    encoder = {**(options.get("encoder") or {})}
    encoder.pop("max_length", None)
    return partial(LanguageAdapters, model, adapters, **encoder)


SUFFIXES["adapters"] = make_fixed_suffix(
    Change(fit=fit_adapters, wrap=lambda adapted, _, test: adapted(test))
)
SUFFIXES["tip"] = make_fixed_suffix(
    Change(wrap=lambda model, pairs, _: TipCache.from_pairs(model, pairs))
)
