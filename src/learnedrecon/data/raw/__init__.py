"""Raw measurements of tomography: from counts to line integrals."""
