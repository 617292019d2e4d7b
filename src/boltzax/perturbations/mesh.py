"""Prescribed step meshes, and their schedule on vector lanes.

Time is x = tau/tau_0 and wavenumber y = k tau_0: in these variables meshes are numpy constants of the Precision, no
node depends on a parameter, and steps, interpolation weights and Bessel arguments are known before tracing.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

X_REC, X_REIO = 285.0 / 14150.0, 4700.0 / 14150.0  # where recombination and reionization fall, roughly
X_START_MAX = 7e-5  # superhorizon modes start at about 1 Mpc


def visibility(x):
    """Steps per unit x for each unit of n_v, where the visibility function has its peaks."""
    rec = np.exp(-0.5 * (np.log(x / X_REC) / 0.3) ** 2) / (0.07 * X_REC)
    reio = np.exp(-0.5 * (np.log(x / X_REIO) / 0.25) ** 2) / (0.0532 * X_REIO)
    return np.sqrt(rec**2 + reio**2)


def step_density(x, y, p):
    """Steps per unit x: n_h per e-fold, n_k per radian while radiation must be resolved, more at g's peaks.

    Radiation is resolved until y x ~ p.x_stream once photons have decoupled; before that until Silk damping has
    removed the acoustic oscillation (k several times k_D ~ tau^(-3/2)). Beyond, the L-stable method damps the
    unresolved free-streaming radiation onto its slow solution.
    """
    silk = y / (p.n_silk * 2000.0) * (x / X_REC) ** 1.5
    early = 1.0 / (1.0 + (x / 0.05) ** 6) / (1.0 + silk**4)
    resolved = np.maximum(1.0 / (1.0 + (y * x / p.x_stream) ** 4), early)
    smooth = p.n_h / x * (1.0 + 2.0 * x**6)  # denser towards today, where interpolation is one-sided
    return np.sqrt(smooth**2 + (p.n_k * y * resolved) ** 2 + (p.n_v * visibility(x)) ** 2)


@lru_cache
def step_nodes(y: float, p) -> np.ndarray:
    """Step boundaries x [n + 1] of one mode, from y x = p.y_x_start to exactly 1."""
    start = min(p.y_x_start / y, X_START_MAX)
    x = np.exp(np.linspace(np.log(start), 0.0, 8001))
    density = step_density(x, y, p)
    count = np.concatenate([[0.0], np.cumsum(0.5 * (density[1:] + density[:-1]) * np.diff(x))])
    n = int(np.ceil(count[-1]))
    nodes = np.interp(np.linspace(0.0, count[-1], n + 1), count, x)
    nodes[-1] = 1.0
    return nodes


class Schedule(NamedTuple):
    """Modes laid one after another on parallel lanes; every array is [steps, lanes].

    x, h: start and length of each step in tau/tau_0; y: wavenumber k tau_0; first: a new mode begins here.
    mode: number of the mode. mode_start [modes], mode_lane [modes]: row of a mode's first step and its lane;
    mode_steps [modes].
    """

    x: np.ndarray
    h: np.ndarray
    y: np.ndarray
    first: np.ndarray
    mode: np.ndarray
    mode_start: np.ndarray
    mode_lane: np.ndarray
    mode_steps: np.ndarray


@lru_cache
def schedule(ys: tuple[float, ...], p) -> Schedule:
    """Pack the meshes of wavenumbers ys into lanes of equal length, longest first."""
    nodes = [step_nodes(y, p) for y in ys]
    steps = np.array([len(n) - 1 for n in nodes])
    n_lanes = min(p.lanes, len(ys))
    used = np.zeros(n_lanes, int)
    start, lane = np.zeros(len(ys), int), np.zeros(len(ys), int)
    for i in np.argsort(-steps, kind="stable"):
        lane[i] = np.argmin(used)
        start[i] = used[lane[i]]
        used[lane[i]] += steps[i]
    rows = -(-used.max() // p.block) * p.block
    # idle steps at a lane's end repeat a harmless step of the last mode
    x, h, y = np.full((rows, n_lanes), 0.5), np.full((rows, n_lanes), 1e-6), np.ones((rows, n_lanes))
    first, mode = np.zeros((rows, n_lanes), bool), np.zeros((rows, n_lanes), int)
    for i, n in enumerate(nodes):
        rows_i = slice(start[i], start[i] + steps[i])
        x[rows_i, lane[i]], h[rows_i, lane[i]], y[rows_i, lane[i]] = n[:-1], np.diff(n), ys[i]
        first[start[i], lane[i]], mode[rows_i, lane[i]] = True, i
    return Schedule(x, h, y, first, mode, start, lane, steps)
