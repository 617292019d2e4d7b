"""Radial functions of curved space, exactly: hyperspherical Bessel functions by recurrence.

With S, C = S_K(chi), C_K(chi) and b_l = sqrt(q^2 - K l^2) (Abbott & Schaefer 1986, ApJ 308, 546; Lesgourgues & Tram
2014, arXiv:1312.2697),

    b_{l+1} Phi_{l+1} = (2l+1) (C/S) Phi_l - b_l Phi_{l-1},    Phi_0 = sin(q chi) / (q S).

Upward the recurrence is stable above the turning point, l < q S; below it ratios are found downward. Smooth in K
through 0; in closed space functions of l >= nu = q / sqrt(K) vanish.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from boltzax.background.curvature import cosine, sine


def sums(
    K: Float[Array, ""], q: Float[Array, " q"], chi: Float[Array, " x"], l_max: int, use: Callable
) -> Float[Array, "l ..."]:
    """use(Phi_l) for l = 0..l_max, stacked; use: function of [q, x], q in 1/Mpc and chi in Mpc."""
    q, S = q[:, None], sine(K, chi)
    cot = cosine(K, chi) / S
    turning = q * S
    top = l_max + 30 + int(6.0 * l_max ** (1 / 3))

    def b(l):
        square = q**2 - K * l**2
        real = square > 0.0
        return jnp.where(real, jnp.sqrt(jnp.where(real, square, 1.0)), 0.0)

    def down(ratio, l):
        dark = l > turning
        ratio = jnp.where(dark, b(l) / jnp.where(dark, (2.0 * l + 1.0) * cot - b(l + 1.0) * ratio, 1.0), 0.0)
        return ratio, ratio

    def up(functions, step):
        l, ratio = step
        previous, current = functions
        higher = b(l + 1.0)
        stable = (l + 1.0 <= turning) & (higher > 0.0)
        new = ((2.0 * l + 1.0) * cot * current - b(l) * previous) / jnp.where(stable, higher, 1.0)
        new = jnp.where(stable, new, ratio * current)
        return (current, new), use(current)

    _, ratios = jax.lax.scan(down, jnp.zeros_like(turning), np.arange(top, 0.0, -1.0))
    ratios = ratios[::-1][: l_max + 1]
    phase = q * chi
    start = jnp.cos(phase) / turning, jnp.sin(phase) / turning
    return jax.lax.scan(up, start, (np.arange(l_max + 1.0), ratios))[1]
