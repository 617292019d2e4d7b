"""Massive neutrinos: several species against CLASS, densities and sums of masses as input, the massless limit."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracle.experiment import SMALL, SMALL_OUTPUTS
from oracle.make_growth_reference import NEUTRINOS

import boltzax
from boltzax import Cosmology, neutrino_masses
from boltzax.errors import ConflictingParametersError, MissingParameterError, ParameterRangeError

T, DEG = (0.7, 0.71, 0.72, 0.5), (1.0, 2.0, 0.5, 1.0)


@pytest.fixture(scope="module")
def table():
    with np.load(Path(__file__).parent / "reference" / "growth.npz") as data:
        return {name: data[name] for name in data.files}


@pytest.mark.parametrize("name", NEUTRINOS)
def test_several_species_against_class(table, name):
    """Three that differ in mass, temperature and degeneracy; one that counts three times. CLASS's own error: 2e-4."""
    get = lambda key: table[f"neutrinos/{name}/{key}"]
    results = boltzax.solve(Cosmology(**NEUTRINOS[name]))
    ell = get("ell")
    for spectrum, bound in (("tt", 3e-4), ("ee", 4e-4), ("pp", 4e-4)):
        ours = np.asarray(getattr(results.lensed_cl, spectrum))[ell]
        assert np.abs(ours / get(f"lensed_{spectrum}") - 1.0).max() < bound, spectrum
    te = np.abs(np.asarray(results.lensed_cl.te)[ell] - get("lensed_te"))
    assert (te / np.sqrt(get("lensed_tt") * get("lensed_ee"))).max() < 3e-4
    for species, column in (("m", "pk"), ("cb", "pk_cb")):
        error = np.asarray(results.pk_lin(get("k"), get("z"), species)) / get(column) - 1.0
        assert np.abs(error).max() < 4e-4, species
    assert abs(float(results.derived.sigma8) / float(get("sigma8")) - 1.0) < 3e-5
    assert abs(float(results.derived.N_eff) / float(get("Neff")) - 1.0) < 1e-9
    assert abs(float(results.derived.Omega_m) / float(get("Omega_m")) - 1.0) < 4e-6


@pytest.mark.parametrize("n, N_ur", [(1, 2.0328), (2, 1.0196), (3, 0.0064)])
def test_conventions_of_one_two_and_three(n, N_ur):
    cosmo = Cosmology(m_ncdm=(0.06,) * n)
    assert abs(float(cosmo.N_ur) - N_ur) < 6e-5  # CLASS rounds
    assert float(cosmo.N_eff) == pytest.approx(3.0460, abs=1e-4)
    given = Cosmology(m_ncdm=(0.06,) * n, N_eff=3.5)
    assert float(given.N_eff) == pytest.approx(3.5, rel=1e-14)
    one = Cosmology(m_ncdm=(0.06,), deg_ncdm=n)
    assert float(one.omega_ncdm.sum()) == pytest.approx(float(cosmo.omega_ncdm.sum()), rel=1e-14)
    assert float(one.N_ur) == pytest.approx(float(cosmo.N_ur), abs=1e-14)


# -- densities -------------------------------------------------------------------------------------------------------


def test_masses_of_densities():
    masses = (0.0, 1e-3, 0.06, 3.0)
    cosmo = Cosmology(m_ncdm=masses, T_ncdm=T, deg_ncdm=DEG, N_ur=1.0)
    others = {"T_ncdm": T, "deg_ncdm": DEG, "N_ur": 1.0}
    found = Cosmology(omega_ncdm=np.asarray(cosmo.omega_ncdm), **others)
    assert np.allclose(found.m_ncdm, masses, rtol=1e-9, atol=1e-9)  # the density is quadratic in a small mass
    found = Cosmology(Omega_ncdm=np.asarray(cosmo.omega_ncdm) / 0.64, h=0.8, **others)
    assert np.allclose(found.m_ncdm, masses, rtol=1e-9, atol=1e-9)
    assert np.allclose(found.Omega_ncdm, cosmo.omega_ncdm / 0.64, rtol=1e-14)
    # 93.14 eV: CLASS's relation
    assert float(Cosmology(omega_ncdm=0.002).m_ncdm[0]) == pytest.approx(0.002 * 93.14, rel=2e-4)


def test_derivative_of_the_mass():
    mass = lambda omega, T_cmb: Cosmology(omega_ncdm=omega, T_cmb=T_cmb).m_ncdm[0]
    density = lambda m, T_cmb: Cosmology(m_ncdm=m, T_cmb=T_cmb).omega_ncdm[0]
    omega = float(density(0.06, 2.7255))
    d_omega, d_T = jax.jit(jax.grad(mass, argnums=(0, 1)))(omega, 2.7255)
    by_m, by_T = jax.grad(density, argnums=(0, 1))(0.06, 2.7255)
    assert float(d_omega) == pytest.approx(1.0 / float(by_m), rel=1e-12)
    assert float(d_T) == pytest.approx(-float(by_T / by_m), rel=1e-10)
    assert float(jax.jvp(mass, (omega, 2.7255), (1.0, 0.0))[1]) == pytest.approx(float(d_omega), rel=1e-12)
    traced = jax.jit(lambda omega: Cosmology(omega_ncdm=omega).m_ncdm)(jnp.array([1e-9]))
    assert np.isnan(traced[0])  # below the massless density, which `checked` then reports


def test_ways_in():
    assert np.allclose(Cosmology.from_dict({"omega_ncdm": "0.0006, 0.001", "N_ncdm": "2"}).omega_ncdm, (0.0006, 0.001))
    assert np.allclose(Cosmology().replace(omega_ncdm=0.001).omega_ncdm, 0.001)
    assert "0.0931" in Cosmology(omega_ncdm=0.001).to_classy()["m_ncdm"]
    with pytest.raises(MissingParameterError, match=r"\(omega_ncdm\) changes"):
        Cosmology().replace(omega_ncdm=(0.001, 0.001))
    with pytest.raises(ConflictingParametersError, match="m_ncdm and omega_ncdm"):
        Cosmology(m_ncdm=0.06, omega_ncdm=0.001)
    with pytest.raises(ConflictingParametersError, match="omega_ncdm holds 2"):
        Cosmology(omega_ncdm=(0.001, 0.001), N_ncdm=1)
    for bad in (1e-6, float("nan"), -1.0):
        with pytest.raises(ParameterRangeError, match="at least"):
            Cosmology(omega_ncdm=bad)


# -- sums of masses --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("total", [0.1, 0.3])
def test_sums_of_masses(total):
    for ordering, atmospheric in (("normal", 2.513e-3), ("inverted", -2.484e-3)):
        m = np.asarray(neutrino_masses(total, ordering))
        assert m.sum() == pytest.approx(total, rel=1e-14)
        assert m[1] ** 2 - m[0] ** 2 == pytest.approx(7.49e-5, rel=1e-10)
        assert m[2] ** 2 - m[0 if ordering == "normal" else 1] ** 2 == pytest.approx(atmospheric, rel=1e-10)
        slope = np.asarray(jax.jit(jax.jacrev(lambda t, o=ordering: neutrino_masses(t, o)))(total))
        assert np.allclose(slope, (1.0 / m) / (1.0 / m).sum(), rtol=1e-10)
    assert np.allclose(neutrino_masses(total, "degenerate"), total / 3.0, rtol=1e-15)


def test_sums_that_cannot_be():
    assert float(neutrino_masses(0.0588)[0]) == pytest.approx(1.6e-5, abs=1.5e-5)
    with pytest.raises(ParameterRangeError, match=r"normal ordering sum to 0\.0588 eV"):
        neutrino_masses(0.05)
    with pytest.raises(ParameterRangeError, match=r"inverted ordering sum to 0\.09"):
        neutrino_masses(0.09, "inverted")
    with pytest.raises(ParameterRangeError, match="'normal', 'inverted' or 'degenerate'"):
        neutrino_masses(0.1, "reversed")


# -- the massless limit ----------------------------------------------------------------------------------------------


def test_massless_limit():
    """A massive species whose mass falls to zero becomes a massless one, in value and in derivative."""

    def what(mass):
        cosmo = Cosmology(m_ncdm=(mass,), N_ur=2.0328, YHe=0.2454)
        r = boltzax.solve(cosmo, SMALL_OUTPUTS, SMALL)
        cl = [jnp.log(getattr(r.lensed_cl, name)[jnp.array([10, 100, 300])]) for name in ("tt", "ee", "pp")]
        return jnp.concatenate([*cl, jnp.log(r.pk_lin(jnp.array([0.01, 0.1, 0.5]))), r.derived.sigma8[None]])

    f = jax.jit(lambda mass: jax.jvp(what, (mass,), (1.0,)))
    value, slope = f(0.0)
    near, near_slope = f(1e-6)
    # quadratic in the mass below the temperature, 2e-4 eV: no step, and a derivative that goes to zero linearly
    assert np.abs(np.asarray(near - value)).max() < 1e-7
    assert np.abs(np.asarray(slope)).max() < 1e-9
    assert np.allclose(near_slope, 2.0 * (near - value) / 1e-6, rtol=2e-2, atol=1e-4)
    massless = Cosmology(m_ncdm=(), N_ur=2.0328 + float(Cosmology().N_eff - 2.0328), YHe=0.2454)
    r = boltzax.solve(massless, SMALL_OUTPUTS, SMALL)
    cl = [np.log(np.asarray(getattr(r.lensed_cl, name))[[10, 100, 300]]) for name in ("tt", "ee", "pp")]
    theirs = np.concatenate([*cl, np.log(r.pk_lin(np.array([0.01, 0.1, 0.5]))), [float(r.derived.sigma8)]])
    assert np.abs(np.asarray(value) - theirs).max() < 2e-3  # three momenta and other tails at this precision
