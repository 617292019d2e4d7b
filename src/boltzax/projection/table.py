"""Constant tables j_l(y (1 - x)) of the line-of-sight integral, in blocks of y.

Bessel arguments do not depend on cosmology, so the tables are built once for a grid and read by every spectrum. They
are held in `jax.Ref`s: a traced function receives a Ref as a hidden argument, where a closed-over array of this size
would be copied into every compiled program and into the compilation cache.
"""

from functools import lru_cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from boltzax.grids import Grid, time_taper
from boltzax.numerics.hidden import concretely
from boltzax.projection.bessel import DZ, spherical_bessel

_NEGLIGIBLE = 1e-4  # a node whose taper is below this for all of a block is left out
_TARGET = 6_000_000  # entries of a block


class Block(NamedTuple):
    """One block: rows [start, stop) of the fine y, the nodes x that matter to them, the first n_ell multipoles.

    bessel: Ref of float32 [y, x, ell].
    """

    start: int
    stop: int
    nodes: np.ndarray
    n_ell: int
    bessel: jax.Ref


def _edges(y, x_step, ell, taper):
    """Blocks (start, stop, nodes, n_ell), each growing until it holds about _TARGET entries."""
    out, start = [], 0
    while start < len(y):
        nodes = np.flatnonzero(time_taper(taper, y[start : start + 1], x_step)[0] > _NEGLIGIBLE)
        stop = start + 1
        while stop < len(y) and (stop - start) * len(nodes) * _reach(y, ell, stop) < _TARGET:
            stop += 1
        out.append((start, stop, nodes, _reach(y, ell, stop)))
        start = stop
    return out


def _reach(y, ell, stop: int) -> int:
    """Number of multipoles that wavenumbers below y[stop] can reach."""
    top = y[min(stop, len(y) - 1)]
    return int(np.sum(ell < top + 3.0 * top ** (1 / 3) + 4.0))


def bessel_blocks(grid: Grid, taper: float) -> tuple[Block, ...]:
    """Tables for a grid; built at the first call and kept for the process."""
    return _build(*(tuple(v.tolist()) for v in (grid.y, grid.x, grid.x_weight, grid.ell)), taper)


@lru_cache(maxsize=4)
def _build(y, x, x_step, ell, taper) -> tuple[Block, ...]:
    arrays = [np.array(v) for v in (y, x, x_step, ell)]
    return concretely(lambda: _evaluate_blocks(*arrays, taper))


def _evaluate_blocks(y, x, x_step, ell, taper) -> tuple[Block, ...]:
    one_dim = jnp.asarray(np.ascontiguousarray(spherical_bessel(ell, y[-1]).T))
    blocks = []
    for start, stop, nodes, n_ell in _edges(y, x_step, ell, taper):
        z = jnp.asarray(y[start:stop, None] * (1.0 - x[nodes]))
        blocks.append(Block(start, stop, nodes, n_ell, jax.new_ref(_evaluate(one_dim[:, :n_ell], z))))
    return tuple(blocks)


_OFFSETS = np.arange(-3, 5)
_COEFFICIENTS = np.linalg.inv(np.vander(_OFFSETS.astype(float), 8, increasing=True))


@jax.jit
def _evaluate(one_dim, z):
    """j_l(z) [y, x, ell] from its values [grid, ell] at multiples of DZ; reflected grid points serve z near 0."""
    s = z / DZ
    i = jnp.floor(s).astype(int)
    weights = (s - i)[..., None] ** np.arange(8) @ jnp.asarray(_COEFFICIENTS)
    i = jnp.maximum(i, 3)
    weights = jnp.where(
        (s < 3.0)[..., None], (s - 3.0)[..., None] ** np.arange(8) @ jnp.asarray(_COEFFICIENTS), weights
    )

    def row(args):
        i, w = args
        return sum(w[:, j, None] * one_dim[i + int(o)] for j, o in enumerate(_OFFSETS)).astype(jnp.float32)

    return jax.lax.map(row, (i, weights))
