"""Plain functions as pytrees."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp


class Function(eqx.Module):
    """A plain function of a number, without parameters of its own; static under jit."""

    function: Callable = eqx.field(static=True)

    def __call__(self, x):
        return self.function(x)


def as_module(function: Any) -> Any:
    """A user's function as a pytree: a module with its numbers as arrays, anything else without parameters."""
    if function is None:
        return None
    if not isinstance(function, eqx.Module):
        return Function(function)
    number = lambda v: jnp.asarray(v, dtype=jnp.float64) if isinstance(v, (float, int)) else v
    return jax.tree.map(number, function)
