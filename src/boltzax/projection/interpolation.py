"""Constant interpolation matrices.

The solved modes are Chebyshev nodes in `mode_coordinate`: with theta the angle whose cosine is minus that coordinate,
scaled to [-1, 1], the interpolating polynomial is an even trigonometric one through equidistant values. Its cardinal
functions are cut off by a Gaussian (regularised sinc; Qian 2003, Proc. AMS 131, 1169), so that each wavenumber needs
only the nearest modes, and what the modes do not resolve somewhere does not spoil the interpolant elsewhere.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from boltzax.grids import mode_coordinate

_HALF_WIDTH = 12  # modes to either side
_BETA = 0.7 * np.sqrt(_HALF_WIDTH)  # standard deviation of the Gaussian, in modes


def mode_weights(
    y_modes: Float[np.ndarray, " n"], y: Float[np.ndarray, " m"]
) -> tuple[slice, Float[np.ndarray, "m k"]]:
    """The modes that matter to the wavenumbers y, and their weights."""
    n = len(y_modes)
    u = mode_coordinate(y_modes)
    half = (u[-1] - u[0]) / (2.0 * np.cos(0.5 * np.pi / n))
    theta = np.arccos(((u[-1] + u[0]) / 2.0 - mode_coordinate(y)) / half)
    place = theta * n / np.pi - 0.5  # in modes
    weights = np.zeros((len(y), n))
    for j in range(-_HALF_WIDTH, n + _HALF_WIDTH):  # beyond the ends the interpolant is continued evenly
        d = place - j
        mirrored = -1 - j if j < 0 else min(j, 2 * n - 1 - j)
        weights[:, mirrored] += np.where(np.abs(d) < _HALF_WIDTH, np.sinc(d) * np.exp(-0.5 * (d / _BETA) ** 2), 0.0)
    used = np.flatnonzero(np.abs(weights).max(0) > 0.0)
    modes = slice(int(used[0]), int(used[-1]) + 1)
    return modes, weights[:, modes]


def traced_mode_weights(y_modes: Float[np.ndarray, " n"], y: Float[Array, "*s"]) -> Float[Array, "*s n"]:
    """The weights of all modes for wavenumbers y that depend on parameters; beyond the modes y is that of the last."""
    n = len(y_modes)
    u = mode_coordinate(y_modes)
    half = (u[-1] - u[0]) / (2.0 * np.cos(0.5 * np.pi / n))
    inside = jnp.clip(((u[-1] + u[0]) / 2.0 - mode_coordinate(y, jnp)) / half, -1.0 + 1e-9, 1.0 - 1e-9)
    place = (jnp.arccos(inside) * n / np.pi - 0.5)[..., None]
    modes = np.arange(n)
    distances = (place - modes, place + 1 + modes, place - (2 * n - 1 - modes))  # of each mode and its mirror images
    return sum(_sinc(d) * jnp.exp(-0.5 * (d / _BETA) ** 2) for d in distances)  # not cut off: smooth in y


def _sinc(d):
    """sin(pi d) / (pi d); the slope of jnp.sinc is lost in rounding next to d = 0."""
    x = jnp.pi * d
    small = jnp.abs(d) < 0.02
    series = jnp.polyval(jnp.array([-1.0 / 5040.0, 1.0 / 120.0, -1.0 / 6.0, 1.0]), jnp.where(small, x, 0.0) ** 2)
    x = jnp.where(small, 1.0, x)
    return jnp.where(small, series, jnp.sin(x) / x)


def cardinal(n: int, theta: Float[np.ndarray, " m"]) -> Float[np.ndarray, "m n"]:
    """The polynomials in cos(theta) that are one at one of the Chebyshev nodes theta_j = (j + 1/2) pi / n, 0 at others.

    By the barycentric formula (Berrut & Trefethen 2004, SIAM Review 46, 501, eqs. 4.2, 5.4).
    """
    nodes = (np.arange(n) + 0.5) * np.pi / n
    distance = np.cos(theta)[:, None] - np.cos(nodes)
    matrix = (-1.0) ** np.arange(n) * np.sin(nodes) / np.where(distance == 0.0, 1e-300, distance)
    return matrix / matrix.sum(1, keepdims=True)
