"""Every discretisation of the pipeline: static numpy arrays that follow from Precision and Outputs alone.

With time as x = tau/tau_0 and wavenumber as y = k tau_0, Bessel arguments z = y (1 - x), steps and interpolation
weights do not depend on cosmology.
"""

import math
from dataclasses import replace
from functools import lru_cache, reduce
from operator import mul
from typing import NamedTuple

import numpy as np

from boltzax.perturbations.mesh import Schedule, schedule, step_nodes

TAU_0 = 14150.0  # Mpc, converts lengths of the fiducial universe into node spacings
X_FIRST = 130.0 / TAU_0  # before this no photon scattered last, in any cosmology near ours
# l_max that a Precision is made for, with its largest unlensed l and y_max; beyond, settings are scaled
_L_MAX, _L_CMB, _Y_CMB = 2500, 4000, 6300.0
_POINTS = 8  # of the interpolation between steps


class Interpolation(NamedTuple):
    """Steps to time nodes: index into (steps * lanes), weights of the value and of its slope d/dx.

    All [modes, nodes, points].
    """

    index: np.ndarray
    weight: np.ndarray
    slope: np.ndarray


class Grid(NamedTuple):
    """All nodes and weights.

    y_modes: solved wavenumbers, the first n_cmb Chebyshev; smooth_modes: those of them, not crowded, between which
    matter and potentials are interpolated; x, x_weight: time nodes of the line of sight; x_late: matter nodes,
    uniform; y, y_weight: fine wavenumbers of the C_l integral (weight of d ln y); ell: solved multipoles; ell_lensing:
    the same and those beyond at which only the lensing potential is needed; plan: the integrator's schedule.
    """

    y_modes: np.ndarray
    n_cmb: int
    smooth_modes: np.ndarray
    x: np.ndarray
    x_weight: np.ndarray
    x_late: np.ndarray
    y: np.ndarray
    y_weight: np.ndarray
    ell: np.ndarray
    ell_lensing: np.ndarray
    plan: Schedule
    line_of_sight: Interpolation
    late: Interpolation


@lru_cache(maxsize=8)
def make_grid(p, outputs) -> Grid:
    """The grid of a Precision and Outputs."""
    l_max = unlensed_l_max(p, outputs)
    # at high l the lensed power comes from potentials of L up to l + 3000
    l_max_pp = max(l_max, p.l_max_pp + max(0, outputs.l_max - _L_MAX)) if outputs.lensing else l_max
    ell = multipoles(p, l_max)
    y_max = max(p.y_max_over_l * l_max, l_max + p.y_beyond_l)
    chebyshev = _chebyshev_modes(_chebyshev_count(p, y_max), p.y_min, y_max)
    y_top = outputs.k_max * TAU_0 * 1.1
    y_modes = np.concatenate([chebyshev, _modes_above(y_max, y_top, 1.0 / p.k_per_efold)])
    x, x_weight = _time_nodes(p, y_max)
    x_late = np.linspace(0.15, 1.0, 52)
    y, y_weight = _fine_wavenumbers(p, y_max)
    p = replace(p, n_silk=p.n_silk * max(1.0, l_max / _L_CMB))  # what the largest l sees is resolved until it is damped
    plan = schedule(tuple(y_modes), p)
    return Grid(
        y_modes,
        len(chebyshev),
        _uncrowded(y_modes),
        x,
        x_weight,
        x_late,
        y,
        y_weight,
        ell,
        np.concatenate([ell, np.arange(l_max, l_max_pp, 4 * p.l_step)[1:], [l_max_pp] * (l_max_pp > l_max)]),
        plan,
        _interpolation(y_modes, x, plan, p),
        _interpolation(y_modes, x_late, plan, p),
    )


class TensorGrid(NamedTuple):
    """Nodes of tensor modes, named as in `Grid`."""

    y_modes: np.ndarray
    y: np.ndarray
    y_weight: np.ndarray
    ell: np.ndarray


@lru_cache(maxsize=8)
def tensor_grid(p) -> TensorGrid:
    """The grid of tensor modes of a Precision.

    C_l feels waves up to several l: shorter ones have decayed by recombination, but its thickness has averaged out
    little of what they leave.
    """
    y_max = 3.0 * p.l_max_tensors
    y_modes = _chebyshev_modes(p.n_k_tensors, p.y_min, y_max)
    return TensorGrid(y_modes, *_fine_wavenumbers(p, y_max), multipoles(p, p.l_max_tensors))


def unlensed_l_max(p, outputs) -> int:
    """Largest multipole of the unlensed spectra: lensing to l_max mixes in a margin above it.

    Without lensing two steps more, because the spline in l is least accurate at its end.
    """
    return outputs.l_max + (p.l_margin if outputs.lensing else 2 * p.l_step)


def multipoles(p, l_max: int) -> np.ndarray:
    """Solved multipoles: all up to l ~ 1/growth, then steps growing to p.l_step."""
    ells = [2]
    while ells[-1] < l_max:
        l = ells[-1]
        ells.append(l + max(1, min(int(l * p.l_growth), p.l_step)))
    ells[-1] = l_max
    return np.array(ells)


def mode_coordinate(y, xp=np):
    """Coordinate in which the modes are laid out, logarithmic at small scales.

    Near y ~ 100 it is stretched: the quadrupole at reionization has free-streamed and oscillates in k with a period of
    2 pi / (tau_reio - tau_rec), 20 in y, which the low multipoles of TE and EE feel.
    """
    return xp.arcsinh(y / 140.0) + 1.2 * xp.arctan(y / 120.0)


def _mode_wavenumbers(u):
    """Inverse of `mode_coordinate`."""
    y = np.exp(np.linspace(np.log(1e-3), np.log(1e6), 200001))
    return np.interp(u, mode_coordinate(y), y)


def _chebyshev_modes(n, y_min, y_max):
    nodes = np.cos(np.pi * (np.arange(n) + 0.5) / n)[::-1]
    lo, hi = mode_coordinate(y_min), mode_coordinate(y_max)
    return _mode_wavenumbers(lo + (hi - lo) * (nodes + 1.0) / 2.0)


def _chebyshev_count(p, y_max):
    """p.n_k_cmb modes to y = 6300, as l_max = 2500 wants, or to less; to more, so many that they stay as dense at 3500.

    There acoustic oscillations, of period 600 in y, are fastest beside the spacing while they still matter.
    """
    hi, top, at = (mode_coordinate(y) for y in (max(y_max, _Y_CMB), _Y_CMB, 3500.0))
    return round(p.n_k_cmb * math.sqrt((hi - at) / (top - at)))


def _modes_above(y_max, y_top, widest):
    """Modes from y_max to y_top or a little beyond, at most `widest` apart in ln y.

    They resolve the acoustic oscillations of P(k), of period 2 pi tau_0 / r_s ~ 600 in y, as far as these are not
    damped: beyond y ~ 5000 they are less than 1e-3 of it.
    """
    modes, y = [], y_max
    while y < y_top:
        y = y * np.exp(min(110.0 / y * np.exp(min(y / 5800.0, 3.0) ** 2), widest))
        modes.append(y)
    return np.array(modes)


def _uncrowded(y, gap=0.025):
    """Indices of modes, those of the upper half at least `gap` apart in the interpolation coordinate.

    Chebyshev nodes crowd at their end; a local polynomial over the step from there to the wide spacing beyond is bad.
    """
    u = mode_coordinate(y)
    keep = [len(y) - 1]
    for i in range(len(y) - 2, -1, -1):
        if i < len(y) // 2 or u[keep[-1]] - u[i] >= gap:
            keep.append(i)
    return np.array(keep[::-1])


def _nodes_of_density(density, lo, hi, n_fine=400001):
    """Midpoint nodes and weights of a rule whose node density is `density`, on [lo, hi]."""
    t = np.exp(np.linspace(np.log(lo), np.log(hi), n_fine))
    d = density(t)
    count = np.concatenate([[0.0], np.cumsum(0.5 * (d[1:] + d[:-1]) * np.diff(t))])
    n = int(np.ceil(count[-1]))
    nodes = np.interp((np.arange(n) + 0.5) * count[-1] / n, count, t)
    return nodes, count[-1] / n / density(nodes)


def _time_density(p, y_max, x):
    """Nodes per unit x: fine through recombination, growing to late steps, fine again towards the observer."""
    dtau_rec = min(p.rec_radians * TAU_0 / y_max, 4.0)
    late = 1.0 / p.dtau_late + 1.0 / (p.chi_step * (TAU_0 * (1.0 - x) + 30.0))
    return TAU_0 * (late + (1.0 / dtau_rec - 1.0 / p.dtau_late) / (1.0 + (x * TAU_0 / 600.0) ** 3))


def _time_nodes(p, y_max):
    return _nodes_of_density(lambda x: _time_density(p, y_max, x), X_FIRST, 1.0)


def _fine_wavenumbers(p, y_max):
    """Fine y with spacing growing smoothly from dy_min to dy_max; weights of d ln y."""
    spacing = lambda y: p.dy_min + (p.dy_max - p.dy_min) * y**2 / (y**2 + 42.0**2)
    y, w = _nodes_of_density(lambda y: 1.0 / spacing(y), p.y_min * 1.001, y_max * 0.9995)
    return y, w / y


def _interpolation(ys, x, plan: Schedule, p) -> Interpolation:
    """Polynomial interpolation from the ends of a mode's steps to nodes x."""
    offsets = np.arange(_POINTS)
    index, weight, slope = [], [], []
    for i, y in enumerate(ys):
        ends = step_nodes(y, p)[1:]
        count = np.interp(x, ends, np.arange(len(ends)))
        first = np.clip(np.floor(count).astype(int) - _POINTS // 2 + 1, 0, len(ends) - _POINTS)
        steps = first[:, None] + offsets
        index.append((plan.mode_start[i] + steps) * plan.x.shape[1] + plan.mode_lane[i])
        weight.append(lagrange_weights(ends[steps], x))
        slope.append(lagrange_slopes(ends[steps], x))
    return Interpolation(np.array(index, np.int32), np.array(weight), np.array(slope))


def lagrange_weights(nodes, x, xp=np):
    """Weights [..., n] of polynomial interpolation at x [...] from nodes [..., n].

    Products are written out: tangents of jnp.prod came out as 1e66 in some compiled programs.
    """
    near = [nodes[..., m] for m in range(nodes.shape[-1])]
    weight = lambda j: reduce(mul, ((x - v) / (near[j] - v) for m, v in enumerate(near) if m != j))
    return xp.stack([weight(j) for j in range(len(near))], axis=-1)


def lagrange_slopes(nodes, x):
    """Weights [..., n] of the slope at x [...] of the polynomial through values at nodes [..., n]."""
    n = nodes.shape[-1]
    out = np.zeros((*x.shape, n))
    for j in range(n):
        for m in set(range(n)) - {j}:
            near = nodes[..., [i for i in range(n) if i not in (j, m)]]
            rest = np.prod((x[..., None] - near) / (nodes[..., j, None] - near), axis=-1)
            out[..., j] += rest / (nodes[..., j] - nodes[..., m])
    return out
