"""The pipeline as one function: eager and traced, its derivatives, its errors.

Differentiated programs run at a small precision: they are there to show that nothing blocks a derivative and that
signs and sizes are right; the same code serves every precision.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracle.experiment import SMALL
from oracle.experiment import SMALL_OUTPUTS as OUTPUTS

import boltzax
from boltzax.errors import BoltzaxError, OutOfRangeError, ParameterRangeError, PrecisionError

ELL = np.arange(401)
WEIGHTS = np.random.default_rng(1).normal(size=(2, 401)) * ELL**2


def score(h, omega_b):
    """A number made of lensed TT and EE."""
    cosmo = boltzax.Cosmology(h=h, omega_b=omega_b)
    cl = boltzax.solve(cosmo, OUTPUTS, SMALL).lensed_cl
    return 1e10 * WEIGHTS[0] @ cl.tt + 1e12 * WEIGHTS[1] @ cl.ee


POINT = (0.6736, 0.02237)


@pytest.fixture(scope="module")
def gradient():
    return jax.jit(jax.value_and_grad(score, argnums=(0, 1)))(*POINT)


@pytest.mark.parametrize("which", [0, 1])
def test_forward_and_reverse_derivatives_agree_with_finite_differences(gradient, which):
    direction = tuple(1.0 if i == which else 0.0 for i in range(2))
    value, tangent = jax.jit(lambda *p: jax.jvp(score, p, direction))(*POINT)
    assert value == pytest.approx(float(gradient[0]), rel=1e-9)
    assert tangent == pytest.approx(float(gradient[1][which]), rel=1e-5)
    f = jax.jit(score)
    step = 2e-3 * POINT[which]

    def central(s):
        up, down = ([p + sign * s * d for p, d in zip(POINT, direction, strict=True)] for sign in (1, -1))
        return float(f(*up) - f(*down)) / (2 * s)

    richardson = (4 * central(step) - central(2 * step)) / 3
    assert tangent == pytest.approx(richardson, rel=2e-4)


def test_batch_agrees_with_single_points():
    h = jnp.array([0.66, 0.70])
    cosmologies = jax.vmap(lambda h: boltzax.Cosmology(h=h))(h)
    batch = jax.jit(jax.vmap(lambda c: boltzax.solve(c, OUTPUTS, SMALL).lensed_cl.tt))(cosmologies)
    for i, value in enumerate(h):
        alone = boltzax.solve(boltzax.Cosmology(h=float(value)), OUTPUTS, SMALL).lensed_cl.tt
        np.testing.assert_allclose(batch[i, 2:], alone[2:], rtol=1e-6)


def test_amplitude_scales_unlensed_spectra_exactly():
    low, high = (boltzax.solve(boltzax.Cosmology(ln_A_s_1e10=a), OUTPUTS, SMALL) for a in (3.0, 3.1))
    for name in ("tt", "te", "ee", "pp"):
        ratio = getattr(high.unlensed_cl, name)[2:] / getattr(low.unlensed_cl, name)[2:]
        np.testing.assert_allclose(ratio, np.exp(0.1), rtol=1e-12)
    np.testing.assert_allclose(high.derived.sigma8 / low.derived.sigma8, np.exp(0.05), rtol=1e-12)


def test_refuses_what_it_cannot_do():
    with pytest.raises(PrecisionError, match="l_max"):
        boltzax.Outputs(l_max=1)
    with pytest.raises(PrecisionError, match="l_max"):
        boltzax.Outputs(l_max=100000)
    with pytest.raises(PrecisionError, match="k_max"):
        boltzax.Outputs(k_max=-1.0)
    with pytest.raises(ParameterRangeError, match="tau_reio"):
        boltzax.solve(boltzax.Cosmology(tau_reio=1e-5), OUTPUTS, SMALL)
    results = boltzax.solve(boltzax.Cosmology(), OUTPUTS, SMALL)
    assert np.all(np.isfinite(results.pk_lin(np.array([3e-5, 1.0]))))
    with pytest.raises(OutOfRangeError, match="k_max"):
        results.pk_lin(100.0)
    with pytest.raises(OutOfRangeError):
        results.pk_lin(0.1, -0.5)


def test_an_error_inside_jit_surfaces(monkeypatch):
    monkeypatch.delenv("BOLTZAX_ON_ERROR", raising=False)
    bad = jax.jit(lambda tau: boltzax.solve(boltzax.Cosmology(tau_reio=tau), OUTPUTS, SMALL).lensed_cl.tt)
    with pytest.raises((BoltzaxError, RuntimeError), match="tau_reio"):
        jax.block_until_ready(bad(1e-5))
    assert np.all(np.isfinite(bad(0.05)))  # the failed run took nothing with it


def test_a_foreign_error_leaves_solve_usable():
    def mine(h):
        tt = boltzax.solve(boltzax.Cosmology(h=h), OUTPUTS, SMALL).lensed_cl.tt
        return eqx.error_if(tt, tt[200] > 0.0, "not mine")

    with pytest.raises(Exception, match="not mine"):
        jax.block_until_ready(jax.jit(mine)(0.67))
    assert np.all(np.isfinite(boltzax.solve(boltzax.Cosmology(), OUTPUTS, SMALL).lensed_cl.tt))


def test_a_constant_cosmology_inside_a_traced_function():
    inside = jax.jit(lambda a: a * boltzax.solve(boltzax.Cosmology(), OUTPUTS, SMALL).lensed_cl.tt)(2.0)
    outside = boltzax.solve(boltzax.Cosmology(), OUTPUTS, SMALL).lensed_cl.tt
    np.testing.assert_allclose(inside[2:], 2.0 * outside[2:], rtol=1e-6)
