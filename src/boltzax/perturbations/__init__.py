"""Linear perturbations: species, hierarchies, meshes in time, and the implicit integrator."""
