"""Decaying dark matter: its densities against an ODE solver, its limits, and its derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracle import responses
from oracle.experiment import SMALL, SMALL_OUTPUTS
from scipy.integrate import solve_ivp

import boltzax
from boltzax.background import background, growth
from boltzax.constants import GYR_PER_MPC, H0_UNIT
from boltzax.errors import NotImplementedParameterError, ParameterRangeError
from boltzax.fluids import DecayingDarkMatter, InteractingRadiation

OMEGA = 0.06


def cosmology(Gamma, omega=OMEGA):
    """The plain point, of whose dark matter a part decays."""
    plain = responses.cosmology(None)
    return plain.replace(omega_cdm=responses.PLAIN["omega_cdm"] - omega, fluids=(DecayingDarkMatter(Gamma, omega),))


@jax.jit
def spectra(Gamma, omega=OMEGA):
    found = responses.spectra(cosmology(Gamma, omega), SMALL_OUTPUTS, SMALL)
    return jnp.concatenate([jnp.log(found[name]) for name in ("tt", "ee", "pp", "pk")])


@pytest.mark.parametrize("Gamma", [1.0, 30.0, 1000.0])
def test_densities(Gamma):
    """d ln rho_dcdm a^3 / dt = -Gamma, d(rho_dr a^4) / dt = a Gamma rho_dcdm a^3, and a closed sum."""
    bg = background(cosmology(jnp.asarray(Gamma)))
    (fluid,) = bg.fluids
    rate, initial = Gamma * H0_UNIT / 100.0, OMEGA * H0_UNIT**2
    ordinary = lambda a: (bg.rho_g + bg.rho_ur) / a**4 + (bg.rho_b + bg.rho_cdm) / a**3 + bg.rho_lambda

    def slopes(ln_a, y):
        a = np.exp(ln_a)
        cold = initial * np.exp(-rate * y[0])
        H = np.sqrt(float(ordinary(a)) + cold / a**3 + y[1] / a**4)
        return [1.0 / H, rate * cold * a / H]

    start = [0.5 * np.exp(-48.0) / np.sqrt(float(bg.rho_g + bg.rho_ur)), 0.0]
    t, r = solve_ivp(slopes, (-24.0, 0.0), start, method="DOP853", rtol=1e-11, atol=1e-25).y[:, -1]
    one = jnp.ones(())
    np.testing.assert_allclose(fluid.rho_cold(one), initial * np.exp(-rate * t), rtol=8e-10)
    np.testing.assert_allclose(fluid.rho(one) - fluid.rho_cold(one), r, rtol=4e-11)
    np.testing.assert_allclose(3.0 * fluid.pressure(one), r, rtol=4e-11)
    np.testing.assert_allclose(bg.hubble(0.0), bg.H0, rtol=1e-14)
    np.testing.assert_allclose(bg.age, t * GYR_PER_MPC, rtol=2e-12)


def test_without_decays_it_is_cold_dark_matter():
    plain = responses.spectra(responses.cosmology(None), SMALL_OUTPUTS, SMALL)
    plain = jnp.concatenate([jnp.log(plain[name]) for name in ("tt", "ee", "pp", "pk")])
    # rounding alone, at most 2.5e-12 on the processors that ran it
    np.testing.assert_allclose(spectra(0.0), plain, rtol=0, atol=5e-12)


def test_growth():
    """On small scales matter grows as its background says, to what its radiation does there."""
    ours = 0.5 * (spectra(10.0) - spectra(0.0))[-1]
    without, decaying = (growth(background(cosmology(Gamma)))(0.0)[0] for Gamma in (0.0, 10.0))
    # the growth function has no radiation that clusters: 3.5e-3 of the change
    np.testing.assert_allclose(ours, decaying - without, rtol=5e-3)


def test_derivatives():
    """Forward against differences, also where nothing decays and where nothing is, and reverse against forward."""
    at = lambda x: spectra(x[0], x[1])
    forward = jax.jit(jax.jacfwd(at))
    reverse = jax.jit(lambda x, c: jax.vjp(at, x)[1](c)[0])
    for Gamma, omega, step in ((0.0, OMEGA, 0.5), (10.0, OMEGA, 1.0), (10.0, 0.0, 0.0)):
        x = jnp.array([Gamma, omega])
        jacobian = np.asarray(forward(x))
        cotangent = np.random.default_rng(2).normal(size=len(jacobian))
        # by omega at Gamma = 0 it is zero: rounding of terms of order ten, 1e-11, of which the two differ by 1.5e-12
        np.testing.assert_allclose(reverse(x, cotangent), cotangent @ jacobian, rtol=2e-12, atol=3e-12)
        by_Gamma = jacobian[:, 0]
        if not step:
            assert np.abs(by_Gamma).max() < 1e-12  # of nothing
            continue
        points = [spectra(Gamma + i * step, omega) for i in range(5)]  # one-sided: rates are not negative
        difference = sum(c * p for c, p in zip((-25, 48, -36, 16, -3), points, strict=True)) / (12.0 * step)
        assert np.abs(by_Gamma - difference).max() < 8e-7 * np.abs(difference).max()


def test_errors():
    with pytest.raises(ParameterRangeError, match=r"Gamma_dcdm = -1 of DecayingDarkMatter"):
        DecayingDarkMatter(-1.0, 0.1)
    with pytest.raises(NotImplementedParameterError, match="DecayingDarkMatter cannot be combined"):
        boltzax.Cosmology(fluids=(DecayingDarkMatter(1.0, 0.1), InteractingRadiation(0.1)))
    with pytest.raises(NotImplementedParameterError, match="DecayingDarkMatter cannot be combined"):
        boltzax.Cosmology(fluids=(DecayingDarkMatter(1.0, 0.1),), w0_fld=-0.9)
    with pytest.raises(NotImplementedParameterError, match="nonlinear"):
        boltzax.solve(cosmology(1.0), boltzax.Outputs(l_max=400, nonlinear="halofit"), SMALL)
    with pytest.raises(NotImplementedParameterError, match=r"boltzax\.fluids\.DecayingDarkMatter"):
        boltzax.Cosmology(Gamma_dcdm=10.0)
