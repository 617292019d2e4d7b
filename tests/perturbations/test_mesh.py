"""Step meshes and their packing on lanes."""

import numpy as np
import pytest

from boltzax.perturbations.mesh import schedule, step_density, step_nodes
from boltzax.precision import Precision

YS = tuple(np.geomspace(0.28, 1e5, 130))


@pytest.mark.parametrize("y", YS[::13])
def test_mesh_of_one_mode(y):
    """From k tau = y_x_start (or 1 Mpc) to exactly today, with the density asked for."""
    p = Precision()
    x = step_nodes(y, p)
    assert x[-1] == 1.0
    assert np.isclose(x[0], min(p.y_x_start / y, 7e-5), rtol=1e-12)
    h = np.diff(x)
    assert np.all(h > 0.0)
    assert np.abs(h * step_density(np.sqrt(x[1:] * x[:-1]), y, p) - 1.0).max() < 0.1
    double = step_nodes(y, Precision(n_h=2 * p.n_h, n_k=2 * p.n_k, n_v=2 * p.n_v))
    assert len(double) - 1 in (2 * len(h), 2 * len(h) - 1)


@pytest.mark.parametrize("lanes", [1, 7, 96, 500])
def test_schedule(lanes):
    """Every mode runs whole on one lane, no two share a place, and idle places are harmless."""
    p = Precision(lanes=lanes)
    plan = schedule(YS, p)
    owner = np.full(plan.x.shape, -1)
    for i, y in enumerate(YS):
        nodes, lane = step_nodes(y, p), plan.mode_lane[i]
        rows = plan.mode_start[i] + np.arange(plan.mode_steps[i])
        assert np.all(owner[rows, lane] == -1)
        owner[rows, lane] = i
        assert np.array_equal(plan.x[rows, lane], nodes[:-1])
        assert np.array_equal(plan.h[rows, lane], np.diff(nodes))
        assert np.all(plan.y[rows, lane] == y)
        assert np.array_equal(np.flatnonzero(plan.first[rows, lane]), [0])
    idle = owner == -1
    assert plan.first.sum() == len(YS)
    assert np.all((plan.h[idle] > 0.0) & (plan.x[idle] + plan.h[idle] <= 1.0))
    assert plan.x.shape[0] % p.block == 0
    if lanes < len(YS) // 2:
        assert idle.mean() < 0.25
