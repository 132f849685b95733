"""Ray transforms of computed tomography: geometries, exact adjoints, gradients in the geometry."""
