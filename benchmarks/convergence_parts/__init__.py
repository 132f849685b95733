"""Parts of the evidence on convergence."""
