"""Model cards, datasets of results and files for mteb, written to disk and uploaded on request."""
