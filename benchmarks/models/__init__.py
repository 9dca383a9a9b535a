"""Real models for benchmarks and examples, from packages that carry their weights."""
