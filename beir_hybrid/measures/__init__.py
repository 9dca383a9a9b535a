"""Measures of language bias, which ir-measures knows once this package is imported.

>>> import ir_measures
>>> from beir_hybrid.measures.bias.same_language_share import SameLanguageShare
>>> qrels = {"de:q:1": {"de:1": 1, "en:1": 1}}
>>> run = {"de:q:1": {"de:1": 0.9, "de:2": 0.8, "en:2": 0.7, "en:1": 0.6}}
>>> measures = [ir_measures.parse_measure("RankDistance"), SameLanguageShare @ 2]
>>> values = ir_measures.calc_aggregate(measures, qrels, run)
>>> sorted((str(measure), value) for measure, value in values.items())
[('RankDistance', 3.0), ('SameLanguageShare@2', 1.0)]

Conventions of all of them:

- The language of a query or passage is the ``lang:`` at the start of its id (of an image,
  ``image:``), or what the parameter ``langs``, a mapping of ids to languages, says. ``langs`` is no
  part of a measure's name, so two measures that differ in nothing else are equal.
- Ties are broken as trec_eval does: scores as float32, then ids in descending order.
- A passage is relevant from relevance ``rel`` (1) on.
- A query that the run lacks counts as biased as can be, never as unbiased. The same holds for
  relevant passages of which the run retrieves none: they say nothing, and must not flatter.
- A query to which a measure does not apply (no relevant passage, say) has the value NaN, and
  aggregates leave it out.

ir-measures' own command line loads no plug-ins; this is the same command with these measures::

    python -c "import beir_hybrid.measures; from ir_measures.__main__ import main_cli;
    main_cli()" QRELS RUN 'RankDistance(normalized=True,pool=13014)' SameLanguageShare@10

Each module of `measures.bias` defines one measure. Measures of effectiveness are ir-measures' own;
`effectiveness` computes them from exact ranks.
"""

from collections.abc import Iterator
from importlib import import_module
from pkgutil import iter_modules

from beir_hybrid.measures import bias
from beir_hybrid.measures.base import BiasMeasure
from beir_hybrid.measures.provider import register_measures


def _import_measures() -> Iterator[BiasMeasure]:
    """Yield the measures that the modules of `measures.bias` define."""
    for module in iter_modules(bias.__path__, f"{bias.__name__}."):
        for value in vars(import_module(module.name)).values():
            if isinstance(value, BiasMeasure) and type(value).__module__ == module.name:
                yield value


BIAS_MEASURES: tuple[BiasMeasure, ...] = tuple(_import_measures())

register_measures(BIAS_MEASURES)
