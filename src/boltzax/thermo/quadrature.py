"""Integrals over the cells of a uniform grid from a polynomial of degree five through six grid values."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


def _weights(first: int) -> np.ndarray:
    """Weights of the integral over [0, 1] of the polynomial through the points first .. first + 5."""
    points = np.arange(first, first + 6.0)
    return np.linalg.solve(np.vander(points, 6, increasing=True).T, 1.0 / np.arange(1.0, 7.0))


_INNER, _FIRST, _LAST = _weights(-2), [_weights(0), _weights(-1)], [_weights(-3), _weights(-4)]


def cell_integrals(f: Float[Array, " n"], dx: Float[Array, ""]) -> Float[Array, " n-1"]:
    """Integral of f over each cell of a uniform grid with spacing dx."""
    n = f.shape[0]
    inner = sum(w * f[j : n - 5 + j] for j, w in enumerate(_INNER))
    first = jnp.stack([jnp.dot(w, f[:6]) for w in _FIRST])
    last = jnp.stack([jnp.dot(w, f[-6:]) for w in _LAST])
    return dx * jnp.concatenate([first, inner, last])


def derivative(f: Float[Array, " n"], dx: Float[Array, ""]) -> Float[Array, " n"]:
    """Derivative of f on a uniform grid, from the polynomial through seven grid values."""
    n = f.shape[0]
    inner = sum(w * f[j : n - 6 + j] for j, w in enumerate(_slope(-3)))
    first = jnp.stack([jnp.dot(_slope(-j), f[:7]) for j in range(3)])
    last = jnp.stack([jnp.dot(_slope(-j), f[-7:]) for j in range(4, 7)])
    return jnp.concatenate([first, inner, last]) / dx


def _slope(first: int) -> np.ndarray:
    points = np.arange(first, first + 7.0)
    return np.linalg.solve(np.vander(points, 7, increasing=True).T, np.eye(7)[1])
