"""Tensor modes on the sky: sources, radial functions, angular spectra.

Zaldarriaga & Seljak (1997), PRD 55, 1830, eqs. (30)-(33), with z = k (tau_0 - tau):

    Delta_T = sqrt((l+2)!/(l-2)!) int S_T j_l / z^2 dtau,               S_T = -h' exp(-kappa) + g Psi,
    Delta_E = int S_P [-j_l + j_l'' + 2 j_l / z^2 + 4 j_l' / z] dtau,   S_P = -g Psi,
    Delta_B = int S_P [2 j_l' + 4 j_l / z] dtau.

The time nodes of a wavenumber are the ends of its integration steps: the wave and the radial functions together
oscillate twice as fast as either, and these nodes follow the wave. The steps are a smooth function of their number, so
that the sum over them is as good as any rule; sources at a fixed step are interpolated in wavenumber.
"""

from functools import lru_cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from boltzax.grids import X_FIRST, tensor_grid
from boltzax.numerics.hidden import hidden
from boltzax.numerics.table import UniformTable, grid_weights
from boltzax.perturbations.tensors import RESOLVED, TensorSources, integrate, meshes
from boltzax.projection.bessel import DZ, spherical_bessel
from boltzax.projection.contraction import Constants, project
from boltzax.projection.interpolation import mode_weights
from boltzax.projection.layout import Rectangle
from boltzax.projection.line_of_sight import every_ell

_ROWS, _PIECES = 128, 8  # wavenumbers of a block, and parts of it that are summed one after the other
_NOTHING = 1e-6  # weight below which a step is left out
_TAPER, _WIDTH = 0.8, 0.12  # in units of RESOLVED p.x_stream: where the wave is left out, and how gradually


class _Block(NamedTuple):
    """Wavenumbers [start, stop) of the fine grid, the modes they are interpolated from, and the tables.

    intensity: j_l / z^2; polarisation: radial functions of E and B of one multipole after the other. Both times the
    quadrature weight dx of the step.
    """

    start: int
    stop: int
    modes: slice
    intensity: tuple[Rectangle, Constants]
    polarisation: tuple[Rectangle, Constants]


def first_step(p) -> int:
    """The first step end that any mode needs."""
    x, _ = meshes(tuple(tensor_grid(p).y_modes), p)
    return int((x < X_FIRST).sum(1).min())


def radial_functions(ell: np.ndarray, z_max: float) -> tuple[np.ndarray, np.ndarray]:
    """z [n] and the radial functions of T, E, B [n, 3, ell]; of T without sqrt((l+2)!/(l-2)!)."""
    pairs = np.unique(np.concatenate([ell, ell + 1]))
    both = spherical_bessel(pairs, z_max)
    z = np.maximum(np.arange(both.shape[1]) * DZ, 0.1 * DZ)
    j, above = both[np.searchsorted(pairs, ell)], both[np.searchsorted(pairs, ell + 1)]
    l = ell[:, None]
    slope = l * j / z - above  # DLMF 10.51.2
    t = j / z**2
    e = -2.0 * j + (l * (l + 1.0) + 2.0) * t + 2.0 * slope / z
    b = 2.0 * slope + 4.0 * j / z
    out = np.stack([t, e, b])
    out[:, :, 0] = np.where(ell == 2, np.array([[1.0 / 15.0], [4.0 / 5.0], [0.0]]), 0.0)
    z[0] = 0.0  # the limits there are known
    return z, np.moveaxis(out, -1, 0)


@lru_cache(maxsize=4)
def _blocks(p) -> tuple[_Block, ...]:
    from scipy.interpolate import make_interp_spline  # here: it takes long to import

    grid, first = tensor_grid(p), first_step(p)
    z, functions = radial_functions(grid.ell, grid.y[-1])
    radial = make_interp_spline(z, functions.reshape(len(z), -1), k=7)
    out = []
    for start in range(0, len(grid.y), _ROWS):
        stop = min(start + _ROWS, len(grid.y))
        fill = (0, _ROWS - (stop - start))
        y = np.pad(grid.y[start:stop], fill, mode="edge")
        modes, weights = mode_weights(grid.y_modes, grid.y[start:stop])
        weights = np.pad(weights, (fill, (0, 0)))
        x, slope = meshes(tuple(y), p)
        kept = 0.5 * (1.0 - np.tanh((y[:, None] * x / (RESOLVED * p.x_stream) - _TAPER) / _WIDTH))
        end = int(np.flatnonzero(kept.max(0) > _NOTHING)[-1]) + 1
        dx = (slope * grid_weights(x.shape[1]) * kept)[:, first:end]
        last = y[-1] * (1.0 - X_FIRST)
        high = int(np.searchsorted(grid.ell, last + 3.0 * last ** (1 / 3) + 4.0))  # beyond, all is dark
        values = radial(np.maximum(y[:, None] * (1.0 - x[:, first:end]), 0.0)).reshape(*dx.shape, 3, -1)
        values = (values[..., :high] * dx[..., None, None]).astype(np.float32)
        both = np.moveaxis(values[:, :, 1:], 2, 3).reshape(*dx.shape, 2 * high)
        out.append(_Block(start, stop, modes, _table(values[:, :, 0], weights), _table(both, weights)))
    return tuple(out)


def _table(values, weights):
    """Radial functions [y, steps, ell] as one rectangle of `contraction.project`."""
    constants = Constants(np.ones((_ROWS, 1)), weights, (None,), values.reshape(_PIECES, -1))
    return Rectangle(0, values.shape[1], 0, values.shape[2], 0), constants


def tensor_sources(p, background, thermo, history: UniformTable) -> TensorSources:
    """Solve the tensor modes. history: over ln(tau/tau_0) of ln a, ln aH, ln kappa', ..."""
    ys, first = tuple(tensor_grid(p).y_modes), first_step(p)
    modes = integrate(p, background, history, ys)
    x = meshes(ys, p)[0][:, first:]
    kappa = thermo.at(history.values[:, 0]).kappa
    optical = UniformTable(history.x0, history.dx, jnp.stack([history.values[:, 2], kappa], axis=1))
    ln_kappa_prime, kappa = jnp.moveaxis(optical(jnp.log(x)), -1, 0)
    scattered = jnp.exp(ln_kappa_prime - kappa) * modes.psi[:, first - 1 :]
    return TensorSources(scattered - jnp.exp(-kappa) * modes.h_prime[:, first - 1 :], -scattered)


def tensor_spectra(p, tau_0, sources: TensorSources, power) -> dict[str, Float[Array, " l"]]:
    """Dimensionless C_l of TT, TE, EE, BB at l = 0..p.l_max_tensors. power: P_T(k), k [1/Mpc]."""
    grid = tensor_grid(p)
    n_ell = len(grid.ell)
    temperature, polarisation = [], []
    for block in _blocks(p):
        for source, out, n, (shape, constants) in (
            (sources.S_T, temperature, n_ell, block.intensity),
            (sources.S_P, polarisation, 2 * n_ell, block.polarisation),
        ):
            columns = tau_0 * source[block.modes, None]
            rows = project((shape,), n, columns, jax.tree.map(hidden, constants))
            out.append(rows[: block.stop - block.start, 0])
    t = jnp.concatenate(temperature) * np.sqrt(_factorials(grid.ell))
    e, b = jnp.moveaxis(jnp.concatenate(polarisation).reshape(len(t), n_ell, 2), -1, 0)
    weight = (jnp.asarray(grid.y_weight) * power(jnp.asarray(grid.y) / tau_0))[:, None] * (np.pi / 4.0)
    sums = {"tt": t * t, "te": -t * e, "ee": e * e, "bb": b * b}
    return {name: every_ell(grid.ell, (weight * v).sum(0)) for name, v in sums.items()}


def _factorials(l):
    """(l+2)!/(l-2)!"""
    return (l + 2.0) * (l + 1.0) * l * (l - 1.0)
