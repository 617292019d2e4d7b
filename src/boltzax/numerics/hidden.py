"""Large constant arrays in traced programs."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np

T = TypeVar("T")
_refs: dict[int, tuple[np.ndarray, jax.Ref]] = {}


def concretely(build: Callable[[], T]) -> T:
    """build(), evaluated outside every transformation that is under way: JAX's trace state belongs to the thread."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(build).result()


def hidden(array: np.ndarray) -> jax.Array:
    """The array, handed to a compiled program as a hidden argument.

    A closed-over array becomes part of the program: copied at each compilation, kept in the compilation cache once for
    every program. A `jax.Ref` is passed by reference instead, under every transformation. For arrays that live as long
    as the process (those of a cached grid): each is put on the device once.
    """
    held = _refs.get(id(array))
    if held is None:
        held = _refs[id(array)] = (array, concretely(lambda: jax.new_ref(jnp.asarray(array))))
    return held[1][...]
