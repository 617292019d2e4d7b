"""Epochs of recombination: last scattering, baryon drag."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

_START = -7.0  # ln a near recombination
_NEWTON_STEPS = 10


def _root(f) -> Float[Array, ""]:
    """Root in ln a near recombination of a function that is nearly linear there, with implicit derivative."""

    def newton(x):
        value, slope = jax.value_and_grad(f)(x)
        return x - jnp.clip(value / slope, -0.2, 0.2)

    x = jax.lax.fori_loop(0, _NEWTON_STEPS, lambda _, x: newton(x), jnp.asarray(_START))
    return newton(jax.lax.stop_gradient(x))


def visibility_peak(table) -> Float[Array, ""]:
    """ln a of the maximum of g: kappa' = - d ln kappa' / d tau. `table` as in `Thermodynamics.table`."""

    def mismatch(x):
        fields = table(x)
        return fields[2] - fields[6] - jnp.log(-fields[3])

    return _root(mismatch)


def unit_depth(depth) -> Float[Array, ""]:
    """ln a where an optical depth, a function of ln a, is one."""
    return _root(lambda x: jnp.log(depth(x)))
