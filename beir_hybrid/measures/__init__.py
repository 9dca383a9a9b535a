"""Effectiveness and language bias of rankings, a file a measure."""
