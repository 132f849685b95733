"""Solvers and gradients, on a trained equilibrium model."""
