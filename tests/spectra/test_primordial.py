"""Primordial spectra: running, tensors, a spectrum of the user; A_lens."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracle.experiment import SMALL, SMALL_OUTPUTS

import boltzax
from boltzax.cosmology import Cosmology
from boltzax.errors import (
    ConflictingParametersError,
    MissingParameterError,
    NotImplementedParameterError,
    ParameterRangeError,
)
from boltzax.spectra.primordial import curvature_power, tensor_power

PIVOT = 0.05
close = np.testing.assert_allclose
LN_K = np.log(PIVOT)


class Bump(eqx.Module):
    """A power law with a feature, and parameters of its own."""

    A_s: float
    n_s: float
    height: float

    def __call__(self, k):
        L = jnp.log(k / PIVOT)
        return self.A_s * jnp.exp((self.n_s - 1.0) * L) * (1.0 + self.height * jnp.exp(-8.0 * (L + 1.0) ** 2))


def log_derivatives(power, order):
    f = lambda ln_k: jnp.log(power(jnp.exp(ln_k)))
    for _ in range(order):
        f = jax.grad(f)
    return float(f(LN_K))


def test_indices_are_derivatives_at_the_pivot():
    cosmo = Cosmology(A_s=2e-9, n_s=0.95, alpha_s=0.02, beta_s=-0.03)
    found = [log_derivatives(lambda k: curvature_power(cosmo, k), n) for n in range(4)]
    assert found == pytest.approx([np.log(2e-9), -0.05, 0.02, -0.03], abs=1e-12)
    cosmo = cosmo.replace(r=0.2, n_t=-0.1, alpha_t=0.04)
    found = [log_derivatives(lambda k: tensor_power(cosmo, k), n) for n in range(3)]
    assert found == pytest.approx([np.log(4e-10), -0.1, 0.04], abs=1e-12)


@pytest.mark.parametrize("given", [{}, {"n_t": "scc", "alpha_t": "SCC"}])
def test_consistency_relation(given):
    cosmo = Cosmology.from_dict({"r": 0.16, "n_s": 0.96} | given)
    found = [log_derivatives(lambda k: tensor_power(cosmo, k), n) for n in (1, 2)]
    assert found == pytest.approx([-0.02 * (2.0 - 0.02 - 0.96), 0.02 * (0.02 + 0.96 - 1.0)], rel=1e-10)


def test_spectrum_of_the_user():
    law = Cosmology(A_s=2e-9, n_s=0.95, r=0.1)
    bump = law.replace(primordial_spectrum=Bump(2e-9, 0.95, 0.0))
    k = np.geomspace(1e-5, 10.0, 30)
    close(curvature_power(bump, k), curvature_power(law, k), rtol=1e-12)
    close(tensor_power(bump, k), tensor_power(law, k), rtol=1e-12)
    plain = Cosmology(primordial_spectrum=lambda k: 2e-9 * (k / PIVOT) ** -0.05)
    close(curvature_power(plain, k), curvature_power(law, k), rtol=1e-12)
    assert float(plain.A_s) == pytest.approx(2e-9, rel=1e-12)
    slope = jax.grad(lambda c: curvature_power(c, PIVOT * np.exp(-1.0)))(bump).primordial_spectrum.height
    assert float(slope) == pytest.approx(2e-9 * np.exp(0.05), rel=1e-12)


@pytest.mark.parametrize(
    ("error", "given", "words"),
    [
        (ConflictingParametersError, {"primordial_spectrum": lambda k: k, "n_s": 0.9}, "n_s"),
        (ParameterRangeError, {"primordial_spectrum": 2e-9}, "function"),
        (MissingParameterError, {"n_t": -0.1}, "needs r"),
        (ParameterRangeError, {"r": -0.1}, "r = -0.1"),
        (ParameterRangeError, {"r": 0.1, "n_t": "flat"}, "'scc'"),
        (ParameterRangeError, {"A_lens": 0.0}, "A_lens"),
    ],
)
def test_bad_input_raises(error, given, words):
    with pytest.raises(error, match=words):
        Cosmology(**given)


def test_conversions():
    cosmo = Cosmology(r=0.1, alpha_s=0.01, A_L=1.2)
    assert Cosmology.from_dict(cosmo.to_dict()).to_dict() == cosmo.to_dict()
    settings = cosmo.to_classy()
    assert [settings[n] for n in ("modes", "r", "n_t", "alpha_s", "A_L")] == ["s,t", 0.1, "scc", 0.01, 1.2]
    assert not {"r", "modes", "alpha_s", "beta_s", "A_lens", "A_L"} & set(Cosmology().to_classy())
    with pytest.raises(NotImplementedParameterError, match="beta_s"):
        Cosmology(beta_s=0.1).to_classy()
    with pytest.raises(NotImplementedParameterError, match="primordial_spectrum"):
        Cosmology(primordial_spectrum=Bump(2e-9, 0.95, 0.0)).to_dict()


@pytest.fixture(scope="module")
def solved():
    """Lensed and unlensed spectra of a cosmology with tensors, and their derivatives in A_lens, r, alpha_s."""
    of = lambda r: (r.lensed_cl, r.unlensed_cl, r.tensor_cl)
    run = lambda **given: boltzax.jacobian(Cosmology(r=0.1, **given), ("A_lens", "r", "alpha_s"), of, *SETTINGS)
    return run(), run(A_lens=1.02), run(alpha_s=0.002)


SETTINGS = (SMALL_OUTPUTS, SMALL)


def test_lensing_amplitude(solved):
    (one, slope), (more, _), _ = solved
    close(more.lensed_cl.pp, 1.02 * one.lensed_cl.pp, rtol=1e-12)
    close(more.unlensed_cl.tp, np.sqrt(1.02) * one.unlensed_cl.tp, rtol=1e-12)
    close(more.unlensed_cl.tt, one.unlensed_cl.tt, rtol=1e-13)
    lensing_bb = one.lensed_cl.bb - one.tensor_cl.bb
    close((more.lensed_cl.bb - more.tensor_cl.bb)[100:], 1.02 * lensing_bb[100:], rtol=2e-3)
    change = (more.lensed_cl.ee - one.lensed_cl.ee)[2:]
    close(change, 0.02 * slope["A_lens"][0].ee[2:], rtol=0.0, atol=0.02 * np.abs(change).max())


def test_totals_hold_the_tensors(solved):
    one, slope = solved[0]
    assert np.array_equal(one.unlensed_cl.bb, one.tensor_cl.bb)
    assert float(one.lensed_cl.bb[5] / one.tensor_cl.bb[5]) == pytest.approx(1.0, rel=2e-2)
    assert one.lensed_cl.bb[300] > 10.0 * one.tensor_cl.bb[300]
    for name in ("tt", "te", "ee", "bb"):
        d_raw, d_waves = (np.asarray(getattr(slope["r"][i], name)) for i in (1, 2))
        close(d_raw, d_waves, rtol=1e-9, atol=1e-12 * np.abs(d_waves).max())
    # the consistency relation makes n_t of r: at l = 80, where ln(k / k_pivot) = -1.7, so much more than r is gained
    gain = -0.1 / 8.0 * (2.0 - 0.025 - 0.9649) * -1.7
    assert float(0.1 * slope["r"][2].bb[80] / one.tensor_cl.bb[80]) == pytest.approx(1.0 + gain, abs=5e-4)


def test_running_in_the_spectra(solved):
    (one, slope), _, (more, _) = solved
    change = np.log(np.asarray(more.unlensed_cl.tt / one.unlensed_cl.tt)[2:])
    close(change, 0.002 * np.asarray(slope["alpha_s"][1].tt / one.unlensed_cl.tt)[2:], rtol=0.0, atol=2e-4)
