"""A dataset class in; the same, saying what to do instead of what stored rows allow, out."""

from collections.abc import Callable
from typing import Any, TypeVar

from beir_hybrid.errors import BadOption

_GROUPS = "change the groups that the pairs are made of"
_SUBSET = "pairs.subset(indices) are some of the groups"
_ORDER = "HybridBatchSampler draws groups in an order of its own"
_PLAIN = "pairs.select(range(len(pairs))) is a plain dataset, a row a group"
_INSTEAD = {
    **dict.fromkeys(
        ("add_column", "add_item", "align_labels_with_mapping", "cast", "cast_column",
         "class_encode_column", "map", "rename_column", "rename_columns"), _GROUPS,
    ),
    **dict.fromkeys(("filter", "shard", "skip", "take", "train_test_split"), _SUBSET),
    **dict.fromkeys(("flatten_indices", "repeat", "shuffle", "sort"), _ORDER),
    **dict.fromkeys(
        ("batch", "flatten", "formatted_as", "iter", "push_to_hub", "save_to_disk", "set_format",
         "to_csv", "to_dict", "to_iterable_dataset", "to_json", "to_pandas",
         "to_parquet", "to_polars", "to_sql", "to_tf_dataset", "unique", "with_format",
         "with_transform"), _PLAIN,
    ),
    # What the trainer calls for prompts or losses by the names of a dict of datasets.
    "set_transform": "of several pairs in a dict, make one dataset: bh.join_pairs(list_of_pairs)",
    "remove_columns": "pairs.select_columns(names) has those that are to stay",
}  # fmt: skip
C = TypeVar("C", bound=type)


def refusing(dataset: C) -> C:
    """Replace what `datasets.Dataset` would do to its table, which here holds no rows."""
    for name, instead in _INSTEAD.items():
        setattr(dataset, name, _refusal(name, instead))
    return dataset


def _refusal(name: str, instead: str) -> Callable[..., Any]:
    def refuse(_self: Any, *_args: Any, **_options: Any) -> Any:
        raise BadOption(f"ParallelPairs has no {name}: it makes rows when asked; {instead}")

    return refuse
