"""Roots of scalar functions, many at once, with implicit derivatives."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def newton(
    f: Callable[[Float[Array, "*s"]], Float[Array, "*s"]],
    x: Float[Array, "*s"],
    lower: float | Float[Array, ""],
    upper: float | Float[Array, ""],
    steps: int,
) -> Float[Array, "*s"]:
    """Roots of f, which acts element by element, by `steps` Newton steps from x, kept in [lower, upper].

    The derivative is that of the implicit function, -(df/dp) / (df/dx); the iteration does not enter it.
    """

    def solve(f, x):
        def step(x, _):
            value, slope = jax.jvp(f, (x,), (jnp.ones_like(x),))
            return jnp.clip(x - value / slope, lower, upper), None

        return jax.lax.scan(step, x, None, length=steps)[0]

    return jax.lax.custom_root(f, x, solve, lambda linear, y: y / linear(jnp.ones_like(y)))
