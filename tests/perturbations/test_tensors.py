"""Gravitational waves: the kernels, closed forms of the wave, and what photons do in tight coupling."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import roots_legendre, spherical_jn, spherical_yn

import boltzax
from boltzax.background import background
from boltzax.numerics.table import UniformTable
from boltzax.perturbations import tensors
from boltzax.perturbations.kernels import INTENSITY, POLARISATION, exponentials
from boltzax.solve import history
from boltzax.thermo import thermodynamics

PRECISION = boltzax.Precision()
LN_X = np.linspace(-16.0, 0.0, 3001)


def universe(power, rho_ur=0.0, rho_g=0.0):
    """a = tau^power until tau_0 = 1, photons held by electrons: contents, and the table of the history."""
    contents = SimpleNamespace(
        rho_g=rho_g, rho_ur=rho_ur, rho_ncdm_massless=jnp.zeros(0), M_ncdm=jnp.zeros(0), fluids=(), tau_0=jnp.ones(()),
        early_streaming=rho_ur, early_radiation=rho_g + rho_ur,
    )  # fmt: skip
    columns = (power * LN_X, np.log(power) - LN_X, 0.0 * LN_X + 15.0)
    return contents, UniformTable(jnp.asarray(LN_X[0]), jnp.asarray(LN_X[1] - LN_X[0]), jnp.stack(columns, axis=1))


def waves(contents, table, y):
    """Times x of the step ends at which the wave is still resolved, and h' / k there."""
    modes = jax.jit(lambda table: tensors.integrate(PRECISION, contents, table, (y,)))(table)
    x = tensors.meshes((y,), PRECISION)[0][0, 1:]
    some = (x * y > 1.0) & (x * y < 95.0)
    return x[some] * y, np.asarray(modes.h_prime[0])[some] / y


@pytest.mark.parametrize(("m", "n", "bound"), [(INTENSITY, 6, 4e-5), (POLARISATION, 8, 5e-5)])
def test_exponentials_are_the_kernel(m, n, bound):
    s = np.linspace(0.0, 60.0, 500)
    mu, weight = roots_legendre(120)
    exact = (weight * np.polynomial.Polynomial(m)(mu) * np.cos(np.outer(s, mu))).sum(1)
    lam, c = exponentials(m, n)
    error = (np.exp(np.outer(s, lam)) @ c).real - exact
    assert np.abs(error).max() < bound * exact[0]
    if m == INTENSITY:
        assert exact[1:] == pytest.approx(spherical_jn(2, s[1:]) / s[1:] ** 2, abs=1e-14)


def test_wave_in_matter_era_is_a_bessel_function():
    x, slope = waves(*universe(2.0, rho_ur=1e-30), 60.0)
    exact = -3.0 * spherical_jn(2, x) / x
    assert np.abs(slope - exact).max() < 1e-6


def test_neutrinos_damp_the_wave_as_weinberg_found():
    """Weinberg (2004), eqs. (20)-(24): h -> 0.8026 sin(k tau + delta) / (k tau), delta = 0, for f_nu = 0.40523."""
    f_nu = 0.40523
    x, slope = waves(*universe(1.0, rho_ur=f_nu, rho_g=1.0 - f_nu), 100.0)
    late = (x > 20.0) & (x < 60.0)
    basis = np.stack([-spherical_jn(1, x), -spherical_yn(1, x)], axis=1)[late]
    sine, cosine = np.linalg.lstsq(basis, slope[late], rcond=None)[0]
    assert sine == pytest.approx(0.8026, abs=1e-3)
    assert abs(cosine) < 2e-2


@pytest.fixture(scope="module")
def fiducial(fiducial_cosmology):
    @jax.jit
    def solve(cosmo):
        bg = background(cosmo)
        return bg, thermodynamics(cosmo, bg)

    bg, th = solve(fiducial_cosmology)
    ys = (5.0, 300.0)
    table = jax.jit(history)(bg, th)
    return bg, ys, table, tensors.integrate(PRECISION, bg, table, ys)


def test_tight_coupling(fiducial):
    """Psi = -h' / (3 kappa'), up to (k / kappa')^2 and aH / kappa'."""
    _, ys, table, modes = fiducial
    for i, y in enumerate(ys):
        x = tensors.meshes((y,), PRECISION)[0][0, 1:]
        some = (x > 1.5e-3) & (x < 4e-3)
        kappa_prime = np.exp(np.asarray(table(jnp.log(x[some])))[:, 2])
        expected = -np.asarray(modes.h_prime[i])[some] / (3.0 * kappa_prime)
        assert np.asarray(modes.psi[i])[some] == pytest.approx(expected, rel=2e-2)


def test_superhorizon_waves_are_constant(fiducial):
    """Of h'' + 2 aH h' = -k^2 h remains h' = -k^2 int a^2 dtau / a^2, with neutrinos still 5% below it."""
    bg, ys, _, modes = fiducial
    x = tensors.meshes((ys[0],), PRECISION)[0][0, 1:]
    i = int(np.searchsorted(x, 2e-4))
    f_nu = float((bg.rho_ur + bg.rho_ncdm_massless.sum()) / (bg.rho_g + bg.rho_ur + bg.rho_ncdm_massless.sum()))
    k, tau = ys[0] / float(bg.tau_0), x[i] * float(bg.tau_0)
    assert float(modes.h_prime[0, i]) == pytest.approx(-5.0 / (15.0 + 4.0 * f_nu) * k**2 * tau, rel=1e-2)
