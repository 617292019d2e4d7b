"""Growth, variance and transfer functions at any redshift: against CLASS, closed forms, derivatives, errors."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracle.experiment import SMALL, SMALL_OUTPUTS
from scipy.special import hyp2f1

import boltzax
from boltzax.background import background, growth
from boltzax.errors import OutOfRangeError


@pytest.fixture(scope="module")
def table():
    with np.load(Path(__file__).parent / "reference" / "growth.npz") as data:
        return {name: data[name] for name in data.files}


@pytest.fixture(scope="module")
def results(solved):
    return solved("fiducial")


def test_scale_independent_growth(results, table):
    z = table["growth/z"]
    assert np.allclose(results.growth_factor(z), table["growth/D"], rtol=3e-8, atol=0.0)
    assert np.allclose(results.growth_rate(z), table["growth/f"], rtol=3e-8, atol=0.0)


def test_growth_without_radiation():
    """Of matter and a cosmological constant, in closed form; radiation of a thousandth of a kelvin is none."""
    cosmo = boltzax.Cosmology(h=0.7, Omega_m=0.3, m_ncdm=(), N_ur=0.0, T_cmb=1e-3, YHe=0.24)
    history = growth(background(cosmo))
    today = hyp2f1(1.0 / 3.0, 1.0, 11.0 / 6.0, -0.7 / 0.3)
    for z in (0.0, 1.0, 9.0):
        a = 1.0 / (1.0 + z)
        x = 0.7 / 0.3 * a**3
        D = a * hyp2f1(1.0 / 3.0, 1.0, 11.0 / 6.0, -x)
        slope = 1.0 - 3.0 * x * (2.0 / 11.0) * hyp2f1(4.0 / 3.0, 2.0, 17.0 / 6.0, -x) / hyp2f1(1 / 3, 1.0, 11 / 6, -x)
        ln_D, f = history(jnp.log(a))
        assert abs(float(ln_D) - np.log(D)) < 4e-7  # the same at all z, so that none of it is left in D(z) / D(0)
        assert abs(float(ln_D - history.values[-1, 0]) - np.log(D / today)) < 4e-8
        assert abs(float(f) - slope) < 4e-8


def test_growth_of_scale(results, table):
    """The integral of f(k, z) over ln a against the growth of CLASS's matter between two redshifts."""
    k = table["transfer/k (h/Mpc)@0"] * float(results.cosmology.h)
    inside = (k > 2.1e-5) & (k < 5.0)
    grown = np.log(table["transfer/d_m@0"] / table["transfer/d_m@2"])[inside]
    nodes, weights = np.polynomial.legendre.leggauss(8)
    ln_a = -0.5 * np.log(3.0) * (1.0 - nodes)
    f = np.asarray(results.growth_rate(np.expm1(-ln_a), k[inside]))
    integral = 0.5 * np.log(3.0) * weights @ f
    assert np.abs(integral / grown - 1.0).max() < 1e-4
    # CLASS's own rate is a difference, one-sided at z = 0, of a spline in time, which is coarse on large scales
    f = np.asarray(results.growth_rate(table["growth/z"], table["growth/k"]))
    assert f.shape == table["growth/f_of_k"].shape
    assert np.abs(f / table["growth/f_of_k"] - 1.0).max() < 1.5e-3


def test_variance(results, table):
    z = table["growth/z"]
    h = float(results.cosmology.h)
    assert np.abs(np.asarray(results.sigma8(z)) / table["growth/sigma8"] - 1.0).max() < 1.5e-5
    assert np.abs(np.asarray(results.sigma8(z, "cb")) / table["growth/sigma8_cb"] - 1.0).max() < 5e-6
    assert np.abs(np.asarray(results.sigma(20.0, z)) / table["growth/sigma_20_mpc"] - 1.0).max() < 1.5e-5
    error = np.asarray(results.f_sigma8(z)) / table["growth/f_sigma8"] - 1.0
    assert np.abs(error[1:]).max() < 1e-4 and abs(error[0]) < 7e-4  # CLASS's is a difference, at z = 0 one-sided
    assert abs(float(results.sigma8()) / float(results.derived.sigma8) - 1.0) < 1e-12
    d = results.derived
    assert float(d.S8) == pytest.approx(float(d.sigma8 * (d.Omega_m / 0.3) ** 0.5), rel=1e-14)
    both = results.sigma([8.0 / h, 20.0], [0.0, 1.0])
    assert both.shape == (2, 2)
    assert float(both[1, 0]) == pytest.approx(float(results.sigma8(1.0)), rel=1e-12)


def test_rates_are_slopes(results):
    """f and f sigma8 by differences over ln a."""
    z = lambda ln_a: np.expm1(-ln_a)
    e, at = 1e-3, -0.7
    slope = lambda g: (8.0 * (g(at + e) - g(at - e)) - (g(at + 2 * e) - g(at - 2 * e))) / (12.0 * e)
    assert float(results.f_sigma8(z(at))) == pytest.approx(slope(lambda u: float(results.sigma8(z(u)))), rel=1e-8)
    power = lambda u: 0.5 * np.log(float(results.pk_lin(0.1, z(u), "cb")[0]))
    assert float(results.growth_rate(z(at), 0.1, "cb")[0]) == pytest.approx(slope(power), rel=1e-7)
    D = lambda u: np.log(float(results.growth_factor(z(u))))
    assert float(results.growth_rate(z(at))) == pytest.approx(slope(D), rel=1e-7)


# d_ncdm of five momenta is good where neutrinos cluster; beyond, it weighs little
COLUMNS = {"d_b": 2.5e-4, "d_cdm": 2.5e-4, "d_m": 2.5e-4, "d_tot": 2.5e-4, "phi": 2.5e-4, "psi": 2.5e-4}


@pytest.mark.parametrize("z", [0.0, 2.0])
def test_transfer_functions(results, table, z):
    h = float(results.cosmology.h)
    k = table[f"transfer/k (h/Mpc)@{z:g}"] * h
    inside = (k > 2.1e-5) & (k < 5.0)
    ours = results.transfer(z, k[inside])
    for name, bound in COLUMNS.items():
        theirs = table[f"transfer/{name}@{z:g}"][inside]
        assert np.abs(np.asarray(ours[name]) / theirs - 1.0).max() < bound, name
    error = np.asarray(ours["d_ncdm[0]"]) - table[f"transfer/d_ncdm[0]@{z:g}"][inside]
    clustering = k[inside] < 3e-3
    assert np.abs(error / np.asarray(ours["d_ncdm[0]"]))[clustering].max() < 6e-5
    assert np.abs(error / np.asarray(ours["d_m"])).max() < 8e-4


def test_transfer_of_the_modes(results):
    """Without k those of the modes; CAMB's columns; P(k) from them."""
    plain, camb = results.transfer(0.5), results.transfer(0.5, format="camb")
    k = plain["k (h/Mpc)"] * results.cosmology.h
    again = results.transfer(0.5, k)
    assert all(np.allclose(again[name], plain[name], rtol=1e-8) for name in plain)
    assert np.allclose(camb["-T_b/k2"] * k**2, -plain["d_b"], rtol=1e-13)
    assert np.allclose(camb["-T_tot/k2"] * k**2, -plain["d_m"], rtol=1e-13)
    assert np.all(np.asarray(camb["-T_cdm/k2"]) > 0.0)
    primordial = np.asarray(results.pk_lin(k, 0.5)) / np.asarray(plain["d_m"]) ** 2
    cosmo = results.cosmology
    expected = 2.0 * np.pi**2 / k**3 * cosmo.A_s * (k / cosmo.k_pivot) ** (cosmo.n_s - 1.0)
    assert np.allclose(primordial, expected, rtol=1e-12)


def test_errors(results):
    with pytest.raises(OutOfRangeError, match="raise R"):
        results.sigma(1.0)
    with pytest.raises(OutOfRangeError, match="z lies beyond"):
        results.sigma8(100.0)
    with pytest.raises(OutOfRangeError, match="z must lie"):
        results.growth_factor(-0.1)
    with pytest.raises(OutOfRangeError, match="k_max"):
        results.transfer(0.0, 50.0)
    with pytest.raises(ValueError, match="choose one of class, camb"):
        results.transfer(0.0, format="cmbfast")
    with pytest.raises(ValueError, match="choose 'm'"):
        results.sigma8(0.0, "cdm")


def test_derivatives():
    """Of everything with respect to omega_cdm, forward against central differences."""

    outputs = boltzax.Outputs(l_max=SMALL_OUTPUTS.l_max, lensing=False, k_max=5.0)

    def what(omega_cdm):
        r = boltzax.solve(boltzax.Cosmology(omega_cdm=omega_cdm, YHe=0.2454), outputs, SMALL)
        t = r.transfer(1.0, 0.1)
        scalars = (r.sigma8(0.5), r.f_sigma8(0.5), r.growth_factor(1.0), r.growth_rate(1.0), r.derived.S8)
        return jnp.stack([*scalars, r.growth_rate(1.0, 0.1)[0], t["d_b"][0], t["phi"][0], t["d_tot"][0]])

    f = jax.jit(lambda x: jax.jvp(what, (x,), (1.0,)))
    e, slope = 4e-4, f(0.12)[1]
    move = lambda s: f(0.12 + s * e)[0]
    numeric = (8.0 * (move(1) - move(-1)) - (move(2) - move(-2))) / (12.0 * e)
    assert np.abs(np.asarray(slope / numeric) - 1.0).max() < 1e-6
