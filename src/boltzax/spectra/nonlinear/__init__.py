"""Nonlinear matter power spectra: halofit and HMcode-2020."""

from boltzax.spectra.nonlinear.model import Correction, correction, lensing_factor

__all__ = ["Correction", "correction", "lensing_factor"]
