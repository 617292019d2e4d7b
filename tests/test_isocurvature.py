"""Isocurvature modes: names, mixtures and derivatives; tests/fluids has what they do to spectra, against CLASS."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracle import responses
from oracle.experiment import SMALL, SMALL_OUTPUTS

import boltzax
from boltzax.errors import ConflictingParametersError, NotImplementedParameterError, ParameterRangeError
from boltzax.fluids import InteractingRadiation

PLAIN = responses.cosmology(None)


def spectra(cosmo):
    return responses.spectra(cosmo, SMALL_OUTPUTS, SMALL)


def test_derivatives_at_zero():
    """At f = 0 a correlated mode changes nothing but has a slope, the cross spectrum."""
    with_f = lambda f: spectra(PLAIN.replace(f_cdi=f, c_ad_cdi=0.5))
    value, slope = jax.jit(lambda: jax.jvp(with_f, (jnp.asarray(0.0),), (jnp.asarray(1.0),)))()
    up, down, plain = with_f(0.02), with_f(-0.02), spectra(PLAIN)
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
