"""Fourier transform of the NFW profile."""

from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

_TERMS_F, _TERMS_G = 28, 40
_CENTRE, _POWER = 2.0, 0.35  # the Chebyshev variable is (s - 1)/(s + 1), s = (x / _CENTRE)^_POWER
_LOG_SCALE = np.exp(-2.0 * np.euler_gamma)


def nfw(k_rv: Float[Array, "*s"], c: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """Transform of a halo with concentration c at wavenumber times virial radius k_rv, over its mass.

    With a = k_rv / c it is m(c)^-1 int_0^c x (1 + x)^-2 sin(a x)/(a x) dx, m = ln(1 + c) - c/(1 + c): Cooray & Sheth
    2002 (astro-ph/0206508), eq. (81), sine and cosine integrals written by their auxiliary functions (DLMF 6.2.17).
    """
    a = k_rv / c
    b = a + k_rv
    (_, g_a), (f_b, g_b) = auxiliary(a), auxiliary(b)
    sine, cosine = jnp.sin(k_rv), jnp.cos(k_rv)
    return (g_a + (f_b - 1.0 / b) * sine - g_b * cosine) / (jnp.log1p(c) - c / (1.0 + c))


@jax.custom_jvp
def auxiliary(x: Float[Array, "*s"]) -> tuple[Float[Array, "*s"], Float[Array, "*s"]]:
    """f(x), g(x) = int_0^inf (1, t) exp(-x t)/(1 + t^2) dt for x > 0; relative error below 1e-6."""
    s = (x / _CENTRE) ** _POWER
    t = (s - 1.0) / (s + 1.0)
    f, g = _coefficients()
    return _clenshaw(f, t) / (x + 2.0 / np.pi), _clenshaw(g, t) * 0.5 * jnp.log1p(_LOG_SCALE / x**2)


@auxiliary.defjvp
def _auxiliary_jvp(primals, tangents):
    (x,), (d_x,) = primals, tangents
    f, g = auxiliary(x)
    return (f, g), (-g * d_x, (f - 1.0 / x) * d_x)


@lru_cache
def _coefficients() -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Chebyshev coefficients of f and g, each over a function with the same limits at 0 and infinity."""

    def fit(n, which):
        t = np.cos(np.pi * (np.arange(n) + 0.5) / n)
        x = _CENTRE * ((1.0 + t) / (1.0 - t)) ** (1.0 / _POWER)
        scale = (1.0 / (x + 2.0 / np.pi), 0.5 * np.log1p(_LOG_SCALE / x**2))[which]
        return tuple(np.polynomial.chebyshev.chebfit(t, _exact(x)[which] / scale, n - 1))

    return fit(_TERMS_F, 0), fit(_TERMS_G, 1)


def _exact(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """f and g from sine and cosine integrals, from their asymptotic series (DLMF 6.12) where those cancel."""
    from scipy.special import sici  # here: it takes long to import

    si, ci = sici(x)
    si = 0.5 * np.pi - si
    y = np.maximum(x, 60.0) ** -2
    f_far, g_far, term = 0.0, 0.0, np.ones_like(x)
    for n in range(12):
        f_far, g_far = f_far + term, g_far + (2 * n + 1) * term
        term = -term * (2 * n + 1) * (2 * n + 2) * y
    near = x < 60.0
    f = np.where(near, ci * np.sin(x) + si * np.cos(x), f_far * np.sqrt(y))
    return f, np.where(near, si * np.sin(x) - ci * np.cos(x), g_far * y)


def _clenshaw(coefficients, t):
    """Sum of Chebyshev polynomials at t."""
    high, low = jnp.zeros_like(t), jnp.zeros_like(t)
    for c in coefficients[:0:-1]:
        high, low = c + 2.0 * t * high - low, high
    return coefficients[0] + t * high - low
