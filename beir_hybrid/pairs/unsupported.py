"""Methods of `datasets.Dataset` that need stored rows, replaced by errors that name the cure."""

from collections.abc import Callable
from typing import TypeVar

from beir_hybrid.errors import BadOption

_CHANGE_GROUPS = "change the groups that the pairs are made of"
_TAKE_SUBSET = "pairs.subset(indices) are some of the groups"
_LEAVE_ORDER = "HybridBatchSampler draws groups in an order of its own"
_MAKE_PLAIN = "pairs.select(range(len(pairs))) is a plain dataset, a row a group"
_CURES = {
    **dict.fromkeys(
        ("add_column", "add_item", "align_labels_with_mapping", "cast", "cast_column",
         "class_encode_column", "map", "rename_column", "rename_columns"), _CHANGE_GROUPS,
    ),
    **dict.fromkeys(("filter", "shard", "skip", "take", "train_test_split"), _TAKE_SUBSET),
    **dict.fromkeys(("flatten_indices", "repeat", "shuffle", "sort"), _LEAVE_ORDER),
    **dict.fromkeys(
        ("batch", "flatten", "formatted_as", "iter", "push_to_hub", "save_to_disk", "set_format",
         "to_csv", "to_dict", "to_iterable_dataset", "to_json", "to_pandas",
         "to_parquet", "to_polars", "to_sql", "to_tf_dataset", "unique", "with_format",
         "with_transform"), _MAKE_PLAIN,
    ),
    # The trainer calls these for prompts or losses by the names of a dict of datasets.
    "set_transform": "of several pairs in a dict, make one dataset: bh.join_pairs(list_of_pairs)",
    "remove_columns": "pairs.select_columns(names) has those that are to stay",
}  # fmt: skip
C = TypeVar("C", bound=type)


def refuse_unsupported(dataset: C) -> C:
    """Replace the methods of a dataset class that would read or change its table.

    The table of `ParallelPairs` holds groups, not rows.
    """
    for name, cure in _CURES.items():
        setattr(dataset, name, _make_refusal(name, cure))
    return dataset


def _make_refusal(name: str, cure: str) -> Callable[..., None]:
    def refuse(_self: object, *_args: object, **_options: object) -> None:
        raise BadOption(f"ParallelPairs has no {name}: it makes rows when asked; {cure}")

    return refuse
