"""Spectra in curved space; tests/fluids has what curvature does to them, against CLASS."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracle import responses
from oracle.experiment import SMALL, SMALL_OUTPUTS

import boltzax
from boltzax.errors import NotImplementedParameterError

# twice the differences at this precision, whose multipoles beyond l = 3 stand for fewer exponentials
BOUNDS = {"tt": 8e-4, "ee": 1.4e-2, "pp": 1.3e-4, "pk": 1.9e-4}


def test_curved_space_without_curvature_is_flat():
    flat = responses.cosmology(None)
    plain, curved = (
        responses.spectra(cosmo, SMALL_OUTPUTS, SMALL) for cosmo in (flat, flat.replace(Omega_k=jnp.zeros(())))
    )
    for name, bound in BOUNDS.items():
        assert np.abs(curved[name] / plain[name] - 1.0).max() < bound, name


def test_derivatives_raise_by_name():
    power = lambda x: boltzax.solve(boltzax.Cosmology(Omega_k=x), SMALL_OUTPUTS, SMALL).unlensed_cl.tt
    with pytest.raises(NotImplementedParameterError, match="Omega_k: derivatives of C_l"):
        jax.jvp(power, (jnp.asarray(0.01),), (jnp.asarray(1.0),))
