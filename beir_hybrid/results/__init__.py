"""Values of measures with their provenance, averages, intervals and comparisons."""
