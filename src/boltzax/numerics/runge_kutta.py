"""The classical Runge-Kutta method on a prescribed grid."""

from collections.abc import Callable
from typing import Any

import jax


def step(slope: Callable[[Any, Any], Any], y: Any, at: Any, h: float) -> Any:
    """y after a step h of y' = slope(y, c), of order four; at: the coefficients c at its beginning, middle and end.

    y is any pytree. Hairer, Norsett & Wanner, Solving Ordinary Differential Equations I, table II.1.2.
    """
    move = lambda s, k: jax.tree.map(lambda u, v: u + s * v, y, k)
    k1 = slope(y, at[0])
    k2 = slope(move(0.5 * h, k1), at[1])
    k3 = slope(move(0.5 * h, k2), at[1])
    k4 = slope(move(h, k3), at[2])
    return jax.tree.map(lambda u, p, q, r, s: u + h / 6.0 * (p + 2.0 * q + 2.0 * r + s), y, k1, k2, k3, k4)
