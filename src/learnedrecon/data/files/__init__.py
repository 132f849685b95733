"""Readers of image and measurement files, one module per format."""
