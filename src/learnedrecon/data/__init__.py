"""Phantoms, noise, readers: where images and measurements come from."""
