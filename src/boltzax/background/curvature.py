"""Geometry of space of constant curvature K [1/Mpc^2], K = -Omega_k H0^2: functions of K that are smooth at K = 0."""

from math import factorial

import jax.numpy as jnp
from jaxtyping import Array, Float

_TERMS = 16  # of the power series in K chi^2: exact to rounding for |K chi^2| < 10, pi^2 is the antipode


def sine(K: Float[Array, ""], chi: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """S_K(chi) = sin(sqrt(K) chi) / sqrt(K), the areal radius [Mpc] at distance chi [Mpc]; sinh where K < 0."""
    return chi * _series(K * chi**2, 1)


def cosine(K: Float[Array, ""], chi: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """C_K(chi) = cos(sqrt(K) chi), the slope of `sine`; cosh where K < 0."""
    return _series(K * chi**2, 0)


def _series(x, first: int):
    """sum_n (-x)^n / (2n + first)!"""
    return jnp.polyval(jnp.array([(-1.0) ** n / factorial(2 * n + first) for n in range(_TERMS, -1, -1)]), x)


def areal_radius(K: Float[Array, ""] | None, chi: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """S_K(chi), or chi in flat space (K None) [Mpc]."""
    return chi if K is None else sine(K, chi)


def root(K: Float[Array, ""]) -> Float[Array, ""]:
    """sqrt(K) where K > 0, and 0 elsewhere with a derivative of 0 [1/Mpc]."""
    closed = K > 0.0
    return jnp.where(closed, jnp.sqrt(jnp.where(closed, K, 1.0)), 0.0)


def lift(K: Float[Array, ""], lowest: Float[Array, ""]) -> Float[Array, ""]:
    """g [1/Mpc^2] of wavenumbers k^2 = p^2 + g that a solution can be found for wherever p >= lowest [1/Mpc].

    In open space k^2 is at least -K, in closed space 8K (nu = 3; Abbott & Schaefer 1986, ApJ 308, 546). g is smooth
    in K and zero at K = 0, -K or 8K beyond a range of the size of lowest^2.
    """
    return 3.5 * K + jnp.sqrt((4.5 * K) ** 2 + lowest**4) - lowest**2


def wavenumber(background, y, y_first: float) -> Float[Array, "*s"]:
    """k [1/Mpc] of the modes that are numbered by y = p tau_0, y >= y_first; k = y/tau_0 in flat space."""
    p = y / background.tau_0
    if background.K is None:
        return p
    return jnp.sqrt(p**2 + lift(background.K, y_first / background.tau_0))


def ladder(K: Float[Array, ""], k: Float[Array, "*s"], l: int) -> Float[Array, "*s"]:
    """s_l = sqrt(1 - K (l^2 - 1) / k^2) (Lesgourgues & Tram 2014, arXiv:1312.2697); zero where K (l^2 - 1) > k^2."""
    square = 1.0 - K * (l**2 - 1.0) / k**2
    inside = square > 0.0
    return jnp.where(inside, jnp.sqrt(jnp.where(inside, square, 1.0)), 0.0)
