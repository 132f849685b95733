"""Honest comparison: scores, tables, figures."""
