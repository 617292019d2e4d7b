"""Photons: temperature and polarisation hierarchies, F_l and G_l.

Ma & Bertschinger (1995), eqs. (63), (64). Rows of the stacked hierarchies: temperature F, then polarisation G.
Thomson scattering enters as damping kappa' of l >= 1 (and of G_0), with gains from theta_b and Pi = F_2 + G_0 + G_2
that the metric border of the stage carries.
"""

import jax.numpy as jnp

TEMPERATURE, POLARISATION = 0, 1  # row numbers: photons always come first


def moments(background, a):
    """Weights [2, ...] that turn F_0, F_1, F_2 into a^2 delta rho, a^2 (rho+P) theta / k and a^2 (rho+P) sigma.

    Also d ln w_sigma / d ln a. Polarisation carries no stress-energy.
    """
    rho = background.rho_g / a**2
    zero = jnp.zeros_like(rho)
    one = jnp.stack([rho, zero])
    return one, one, 2.0 / 3.0 * one, jnp.full_like(one, -2.0)
