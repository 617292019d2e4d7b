"""Interpolation from the solved modes."""

import numpy as np

import boltzax
from boltzax.grids import make_grid
from boltzax.projection.interpolation import cardinal, mode_weights


def test_fine_wavenumbers_from_modes():
    """An acoustic oscillation with Silk damping, from the modes to the wavenumbers of the C_l integral."""
    grid = make_grid(boltzax.Precision(), boltzax.Outputs())
    f = lambda y: np.cos(0.0103 * y) * np.exp(-((y / 1500.0) ** 2)) / (1.0 + (y / 150.0) ** 2)
    modes, weights = mode_weights(grid.y_modes[: grid.n_cmb], grid.y)
    found = weights @ f(grid.y_modes[: grid.n_cmb][modes])
    assert np.abs(found - f(grid.y)).max() < 1.6e-7


def test_cardinal_functions():
    """Exact for a polynomial in cos(theta) of degree n - 1, and at the nodes themselves."""
    n, theta = 12, np.linspace(0.05, 3.1, 40)
    nodes = (np.arange(n) + 0.5) * np.pi / n
    polynomial = np.polynomial.Chebyshev(np.random.default_rng(0).normal(size=n))
    found = cardinal(n, theta) @ polynomial(np.cos(nodes))
    np.testing.assert_allclose(found, polynomial(np.cos(theta)), rtol=0, atol=1e-13)
    np.testing.assert_allclose(cardinal(n, nodes), np.eye(n), rtol=0, atol=1e-12)
