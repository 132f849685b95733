"""Compiled kernels, and reference implementations in plain PyTorch that test them."""
