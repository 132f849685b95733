"""Learned iterative schemes: steps, their compositions, and how these are differentiated."""
