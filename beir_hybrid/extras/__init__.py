"""Demonstration and experiments beside the core; nothing in the core imports this package."""
