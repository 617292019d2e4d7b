"""Thermal history: recombination, reionization, matter temperature, visibility."""

from boltzax.thermo.history import ThermalState, Thermodynamics
from boltzax.thermo.solve import thermodynamics

__all__ = ["ThermalState", "Thermodynamics", "thermodynamics"]
