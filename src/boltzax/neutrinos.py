"""Masses of neutrinos from what else may be given: their density, or their sum and order."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from boltzax import constants
from boltzax.errors import ParameterRangeError, error_if, is_traced
from boltzax.thermo.roots import newton

# differences of squared masses [eV^2]: NuFIT 6.0, Esteban et al. (2024), arXiv:2410.05380, table 1, with SK data
_SOLAR = 7.49e-5  # m_2^2 - m_1^2
_NORMAL, _INVERTED = 2.513e-3, 2.484e-3  # m_3^2 - m_1^2; m_2^2 - m_3^2
_STEPS = 60  # Newton steps, which near a massless species only halve the mass

_Q, _Q_WEIGHTS = np.polynomial.laguerre.laggauss(64)
_FERMI_DIRAC = _Q_WEIGHTS * _Q**2 / (1.0 + np.exp(-_Q)) / (7.0 * np.pi**4 / 120.0)


def neutrino_masses(total: float | Float[Array, ""], ordering: str = "normal") -> Float[Array, " 3"]:
    """Masses (m_1, m_2, m_3) [eV] of sum `total` [eV], for m_ncdm; differentiable in `total`.

    ordering: "normal" or "inverted", with the differences that oscillations measure, or "degenerate" (equal masses).
    Raises ParameterRangeError if the sum is below what the differences need: 0.0588 eV and 0.0989 eV.
    """
    if ordering not in ("normal", "inverted", "degenerate"):
        raise ParameterRangeError(f"ordering must be 'normal', 'inverted' or 'degenerate', not {ordering!r}")
    total = jnp.asarray(total, float)
    if ordering == "degenerate":
        total = error_if(total, ~(total >= 0.0), "the sum of the masses must not be negative", ParameterRangeError)
        return total / 3.0 * jnp.ones(3)
    squares = np.array([0.0, _SOLAR, _NORMAL] if ordering == "normal" else [_INVERTED - _SOLAR, _INVERTED, 0.0])
    least = np.sum(np.sqrt(squares))
    message = f"masses in {ordering} ordering sum to {least:.4f} eV at least"
    total = error_if(total, ~(total >= least), message, ParameterRangeError)
    masses = lambda lightest: jnp.sqrt(lightest**2 + squares[squares > 0.0])
    lightest = newton(lambda m: m + jnp.sum(masses(m)) - total, total / 3.0, 0.0, jnp.inf, _STEPS)
    heavier = masses(lightest)
    return jnp.concatenate([lightest[None], heavier] if ordering == "normal" else [heavier, lightest[None]])


def density_ratio(x: Any) -> Any:
    """Density of neutrinos of mass x k_B T (any shape) over that of massless ones (MB95 eq. 52)."""
    return (_Q**2 + x[..., None] ** 2) ** 0.5 @ _FERMI_DIRAC


def pressure_ratio(x: Any) -> Any:
    """The same of the pressure."""
    return (_Q**2 / (_Q**2 + x[..., None] ** 2) ** 0.5) @ _FERMI_DIRAC


def massless_density(temperatures: Any, degeneracies: Any, T_cmb: Any) -> Any:
    """Omega h^2 of each species, were it massless."""
    return 7.0 / 8.0 * constants.OMEGA_GAMMA_PER_T4 * T_cmb[..., None] ** 4 * temperatures**4 * degeneracies


def masses_of_density(omega: Any, temperatures: Any, degeneracies: Any, T_cmb: Any) -> Any:
    """Masses [eV] with which species have the densities omega = Omega h^2; implicit derivatives.

    NaN where omega is below the density of massless neutrinos. NumPy arrays if all is concrete.
    """
    ratio = omega / massless_density(temperatures, degeneracies, T_cmb)
    unit = constants.EV_PER_KELVIN * temperatures * T_cmb[..., None]
    # the density is convex in the mass and above its asymptote, so Newton's steps come down from there to the root
    start = ratio / np.sum(_FERMI_DIRAC)
    if is_traced(ratio):
        safe = jnp.where(ratio >= 1.0, ratio, 2.0)
        x = newton(lambda x: density_ratio(x) - safe, start, 0.0, jnp.inf, _STEPS)
        return unit * jnp.where(ratio >= 1.0, x, jnp.nan)
    x = np.asarray(start)
    for _ in range(_STEPS):
        slope = (x[..., None] / (_Q**2 + x[..., None] ** 2) ** 0.5) @ _FERMI_DIRAC
        x = np.maximum(x - (density_ratio(x) - ratio) / np.maximum(slope, 1e-300), 0.0)
    return unit * np.where(ratio >= 1.0, x, np.nan)
