"""Geometry of curved space, and the background in it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from boltzax import Cosmology
from boltzax.background import background
from boltzax.background.curvature import cosine, lift, sine


@pytest.mark.parametrize("K", [-0.7, 0.0, 0.7])
def test_sine_and_cosine(K):
    """Their derivatives in K and chi are those of closed forms; C^2 + K S^2 = 1."""
    chi = jnp.linspace(0.1, 1.2, 7)
    root = np.sqrt(complex(K if K else 1e-8))
    assert np.abs(sine(jnp.asarray(K), chi) - (np.sin(root * chi) / root).real).max() < 1e-8
    assert np.abs(cosine(jnp.asarray(K), chi) ** 2 + K * sine(jnp.asarray(K), chi) ** 2 - 1.0).max() < 1e-14
    by_K = jax.jacfwd(sine)(jnp.asarray(K), chi)
    assert np.abs(by_K - (sine(K + 1e-4, chi) - sine(K - 1e-4, chi)) / 2e-4).max() < 1e-8


def test_every_mode_exists():
    """k^2 >= 0, q^2 = k^2 + K >= 0, and nu >= 3 in closed space, for all wavenumbers from the lowest."""
    K = jnp.linspace(-2.0, 2.0, 4001)
    k2 = 0.3**2 + lift(K, 0.3)
    assert float(k2.min()) > 0.0 and float((k2 + K).min()) > -1e-12 and float((k2 - 8.0 * K).min()) > -1e-12


def test_flat_limit():
    """Omega_k = 0.0 is the flat universe; densities and curvature close."""
    flat, curved = (jax.jit(background)(Cosmology(**given)) for given in ({}, {"Omega_k": 0.0}))
    z = np.array([0.5, 3.0, 1100.0])
    assert np.abs(curved.angular_diameter_distance(z) / flat.angular_diameter_distance(z) - 1.0).max() < 1e-14
    open_ = jax.jit(background)(Cosmology(Omega_k=0.1))
    assert abs(float(open_.hubble(jnp.zeros(())) / open_.H0) - 1.0) < 1e-14
    assert float(open_.transverse_distance(3.0)) > float(open_.comoving_distance(3.0))
