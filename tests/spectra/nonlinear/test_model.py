"""Nonlinear corrections of solutions: P(k) and lensing against CLASS, errors, derivatives, cost."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracle import nonlinear
from oracle.experiment import SMALL

import boltzax
from boltzax.errors import BoltzaxError, NotComputedError, OutOfRangeError, ParameterRangeError, PrecisionError
from boltzax.grids import make_grid
from boltzax.precision import NONLINEAR
from boltzax.projection import limber_lensing
from boltzax.spectra.nonlinear import lensing_factor
from boltzax.spectra.primordial import curvature_power

OUTPUTS = boltzax.Outputs(l_max=400, k_max=3.0, nonlinear="hmcode2020_feedback")


@pytest.mark.parametrize("method", NONLINEAR)
@pytest.mark.parametrize("point", ["fiducial", "massless"])
def test_response_against_class(solved, point, method):
    """P_nl / P_lin to 5 h/Mpc at z = 0, 1, 3: CLASS's linear spectrum is off by 1e-3 at its default settings."""
    table = nonlinear.load_table(point, method)
    _, error = nonlinear.compared(replace(solved(point), nonlinear=method), table, response=True)
    assert np.abs(error).max() < 2e-3


def test_lensing_against_class(solved):
    """phiphi with corrections over phiphi without, Limber's approximation, 200 <= l <= 2500."""
    results, outputs, p = solved("massless"), boltzax.Outputs(), boltzax.Precision()
    grid = make_grid(p, outputs)
    bg, th, src, cosmo = results.background, results.thermodynamics, results.sources, results.cosmology

    @jax.jit
    def spectra(bg, th, src, cosmo, factor):
        scaled = replace(src, weyl=src.weyl * factor)
        return limber_lensing(grid, p, outputs, bg, th, scaled, partial(curvature_power, cosmo))

    ell = grid.ell_lensing
    chosen = (ell >= 200) & (ell <= nonlinear.L_MAX)
    linear = spectra(bg, th, src, cosmo, 1.0)
    for method in NONLINEAR:
        factor = lensing_factor(method, grid, results.matter, bg, cosmo)
        ratio = np.asarray(spectra(bg, th, src, cosmo, factor) / linear)[chosen]
        with np.load(nonlinear.TABLE) as file:
            expected = file[f"pp/{method}"][ell[chosen] - 2]
        assert np.abs(ratio / expected - 1.0).max() < 1.3e-3, method
        assert ratio[-1] > 1.5


@pytest.fixture(scope="module")
def pair():
    """Solutions at a small precision, without and with corrections."""
    plain = boltzax.Outputs(l_max=400, k_max=3.0)
    return [boltzax.solve(boltzax.Cosmology(), outputs, SMALL) for outputs in (plain, OUTPUTS)]


def test_only_lensing_changes(pair):
    linear, corrected = pair
    for name in ("tt", "te", "ee"):
        np.testing.assert_array_equal(getattr(linear.unlensed_cl, name), getattr(corrected.unlensed_cl, name))
    np.testing.assert_array_equal(linear.sources.weyl, corrected.sources.weyl)
    ratio = np.asarray(corrected.lensed_cl.pp / linear.lensed_cl.pp)[2:]
    assert np.abs(ratio[:40] - 1.0).max() < 4e-3 and 1.02 < ratio[-1] < 1.1
    assert np.asarray(corrected.lensed_cl.bb / linear.lensed_cl.bb)[300] > 1.005


def test_curved_space_without_curvature_is_flat(pair):
    """Ratios of P(k) and phiphi with corrections over those without: modes are others, few here."""
    linear, corrected = pair
    curved = boltzax.solve(boltzax.Cosmology(Omega_k=0.0), OUTPUTS, SMALL)
    k, z = np.geomspace(0.01, 2.0, 20), np.array([0.0, 1.0])
    ours, theirs = (results.pk(k, z) / results.pk_lin(k, z) for results in (curved, corrected))
    assert np.abs(ours / theirs - 1.0).max() < 6.4e-5
    ratio = np.asarray(curved.lensed_cl.pp / linear.lensed_cl.pp / (corrected.lensed_cl.pp / linear.lensed_cl.pp))[2:]
    assert np.abs(ratio - 1.0).max() < 1.3e-4


def test_shapes(pair):
    k = np.array([0.05, 1.0])
    results = pair[1]
    assert results.pk(k).shape == (2,)
    assert results.pk(k, [0.0, 1.0, 2.0]).shape == (3, 2)
    assert results.pk(k, np.zeros((2, 2))).shape == (2, 2, 2)
    np.testing.assert_allclose(results.pk(k, [0.0, 1.0])[1], results.pk(k, 1.0), rtol=1e-12)
    assert np.asarray(results.pk(k) / results.pk_lin(k))[1] > 3.0


def test_errors(pair):
    linear, corrected = pair
    with pytest.raises(NotComputedError, match="Outputs"):
        linear.pk(0.1)
    with pytest.raises(OutOfRangeError, match="nonlinear scale lies beyond"):
        corrected.pk(0.1, 6.0)
    with pytest.raises(OutOfRangeError, match="k_max"):
        corrected.pk(100.0)
    with pytest.raises(PrecisionError, match="did you mean 'hmcode2020'"):
        boltzax.Outputs(nonlinear="hmcode2021")
    with pytest.raises(PrecisionError, match="k_max"):
        boltzax.Outputs(nonlinear="halofit", k_max=0.5)
    with pytest.raises(ParameterRangeError, match="log10T_heat_hmcode"):
        boltzax.Cosmology(log10T_heat_hmcode=4.0)


def test_a_universe_that_is_linear_today():
    with pytest.raises(BoltzaxError, match=r"not finite|linear even today"):
        boltzax.solve(boltzax.Cosmology(ln_A_s_1e10=-6.0), OUTPUTS, SMALL)


def test_parameter():
    cosmo = boltzax.Cosmology(HMCode_logT_AGN=7.6)
    assert float(cosmo.log10T_heat_hmcode) == 7.6 and cosmo.to_classy()["log10T_heat_hmcode"] == 7.6
    assert boltzax.Cosmology().log10T_heat_hmcode is None
    assert "log10T_heat_hmcode" not in boltzax.Cosmology().to_classy()


def test_derivatives_of_a_solution():
    """P(k) and lensed BB in amplitude, expansion and feedback: forward, reverse and differences."""
    k, weights = np.geomspace(0.02, 2.0, 12), np.random.default_rng(5).normal(size=401)

    def score(p):
        cosmo = boltzax.Cosmology(ln_A_s_1e10=p[0], h=p[1], log10T_heat_hmcode=p[2])
        results = boltzax.solve(cosmo, OUTPUTS, SMALL)
        return jnp.sum(jnp.log(results.pk(k, 0.5))) + 1e15 * weights @ results.lensed_cl.bb

    p = jnp.array([3.04, 0.67, 7.8])
    _, reverse = jax.jit(jax.value_and_grad(score))(p)
    forward = jax.jit(jax.jacfwd(score))(p)
    np.testing.assert_allclose(forward, reverse, rtol=1e-6)
    f = jax.jit(score)
    for i, step in enumerate((4e-3, 2e-3, 1e-2)):
        e = step * np.eye(3)[i]
        central = lambda s: float(f(p + s * e) - f(p - s * e)) / (2 * s * step)  # noqa: B023
        assert float(forward[i]) == pytest.approx((4 * central(1) - central(2)) / 3, rel=3e-4), i
