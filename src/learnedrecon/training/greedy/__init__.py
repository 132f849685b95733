"""Greedy training of the steps of a scheme, one after the other."""
