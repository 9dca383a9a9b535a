"""Pyserini: dense and Lucene indexes, topics, BM25, fusion of runs, and Java."""
