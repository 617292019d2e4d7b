"""Helium recombination: Saha equilibrium of He III, and the rate equation of He II -> He I.

Switzer & Hirata (2008), arXiv:astro-ph/0702143, in the analytic form of HyRec (Ali-Haimoud & Hirata 2011,
arXiv:1011.3758; HyRec-2, Lee & Ali-Haimoud 2020, arXiv:2007.14114): escape from 2(1)P with the opacity of the
hydrogen continuum, two-photon decay of 2(1)S, and the intercombination line 2(3)P -> 1(1)S. Densities in cm^-3,
temperatures in K, rates in 1/s.
"""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from boltzax.constants import C_LIGHT, H_PLANCK, K_BOLTZMANN

_SAHA = 2.414194e15  # (2 pi m_e k / h^2)^(3/2) [cm^-3 K^-3/2]
_T_HE2 = 4.389088863e7 * H_PLANCK * C_LIGHT / K_BOLTZMANN  # ionization of He II [K]
_T_HE1 = 285325.0  # ionization of He I [K]
_T_H = 157801.37882  # ionization of H I, reduced mass [K]
_SAHA_H = 2.4127161187130e15  # as _SAHA with the reduced mass of hydrogen
# rates [1/s] and energies [K] of the lines that empty 2(1)P incoherently (to 3s, 3d, 4s, 4d, 5s, 5d)
_WIDTHS = ((6.03e6, 19754.0), (1.06e8, 21539.0), (2.18e6, 28496.0), (3.37e7, 29224.0), (1.04e6, 32414.0))
_WIDTHS = (*_WIDTHS, (1.51e7, 32781.0))
X_HE2_MIN = 1e-6  # n(He II)/n_H at which HyRec-2 stops, and which CLASS keeps: 2e-3 of x_e at z < 100


def saha_doubly_ionized(T: Float[Array, "*s"], n_H: Float[Array, "*s"], f_He: Float[Array, ""]) -> Float[Array, "*s"]:
    """n(He III)/n_H in equilibrium with He II and the photons at T, hydrogen ionized."""
    s = _SAHA * T * jnp.sqrt(T) * jnp.exp(-_T_HE2 / T) / n_H
    b = 1.0 + s + f_He
    return 2.0 * s * f_He / b / (1.0 + jnp.sqrt(1.0 + 4.0 * s * f_He / (b * b)))


def saha_neutral_helium(T, n_H, f_He):
    """Neutral fraction of helium in equilibrium, hydrogen ionized."""
    s = 4.0 * _SAHA * T * jnp.sqrt(T) * jnp.exp(-_T_HE1 / T) / n_H
    # (1 - y)(1 + f (1 - y)) = s y with f = f_He, smaller root
    b = s + 1.0 + 2.0 * f_He
    return 2.0 * (1.0 + f_He) / (b + jnp.sqrt(b * b - 4.0 * f_He * (1.0 + f_He)))


def saha_neutral_hydrogen(T, n_H, x_He2):
    """Neutral fraction of hydrogen in equilibrium, with n(He II) = x_He2 n_H further electrons."""
    r = n_H / (_SAHA_H * T * jnp.sqrt(T) * jnp.exp(-_T_H / T))  # electrons x protons / atoms = 1/r
    # (1 - y)(1 - y + x) = y / r, smaller root
    b = 2.0 + x_He2 + 1.0 / r
    return 2.0 * (1.0 + x_He2) / (b + jnp.sqrt(b * b - 4.0 * (1.0 + x_He2)))


class HyRecHelium(eqx.Module):
    """The part of the rate that does not depend on the unknowns, at the nodes (arrays of one shape)."""

    two_photon: Float[Array, "..."]  # decay through 2(1)S [cm^3/s], per x_e x_He2
    one_photon: Float[Array, "..."]  # decay through 2(1)P with certain escape, as above
    saha: Float[Array, "..."]  # x_e x_He2 / x_He1 in equilibrium
    width: Float[Array, "..."]  # incoherent width of 2(1)P over 4 pi^2 [1/s]
    eta: Float[Array, "..."]  # x_1 / (H I continuum optical depth per frequency) [1/s]
    sobolev: Float[Array, "..."]  # Sobolev depth of 2(1)P - 1(1)S over x_He1
    intercombination: Float[Array, "..."]  # step of the radiation field at 2(3)P - 1(1)S
    f_He: Float[Array, ""]
    distance: Float[Array, "..."] | float  # of 2(3)P from 2(1)P [1/s]

    def rate(self, neutral: Float[Array, "..."], x_1: Float[Array, "..."], cooling: Float[Array, "..."]):
        """d(neutral fraction of helium)/d ln a, given hydrogen's x_1; T_m = T_r, so `cooling` does not enter."""
        x_e = self.f_He * (1.0 - neutral) + 1.0 - x_1
        tau = self.sobolev * self.f_He * neutral
        eta = self.eta / x_1
        tau_c = self.width * tau / eta
        enhancement = jnp.sqrt(1.0 + np.pi**2 * tau_c) + 7.74 * tau_c / (1.0 + 70.0 * tau_c)
        step = self.intercombination - enhancement * jnp.exp(-self.distance / eta)
        escape = (enhancement - jnp.expm1(-1.023e-7 * tau) * step) / tau
        ionized = 1.0 - neutral - X_HE2_MIN / self.f_He
        return (self.two_photon + self.one_photon * escape) * (ionized * x_e - neutral * self.saha)


def helium_rates(
    T: Float[Array, "*s"],
    n_H: Float[Array, "*s"],
    H: Float[Array, "*s"],
    f_He: Float[Array, ""],
    fineness: Float[Array, "..."] | float = 1.0,
) -> HyRecHelium:
    """Helium of HyRec-2 at T_r = T [K], n_H [cm^-3], H [1/s]; fineness: see `atomic`."""
    s0 = 4.0 * _SAHA * T * jnp.sqrt(T) / n_H
    width = 1.976e6 / (-jnp.expm1(-6989.0 / T)) + sum(rate / jnp.expm1(energy / T) for rate, energy in _WIDTHS)
    return HyRecHelium(
        two_photon=50.94 * fineness * jnp.exp(46090.0 / T) / s0 / H,
        one_photon=1.7989e9 * 3.0 * jnp.exp(39101.0 / T) / s0 / H,
        saha=s0 * jnp.exp(-_T_HE1 / T),
        width=width / (4.0 * np.pi**2),
        eta=9.15776e22 * H / n_H,
        sobolev=4.277e-8 * n_H / (H * fineness),
        intercombination=0.964525 * jnp.exp(2947.0 / T),
        f_He=f_He,
        distance=6.14e13 / fineness,
    )
