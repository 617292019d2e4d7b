"""Control of what XLA computes once and what it computes again."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


def settle(x: Float[Array, "n ..."]) -> Float[Array, "n ..."]:
    """x itself, but kept in memory: what reads it does not recompute it.

    On CPU XLA fuses a cheap chain of operations into each of its consumers, and where chains branch again and again
    the work multiplies (four-fold in a stage of the integrator). Optimisation barriers are dropped before fusion
    there; a matrix product, here with the identity along the first, short axis, is never fused.
    """
    return jnp.tensordot(np.eye(x.shape[0]), x, 1)
