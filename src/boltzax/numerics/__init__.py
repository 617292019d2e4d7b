"""Numerical building blocks: uniform tables, quadrature rules."""

from boltzax.numerics.table import UniformTable

__all__ = ["UniformTable"]
