"""Greedy training, one step of a scheme after the other."""
