"""Massless neutrinos and other free-streaming radiation ("ur"): one hierarchy N_l.

Ma & Bertschinger (1995), eq. (49).
"""

import jax.numpy as jnp


def moments(background, a):
    """Weights [1, ...] of N_0, N_1, N_2 in a^2 delta rho, a^2 (rho+P) theta / k, a^2 (rho+P) sigma; d ln w_sigma."""
    rho = (background.rho_ur / a**2)[None]
    return rho, rho, 2.0 / 3.0 * rho, jnp.full_like(rho, -2.0)
