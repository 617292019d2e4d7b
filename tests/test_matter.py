"""Matter power spectrum: against CLASS, shapes, species, errors."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad

import boltzax
from boltzax.errors import OutOfRangeError
from boltzax.grids import make_grid
from boltzax.spectra.matter import matter_power, sigma_R

POINTS = ["fiducial", "massless"]


@pytest.mark.parametrize("name", POINTS)
def test_against_class(solved, reference, name):
    results, table = solved(name), reference(name)
    k_h = table["k"] / float(results.cosmology.h)
    for species, column in (("m", "pk"), ("cb", "pk_cb")):
        error = np.abs(np.asarray(results.pk_lin(table["k"], table["z"], species)) / table[column] - 1.0)
        for lo, hi, bound in ((0.0, 0.01, 2.1e-5), (0.01, 0.1, 3.1e-5), (0.1, 0.5, 3e-4), (0.5, 1.01, 5e-4)):
            here = (k_h >= lo) & (k_h < hi)
            assert error[:, here].max() < bound, (species, hi)


@pytest.mark.parametrize("name", POINTS)
def test_sigma8(solved, reference, name):
    assert abs(float(solved(name).derived.sigma8) / float(reference(name)["derived_sigma8"]) - 1.0) < 2.3e-5


def test_sigma_of_a_power_law():
    """sigma_R of P = k^-1.5 by adaptive quadrature, and its scaling with R."""
    window = lambda x: 3.0 * (np.sin(x) - x * np.cos(x)) / x**3 if x > 1e-2 else 1.0 - x**2 / 10.0
    parts = [quad(lambda x: x**0.5 * window(x) ** 2, a, b, limit=400)[0] for a, b in ((2e-4, 1.0), (1.0, 35.0))]
    power = lambda k: k**-1.5
    for R, h in ((8.0, 0.7), (20.0, 0.7), (8.0, 0.5)):
        exact = np.sqrt(sum(parts) / (2.0 * np.pi**2) * (R / h) ** -1.5)
        assert abs(float(sigma_R(power, h, R)) / exact - 1.0) < 2e-6


@pytest.mark.parametrize("power", [0, 1, 2])
def test_isocurvature_beyond_the_horizon(solved, power):
    """Modes that go like 1, k or k^2 at small k are read between the solved wavenumbers as the adiabatic mode is."""
    results = solved("massless")
    grid = make_grid(boltzax.Precision(), boltzax.Outputs())
    contrast = lambda y: (y**power + 0.3 * y**2) / (1.0 + (y / 150.0) ** 2)
    delta = jnp.asarray(np.repeat(contrast(grid.y_modes)[:, None], len(grid.x_late), axis=1))
    src = replace(results.sources, delta_m=delta, delta_cb=delta, late=None)
    matter = matter_power(grid, results.background, src, adiabatic=False)
    y = np.geomspace(0.4, 300.0, 200)
    np.testing.assert_allclose(matter.delta(y / matter.tau_0, 0.7), contrast(y), rtol=1.5e-9)


def test_shapes(solved):
    """z.shape + k.shape; a scalar k counts as one wavenumber."""
    results = solved("fiducial")
    k = np.array([0.01, 0.1, 1.0])
    assert results.pk_lin(k).shape == (3,)
    assert results.pk_lin(k, 1.0).shape == (3,)
    assert results.pk_lin(k, [0.0, 1.0]).shape == (2, 3)
    assert results.pk_lin(k, np.zeros((2, 2))).shape == (2, 2, 3)
    assert results.pk_lin(0.1).shape == (1,)
    both, one = results.pk_lin(k, [0.0, 2.0]), results.pk_lin(k, 2.0)
    assert np.allclose(both[1], one, rtol=1e-13)


def test_growth_and_species(solved):
    """Power falls with z; neutrinos of 0.06 eV cluster less than baryons and cdm inside their free-streaming length."""
    results = solved("fiducial")
    k = np.geomspace(1e-3, 1.0, 40)
    power = np.asarray(results.pk_lin(k, np.linspace(0.0, 20.0, 15)))
    assert np.all(np.diff(power, axis=0) < 0.0)
    ratio = np.asarray(results.pk_lin(k, species="m") / results.pk_lin(k, species="cb"))
    assert np.all(np.diff(ratio) < 1e-6)
    f_nu = 0.06 / 93.14 / 0.14302
    assert abs(ratio[0] - 1.0) < 6e-4
    assert abs(ratio[-1] - (1.0 - f_nu) ** 2) < 2e-5
    massless = solved("massless")
    assert np.array_equal(massless.pk_lin(k, species="m"), massless.pk_lin(k, species="cb"))


@pytest.mark.parametrize("k, z", [(1e-6, 0.0), (50.0, 0.0), (0.1, 200.0), (0.1, -0.5), ([0.1, 60.0], [0.0, 1.0])])
def test_out_of_range(solved, k, z):
    with pytest.raises(OutOfRangeError):
        solved("fiducial").pk_lin(np.asarray(k), np.asarray(z))


def test_unknown_species(solved):
    with pytest.raises(ValueError, match="choose 'm'"):
        solved("fiducial").pk_lin(0.1, species="cdm")


def test_derivative_in_k(solved):
    """pk_lin is differentiable in k, and the slope is that of the power."""
    results = solved("fiducial")
    f = lambda ln_k: jnp.log(results.pk_lin(jnp.exp(ln_k), 0.5))[0]
    for ln_k in (np.log(0.003), np.log(0.11), np.log(2.0)):
        e = 1e-4
        difference = (8.0 * (f(ln_k + e) - f(ln_k - e)) - (f(ln_k + 2 * e) - f(ln_k - 2 * e))) / (12.0 * e)
        assert abs(float(jax.grad(f)(ln_k)) - float(difference)) < 1e-9
