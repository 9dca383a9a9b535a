"""Evaluation of models, vectors, runs and rerankers on a collection, in every setting."""
