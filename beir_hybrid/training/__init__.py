"""Parallel texts and a strategy in, batches, losses and trained models out."""
