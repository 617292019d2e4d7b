"""A map from curved to flat space that takes radial functions to spherical Bessel functions.

u = S_K Phi obeys u'' + [q^2 - l(l+1)/S_K^2] u = 0, and z j_l(z) the same with S_K -> z/q. The comparison equation
(Miller & Good 1953, Phys. Rev. 91, 174; for hyperspherical functions Kosowsky 1998, arXiv:astro-ph/9805173) matches
the phases:

    S_K Phi(chi) = z j_l(z) / sqrt(q dz/dchi),    z = q Z(chi),    (dZ/dchi)^2 (1 - b^2/Z^2) = 1 - b^2/S_K^2,

b = sqrt(l(l+1))/q. Z depends on geometry alone, is Z = chi at K = 0 or b = 0, and what is neglected falls as 1/nu. On
either side of the turning point D = S_K^2 - b^2 = 0 and through it the phase is

    int sqrt(1 - b^2/S_K^2) dchi = D^(3/2) [m(D) + K c(D)],    m(D) = int_0^1 s^2 / (b^2 + D s^2) ds,

where c, an integral of a smooth function, is a Gauss rule; in flat space c is absent and D = Z^2 - b^2.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from boltzax.background.curvature import sine
from boltzax.numerics.quadrature import gauss_legendre

_NODES, _WEIGHTS = gauss_legendre(12, 0.0, 1.0)
_STEPS = 7  # of Newton's method, from a start that is right to some ten per cent
_SERIES = 0.1  # |D/b^2| below which m is a power series


def _flat(b2, D):
    """m(D), an inverse square of a length."""
    v = D / b2
    small = jnp.abs(v) < _SERIES
    series = jnp.polyval(jnp.array([(-1.0) ** n / (2 * n + 3) for n in range(16, -1, -1)]), jnp.where(small, v, 0.0))
    far, near = (jnp.where(good, v, 1.0) for good in (v >= _SERIES, v <= -_SERIES))
    above = jnp.sqrt(far)
    inside = jnp.sqrt(jnp.where(v <= -_SERIES, -near, 0.25))
    values = jnp.where(v > 0.0, (above - jnp.arctan(above)) / above**3, (jnp.arctanh(inside) - inside) / inside**3)
    return jnp.where(small, series, values) / b2


def _curved(K, b2, D):
    """m(D) + K c(D)."""
    x = K * (b2[..., None] + D[..., None] * _NODES**2)
    cosine = jnp.sqrt(1.0 - x)
    return _flat(b2, D) + K * ((_NODES**2 / (cosine * (1.0 + cosine))) @ _WEIGHTS)


def _root(residual: Callable, start):
    """A root by Newton's method in ln u, with an implicit derivative; residual: its value and slope by ln u."""

    def step(u):
        value, slope = residual(u)
        return u * jnp.exp(-value / slope)

    u = start
    for _ in range(_STEPS):
        u = jax.lax.stop_gradient(step(u))
    value, slope = residual(u)
    return u * (1.0 - value / jax.lax.stop_gradient(slope))


def to_flat(K: Float[Array, ""], b2: Float[Array, "*s"], chi: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """Z [Mpc] at distance chi [Mpc] for impact parameters squared b2 [Mpc^2]."""
    D = sine(K, chi) ** 2 - b2
    target = D * _curved(K, b2, D) ** (2.0 / 3.0)

    def residual(Z):
        m = _flat(b2, Z**2 - b2)
        return (Z**2 - b2) * m ** (2.0 / 3.0) - target, 2.0 / 3.0 * m ** (-1.0 / 3.0)

    return _root(residual, chi)


def to_curved(K: Float[Array, ""], b2: Float[Array, "*s"], Z: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """The inverse: chi [Mpc] at Z."""
    flat = Z**2 - b2
    target = flat * _flat(b2, flat) ** (2.0 / 3.0)

    def residual(chi):
        S = sine(K, chi)
        D = S**2 - b2
        g = _curved(K, b2, D)
        return D * g ** (2.0 / 3.0) - target, 2.0 / 3.0 * g ** (-1.0 / 3.0) * chi / S

    return _root(residual, Z)


def slope(K, b2, chi, Z) -> Float[Array, "*s"]:
    """dZ/dchi."""
    S = sine(K, chi)
    return Z / S * (_flat(b2, Z**2 - b2) / _curved(K, b2, S**2 - b2)) ** (1.0 / 3.0)
