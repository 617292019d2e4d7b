"""Species of the linear perturbations, one file each."""
