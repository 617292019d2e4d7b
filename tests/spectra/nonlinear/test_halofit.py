"""Halofit: against CLASS on the same linear spectrum, closed forms, derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracle import nonlinear
from oracle import reference as ref
from scipy.special import gamma

from boltzax import Cosmology
from boltzax.spectra.nonlinear.halofit import _dark_energy_factors, halofit, unit_variance
from boltzax.spectra.nonlinear.linear import LinearPower


@pytest.mark.parametrize("point", nonlinear.POINTS)
def test_against_class(point):
    """z = 0, 1, 3 to 5 h/Mpc; CLASS takes P as linear for k < 1e-4/Mpc, a step of 1e-4."""
    k, error = nonlinear.method_errors(ref.POINTS[point], "halofit", nonlinear.load_table(point, "halofit"))
    assert np.abs(error[:, (k > 5e-3) & (k < 5.0)]).max() < 6e-5
    assert np.abs(error[:, (k > 5e-4) & (k < 5.0)]).max() < 2e-4


@pytest.mark.oracle
def test_curved_space_against_camb():
    """z = 0 and 1; CAMB takes P as linear on large scales, and at z = 3 as that of a flat universe."""
    pytest.importorskip("camb")
    point = nonlinear.CURVED[-0.05]
    k, error = nonlinear.method_errors(point, "halofit", nonlinear.camb_power(point, "halofit"))
    assert np.abs(error[0, (k > 0.1) & (k < 5.0)]).max() < 7e-6
    assert np.abs(error[1, (k > 0.1) & (k < 5.0)]).max() < 3e-4


def test_dark_energy_factors_where_matter_alone_is_critical(toy):
    """Closed universes pass Omega_m = 1: on both sides factors are those of the formula, there its limit."""
    closed = toy(Cosmology(Omega_k=-0.05), 1.0)[1]
    p, q = np.array([(-0.0307, -0.0732), (-0.0585, -0.1423), (0.0743, 0.0725)]).T
    Omega_de = float(closed.Omega_de)
    found = lambda Omega: np.array(_dark_energy_factors(closed._replace(Omega_m=jnp.asarray(Omega))))
    for Omega in (0.99, 1.01):
        flat = Omega_de / (1.0 - Omega)
        np.testing.assert_allclose(found(Omega), flat * Omega**p + (1.0 - flat) * Omega**q, rtol=1e-14)
    np.testing.assert_allclose(found(1.0), 1.0 - Omega_de * (p - q), rtol=2e-15)


@pytest.mark.parametrize("n", [-2.3, -1.0])
def test_scale_of_a_power_law(n):
    """P ~ k^n has sigma^2(R) = A Gamma((n+3)/2)/2 R^-(n+3), no curvature."""
    k = jnp.asarray(np.exp(np.linspace(np.log(1e-8), np.log(1e5), 2400)))
    A = 7.0
    power = A * k ** (n + 3.0)
    scale = unit_variance(LinearPower(k, power, power, 10))
    assert float(scale.k) == pytest.approx((A * gamma(0.5 * (n + 3)) / 2) ** (-1 / (n + 3)), rel=8e-5)
    assert float(scale.n_eff) == pytest.approx(n, abs=1e-4)
    assert float(scale.curvature) == pytest.approx(0.0, abs=1e-4)


def test_derivatives(toy):
    """In amplitude, matter, expansion, neutrino mass, index and curvature: forward, reverse and differences."""
    weights = np.random.default_rng(3).normal(size=300)

    def score(p):
        cosmo = Cosmology(omega_cdm=p[1], h=p[2], m_ncdm=p[3], n_s=p[4], Omega_k=p[5])
        power, k_sigma = halofit(*toy(cosmo, 0.5, p[0]))
        return weights @ jnp.log(power) + jnp.log(k_sigma)

    p = jnp.array([1.0, 0.12, 0.67, 0.1, 0.96, 0.0])
    reverse, forward = jax.jit(jax.grad(score))(p), jax.jit(jax.jacfwd(score))(p)
    np.testing.assert_allclose(reverse, forward, rtol=1e-8)
    value = jax.jit(score)
    for i, step in enumerate((1e-3, 1e-4, 1e-3, 1e-3, 1e-3, 1e-3)):
        e = step * np.eye(6)[i]
        f = [float(value(p + s * e)) for s in (-2, -1, 1, 2)]
        difference = (f[0] - 8 * f[1] + 8 * f[2] - f[3]) / (12 * step)
        assert float(forward[i]) == pytest.approx(difference, rel=2e-6), i


def test_linear_on_large_scales_and_larger_on_small_ones(toy):
    linear, universe = toy(Cosmology(), 0.0)
    power, k_sigma = halofit(linear, universe)
    ratio = np.asarray(power / linear.m[: linear.solved])
    k = np.asarray(linear.k[: linear.solved])
    assert np.abs(ratio[k < 1e-4] - 1.0).max() < 6.4e-4
    assert np.all(ratio[(k > 3 * k_sigma) & (k < 5.0)] > 2.0)
