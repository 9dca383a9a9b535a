"""Ranks and runs in, measures, language bias and statistics out."""
