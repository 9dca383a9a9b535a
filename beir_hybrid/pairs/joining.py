"""Join parallel pairs of several sources to one dataset."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from beir_hybrid.collection.setting import language_sort_key
from beir_hybrid.errors import BadData, BadOption
from beir_hybrid.pairs.columns import add_language_columns
from beir_hybrid.pairs.parallel_pairs import ParallelPairs


def join_pairs(parts: Sequence[ParallelPairs]) -> ParallelPairs:
    """Return the groups of several sources as one dataset; their names and sizes are kept.

    Examples
    --------
    >>> from beir_hybrid.pairs.reading import pairs_from_bitext
    >>> news = pairs_from_bitext({"de": ["Hallo"], "en": ["Hello"]}, "news")
    >>> talks = pairs_from_bitext({"en": ["Thanks"], "fr": ["Merci"]}, "talks")
    >>> pairs = join_pairs([news, talks])
    >>> pairs.languages, pairs.sources
    (('de', 'en', 'fr'), (('news', 1), ('talks', 1)))
    """
    if not parts:
        raise BadOption("no pairs are named")
    if wrong := [part for part in parts if not isinstance(part, ParallelPairs)]:
        raise BadOption(f"pairs to join are a list of ParallelPairs; {wrong[0]!r:.40} is none")
    if len({part.negatives for part in parts}) > 1:
        counts = [part.negatives for part in parts]
        raise BadData(f"sources have different numbers of hard negatives: {counts}")
    names = [name for part in parts for name, _ in part.sources]
    if len(set(names)) < len(names):
        duplicate_name = next(name for name in names if names.count(name) > 1)
        raise BadData(f"two sources are called {duplicate_name!r}; give them names")
    languages = sorted({lang for part in parts for lang in part.languages}, key=language_sort_key)
    tables = [add_language_columns(part.groups.table, languages, part.negatives) for part in parts]
    return ParallelPairs(
        pa.concat_tables(tables),
        languages,
        negatives=parts[0].negatives,
        sources=[source for part in parts for source in part.sources],
        further_golds=_join_further_golds(parts),
    )


def _join_further_golds(parts: Sequence[ParallelPairs]) -> np.ndarray | None:
    """Return the further golds of all groups, padded with -1 to one width; None without any."""
    arrays = [part.groups.further_golds for part in parts]
    width = max(array.shape[1] for array in arrays)
    if not width:
        return None
    return np.concatenate(
        [
            np.pad(array, ((0, 0), (0, width - array.shape[1])), constant_values=-1)
            for array in arrays
        ]
    )
