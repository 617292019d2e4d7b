"""Large constant arrays in traced programs."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np

T = TypeVar("T")
_refs: dict[int, tuple[np.ndarray, jax.Ref]] = {}  # by id of the array, which is held so that the id stays taken
_losses = 0  # how often a program ended with an exception


def concretely(build: Callable[[], T]) -> T:
    """build(), evaluated outside every transformation that is under way: JAX's trace state belongs to the thread."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(build).result()


class _Memory:
    """What a Ref refers to: the array on the device.

    A program borrows the memory of its Refs and gives it back when it ends. One that ends with an exception gives
    nothing back, and every later program that reads the Ref would fail: after `lost`, the array is put there again.
    """

    def __init__(self, array: np.ndarray, on_device: jax.Array):
        self._array, self._on_device, self._seen = array, on_device, _losses

    @property
    def _buf(self) -> jax.Array:
        if self._seen != _losses:
            self._seen = _losses
            self._on_device = concretely(lambda: jax.new_ref(jnp.asarray(self._array))._refs._buf)
        return self._on_device

    def lost(self) -> bool:
        return self._on_device.is_deleted()


def lost() -> None:
    """To be called when a program is about to end with an exception."""
    global _losses
    _losses += 1


def restore() -> None:
    """Put back what other people's exceptions took; to be called before programs are built or run."""
    if any(ref._refs.lost() for _, ref in _refs.values()):
        lost()


def hidden(array: np.ndarray) -> jax.Array:
    """The array, handed to a compiled program as a hidden argument.

    A closed-over array becomes part of the program: copied at each compilation, kept in the compilation cache once for
    every program. A `jax.Ref` is passed by reference instead, under every transformation. For arrays that live as long
    as the process (those of a cached grid): each is put on the device once.
    """
    if jax.sharding.get_abstract_mesh().manual_axes:  # within shard_map: a Ref lies on one device, the program on many
        return jnp.asarray(array)
    held = _refs.get(id(array))
    if held is None:
        ref = concretely(lambda: jax.new_ref(jnp.asarray(array)))
        ref._refs = _Memory(array, ref._refs._buf)  # JAX has no public way to fill a Ref whose memory is lost
        held = _refs[id(array)] = (array, ref)
    return held[1][...]
