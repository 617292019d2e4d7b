"""Constant tables of the line-of-sight integral: j_l(y (1 - x)) times the taper, in blocks of y.

Bessel arguments do not depend on cosmology, so the tables are built once for a grid and read by every spectrum, as
hidden arguments (`numerics.hidden`).
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from boltzax.grids import Grid
from boltzax.numerics.hidden import concretely
from boltzax.projection.bessel import DZ, spherical_bessel
from boltzax.projection.contraction import Constants
from boltzax.projection.interpolation import cardinal, mode_weights
from boltzax.projection.layout import Rectangle, chebyshev_nodes, fade, oscillation, rectangles, taper

_TARGET = 3_000_000  # entries of a block
_ROWS = 32  # the rows of a block are a multiple of this
_PIECE = 500_000  # entries that are converted to double precision at a time


class Block(NamedTuple):
    """Rows [start, stop) of the fine y, with `ells` a slice of the multipoles and `modes` one of the solved modes.

    rectangles: multipoles counted from ells.start; constants: numpy arrays, the weights of rows that fill up are zero.
    """

    start: int
    stop: int
    ells: slice
    modes: slice
    rectangles: tuple[Rectangle, ...]
    constants: Constants


def _cuts(y, x, x_step, ell, limit) -> Iterator[tuple[int, int, list[Rectangle]]]:
    """Blocks (start, stop, rectangles), each growing until it holds about _TARGET entries."""
    start = 0
    while start < len(y):
        stop, shape = start, []
        while stop < len(y) and (stop - start) * sum(r.area for r in shape) < _TARGET:
            stop = min(stop + _ROWS, len(y))
            shape = rectangles(x, x_step, ell, limit, y[start], y[stop - 1])
        yield start, stop, shape
        start = stop


def bessel_blocks(grid: Grid, limit: float) -> tuple[Block, ...]:
    """Tables for a grid; built at the first call and kept for the process."""
    arrays = (grid.y, grid.x, grid.x_weight, grid.ell, grid.y_modes[: grid.n_cmb])
    return _build(*(tuple(v.tolist()) for v in arrays), limit)


@lru_cache(maxsize=4)
def _build(y, x, x_step, ell, y_modes, limit) -> tuple[Block, ...]:
    arrays = [np.array(v) for v in (y, x, x_step, ell, y_modes)]
    return concretely(lambda: tuple(_blocks(*arrays, limit)))


def _blocks(y, x, x_step, ell, y_modes, limit) -> Iterator[Block]:
    functions = _one_dimensional(ell, y[-1])
    for start, stop, shapes in _cuts(y, x, x_step, ell, limit):
        fill = (0, -(stop - start) % _ROWS)
        rows = np.pad(y[start:stop], fill, mode="edge")
        modes, weights = mode_weights(y_modes, y[start:stop])
        onto, tables = [], []
        for r in shapes:
            nodes, matrix = _time_nodes(x[r.first : r.stop], r.chebyshev)
            onto.append(matrix)
            step = np.interp(nodes, x, x_step) / limit
            tables.append(_evaluate(functions, rows, nodes, step, r.low, r.high))
        pieces = len(rows) // _rows_of_a_piece(len(rows), sum(r.area for r in shapes))
        table = np.concatenate([v.reshape(pieces, -1) for v in tables], axis=1)
        scale = np.stack([np.ones_like(rows), rows**-2.0, np.ones_like(rows)], axis=1)
        constants = Constants(scale, np.pad(weights, (fill, (0, 0))), tuple(onto), table)
        low, high = min(r.low for r in shapes), max(r.high for r in shapes)
        shapes = tuple(r._replace(low=r.low - low, high=r.high - low) for r in shapes)
        yield Block(start, stop, slice(low, high), modes, shapes, constants)


def _time_nodes(x, chebyshev: int):
    """Nodes at which the Bessel functions are tabulated, and what sums a source at x onto them, or None."""
    if not chebyshev:
        return x, None
    nodes = chebyshev_nodes(chebyshev, x[0], x[-1])
    theta = np.arccos(np.clip((2.0 * x - x[0] - x[-1]) / (x[-1] - x[0]), -1.0, 1.0))
    return nodes, cardinal(chebyshev, theta)


def _rows_of_a_piece(rows: int, entries: int) -> int:
    """The largest divisor of the rows of a block that keeps a piece small; entries: those of a row."""
    return max(n for n in range(1, rows + 1) if rows % n == 0 and (n == 1 or n * entries <= _PIECE))


_OFFSETS = np.arange(-3, 5)
_COEFFICIENTS = np.linalg.inv(np.vander(_OFFSETS.astype(float), 8, increasing=True))
_GROUP, _ELLS = 4096, 32  # arguments and multipoles evaluated at a time


def _one_dimensional(ell, z_max):
    """Multipoles and j_l [grid, ell] at multiples of DZ, filled up to whole groups of multipoles."""
    values = np.pad(spherical_bessel(ell, z_max).T, ((0, 0), (0, _ELLS)))
    return jnp.asarray(np.pad(ell.astype(float), (0, _ELLS))), jnp.asarray(values)


def _evaluate(functions, y, x, step, low: int, high: int):
    """j_l(y (1 - x)), tapered, as float32 [y, x, ell], in groups of one shape that is compiled once.

    step [x]: time step in units of that at which one oscillation far from the turning point is given up.
    """
    y, x, step = np.broadcast_arrays(y[:, None], x, step)
    groups = [np.pad(v.ravel(), (0, -v.size % _GROUP), mode="edge").reshape(-1, _GROUP) for v in (y, x, y * step)]
    out = np.empty((*groups[0].shape, high - low), np.float32)
    for i, group in enumerate(zip(*groups, strict=True)):
        for first in range(low, high, _ELLS):
            some = np.asarray(_evaluate_group(*functions, *group, first))
            out[i, :, first - low : first - low + _ELLS] = some[:, : high - first]
    return out.reshape(-1, high - low)[: y.size].reshape(*y.shape, high - low)


@jax.jit
def _evaluate_group(ell, one_dim, y, x, step, first):
    """The same [group, _ELLS], by polynomials of degree 7; the first stencil serves all arguments near 0."""
    z = y * (1.0 - x)
    s = z / DZ
    i = jnp.maximum(jnp.floor(s).astype(int), -_OFFSETS[0])
    weights = (s - i)[:, None] ** np.arange(8) @ jnp.asarray(_COEFFICIENTS)
    ell, columns = (jax.lax.dynamic_slice_in_dim(v, first, _ELLS, v.ndim - 1) for v in (ell, one_dim))
    values = sum(weights[:, j, None] * columns[i + int(o)] for j, o in enumerate(_OFFSETS))
    kept = taper(step[:, None] * oscillation(z[:, None], ell)) * fade(x[:, None], ell)
    return (values * kept).astype(jnp.float32)
