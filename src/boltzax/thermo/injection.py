"""Energy that annihilating dark matter injects into the gas, absorbed on the spot.

The share of Chen & Kamionkowski (2004), arXiv:astro-ph/0310473: of the energy (1 - x_e)/3 ionizes hydrogen, (1 - x_e)/3
excites it, the rest heats, all of it where x_e > 1 (CLASS's `f_eff_type = on_the_spot`, `chi_type = CK_2004`). The
corner at x_e = 1 is rounded.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from boltzax.constants import C_LIGHT, EV, G_NEWTON, H0_UNIT, K_BOLTZMANN, MPC

_T_ION = 13.5984336478 * EV / K_BOLTZMANN  # ionization energy of hydrogen [K]
_T_LYMAN = 10.1988356821 * EV / K_BOLTZMANN  # excitation energy of hydrogen [K]
_CORNER = 0.02  # in x_e
_ENERGY_UNIT = 3.0 * (H0_UNIT * C_LIGHT / MPC) ** 2 * C_LIGHT**2 / (8.0 * np.pi * G_NEWTON)  # Omega h^2 = 1 [J/m^3]


def injected(cosmo, ln_a: np.ndarray, H: Float[Array, "*s"], n_H0: Float[Array, ""]) -> Float[Array, "*s"] | None:
    """Energy per hydrogen nucleus and e-fold over k_B [K] at ln_a, or None if there is none.

    A volume receives rho_cdm^2 <sigma v>/m, <sigma v>/m the `DM_annihilation_efficiency` [m^3/s/J] and rho_cdm an
    energy density. H [1/s], n_H0 hydrogen nuclei today [1/m^3].
    """
    if cosmo.DM_annihilation_efficiency is None:
        return None
    rho = cosmo.omega_cdm * _ENERGY_UNIT
    return cosmo.DM_annihilation_efficiency * rho**2 * np.exp(-3.0 * ln_a) / (n_H0 * H * K_BOLTZMANN)


def _neutral_share(x_e):
    """What goes into ionizing, and as much into exciting, hydrogen."""
    return _CORNER * jax.nn.softplus((1.0 - x_e) / _CORNER) / 3.0


def ionization(energy: Float[Array, "*s"], x_e: Float[Array, "*s"], excited: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """Share of hydrogen ionized per e-fold; excited: probability that an excited atom is ionized."""
    return energy * _neutral_share(x_e) * (1.0 / _T_ION + excited / _T_LYMAN)


def heating(energy, x_e: Float[Array, "*s"], T: Float[Array, "*s"], f_He: Float[Array, ""]) -> Float[Array, "*s"]:
    """Rise of the matter temperature per e-fold over the photons' T; zero where `energy` is None."""
    if energy is None:
        return jnp.zeros_like(x_e)
    return energy * (1.0 - 2.0 * _neutral_share(x_e)) / (1.5 * T * (1.0 + x_e + f_He))
