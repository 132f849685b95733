"""Weights files: safetensors with a description of model and operator."""
