"""Fourier operators of magnetic resonance imaging: Cartesian and non-Cartesian sampling, coils."""
