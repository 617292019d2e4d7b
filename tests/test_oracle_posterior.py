"""A chain against a published table, and the polynomial through its ln posterior."""

import numpy as np
import pytest
from oracle import posterior

from boltzax.inference.chains import from_draws


def skewed(draws):
    """A chain of two parameters, n_s skewed, that depend on each other, and what it is drawn from."""
    log_density = lambda u, v: -0.5 * (u**2 + v**2) + 0.03 * u**3 + 0.05 * u * v**2
    rng = np.random.default_rng(3)
    u, v = rng.standard_normal((2, 40 * draws))
    keep = rng.uniform(size=u.size) < np.exp(np.minimum(log_density(u, v) + 0.5 * (u**2 + v**2), 1.0) - 1.0)
    u, v = u[keep][:draws], v[keep][:draws]
    x = np.stack([0.96 + 0.004 * u, 0.12 + 0.001 * (v - 0.5 * u)], axis=1)
    chain = from_draws(("n_s", "omega_cdm"), x[None], {}, log_density(u, v)[None], name="NUTS")
    grid = np.linspace(-4.5, 4.5, 901)
    return chain, np.exp(log_density(*np.meshgrid(grid, grid, indexing="ij"))), grid


def test_polynomial_has_no_noise_of_the_chain():
    chain, density, grid = skewed(300)
    smooth, missed = posterior.continued(chain)
    along = density.sum(axis=1)
    mean = np.average(grid, weights=along)
    width = np.sqrt(np.average((grid - mean) ** 2, weights=along))
    assert missed < 1e-10
    assert smooth.mean("n_s") == pytest.approx(0.96 + 0.004 * mean, abs=0.02 * 0.004)
    assert smooth.std("n_s") == pytest.approx(0.004 * width, rel=0.02)
    assert abs(chain.std("n_s") / smooth.std("n_s") - 1.0) > 0.05  # the chain itself is further off: 0.09
