"""Angular and matter power spectra from sources and transfer functions, and lensing."""
