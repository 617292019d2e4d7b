"""Roots of scalar functions, many at once, with implicit derivatives."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

_SMALL = 1e-8  # relative size of the last step: what is left is its square


def newton(
    f: Callable[[Float[Array, "*s"]], Float[Array, "*s"]],
    x: Float[Array, "*s"],
    lower: float | Float[Array, ""],
    upper: float | Float[Array, ""],
    steps: int,
) -> Float[Array, "*s"]:
    """Roots of f, which acts element by element, by at most `steps` Newton steps from x, kept in [lower, upper].

    Steps end with the first that is small: convergence is quadratic. The derivative is that of the implicit
    function, -(df/dp) / (df/dx); the iteration does not enter it.
    """

    def solve(f, x):
        def improve(x):
            value, slope = jax.jvp(f, (x,), (jnp.ones_like(x),))
            return x - value / slope

        return _iterate(improve, x, lower, upper, steps)

    return jax.lax.custom_root(f, x, solve, lambda linear, y: y / linear(jnp.ones_like(y)))


def newton_pair(
    f: Callable[[Float[Array, " 2"]], Float[Array, " 2"]],
    x: Float[Array, " 2"],
    lower: Float[Array, " 2"],
    upper: Float[Array, " 2"],
    steps: int,
) -> Float[Array, " 2"]:
    """The common root of two functions of two unknowns, by the same method."""

    def solve_linear(linear, y):
        (a, c), (b, d) = linear(jnp.array([1.0, 0.0])), linear(jnp.array([0.0, 1.0]))
        return jnp.stack([d * y[0] - b * y[1], a * y[1] - c * y[0]]) / (a * d - b * c)

    def solve(f, x):
        def improve(x):
            value, linear = jax.linearize(f, x)
            return x - solve_linear(linear, value)

        return _iterate(improve, x, lower, upper, steps)

    return jax.lax.custom_root(f, x, solve, solve_linear)


def _iterate(improve, x, lower, upper, steps):
    def step(state):
        x, _, count = state
        new = jnp.clip(improve(x), lower, upper)
        return new, jnp.max(jnp.abs(new - x) / (1.0 + jnp.abs(x))), count + 1

    def go_on(state):
        return (state[1] > _SMALL) & (state[2] < steps)

    return jax.lax.while_loop(go_on, step, (x, jnp.asarray(jnp.inf), 0))[0]
