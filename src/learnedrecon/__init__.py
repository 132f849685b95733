"""Learned iterative reconstruction for inverse problems."""
