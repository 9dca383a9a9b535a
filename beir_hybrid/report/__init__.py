"""Tables, plots, pages and reproduction commands from results."""
