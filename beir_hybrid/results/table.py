"""The table of results with a row for each query in each setting: built, and read by column."""
# mypy: allow-untyped-calls
# (pyarrow leaves functions without types.)

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from ir_measures import Measure

from beir_hybrid.collection.arrays import to_arrow, to_numpy
from beir_hybrid.collection.judgements import Judgements
from beir_hybrid.collection.setting import SETTING_KINDS, Setting
from beir_hybrid.errors import BadData
from beir_hybrid.measures.ranked_judgements import Rankings

GROUP = "question"  # the column that names the group of queries that translate each other
_SETTING = ("kind", "queries", "passages")  # the columns that name the setting
_TEXTS = pa.dictionary(pa.int32(), pa.string())  # the type of all columns without numbers


def build_table(
    judgements: Judgements,
    parts: Sequence[tuple[Rankings, Mapping[Measure, np.ndarray]]],
    measures: Sequence[Measure],
) -> pa.Table:
    """Build the table from rankings and their values, sorted by kind, setting and query.

    A measure that a part has no values for is NaN in its rows.
    """
    kinds = list(SETTING_KINDS)
    kind = np.concatenate(
        [np.full(len(part.query_rows), kinds.index(part.kind)) for part, _ in parts]
    )
    query_language = np.concatenate([part.judgements.query_language for part, _ in parts])
    target = np.concatenate([part.targets for part, _ in parts])
    query_row = np.concatenate([part.query_rows for part, _ in parts])
    order = np.lexsort((query_row, target, query_language, kind))
    targets = pa.array(judgements.targets)
    columns = {
        name: pa.DictionaryArray.from_arrays(to_arrow(codes[order].astype(np.int32)), names)
        for name, codes, names in (
            ("kind", kind, pa.array(kinds)),
            ("queries", query_language, targets),
            ("passages", target, targets),
        )
    }
    columns |= _build_query_columns(judgements, query_row[order])
    for measure in measures:
        column = np.concatenate(
            [
                values[measure] if measure in values else np.full(len(part.query_rows), np.nan)
                for part, values in parts
            ]
        )[order]
        columns[str(measure)] = pa.Array.from_buffers(
            pa.float64(), len(column), [None, pa.py_buffer(column)]
        )
    return pa.table(columns)


def _build_query_columns(
    judgements: Judgements, query_rows: np.ndarray
) -> dict[str, pa.DictionaryArray]:
    """Return the columns of query ids and groups."""
    distinct, place = np.unique(query_rows, return_inverse=True)
    columns = {}
    for name, column in (("query", judgements.query_ids), (GROUP, judgements.query_groups)):
        texts = pc.dictionary_encode(column.take(to_arrow(distinct)).combine_chunks())
        codes = to_numpy(pa.chunked_array([texts.indices]))[place].astype(np.int32)
        columns[name] = pa.DictionaryArray.from_arrays(to_arrow(codes), texts.dictionary)
    return columns


def check_table(table: pa.Table, measures: Sequence[str], place: str) -> None:
    """Raise `BadData` unless a stored table has the columns, types and values of results."""
    if not len(table):
        raise BadData(f"{place} has no rows")
    for name in (*_SETTING, "query", GROUP, *measures):
        if table.schema.names.count(name) != 1:
            raise BadData(
                f"{place} has {table.schema.names.count(name)} columns {name!r}; it needs one"
            )
        column = table[name]
        kind = pa.float64() if name in measures else _TEXTS
        if column.type != kind or column.null_count:
            reason = f"has the type {column.type}" if column.type != kind else "has empty cells"
            raise BadData(f"{place}: the column {name!r} {reason}; it needs {kind} everywhere")
        if name in measures and pc.any(pc.is_inf(column)).as_py():
            raise BadData(f"{place}: the column {name!r} has infinite values")
    if unknown := set(pc.unique(table["kind"]).to_pylist()) - set(SETTING_KINDS):
        raise BadData(f"{place} has settings of an unknown kind, {min(unknown)!r:.60}")


def number_settings(table: pa.Table) -> tuple[tuple[Setting, ...], np.ndarray]:
    """Return the settings in the order of the table, and the number of each row's; (rows,) int."""
    columns = [table[name].combine_chunks() for name in _SETTING]
    codes = [to_numpy(pa.chunked_array([column.indices])).astype(np.int64) for column in columns]
    names = [column.dictionary.to_pylist() for column in columns]
    width = len(names[2])
    code = (codes[0] * len(names[1]) + codes[1]) * width + codes[2]
    _, first, place = np.unique(code, return_index=True, return_inverse=True)
    order = np.argsort(first)
    number = np.empty_like(order)
    number[order] = np.arange(len(order))
    settings = tuple(
        Setting(names[0][kind], names[1][queries], names[2][passages])
        for kind, queries, passages in zip(
            *(column[first[order]].tolist() for column in codes), strict=True
        )
    )
    return settings, number[place]


def number_groups(table: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    """Return the groups' ids in ascending order, and the number of each row's; (rows,) int64."""
    groups = table[GROUP].combine_chunks()
    ids = np.array(groups.dictionary.to_pylist(), dtype=object)
    by_id = np.argsort(ids, kind="stable")
    number = np.empty_like(by_id)
    number[by_id] = np.arange(len(by_id))
    return ids[by_id], number[to_numpy(pa.chunked_array([groups.indices]))]


def read_column(table: pa.Table, name: str) -> np.ndarray:
    """Return a measure's values without a copy; (rows,) float64."""
    column = table[name].combine_chunks()
    return np.frombuffer(column.buffers()[1], np.float64)[column.offset :][: len(column)]
