"""Rerankers: cross-encoders for texts, and matchers of images with captions."""
