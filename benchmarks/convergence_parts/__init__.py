"""The parts of benchmarks/convergence.py: what is trained, how, and what is measured of it."""
