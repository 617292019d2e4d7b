"""Extensions through the whole pipeline: what they do to spectra, against CLASS and CAMB, and their derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracle import responses
from oracle.experiment import SMALL, SMALL_OUTPUTS

from boltzax.errors import ParameterRangeError
from boltzax.fluids import EarlyDarkEnergy, InteractingRadiation

PLAIN = responses.cosmology(None)
# twice the present departures in TT, EE, phiphi, P(k), which are mostly those of the few modes of SMALL
BOUNDS = {
    "w0wa": (1.2e-4, 4e-4, 1.3e-5, 6e-6),
    "phantom": (5e-5, 2.6e-3, 5.2e-4, 3e-5),
    "fluid": (2e-4, 3e-3, 5.2e-4, 2e-7),
    "radiation": (5e-5, 6e-4, 5.4e-4, 1.1e-5),
    "early": (1.8e-4, 1.1e-3, 9e-4, 8e-6),
    "cdi": (1.6e-4, 1.8e-3, 5e-5, 8e-4),
    "bi": (2.4e-4, 3.8e-3, 6e-5, 3.6e-3),
    "nid": (3e-4, 1.8e-3, 1.6e-4, 7e-5),
    "niv": (2.2e-3, 1.4e-2, 2.5e-4, 1.8e-4),
    "alpha": (8e-5, 5.4e-4, 4e-4, 8e-7),
    "me": (1.1e-4, 6.4e-4, 4e-4, 8e-7),
    "annihilation": (1.1e-4, 5.8e-3, 1.5e-5, 4.6e-7),
    "decaying": (1.6e-4, 7.2e-4, 1.9e-4, 1e-4),
    "open": (1.1e-3, 1.3e-2, 1.4e-3, 1e-2),
    "closed": (8.4e-4, 1.4e-2, 2e-3, 2.2e-4),
}
LARGE = responses.K < 0.02  # 1/Mpc: beyond it the modes of SMALL are too few for acoustic oscillations


def spectra(cosmo):
    return responses.spectra(cosmo, SMALL_OUTPUTS, SMALL)


@pytest.fixture(scope="module")
def plain():
    return spectra(PLAIN)


@pytest.mark.parametrize("name", BOUNDS)
def test_what_it_does_to_spectra(name, plain):
    """ln C_l and ln P(k) with the extension over those without, against CLASS (early dark energy: CAMB)."""
    found = responses.departures(name, spectra(responses.cosmology(name)), plain)
    for x, bound in zip(responses.QUANTITIES, BOUNDS[name], strict=True):
        assert np.abs(found[x][LARGE] if x == "pk" else found[x]).max() < bound, (x, found[x])


def test_values_out_of_range_raise():
    with pytest.raises(ParameterRangeError, match=r"fde_zc = 1\.2 of EarlyDarkEnergy"):
        EarlyDarkEnergy(jnp.asarray(1.2), jnp.asarray(3500.0), jnp.asarray(2.0))
    with pytest.raises(ParameterRangeError, match="theta_i"):
        EarlyDarkEnergy(0.1, 3500.0, 3.5)
    with pytest.raises(ParameterRangeError, match=r"N_idr = -0\.1"):
        InteractingRadiation(jnp.asarray(-0.1))


NAMES = ("w0_fld", "wa_fld", "cs2_fld", "fde_zc", "z_c", "theta_i", "N_idr")
STEPS = np.array([0.02, 0.02, 0.05, 5e-3, 100.0, 0.05, 0.02])
NEUTRAL = np.array([-1.0, 0.0, 1.0, 0.0, 3500.0, 2.5, 0.0])
AWAY = np.array([-0.9, -0.3, 0.8, 0.06, 3200.0, 2.3, 0.3])


def everything(x):
    """log of spectra with all fluids, as a vector."""
    w0, wa, cs2, *early, N_idr = x
    fluids = (EarlyDarkEnergy(*early), InteractingRadiation(N_idr))
    found = spectra(PLAIN.replace(w0_fld=w0, wa_fld=wa, cs2_fld=cs2, fluids=fluids))
    return jnp.concatenate([jnp.log(v) for v in found.values()])


@pytest.fixture(scope="module")
def programs():
    value = jax.jit(everything)
    forward = jax.jit(lambda x, v: jax.jvp(everything, (x,), (v,))[1])
    reverse = jax.jit(lambda x, c: jax.vjp(everything, x)[1](c)[0])
    return value, forward, reverse


@pytest.mark.parametrize("x", [NEUTRAL, AWAY], ids=["neutral", "away"])
def test_derivatives(programs, x):
    """Forward against finite differences, also where every species vanishes, and reverse against forward."""
    value, forward, reverse = programs
    jacobian = np.array([forward(x, row) for row in np.eye(x.size)])
    cotangent = np.random.default_rng(1).normal(size=jacobian.shape[1])
    np.testing.assert_allclose(reverse(x, cotangent), jacobian @ cotangent, rtol=1e-10, atol=1e-12)
    for name, step, row, unit in zip(NAMES, STEPS, jacobian, np.eye(x.size), strict=True):
        if name == "N_idr" and x[-1] == 0.0:  # no density is negative: one-sided differences
            points = [value(x + i * step * unit) for i in range(5)]
            difference = sum(c * p for c, p in zip((-25, 48, -36, 16, -3), points, strict=True)) / (12.0 * step)
        else:
            coarse, fine = ((value(x + h * unit) - value(x - h * unit)) / (2.0 * h) for h in (step, 0.5 * step))
            difference = (4.0 * fine - coarse) / 3.0
        scale = max(np.abs(difference).max(), 1e-6 / step)
        assert np.abs(row - difference).max() < 1e-5 * scale, (name, np.abs(row - difference).max() / scale)
