"""Massive neutrinos ("ncdm"): one hierarchy for each momentum of each species.

Ma & Bertschinger (1995), eqs. (55)-(57). With Q_l = 4 Psi_l / (-d ln f0 / d ln q) the equations are the massless ones
at speed k q / epsilon, epsilon = sqrt(q^2 + a^2 M^2); momenta are the nodes of the Gauss rule for -q^3 df0/dq, the
weight of the stress-energy integrals.
"""

import jax.numpy as jnp
import numpy as np

from boltzax.numerics.quadrature import gauss_fermi


def _momenta(background, a, n_q: int):
    """q and epsilon [n_species * n_q, ...] and the Gauss weights that make the massless density one."""
    q, w = gauss_fermi(n_q)
    n = background.M_ncdm.shape[0]
    shape = (n * n_q,) + (1,) * a.ndim
    q, w = np.tile(q, n).reshape(shape), np.tile(w / (w @ q), n).reshape(shape)
    mass = jnp.repeat(background.M_ncdm, n_q).reshape(shape)
    rho = jnp.repeat(background.rho_ncdm_massless, n_q).reshape(shape)
    return q, jnp.sqrt(q**2 + (a * mass) ** 2), w * rho / a**2


def speed(background, a, n_q: int):
    """Velocity q / epsilon of each row [rows, ...]."""
    q, eps, _ = _momenta(background, a, n_q)
    return q / eps


def moments(background, a, n_q: int):
    """Weights [rows, ...] of Q_0, Q_1, Q_2 in a^2 delta rho, a^2 (rho+P) theta / k, a^2 (rho+P) sigma; d ln w_sigma."""
    q, eps, w = _momenta(background, a, n_q)
    return w * eps, w * q, 2.0 / 3.0 * w * q**2 / eps, -3.0 + (q / eps) ** 2
