"""HMcode-2020: against CLASS on the same linear spectrum, its ingredients against closed forms, derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracle import nonlinear
from oracle import reference as ref
from scipy.integrate import quad

from boltzax import Cosmology
from boltzax.background import background
from boltzax.spectra.nonlinear.growth import growth, ln_growth_by_index
from boltzax.spectra.nonlinear.hmcode import cold_ratio, collapse, hmcode, variance_table
from boltzax.spectra.nonlinear.linear import LinearPower, epoch
from boltzax.spectra.nonlinear.profile import auxiliary, nfw
from boltzax.spectra.nonlinear.wiggles import wiggles


@pytest.mark.parametrize("method", ["hmcode2020", "hmcode2020_feedback"])
@pytest.mark.parametrize("point", nonlinear.POINTS)
def test_against_class(point, method):
    """z = 0, 1, 3 to 5 h/Mpc."""
    k, error = nonlinear.method_errors(ref.POINTS[point], method, nonlinear.load_table(point, method))
    assert np.abs(error[:, (k > 1e-3) & (k < 0.1)]).max() < 8e-5
    assert np.abs(error[:, (k > 1e-3) & (k < 5.0)]).max() < 1.1e-3


@pytest.mark.oracle
def test_curved_space_against_camb():
    """As in flat space, where sigma(R) of the two differs a little."""
    pytest.importorskip("camb")
    point = nonlinear.CURVED[0.05]
    k, error = nonlinear.method_errors(point, "hmcode2020", nonlinear.camb_power(point, "hmcode2020"))
    assert np.abs(error[:, (k > 1e-3) & (k < 5.0)]).max() < 1.6e-3


# -- ingredients -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("Omega_k", [None, 0.1, -0.1])
def test_growth_is_that_of_matter_curvature_and_lambda(Omega_k):
    """D ~ H int da / (a H)^3 (Heath 1977), early D = a; its integral over a, by quadrature; ln_a inverts it."""
    cosmo = Cosmology(omega_cdm=0.10, Omega_k=Omega_k)
    bg = background(cosmo)
    found = growth(bg)
    ratio = float(bg.rho_lambda / (cosmo.Omega_m * bg.H0**2))
    bent = (Omega_k or 0.0) / float(cosmo.Omega_m)
    H = lambda a: np.sqrt(a**-3 + ratio + bent / a**2)
    D = lambda a: 2.5 * H(a) * quad(lambda b: (b * H(b)) ** -3, 0.0, a, epsabs=0, epsrel=1e-11)[0]
    for a in (0.05, 0.3, 0.6, 1.0):
        over_a, total = found.over_a(jnp.log(a))
        assert float(over_a) == pytest.approx(D(a) / a, rel=8e-8)
        integral = quad(lambda b: D(b) / b, 1e-6, a, epsrel=1e-8)[0] + 1e-6
        assert float(total) == pytest.approx(integral / a, rel=3e-8)
        assert float(found.ln_factor(jnp.log(a))) == pytest.approx(np.log(D(a) / D(1.0)), abs=1.4e-7)
        assert float(found.ln_a(found.ln_factor(jnp.log(a)))) == pytest.approx(np.log(a), abs=1e-9)
    early, own = float(ln_growth_by_index(epoch(bg, cosmo, jnp.asarray(1 / 3)))), np.log(D(1 / 11) / D(1.0))
    ratio, bent = ratio + bent, 0.0  # from here on H and D are those of flat space with the same matter
    excess = own - np.log(D(1 / 11) / D(1.0))
    assert float(found.ln_early_excess) == pytest.approx(excess, abs=1.3e-8 if Omega_k else 1e-12)
    assert early == pytest.approx(np.log(D(1 / 3) / D(1.0)), abs=5e-3)


def test_collapse_without_dark_energy_is_that_of_einstein_and_de_sitter():
    """At z = 60 dark energy is nothing: 1.686 and 178, less and more by the neutrinos."""
    cosmo = Cosmology(m_ncdm=0.3)
    bg = background(cosmo)
    universe = epoch(bg, cosmo, jnp.asarray(1 / 61))
    delta_c, overdensity = collapse(universe, growth(bg), jnp.log(1 / 61))
    f_nu = float(universe.f_nu)
    assert f_nu == pytest.approx(0.3 / 93.1 / float(cosmo.Omega_m * cosmo.h**2), rel=2e-3)
    assert float(delta_c) == pytest.approx(1.6865 * 1.0001 * (1 - 0.041 * f_nu), rel=1e-4)
    assert float(overdensity) == pytest.approx(18 * np.pi**2 * (1 + 0.763 * f_nu), rel=1e-3)


@pytest.mark.parametrize("c", [1.3, 5.0, 30.0])
@pytest.mark.parametrize("k_rv", [1e-4, 0.3, 4.0, 60.0])
def test_profile(c, k_rv):
    """The transform of r^-1 (1 + r)^-2 cut at c by adaptive quadrature."""
    a = k_rv / c
    integrand = lambda x: x / (1 + x) ** 2 * np.sinc(a * x / np.pi)
    exact = quad(integrand, 0.0, c, limit=400, epsabs=1e-11)[0] / (np.log1p(c) - c / (1 + c))
    assert float(nfw(jnp.asarray(k_rv), jnp.asarray(c))) == pytest.approx(exact, abs=5e-5)


def test_auxiliary_functions():
    """f and g are Laplace transforms; f' = -g, g' = f - 1/x."""
    for x in (0.01, 0.7, 3.0, 40.0):
        for which, power in enumerate((0, 1)):
            exact = quad(lambda t: t**power * np.exp(-x * t) / (1 + t * t), 0.0, np.inf, limit=500)[0]  # noqa: B023
            assert float(auxiliary(jnp.asarray(x))[which]) == pytest.approx(exact, rel=2e-6)
        d_f, d_g = jax.jacfwd(auxiliary)(x)
        f, g = auxiliary(jnp.asarray(x))
        np.testing.assert_allclose((d_f, d_g), (-g, f - 1 / x), rtol=1e-12)


def test_variance_of_a_power_law():
    """sigma^2 of P ~ k^-2 in spheres falls as 1/R: 9 A int x^-4 (sin x/x - cos x)^2 dx / R."""
    k = jnp.asarray(np.exp(np.linspace(np.log(1e-6), np.log(1e7), 3000)))
    table = variance_table(LinearPower(k, k, k, 10), k)
    integrand = lambda x: 9 * (np.sin(x) / x - np.cos(x)) ** 2 / x**4
    exact = quad(integrand, 1e-3, 60.0, limit=2000)[0] + 1e-3 + 9 / 2 / (3 * 60.0**3)
    for R in (0.01, 1.0, 30.0):
        assert float(jnp.exp(table(jnp.log(R)))[0]) == pytest.approx(exact / R, rel=1e-4)
        assert float(table.derivative(jnp.log(R))[0]) == pytest.approx(-1.0, abs=1e-4)


def test_cold_ratio():
    """1 on large scales and without neutrinos; on small ones neutrinos are smooth, and cold matter is 1/(1 - f_nu)."""
    k = jnp.array([1e-5, 1e3])
    for mass, tolerance in ((0.3, 2e-3), (0.0, 1e-5)):
        cosmo = Cosmology(m_ncdm=mass)
        universe = epoch(background(cosmo), cosmo, jnp.ones(()))
        ratio = cold_ratio(k, universe, jnp.asarray(0.79))
        assert float(ratio[0]) == pytest.approx(1.0, abs=tolerance)
        assert float(ratio[1]) == pytest.approx(1 / (1 - float(universe.f_nu)), rel=1e-5)


def test_wiggles_are_found(toy):
    """None in a smooth spectrum, and in one with wiggles those that were put in."""
    cosmo = Cosmology()
    smooth, universe = toy(cosmo, 0.0)
    with_them, _ = toy(cosmo, 0.0, wiggle=0.05)
    k = np.asarray(smooth.k[: smooth.solved])
    middle = (k > 1e-3) & (k < 1.0)
    assert np.abs(wiggles(smooth, universe) / smooth.m[: smooth.solved])[middle].max() < 1e-10
    put_in = np.asarray(with_them.m - smooth.m)[: smooth.solved] / np.asarray(smooth.m[: smooth.solved])
    found = np.asarray(wiggles(with_them, universe) / smooth.m[: smooth.solved])
    acoustic = (k > 0.08) & (k < 0.3)  # longer waves are as wide as the smoothing
    assert np.abs(found - put_in)[acoustic].max() < 0.15 * np.abs(put_in[acoustic]).max()


# -- the whole ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def score(toy):
    """score(p): of the power with feedback, p amplitude, omega_cdm, h, mass, n_s, log10 T_AGN and Omega_k."""
    weights = np.random.default_rng(4).normal(size=300)

    def of(p):
        cosmo = Cosmology(omega_cdm=p[1], h=p[2], m_ncdm=p[3], n_s=p[4], Omega_k=p[6])
        power, k_nl = hmcode(*toy(cosmo, 0.5, p[0]), growth(background(cosmo)), p[5])
        return weights @ jnp.log(power) + jnp.log(k_nl)

    return of


def test_derivatives(score):
    """Forward, reverse and differences."""
    p = jnp.array([1.0, 0.12, 0.67, 0.1, 0.96, 7.7, 0.0])
    reverse, forward = jax.jit(jax.grad(score))(p), jax.jit(jax.jacfwd(score))(p)
    np.testing.assert_allclose(reverse, forward, rtol=1e-7)
    value = jax.jit(score)
    for i, step in enumerate((2e-3, 2e-4, 2e-3, 2e-3, 2e-3, 1e-3, 2e-3)):
        e = step * np.eye(7)[i]
        f = [float(value(p + s * e)) for s in (-2, -1, 1, 2)]
        difference = (f[0] - 8 * f[1] + 8 * f[2] - f[3]) / (12 * step)
        assert float(forward[i]) == pytest.approx(difference, rel=1e-5), i


def test_feedback(toy):
    """Gas that is expelled lowers the power at k ~ 1, the more the hotter; stars raise it far inside halos."""
    cosmo = Cosmology()
    linear, universe = toy(cosmo, 0.0)
    grown = growth(background(cosmo))
    dark, weak, strong = (np.asarray(hmcode(linear, universe, grown, T)[0]) for T in (None, 7.6, 8.0))
    k = np.asarray(linear.k[: linear.solved])
    at = np.searchsorted(k, 1.5)
    assert strong[at] < weak[at] < 0.999 * dark[at]
    assert strong[at] > 0.6 * dark[at]
    # at k ~ 1e-5, where there is hardly linear power, what is left is the one-halo term of the plain model
    assert np.abs(strong / dark - 1.0)[(k > 1e-3) & (k < 0.01)].max() < 2e-3
