"""Homogeneous expansion: densities, distances, horizons."""

from boltzax.background.evolution import Background, background
from boltzax.background.growth import growth

__all__ = ["Background", "background", "growth"]
