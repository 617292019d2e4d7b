"""The thermal history as the later stages see it: one packed table in ln a, and derived scalars."""

from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from boltzax.numerics.table import UniformTable
from boltzax.show import block, listed

_UNITS = {"T_cmb": "K", "n_H": "1/m^3"} | {
    f"{name}_{at}": "Mpc" for name in ("tau", "rs") for at in ("rec", "star", "d")
}


class ThermalState(NamedTuple):
    """Quantities at one or many ln a (arrays of one shape); ' is d/d tau [1/Mpc]."""

    x_e: Float[Array, "*s"]  # free electrons per hydrogen nucleus
    T_b: Float[Array, "*s"]  # baryon temperature [K]
    kappa_prime: Float[Array, "*s"]  # a n_e sigma_T [1/Mpc]
    dkappa_prime_dlna: Float[Array, "*s"]  # d kappa' / d ln a [1/Mpc]
    cb2: Float[Array, "*s"]  # baryon sound speed squared
    kappa: Float[Array, "*s"]  # optical depth from today
    exp_m_kappa: Float[Array, "*s"]
    g: Float[Array, "*s"]  # visibility kappa' e^-kappa [1/Mpc]
    g_prime: Float[Array, "*s"]  # dg/d tau = (kappa'' + kappa'^2) e^-kappa [1/Mpc^2]


class Thermodynamics(eqx.Module):
    """Thermal history on a uniform grid in ln a that ends today, and what follows from it.

    n_H: hydrogen nuclei today [1/m^3]. z_rec, tau_rec: maximum of the visibility function; z_star: kappa = 1 (CLASS
    counts reionization); z_d: optical depth of the baryons = 1. rs_* sound horizon there [Mpc], tau_* conformal time
    [Mpc]. theta_s_100 = 100 rs_rec / (comoving distance to z_rec); theta_star_100: the same at z_star; thetastar: the
    angle (not times 100) where kappa = 1 without reionization, as in CAMB. tau_reio: optical depth to the start of
    reionization.
    """

    T_cmb: Float[Array, ""]
    YHe: Float[Array, ""]
    f_He: Float[Array, ""]
    n_H: Float[Array, ""]
    z_reio: Float[Array, ""]
    tau_reio: Float[Array, ""]
    z_rec: Float[Array, ""]
    tau_rec: Float[Array, ""]
    rs_rec: Float[Array, ""]
    z_star: Float[Array, ""]
    tau_star: Float[Array, ""]
    rs_star: Float[Array, ""]
    z_d: Float[Array, ""]
    tau_d: Float[Array, ""]
    rs_d: Float[Array, ""]
    theta_s_100: Float[Array, ""]
    theta_star_100: Float[Array, ""]
    thetastar: Float[Array, ""]
    table: UniformTable  # x_e, 1 - T_b/T_r, ln kappa', d ln kappa'/d ln a, kappa, a cb2, ln aH

    def at(self, ln_a: Float[Array, "*s"]) -> ThermalState:
        """Everything at ln a (any shape), in one look-up.

        Before the table (z > 1e5) all is ionized, T_b = T_r, kappa' ~ a^-2 and aH ~ 1/a.
        """
        ln_a = jnp.asarray(ln_a)
        inside = jnp.maximum(ln_a, self.table.x0)
        before = inside - ln_a  # e-folds before the table
        x_e, cooling, ln_kappa_prime, slope, kappa, a_cb2, ln_aH = jnp.moveaxis(self.table(inside), -1, 0)
        kappa_prime = jnp.exp(ln_kappa_prime + 2.0 * before)
        aH = jnp.exp(ln_aH + before)
        kappa = kappa + jnp.exp(ln_kappa_prime - ln_aH) * jnp.expm1(before)
        exp_m_kappa = jnp.exp(-kappa)
        a = jnp.exp(ln_a)
        return ThermalState(
            x_e=x_e,
            T_b=self.T_cmb / a * (1.0 - cooling),
            kappa_prime=kappa_prime,
            dkappa_prime_dlna=kappa_prime * slope,
            cb2=a_cb2 / a,
            kappa=kappa,
            exp_m_kappa=exp_m_kappa,
            g=kappa_prime * exp_m_kappa,
            g_prime=kappa_prime * (aH * slope + kappa_prime) * exp_m_kappa,
        )

    def __repr__(self) -> str:
        return block(self, _UNITS)

    def _brief(self) -> str:
        return listed(self, ("z_rec", "rs_rec", "z_reio", "tau_reio", "YHe"), _UNITS)
