"""Readers of image and measurement files, one format a file."""
