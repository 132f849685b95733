"""Operators of image restoration: blur, downsampling, inpainting, wavelets."""
