"""Spherical Bessel functions: against scipy, sum and integral identities, and the tables of the line of sight."""

import numpy as np
import pytest
from scipy.special import spherical_jn

from boltzax.grids import make_grid
from boltzax.precision import Outputs, Precision
from boltzax.projection.bessel import DZ, spherical_bessel
from boltzax.projection.layout import chebyshev_nodes, fade, oscillation, taper
from boltzax.projection.table import bessel_blocks

ELLS = np.array([0, 1, 2, 3, 10, 100, 1000, 3000])


def test_against_scipy():
    """Absolute errors everywhere, relative ones in the dark below the turning point."""
    values = spherical_bessel(ELLS, 5000.0)
    z = np.arange(values.shape[1]) * DZ
    rows = np.unique(np.concatenate([np.arange(1, 400), np.arange(400, len(z), 37)]))
    for l, row in zip(ELLS, values, strict=True):
        exact = spherical_jn(l, z[rows])
        error = np.abs(row[rows] - exact)
        assert error.max() < 2e-13, l
        dark = (z[rows] < 0.8 * l) & (np.abs(exact) > 1e-280)
        if dark.any():
            assert (error[dark] / np.abs(exact[dark])).max() < 1e-10, l
    assert np.abs(values[0, 0] - 1.0) < 1e-15
    assert np.abs(values[1:, 0]).max() < 1e-8


def test_sum_rule():
    """sum (2l + 1) j_l(z)^2 = 1 (DLMF 10.60.12)."""
    ells = np.arange(160)
    values = spherical_bessel(ells, 100.0)
    total = ((2 * ells + 1)[:, None] * values**2).sum(0)
    assert np.abs(total - 1.0).max() < 1e-13


def test_logarithmic_integral():
    """int j_l^2 dlnz = 1 / (2 l (l + 1)): the Sachs-Wolfe plateau."""
    ells, top = np.array([2, 5, 10, 50]), 4000.0
    values = spherical_bessel(ells, top)
    z = np.arange(values.shape[1]) * DZ
    total = (values[:, 1:] ** 2 / z[1:]).sum(1) * DZ
    tail = 0.25 / z[-1] ** 2  # the mean of sin^2 / z^3 beyond the grid
    assert np.abs((total + tail) * 2.0 * ells * (ells + 1.0) - 1.0).max() < 1e-5


def nodes(rectangle, x):
    return chebyshev_nodes(rectangle.chebyshev, *x[[rectangle.first, rectangle.stop - 1]])


@pytest.mark.parametrize("l_max", [200, 1200])
def test_tables(l_max):
    """Random entries of every rectangle against scipy, tapered; multipoles left out of a block are dark there."""
    p = Precision()
    grid = make_grid(p, Outputs(l_max=l_max, lensing=False, k_max=0.5))
    rng, stop = np.random.default_rng(0), 0
    for block in bessel_blocks(grid, p.taper):
        assert block.start == stop
        stop = block.stop
        table, ell = block.constants.table, grid.ell[block.ells]
        rows = block.constants.weights.shape[0] // len(table)
        ends = np.cumsum([0, *(rows * r.area for r in block.rectangles)])
        for r, first, last in zip(block.rectangles, ends, ends[1:], strict=False):
            x = nodes(r, grid.x) if r.chebyshev else grid.x[r.first : r.stop]
            shape = (len(table), rows, len(x), r.high - r.low)
            found = table[:, first:last].reshape(shape)
            assert found.dtype == np.float32
            piece, row, i, l = (rng.integers(0, n, 60) for n in shape)
            y = grid.y[np.minimum(block.start + piece * rows + row, block.stop - 1)]
            z, order = y * (1.0 - x[i]), ell[r.low + l]
            radians = y * np.interp(x[i], grid.x, grid.x_weight) * np.asarray(oscillation(z, order)) / p.taper
            exact = spherical_jn(order, z) * np.asarray(taper(radians) * fade(x[i], order))
            assert np.abs(found[piece, row, i, l] - exact).max() < 2e-8
        if block.ells.stop < len(grid.ell):
            assert abs(spherical_jn(grid.ell[block.ells.stop], grid.y[block.stop - 1])) < 1e-6
    assert stop == len(grid.y)
