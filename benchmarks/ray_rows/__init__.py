"""The rows of benchmarks/ray_transform.py, one file for each kind of comparison."""
