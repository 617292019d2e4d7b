"""Large constant arrays in traced programs."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np

T = TypeVar("T")
_refs: dict[int, tuple[np.ndarray, jax.Ref]] = {}  # by id of the array, which is held so that the id stays taken


def concretely(build: Callable[[], T]) -> T:
    """build(), evaluated outside every transformation that is under way: JAX's trace state belongs to the thread."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(build).result()


class _Memory:
    """What a Ref refers to: the array on the device, put there again where a program has not returned it.

    A program borrows the memory of its Refs and gives it back when it ends. One that ends with an exception gives
    nothing back, and without this every later program that reads the Ref would fail.
    """

    def __init__(self, array: np.ndarray, on_device: jax.Array):
        self._array, self._on_device = array, on_device

    @property
    def _buf(self) -> jax.Array:
        if self._on_device.is_deleted():
            self._on_device = concretely(lambda: jnp.asarray(self._array))
        return self._on_device


def _new_ref(array: np.ndarray) -> jax.Ref:
    ref = jax.new_ref(jnp.asarray(array))
    ref._refs = _Memory(array, ref._refs._buf)  # JAX has no public way to fill a Ref whose memory is lost
    return ref


def hidden(array: np.ndarray) -> jax.Array:
    """The array, handed to a compiled program as a hidden argument.

    A closed-over array becomes part of the program: copied at each compilation, kept in the compilation cache once for
    every program. A `jax.Ref` is passed by reference instead, under every transformation. For arrays that live as long
    as the process (those of a cached grid): each is put on the device once.
    """
    held = _refs.get(id(array))
    if held is None:
        held = _refs[id(array)] = (array, concretely(lambda: _new_ref(array)))
    return held[1][...]
