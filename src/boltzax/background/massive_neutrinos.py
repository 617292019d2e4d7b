"""Energy density and pressure of massive neutrinos with a frozen Fermi-Dirac distribution.

Ma & Bertschinger (1995), eqs. (52). With comoving momentum q in units of the neutrino temperature today and
epsilon = sqrt(q^2 + y^2), y = a m / (k_B T_nu0), densities are the massless ones times a ratio of integrals, which
depends on y alone: it is tabulated once for all cosmologies.
"""

from functools import lru_cache

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from boltzax.constants import EV_PER_KELVIN
from boltzax.numerics.quadrature import gauss_legendre
from boltzax.numerics.table import UniformTable

# q = t^2 clusters nodes at small q, where epsilon bends once y is small
_T, _W = gauss_legendre(96, 0.0, 7.0)
_Q = _T**2
_F0 = 2.0 * _T * _W * _Q**2 / (np.exp(_Q) + 1.0)
_F0 = _F0 / (_F0 @ _Q)  # massless density 1
# rows of the table are uniform in u = arcsinh(y / _BEND), which reaches y = 1e12
_BEND, _STEP, _ROWS = 0.02, 0.0125, 2580


@lru_cache
def _table() -> np.ndarray:
    """[rows, 2]: (rho - 1) / y^2 and (1/p - 1) / y^2, with rho and p over their massless values.

    Both are smooth and positive, so nothing cancels, and rho and p are even in y to the last digit.
    """
    y = _BEND * np.sinh(_STEP * np.arange(_ROWS))[:, None]
    eps = np.sqrt(_Q**2 + y**2)
    pressure = (_F0 * _Q**2 / eps).sum(1)
    return np.stack([(_F0 / (eps + _Q)).sum(1), (_F0 * _Q / (eps * (eps + _Q))).sum(1) / pressure], axis=-1)


def mass_ratio(cosmo) -> Float[Array, " n_ncdm"]:
    """M = m / (k_B T_nu0) of each species."""
    return cosmo.m_ncdm / (cosmo.T_ncdm * cosmo.T_cmb * EV_PER_KELVIN)


def massless_density(cosmo) -> Float[Array, " n_ncdm"]:
    """Density of each species over that of the photons, were it massless."""
    return cosmo.deg_ncdm * 7.0 / 8.0 * cosmo.T_ncdm**4


def density(a_mass: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """rho over the massless density, at y = a_mass = a M (any shape); relative error below 1e-12, as of `pressure`."""
    return 1.0 + a_mass * a_mass * _look_up(a_mass, 0)


def pressure(a_mass: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """P over the massless density."""
    return 1.0 / (3.0 + 3.0 * a_mass * a_mass * _look_up(a_mass, 1))


def _look_up(a_mass, column: int):
    u = a_mass / _BEND
    u = jnp.log(u + jnp.sqrt(u * u + 1.0))
    return UniformTable(jnp.zeros(()), jnp.asarray(_STEP), jnp.asarray(_table()[:, column, None]))(u)[..., 0]


def density_by_quadrature(a_mass: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """As `density`, by the sum over momenta itself: for few values the shorter program."""
    return jnp.sqrt(_Q**2 + a_mass[..., None] ** 2) @ _F0
