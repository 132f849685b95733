"""Direct reconstructions: filtered back-projection, FDK, gridding."""
