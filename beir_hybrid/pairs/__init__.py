"""Parallel training data: reading, checking, joining and code switching."""
