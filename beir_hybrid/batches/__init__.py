"""Batches of parallel pairs: kinds, strategies, the sampler and its audit."""
