"""Functions tabulated on a uniform grid: read, integrated and differentiated by local polynomials.

Reading uses degree five. One look-up serves every packed field: an index computed from the argument (no search), six
rows, one set of weights. The grid is chosen so fine that the jump of the derivative between cells stays far below any
tolerance, and the derivative with respect to the argument and to the tabulated values is exact for the interpolant.
"""

from functools import lru_cache, partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_derivatives import SymbolicZero
from jaxtyping import Array, Float

from boltzax.numerics.fusion import settle

_OFFSETS = np.arange(-2, 4)
# weights of the six nodes as polynomials of the fractional position: rows are powers u^0..u^5
_COEFFICIENTS = np.linalg.inv(np.vander(_OFFSETS.astype(float), 6, increasing=True))


def node_weights(u, order: int = 0):
    """Weights of the six nodes -2, ..., 3 for the order-th derivative at u (numpy or jax).

    Polynomials in Horner's form: as a matrix product, a batch would be many small ones.
    """
    c = np.polynomial.polynomial.polyder(_COEFFICIENTS, order)
    for column in c.T:
        weight = column[-1] + 0.0 * u
        for coefficient in column[-2::-1]:
            weight = weight * u + coefficient
        yield weight


def _combine(values, s, order):
    """Order-th derivative in s of the polynomials through the rows [n, m] about the positions s (any shape)."""
    n, m = values.shape
    i = jnp.clip(jnp.floor(s), 2, n - 4).astype(int)
    rows = jax.vmap(lambda i: jax.lax.dynamic_slice(values, (i - 2, 0), (6, m)))(i.reshape(-1))
    weights = node_weights((s - i).reshape(-1), order)
    return _kept(sum(w[:, None] * rows[:, k] for k, w in enumerate(weights)).reshape(*s.shape, m))


def _kept(x):
    """x, kept in memory by `settle` if it is long: readers then do not compute polynomials again."""
    if x.size < 100:
        return x
    halves = jnp.pad(x.reshape(-1), (0, x.size % 2)).reshape(2, -1)
    return settle(halves).reshape(-1)[: x.size].reshape(x.shape)


@partial(jax.custom_jvp, nondiff_argnums=(2,))
def _read(values, s, order):
    return _combine(values, s, order)


@partial(_read.defjvp, symbolic_zeros=True)
def _read_jvp(order, primals, tangents):
    """Every tangent of s shares one slope; rows that do not vary are not read again."""
    (values, s), (d_values, d_s) = primals, tangents
    terms = []
    if not isinstance(d_s, SymbolicZero):
        terms.append(_read(values, s, order + 1) * d_s[..., None])
    if not isinstance(d_values, SymbolicZero):
        terms.append(_combine(d_values, s, order))
    out = _read(values, s, order)
    return out, sum(terms) if terms else jnp.zeros_like(out)


class UniformTable(eqx.Module):
    """Values [n, m] of m functions at x0 + i dx, i = 0..n-1."""

    x0: Float[Array, ""]
    dx: Float[Array, ""]
    values: Float[Array, "n m"]

    def __call__(self, x: Float[Array, "*s"]) -> Float[Array, "*s m"]:
        """The m functions at x (any shape); outside the table the end polynomials are continued."""
        return _read(self.values, (x - self.x0) / self.dx, 0)

    def derivative(self, x: Float[Array, "*s"], order: int = 1) -> Float[Array, "*s m"]:
        """(d/dx)^order of the m functions at x."""
        return _read(self.values, (x - self.x0) / self.dx, order) / self.dx**order


def keep(*arrays: Float[Array, "*s"]) -> list[Float[Array, "*s"]]:
    """Two or more arrays of one shape, and their tangents, kept in memory by `settle`.

    XLA computes them once instead of once for each reader, each shifted reading of a stencil and each tangent.
    """
    return list(settle(jnp.stack(arrays)))


def keep_scalars(*values: Float[Array, "..."]) -> list[Float[Array, "..."]]:
    """The same for scalars and short vectors of any shapes, which XLA would recompute for each element of an array."""
    values = [jnp.asarray(v, float) for v in values]
    packed = settle(jnp.concatenate([v.reshape(-1) for v in values]))
    parts = jnp.split(packed, np.cumsum([v.size for v in values])[:-1])
    return [part.reshape(v.shape) for part, v in zip(parts, values, strict=True)]


def _cell_weights(first: int) -> np.ndarray:
    """Weights of the integral over [0, 1] of the polynomial through the points first .. first + 5."""
    points = np.arange(first, first + 6.0)
    return np.linalg.solve(np.vander(points, 6, increasing=True).T, 1.0 / np.arange(1.0, 7.0))


def _slope_weights(first: int) -> np.ndarray:
    """Weights of the slope at 0 of the polynomial through the points first .. first + 6."""
    points = np.arange(first, first + 7.0)
    return np.linalg.solve(np.vander(points, 7, increasing=True).T, np.eye(7)[1])


_CELL = {first: _cell_weights(first) for first in range(-4, 1)}
_SLOPE = {first: _slope_weights(first) for first in range(-6, 1)}


def _stencil(f, weights, n: int):
    """sum_j weights[j] f[..., j : j + n]."""
    return sum(w * f[..., j : j + n] for j, w in enumerate(weights))


def cell_integrals(f: Float[Array, "*s n"], dx: Float[Array, ""]) -> Float[Array, "*s n-1"]:
    """Integral of f over each cell of a uniform grid with spacing dx, from six grid values.

    f is read six times: where it is dear, let `settle` keep it first. The same holds for `slopes`.
    """
    first = [_stencil(f[..., :6], _CELL[-j], 1) for j in range(2)]
    last = [_stencil(f[..., -6:], _CELL[-j], 1) for j in range(3, 5)]
    return dx * jnp.concatenate([*first, _stencil(f, _CELL[-2], f.shape[-1] - 5), *last], axis=-1)


@lru_cache
def grid_weights(n: int) -> np.ndarray:
    """Weights [n] of the integral over n points of unit spacing: the sum of `cell_integrals`."""
    weights = np.zeros(n)
    for cell in range(n - 1):
        first = min(max(cell - 2, 0), n - 6)
        weights[first : first + 6] += _CELL[first - cell]
    return weights


def slopes(f: Float[Array, "*s n"], dx: Float[Array, ""]) -> Float[Array, "*s n"]:
    """Derivative of f on a uniform grid with spacing dx, from seven grid values."""
    first = [_stencil(f[..., :7], _SLOPE[-j], 1) for j in range(3)]
    last = [_stencil(f[..., -7:], _SLOPE[-j], 1) for j in range(4, 7)]
    return jnp.concatenate([*first, _stencil(f, _SLOPE[-3], f.shape[-1] - 6), *last], axis=-1) / dx
