"""Checks of results against results."""

import beir_hybrid as bh


def check_same_values(results: bh.Results, expected: bh.Results) -> None:
    """Check that two results have the same values for each query; NaN is equal to NaN."""
    assert results.per_query().to_pandas().equals(expected.per_query().to_pandas())
