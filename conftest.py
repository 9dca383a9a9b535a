"""Docstrings' examples have a cache of their own, as tests do."""

from tests.conftest import own_cache

__all__ = ["own_cache"]
