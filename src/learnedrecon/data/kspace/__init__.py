"""k-space of MRI: files, datasets of slices, and coil maps on disk."""
