"""Isocurvature modes: what they do to spectra, against CLASS; names, mixtures and derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracle import make_extension_references as made
from tests.responses import LARGE, spectra

import boltzax
from boltzax.errors import ConflictingParametersError, NotImplementedParameterError, ParameterRangeError
from boltzax.fluids import InteractingRadiation

PLAIN = boltzax.Cosmology(**made.PLAIN)
# twice the present error of log(with / without) in TT, EE, phiphi, P(k); CLASS's own start is what is left in niv
BOUNDS = {
    "cdi": (7e-4, 2e-3, 5e-4, 8e-4),
    "bi": (1e-3, 2.8e-3, 5e-4, 3.5e-3),
    "nid": (5e-4, 2e-3, 5e-4, 1e-4),
    "niv": (2e-2, 1.3e-2, 5e-4, 2e-4),
}


def mode(kind):
    return {name: value for name, value in made.CLASS_CASES[kind].items() if name != "ic"}


@pytest.fixture(scope="module")
def plain():
    return spectra(PLAIN)


@pytest.mark.parametrize("kind", BOUNDS)
def test_what_it_does_to_spectra(kind, plain):
    """ln of spectra with the mode over those without, against CLASS; cdi and nid are correlated with the adiabatic."""
    now = spectra(PLAIN.replace(**mode(kind)))
    with np.load(made.PATH) as table:
        for x, bound in zip(("tt", "ee", "pp", "pk"), BOUNDS[kind], strict=True):
            expected = table[f"{kind}_{x}"]
            expected = expected[LARGE] if x == "pk" else expected
            np.testing.assert_allclose(np.log(now[x] / plain[x]), expected, rtol=0, atol=bound, err_msg=x)


def test_derivatives_at_zero(plain):
    """At f = 0 a correlated mode changes nothing but has a slope, the cross spectrum."""
    with_f = lambda f: spectra(PLAIN.replace(f_cdi=f, c_ad_cdi=0.5))
    value, slope = jax.jit(lambda: jax.jvp(with_f, (jnp.asarray(0.0),), (jnp.asarray(1.0),)))()
    up, down = with_f(0.02), with_f(-0.02)
    for x in value:
        np.testing.assert_allclose(value[x], plain[x], rtol=1e-9)
        difference = (up[x] - down[x]) / 0.04  # exact: the spectrum is a parabola in f
        np.testing.assert_allclose(slope[x], difference, rtol=0, atol=1e-8 * np.max(np.abs(difference)))


def test_names_are_those_of_class():
    cosmo = PLAIN.replace(f_bi=0.3, n_bi=0.9)
    settings = cosmo.to_classy()
    assert settings["ic"] == "ad,bi" and settings["f_bi"] == 0.3 and settings["n_bi"] == 0.9
    assert boltzax.Cosmology.from_dict(cosmo.to_dict()).isocurvature[0].kind == "bi"
    assert float(cosmo.replace(f_bi=0.4).isocurvature[0].n) == 0.9
    by_object = PLAIN.replace(isocurvature=(boltzax.Isocurvature("bi", f=0.3, n=0.9),))
    assert by_object.to_dict() == cosmo.to_dict()


def test_bad_input():
    with pytest.raises(ParameterRangeError, match=r"c_ad_cdi = 1\.5"):
        boltzax.Cosmology(f_cdi=1.0, c_ad_cdi=1.5)
    with pytest.raises(ParameterRangeError, match="cdi, bi, nid, niv"):
        boltzax.Isocurvature("axion")
    with pytest.raises(ConflictingParametersError, match="given twice"):
        boltzax.Cosmology(f_cdi=1.0, isocurvature=(boltzax.Isocurvature("cdi"),))
    with pytest.raises(NotImplementedParameterError, match="fluids"):
        boltzax.Cosmology(f_cdi=1.0, fluids=(InteractingRadiation(jnp.asarray(0.1)),))
