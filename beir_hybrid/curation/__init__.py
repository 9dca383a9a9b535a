"""Curation of training groups: filter, translate and mine, each from a file of groups to a file."""
