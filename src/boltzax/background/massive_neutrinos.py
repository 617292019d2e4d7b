"""Energy density and pressure of massive neutrinos with a frozen Fermi-Dirac distribution.

Ma & Bertschinger (1995), eqs. (52). With comoving momentum q in units of the neutrino temperature today and
epsilon = sqrt(q^2 + a^2 M^2), M = m / (k_B T_nu0), densities are the massless ones times a ratio of integrals.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from boltzax.constants import EV_PER_KELVIN
from boltzax.numerics.quadrature import gauss_legendre

# q = t^2 clusters nodes at small q, where epsilon bends once a M is small
_T, _W = gauss_legendre(48, 0.0, 6.0)
_Q = _T**2
_F0 = 2.0 * _T * _W * _Q**2 / (np.exp(_Q) + 1.0)
_MASSLESS = 7.0 * np.pi**4 / 120.0


def mass_ratio(cosmo) -> Float[Array, " n_ncdm"]:
    """M = m / (k_B T_nu0) of each species."""
    return cosmo.m_ncdm / (cosmo.T_ncdm * cosmo.T_cmb * EV_PER_KELVIN)


def massless_density(cosmo) -> Float[Array, " n_ncdm"]:
    """Density of each species over that of the photons, were it massless."""
    return cosmo.deg_ncdm * 7.0 / 8.0 * cosmo.T_ncdm**4


def density_and_pressure(a_mass: Float[Array, "*s"]) -> tuple[Float[Array, "*s"], Float[Array, "*s"]]:
    """rho and P over the massless density, at a_mass = a M (any shape)."""
    eps = jnp.sqrt(_Q**2 + a_mass[..., None] ** 2)
    rho = eps @ jnp.asarray(_F0 / _MASSLESS)
    pressure = (1.0 / eps) @ jnp.asarray(_F0 * _Q**2 / (3.0 * _MASSLESS))
    return rho, pressure
