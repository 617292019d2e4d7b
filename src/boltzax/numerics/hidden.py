"""Large constant arrays in traced programs."""

import jax
import jax.numpy as jnp
import numpy as np

_refs: dict[int, tuple[np.ndarray, jax.Ref]] = {}


def hidden(array: np.ndarray) -> jax.Array:
    """The array, handed to a compiled program as a hidden argument.

    A closed-over array becomes part of the program: copied at each compilation, kept in the compilation cache once for
    every program. A `jax.Ref` is passed by reference instead, under every transformation. For arrays that live as long
    as the process (those of a cached grid): each is put on the device once.
    """
    held = _refs.get(id(array))
    if held is None:
        with jax.ensure_compile_time_eval():
            held = _refs[id(array)] = (array, jax.new_ref(jnp.asarray(array)))
    return held[1][...]
