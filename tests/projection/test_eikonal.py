"""Radial functions of curved space: exact recurrence against the map of spherical Bessel functions."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import spherical_jn

from boltzax.background.curvature import sine
from boltzax.projection import eikonal, hyperspherical

CHI = jnp.linspace(0.01, 1.05, 60)


@pytest.mark.parametrize("K, nu, l, bound", [(1.0, 100.0, 50, 7e-5), (-1.0, 100.0, 75, 3e-5), (0.0, 50.0, 20, 1e-12)])
def test_map_against_recurrence(K, nu, l, bound):
    K, b2 = jnp.asarray(K), jnp.full(CHI.shape, l * (l + 1.0) / nu**2)
    exact = np.asarray(hyperspherical.sums(K, jnp.array([nu]), CHI, l, lambda phi: phi[0]))[l]
    Z = eikonal.to_flat(K, b2, CHI)
    assert np.abs(eikonal.to_curved(K, b2, Z) - CHI).max() < 1e-12
    z, slope = nu * np.asarray(Z), np.asarray(eikonal.slope(K, b2, CHI, Z))
    mapped = z * spherical_jn(l, z) / (nu * np.asarray(sine(K, CHI)) * np.sqrt(slope))
    assert np.abs(mapped - exact).max() < bound * np.abs(exact).max()
