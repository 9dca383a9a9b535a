"""Our vectors and collections into what Pyserini opens, and its searches into our results."""
