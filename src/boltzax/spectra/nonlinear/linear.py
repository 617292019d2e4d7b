"""What the nonlinear fits read: the linear power spectrum far beyond the solved modes, and the universe at one time."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from boltzax.constants import C_LIGHT, G_NEWTON, M_SUN, MPC
from boltzax.fluids import DarkEnergy
from boltzax.spectra.matter import SPECIES
from boltzax.spectra.primordial import spectral_index

_SOLVED, _BEYOND = 500, 400  # wavenumbers among and beyond the solved modes
_BASE = 10  # the extrapolation starts with the slope over so many of them


class LinearPower(NamedTuple):
    """Linear power per ln k, k^3 P / (2 pi^2), of all matter (m) and of baryons and cdm (cb).

    k [1/Mpc], uniform in ln k; the first `solved` wavenumbers are those at which a nonlinear spectrum is wanted, the
    others serve the integrals over k and should reach 1e4 or more.
    """

    k: Float[Array, " k"]
    m: Float[Array, " k"]
    cb: Float[Array, " k"]
    solved: int

    @property
    def step(self) -> Float[Array, ""]:
        """Spacing in ln k."""
        return jnp.log(self.k[-1] / self.k[0]) / (self.k.shape[0] - 1)


class Epoch(NamedTuple):
    """The homogeneous universe at one time; densities over critical then, and today where the name ends with 0.

    Matter is b + cdm + the non-relativistic part rho - 3p of massive neutrinos; f_nu: massive neutrinos over matter,
    f_b: baryons over matter, both today; Omega_k = -K/(aH)^2; matter_density: comoving, in solar masses / Mpc^3.
    """

    z: Float[Array, ""]
    h: Float[Array, ""]
    Omega_m: Float[Array, ""]
    Omega_de: Float[Array, ""]
    Omega_k: Float[Array, ""]
    w_de: Float[Array, ""]
    Omega_m0: Float[Array, ""]
    Omega_de0: Float[Array, ""]
    Omega_k0: Float[Array, ""]
    f_nu: Float[Array, ""]
    f_b: Float[Array, ""]
    matter_density: Float[Array, ""]
    omega_b: Float[Array, ""]
    T_cmb: Float[Array, ""]
    n_s: Float[Array, ""]


def dark_energy(background, a: Float[Array, "*s"]) -> tuple[Float[Array, "*s"], Float[Array, "*s"]]:
    """Density [1/Mpc^2] and equation of state of dark energy at scale factor a."""
    fluid = next((fluid for fluid in background.fluids if isinstance(fluid, DarkEnergy)), None)
    if fluid is None:
        return background.rho_lambda * jnp.ones_like(a), -jnp.ones_like(a)
    return fluid.rho(a), fluid.w(a)


def matter_density(background, a: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """Density of baryons, cdm and the non-relativistic part of massive neutrinos at a, times a^3 [1/Mpc^2]."""
    a = jnp.asarray(a, float)
    rho = (background.rho_b + background.rho_cdm) * jnp.ones_like(a)
    if background.M_ncdm.shape[0]:
        density, pressure = background.rho_ncdm(a)
        rho = rho + a**3 * (density - 3.0 * pressure).sum(-1)
    return rho


def curvature(background, a: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """-K/a^2 [1/Mpc^2], what curvature adds to H^2."""
    return (0.0 if background.K is None else -background.K) / jnp.asarray(a, float) ** 2


def epoch(background, cosmo, a: Float[Array, ""]) -> Epoch:
    """The universe of a solved background at scale factor a."""
    today, H2 = jnp.ones(()), background.hubble(jnp.log(a)) ** 2
    rho_m0, H02 = matter_density(background, today), background.H0**2
    rho_nu = background.rho_ncdm(today)[0].sum() if background.M_ncdm.shape[0] else 0.0
    rho_de, w_de = dark_energy(background, a)
    return Epoch(
        z=1.0 / a - 1.0,
        h=cosmo.h,
        Omega_m=matter_density(background, a) / a**3 / H2,
        Omega_de=rho_de / H2,
        Omega_k=curvature(background, a) / H2,
        w_de=w_de,
        Omega_m0=rho_m0 / H02,
        Omega_de0=dark_energy(background, today)[0] / H02,
        Omega_k0=curvature(background, today) / H02,
        f_nu=rho_nu / rho_m0,
        f_b=background.rho_b / rho_m0,
        matter_density=rho_m0 * (3.0 * C_LIGHT**2 * MPC / (8.0 * np.pi * G_NEWTON) / M_SUN),
        omega_b=cosmo.omega_b,
        T_cmb=cosmo.T_cmb,
        n_s=spectral_index(cosmo),
    )


def linear_power(matter, primordial, x: Float[Array, ""]) -> LinearPower:
    """The spectrum of a solution at time tau/tau_0 = x; primordial: function of k giving P_R(k).

    Beyond the solved modes the density contrast goes on linearly in ln k, as cold matter does that has grown
    logarithmically since it entered the horizon.
    """
    lo, hi = jnp.log(matter.y_modes[0] / matter.tau_0), jnp.log(matter.y_modes[-1] / matter.tau_0)
    step = (hi - lo) / (_SOLVED - 1)
    ln_k = lo + step * np.arange(_SOLVED + _BEYOND)
    k = jnp.exp(ln_k)
    delta = jnp.stack([matter.delta(k[:_SOLVED], x, species) for species in SPECIES])
    slope = (delta[:, -1] - delta[:, -1 - _BASE]) / _BASE
    beyond = delta[:, -1:] + slope[:, None] * np.arange(1, _BEYOND + 1)
    m, cb = primordial(k) * jnp.concatenate([delta, beyond], axis=1) ** 2
    return LinearPower(k, m, cb, _SOLVED)
