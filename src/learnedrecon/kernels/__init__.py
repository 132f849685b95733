"""Compiled kernels and the plain PyTorch oracles that they are held to."""
