"""Weights files: safetensors with what a file says of model and operator."""
