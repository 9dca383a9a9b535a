"""Results in, tables, plots and pages out."""
