"""Development sets: the data by which the best checkpoint is chosen."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from ir_measures import Measure

from beir_hybrid.collection import Collection
from beir_hybrid.collection.checksum import hash_collection
from beir_hybrid.collection.setting import IMAGE
from beir_hybrid.errors import BadOption
from beir_hybrid.evaluation.default_measures import MEASURES
from beir_hybrid.evaluation.evaluator import HybridEvaluator
from beir_hybrid.pairs.parallel_pairs import ParallelPairs
from beir_hybrid.training.record import (
    describe_pairs,
    list_query_columns,
)

logger = logging.getLogger(__name__)

# A checkpoint is chosen by a value of the evaluator, or by the loss of pairs.
Criterion = HybridEvaluator | ParallelPairs


@dataclass(frozen=True)
class DevSet:
    """Data on which a model is evaluated during training, to choose the best checkpoint.

    Attributes
    ----------
    data
        A collection, which is evaluated in every setting; or pairs, whose loss is computed in
        batches of the training's strategy.
    primary
        The value that chooses the checkpoint, such as ``multi_AP``; see `HybridEvaluator`. By
        default the first measure's. For collections alone.
    measures
        Of a collection.
    patience
        Stop after this many evaluations without improvement.

    Examples
    --------
    >>> dev = DevSet(bh.load("xquad-r"), primary="multi_AP", patience=3)  # doctest: +SKIP
    """

    data: Collection | ParallelPairs
    primary: str | None = None
    measures: Iterable[Measure | str] = MEASURES
    patience: int | None = None

    def __post_init__(self) -> None:
        if self.primary is not None and isinstance(self.data, ParallelPairs):
            raise BadOption(
                f"primary is {self.primary!r}; pairs as a development set have their loss alone"
            )
        object.__setattr__(self, "measures", tuple(self.measures))  # is iterated twice

    def make_criterion(self, *, has_translations: bool) -> Criterion:
        """Return the evaluator of a collection, or the pairs for the loss.

        `has_translations` adds translations of the queries to pairs, for a loss with consistency.
        """
        if isinstance(self.data, ParallelPairs):
            return self.data.with_translations() if has_translations else self.data
        # Prompts are not options here: the model carries those that it is trained with.
        return HybridEvaluator(
            self.data, measures=self.measures, primary=self.primary, name=self.data.name
        )

    def warn_of_shared_queries(self, pairs: ParallelPairs) -> None:
        """Say where the data are not held out from training data."""
        if isinstance(self.data, Collection):
            n_images = self.data.query_counts.get(IMAGE, 0)  # behind the texts
            texts = self.data.queries["text"]
            columns = [texts.slice(0, len(texts) - n_images)]
        else:
            columns = list_query_columns(self.data)
        shared, distinct = _count_shared(columns, list_query_columns(pairs))
        if shared:
            logger.warning(
                "%s of %s distinct queries of the development set are among the training data; "
                "choose held-out ones",
                f"{shared:,}",
                f"{distinct:,}",
            )

    def describe(self, criterion: Criterion) -> dict[str, Any]:
        """Return everything that the choice of a checkpoint depends on, for the recipe."""
        if isinstance(criterion, ParallelPairs):
            return describe_pairs(criterion) | {"patience": self.patience}
        collection = criterion.collection
        return {
            "collection": collection.name,
            "languages": collection.languages,
            "sha256": hash_collection(collection),
            "measures": [str(measure) for measure in self.measures],
            "primary": self.primary,
            "patience": self.patience,
        }


def _count_shared(
    columns: Sequence[pa.ChunkedArray], training_columns: Iterable[pa.ChunkedArray]
) -> tuple[int, int]:
    """Count the distinct texts of columns that are in training data, and all distinct texts.

    Missing texts do not count. The training texts are looked up where they are, column by column.
    """
    chunks = [chunk for column in columns for chunk in column.chunks]
    texts = pc.unique(pa.chunked_array(chunks, pa.string()).drop_null())
    is_shared = np.zeros(len(texts), bool)
    for column in training_columns:
        numbers = pc.index_in(column, value_set=texts).drop_null()
        is_shared[numbers.to_numpy()] = True
    return int(is_shared.sum()), len(texts)
