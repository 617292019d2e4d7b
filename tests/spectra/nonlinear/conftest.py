"""A linear spectrum in closed form, for what must hold of any."""

import jax.numpy as jnp
import numpy as np
import pytest

from boltzax.background import background
from boltzax.spectra.nonlinear.linear import LinearPower, epoch
from boltzax.spectra.nonlinear.wiggles import smooth_shape

SOLVED = 300


@pytest.fixture(scope="session")
def toy():
    """toy(cosmo, z, amplitude=..., wiggle=...): a smooth spectrum with the shape of cosmo, and the universe at z."""

    def make(cosmo, z, amplitude=1.0, wiggle=0.0, neutrinos=True):
        universe = epoch(background(cosmo), cosmo, 1.0 / (1.0 + jnp.asarray(z, float)))
        k = jnp.asarray(np.exp(np.linspace(np.log(2e-5), np.log(2e5), 600)))
        shape = smooth_shape(k, universe) * (1.0 + wiggle * jnp.sin(150.0 * k) * jnp.exp(-((k / 0.2) ** 2)))
        m = amplitude * 4e6 * shape / (1.0 + z) ** 2
        cb = m * (1.0 + 2.0 * universe.f_nu * k**2 / (k**2 + 0.01)) if neutrinos else m
        return LinearPower(k, m, cb, SOLVED), universe

    return make
