"""Spectra in curved space; tests/fluids has what curvature does to them, against CLASS."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracle import responses
from oracle.experiment import SMALL, SMALL_OUTPUTS

import boltzax

# twice the differences at this precision, whose multipoles beyond l = 3 stand for fewer exponentials
BOUNDS = {"tt": 8e-4, "ee": 1.4e-2, "pp": 1.3e-4, "pk": 1.9e-4}


def test_curved_space_without_curvature_is_flat():
    flat = responses.cosmology(None)
    plain, curved = (
        responses.spectra(cosmo, SMALL_OUTPUTS, SMALL) for cosmo in (flat, flat.replace(Omega_k=jnp.zeros(())))
    )
    for name, bound in BOUNDS.items():
        assert np.abs(curved[name] / plain[name] - 1.0).max() < bound, name


def spectra(x):
    """ln of spectra at h, Omega_k = x."""
    cosmo = responses.cosmology(None).replace(h=x[0], Omega_k=x[1])
    found = boltzax.solve(cosmo, SMALL_OUTPUTS, SMALL)
    cl = [found.unlensed_cl.tt, found.lensed_cl.ee, found.lensed_cl.bb, found.unlensed_cl.pp]
    return jnp.concatenate([jnp.log(v[responses.ELL]) for v in cl] + [jnp.log(found.pk_lin(responses.K[4:]))])


@pytest.fixture(scope="module")
def programs():
    forward = jax.jit(lambda x, v: jax.jvp(spectra, (x,), (v,))[1])
    reverse = jax.jit(lambda x, c: jax.vjp(spectra, x)[1](c)[0])
    return jax.jit(spectra), forward, reverse


@pytest.mark.parametrize(("Omega_k", "bound"), [(-0.05, 1.2e-6), (-0.004, 2.5e-6), (0.0, 9e-5), (0.07, 1e-6)])
def test_derivatives(programs, Omega_k, bound):
    """Forward against differences of order four, reverse against forward.

    Also where the sum over nu begins, and where space changes from open to closed: closed space lacks the longest
    waves, C_2 has a term in K |K| there, and differences across it are right to the first order of their step.
    """
    value, forward, reverse = programs
    x = jnp.array([0.6736, Omega_k])
    jacobian = np.array([forward(x, v) for v in np.eye(2)])
    # by Omega_k in small steps: over larger ones kinks of the lensing potential between modes, few here, add up
    for row, step, unit in zip(jacobian, (1e-3, 1e-4), np.eye(2), strict=True):
        near, far = (value(x + h * unit) - value(x - h * unit) for h in (step, 2.0 * step))
        error = np.abs((8.0 * near - far) / (12.0 * step) - row)
        assert error.max() < bound * np.abs(row).max(), (error.argmax(), error.max() / np.abs(row).max())
    cotangent = np.random.default_rng(1).normal(size=jacobian.shape[1])
    np.testing.assert_allclose(reverse(x, cotangent), jacobian @ cotangent, rtol=1e-7)
