"""Evaluation and comparison: scores, tables, figures, certificates."""
