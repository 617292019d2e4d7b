"""Stages that are fed: electrons of another code in boltzax's thermal history."""

import numpy as np
import pytest
from oracle import feeding


def test_electrons_of_another_code(solved):
    """Its own electrons change nothing; 1 % more at z > 20 are 1 % of opacity, and of optical depth beyond."""
    th = solved("massless").thermodynamics
    ln_a = -np.log1p(np.array([2e4, 3000.0, 1100.0, 700.0, 100.0, 10.0, 3.0]))
    own = lambda z: np.asarray(th.at(-np.log1p(z)).x_e)
    before, same = th.at(ln_a), feeding.with_electrons(th, own).at(ln_a)
    for name in before._fields:
        np.testing.assert_allclose(getattr(same, name), getattr(before, name), rtol=1e-7, atol=2e-12, err_msg=name)

    more = feeding.with_electrons(th, lambda z: own(z) * (1.0 + 0.01 / (1.0 + np.exp(20.0 - z)))).at(ln_a)
    factor = np.array([1.0, 1.01, 1.01, 1.01, 1.01, 1.0, 1.0])
    np.testing.assert_allclose(more.kappa_prime / before.kappa_prime, factor, atol=2e-6)
    np.testing.assert_allclose(more.x_e / before.x_e, factor, atol=2e-6)
    late = float(th.at(-np.log1p(20.0)).kappa)
    gain = 0.01 * (np.asarray(before.kappa)[1:5] - late)
    np.testing.assert_allclose((more.kappa - before.kappa)[1:5], gain, rtol=2e-3)
    assert more.g[2] == pytest.approx(float(more.kappa_prime[2] * np.exp(-more.kappa[2])), rel=1e-12)
