"""Adiabatic initial conditions deep in the radiation era, for curvature perturbation R = 1.

Ma & Bertschinger (1995), eq. (96), with the next order in (a/a_eq) from Bucher, Moodley & Turok (2000), sec. IV.
"""

import jax.numpy as jnp

from boltzax.perturbations.layout import Layout
from boltzax.perturbations.species.photons import POLARISATION, TEMPERATURE


def adiabatic(lay: Layout, background, k, tau):
    """Values at k tau << 1, k and tau [..., lanes]: fluid [..., 4, lanes], hierarchies' l = 0, 1, 2 [..., 3, rows,
    lanes], and the unknowns [n, lanes] of each fluid. The tails are zero.
    """
    massless = background.rho_ur + background.rho_ncdm_massless.sum()
    radiation = background.rho_g + massless + sum(fluid.early_radiation() for fluid in background.fluids)
    f_nu = massless / radiation
    matter = background.rho_b + background.rho_cdm
    w = matter / jnp.sqrt(radiation) * tau  # growing matter correction, ~ a/a_eq
    r_b = background.rho_b / matter
    x, x2 = k * tau, (k * tau) ** 2
    delta_g = -x2 / 3.0 * (1.0 - w / 5.0)
    theta_g = -k * x * x2 / 36.0 * (1.0 - 3.0 * (1.0 + 5.0 * r_b - f_nu) / (20.0 * (1.0 - f_nu)) * w)
    theta_nu = (
        -k
        * x
        * x2
        / 36.0
        / (4.0 * f_nu + 15.0)
        * (4.0 * f_nu + 23.0 - 3.0 * (8.0 * f_nu**2 + 50.0 * f_nu + 275.0) / 20.0 / (2.0 * f_nu + 15.0) * w)
    )
    shear_nu = 2.0 * x2 / (45.0 + 12.0 * f_nu) * (1.0 + (4.0 * f_nu - 5.0) / 4.0 / (2.0 * f_nu + 15.0) * w)
    eta = 1.0 - x2 / 12.0 / (15.0 + 4.0 * f_nu) * (
        5.0 + 4.0 * f_nu - (16.0 * f_nu**2 + 280.0 * f_nu + 325.0) / 10.0 / (2.0 * f_nu + 15.0) * w
    )
    zero = jnp.zeros_like(x)
    columns = []
    for row in range(lay.rows):
        if row == TEMPERATURE:
            columns.append((delta_g, 4.0 * theta_g / (3.0 * k), zero))
        elif row == POLARISATION:
            columns.append((zero, zero, zero))
        else:
            columns.append((delta_g, 4.0 * theta_nu / (3.0 * k), 2.0 * shear_nu))
    others = tuple(jnp.stack(fluid.start(k, tau, delta_g, theta_g)) for fluid in background.fluids)
    low = jnp.stack([jnp.stack([c[l] for c in columns], axis=-2) for l in range(3)], axis=-3)
    return jnp.stack([eta, 0.75 * delta_g, 0.75 * delta_g, theta_g], axis=-2), low, others
