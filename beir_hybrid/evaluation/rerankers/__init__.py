"""Models that score pairs of a query and a passage and reorder the best passages."""
