"""Quadrature rules computed once with numpy, and cumulative integrals on uniform grids."""

from functools import lru_cache

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


@lru_cache
def gauss_legendre(n: int, lo: float, hi: float) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights [n] of the Gauss-Legendre rule on [lo, hi]."""
    x, w = np.polynomial.legendre.leggauss(n)
    return 0.5 * (hi - lo) * x + 0.5 * (hi + lo), 0.5 * (hi - lo) * w


@lru_cache
def gauss_fermi(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes q [n] and weights [n] of the Gauss rule for the weight -q^3 df0/dq, f0 = 1/(e^q + 1).

    This is the weight with which perturbations of a Fermi-Dirac species enter its stress-energy tensor, so n nodes
    integrate polynomials of degree 2n - 1 in q exactly. Made by the Stieltjes procedure on a fine Gauss-Legendre grid.
    """
    x, w = gauss_legendre(400, 0.0, 60.0)
    w = w * x**3 * np.exp(-x) / (1.0 + np.exp(-x)) ** 2
    alpha, beta = np.zeros(n), np.zeros(n)
    p_old, p, norm_old = np.zeros_like(x), np.ones_like(x), 1.0
    for j in range(n):
        norm = np.sum(w * p * p)
        alpha[j], beta[j] = np.sum(w * x * p * p) / norm, norm / norm_old
        p_old, p, norm_old = p, (x - alpha[j]) * p - (beta[j] if j else 0.0) * p_old, norm
    jacobi = np.diag(alpha) + np.diag(np.sqrt(beta[1:]), 1) + np.diag(np.sqrt(beta[1:]), -1)
    nodes, vectors = np.linalg.eigh(jacobi)
    return nodes, beta[0] * vectors[0] ** 2


def cumulative(cells: Float[Array, " cells"], start: Float[Array, ""]) -> Float[Array, " cells+1"]:
    """Running integral [n + 1] from the integrals over n cells, beginning at `start`."""
    return start + jnp.concatenate([jnp.zeros(1), jnp.cumsum(cells)])
