"""Projection of sources on the sky: Bessel tables, line-of-sight integrals, Limber's approximation."""

from boltzax.projection import curved
from boltzax.projection.line_of_sight import angular_spectra, every_ell, limber_lensing

__all__ = ["angular_spectra", "curved", "every_ell", "limber_lensing"]
