"""Homogeneous expansion: densities, distances, horizons."""

from boltzax.background.evolution import Background, background

__all__ = ["Background", "background"]
