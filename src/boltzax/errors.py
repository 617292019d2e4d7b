"""Exceptions of boltzax, and checks that work on concrete values and inside traced programs alike."""

import difflib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Bool, PyTree

from boltzax.numerics.hidden import lost

__all__ = [
    "BoltzaxError",
    "ChecksumError",
    "ConflictingParametersError",
    "ConvergenceError",
    "CosmologyError",
    "LikelihoodDataError",
    "MissingDependencyError",
    "MissingParameterError",
    "NotComputedError",
    "NotImplementedParameterError",
    "OutOfRangeError",
    "ParameterFileError",
    "ParameterRangeError",
    "PrecisionError",
    "UnknownParameterError",
    "X64Error",
    "default_mode",
    "error_if",
    "is_traced",
    "nearest_name",
    "on_error_mode",
    "require_x64",
]


class BoltzaxError(Exception):
    """Base of every exception that boltzax raises on purpose."""


class CosmologyError(BoltzaxError, ValueError):
    """The cosmological parameters cannot be used as given."""


class UnknownParameterError(CosmologyError):
    """A parameter name is not known; the message suggests the nearest one."""

    @classmethod
    def from_name(
        cls, name: str, known: Iterable[str], what: str = "cosmological parameter"
    ) -> "UnknownParameterError":
        """The exception for `name`, with the nearest of `known` names (or all of them) in its message."""
        known = sorted(set(known), key=str.lower)
        near = nearest_name(name, known)
        advice = f"did you mean '{near}'?" if near else f"known names: {', '.join(known)}."
        return cls(f"unknown {what} '{name}': {advice}")


class ConflictingParametersError(CosmologyError):
    """Two parameters fix the same quantity, or lengths of per-species parameters disagree."""


class MissingParameterError(CosmologyError):
    """A parameter is needed and no default makes sense."""


class ParameterRangeError(CosmologyError):
    """A parameter is not finite, has the wrong shape, or lies outside its physical range."""


class NotImplementedParameterError(CosmologyError, NotImplementedError):
    """A parameter that other codes know and that boltzax does not have yet."""


class ParameterFileError(CosmologyError):
    """A parameter file cannot be read or is not a mapping of names to values."""


class NotComputedError(BoltzaxError, ValueError):
    """A result was asked for that `Outputs` did not ask for."""


class OutOfRangeError(BoltzaxError, ValueError):
    """A result was asked for outside the range that was computed (k, z, l)."""


class PrecisionError(BoltzaxError, ValueError):
    """`Precision` or `Outputs` ask for something that the tables or the method cannot give."""


class LikelihoodDataError(BoltzaxError, ValueError):
    """The data of a likelihood are not where they were looked for, or not what they should be."""


class ChecksumError(LikelihoodDataError):
    """Data files have the right names and other contents than the likelihood was written for."""


class ConvergenceError(BoltzaxError, RuntimeError):
    """An iteration (best fit, sampler) did not converge."""


class MissingDependencyError(BoltzaxError, ImportError):
    """An optional package is not installed; the message names the extra that brings it."""

    @classmethod
    def from_package(cls, package: str, extra: str, purpose: str) -> "MissingDependencyError":
        """The exception for `package`, needed for `purpose` and brought by the extra `extra`."""
        return cls(f'{purpose} needs {package}, which is not installed: pip install "boltzax[{extra}]"')


class X64Error(BoltzaxError, RuntimeError):
    """JAX runs in single precision, which the Einstein-Boltzmann equations do not survive."""


def nearest_name(name: str, known: Iterable[str]) -> str | None:
    """The member of `known` most like `name` (case ignored), or None when nothing is near."""
    known = list(known)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.75)
    if near:
        return near[0]
    lowered = {k.lower(): k for k in known}
    near = difflib.get_close_matches(name.lower(), lowered, n=1, cutoff=0.6)
    return lowered[near[0]] if near else None


def is_traced(x: Any) -> bool:
    """Whether any leaf of x is an abstract value of a transformation (jit, grad, vmap)."""
    return any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree_util.tree_leaves(x))


def require_x64() -> None:
    """Raise `X64Error` unless JAX computes in double precision.

    Importing boltzax switches double precision on; this catches a program that switched it off afterwards.
    """
    if not jax.config.jax_enable_x64:
        raise X64Error(
            "boltzax needs double precision and jax_enable_x64 is off. Importing boltzax switches it on, so it was "
            'switched off afterwards: call jax.config.update("jax_enable_x64", True) before building arrays.'
        )


_mode: ContextVar[str | None] = ContextVar("boltzax_on_error", default=None)


@contextmanager
def on_error_mode(mode: str) -> Iterator[None]:
    """What `error_if` does with traced conditions in programs traced within: "raise", "nan" or "off"."""
    token = _mode.set(mode)
    try:
        yield
    finally:
        _mode.reset(token)


def default_mode() -> str:
    """What `error_if` does with traced conditions where it is not told."""
    return _mode.get() or os.environ.get("BOLTZAX_ON_ERROR", "raise")


def _poison(leaf: Any, condition: Bool[ArrayLike, ""]) -> Any:
    if eqx.is_inexact_array(leaf):
        return leaf * jnp.where(condition, jnp.nan, 1.0).astype(leaf.dtype)  # a product poisons derivatives as well
    return leaf


def _announce(condition: Bool[Array, ""]) -> Bool[Array, ""]:
    """The condition, announced before it ends the program. Under vmap this runs whether or not it holds."""

    def announce(condition):
        if np.any(condition):
            lost()
        return condition

    return jax.pure_callback(announce, jax.ShapeDtypeStruct((), bool), condition, vmap_method="expand_dims")


def error_if(
    value: PyTree,
    condition: Bool[ArrayLike, "..."],
    message: str,
    exception: type[BoltzaxError] = BoltzaxError,
    on_error: str | None = None,
) -> PyTree:
    """Return `value`, having checked that `condition` is false everywhere.

    A concrete condition raises `exception(message)` at once. A traced condition is checked when the program runs, as
    `on_error` (by default the enclosing `on_error_mode`, else the environment variable BOLTZAX_ON_ERROR, else "raise")
    says: "raise" raises from within the compiled program by `equinox.error_if`; "nan" turns every floating-point array
    of `value` into NaN, for that member of a batch only; "off" does nothing. "raise" puts a host callback into the
    program, and JAX's persistent compilation cache does not keep such programs.

    The check happens only if the returned value is used.
    """
    if not is_traced(condition):
        if np.any(np.asarray(condition)):
            raise exception(message)
        return value
    on_error = on_error or default_mode()
    if on_error == "off":
        return value
    condition = jnp.any(condition)
    if on_error == "nan":
        return jax.tree_util.tree_map(lambda leaf: _poison(leaf, condition), value)
    if on_error == "raise":
        condition = jax.lax.cond(condition, _announce, lambda _: False, condition)
        return eqx.error_if(value, condition, f"{exception.__name__}: {message}", on_error="raise")
    raise ValueError(f"on_error (BOLTZAX_ON_ERROR) must be 'nan', 'raise' or 'off', not '{on_error}'")
