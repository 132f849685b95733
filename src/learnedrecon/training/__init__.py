"""Training: one loop, exact resumption, and weights that know the model they belong to."""
