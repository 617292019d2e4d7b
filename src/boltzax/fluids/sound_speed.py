"""A fluid with an equation of state w(a) and a sound speed c_s(k, a) in its rest frame.

Hu (1998, arXiv:astro-ph/9801234), eqs. (7), (8), as Ma & Bertschinger (1995), eq. (30), in the variables delta and
u = (1 + w) theta: these stay regular where w is -1 and does not move.
"""

import jax.numpy as jnp

from boltzax.fluids.fluid import Instant, Metric


def slopes(k, t: Instant, v: tuple, metric: Metric, cs2) -> tuple:
    """Slopes of (delta, u); reads w and slope = dw/dln a from the time functions."""
    delta, u = v
    w, slope = t.own["w"], t.own["slope"]
    at_minus_one = 1.0 + w == 0.0
    turn = jnp.where(at_minus_one, 0.0, slope / jnp.where(at_minus_one, 1.0, 1.0 + w))  # dln(1 + w)/dln a
    beyond = cs2 - w + turn / 3.0  # cs2 minus the adiabatic sound speed squared
    delta_prime = -u - 0.5 * (1.0 + w) * metric.h_prime - 3.0 * t.aH * (cs2 - w) * delta
    delta_prime = delta_prime - 9.0 * t.aH**2 / k**2 * beyond * u
    return delta_prime, t.aH * (3.0 * cs2 - 1.0 + turn) * u + cs2 * k**2 * delta


def stress(t: Instant, v: tuple) -> tuple:
    """a^2 delta rho and a^2 (rho + P) theta; reads a^2 rho, the density, from the time functions."""
    return t.own["density"] * v[0], t.own["density"] * v[1]
