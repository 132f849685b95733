"""Changes to the mathematics of a file, one at a time, and whether its tests notice them."""
