"""Fluids through the whole pipeline: what they do to spectra, against CLASS and CAMB, and their derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracle import make_extension_references as made
from tests.responses import LARGE, spectra

import boltzax
from boltzax.fluids import EarlyDarkEnergy, InteractingRadiation

EARLY = (0.08, 3500.0, 2.7)
PLAIN = boltzax.Cosmology(**made.PLAIN)


def dark_energy(**changes):
    return PLAIN.replace(**changes)


def with_fluids(early=EARLY, N_idr=0.5):
    fluids = (EarlyDarkEnergy(*map(jnp.asarray, early)),) if early else ()
    return PLAIN.replace(fluids=(*fluids, InteractingRadiation(jnp.asarray(N_idr))) if N_idr else fluids)


CASES = {
    "w0wa": dark_energy(w0_fld=-0.85, wa_fld=-0.6),
    "phantom": dark_energy(w0_fld=-1.3, wa_fld=0.2),
    "fluid": dark_energy(w0_fld=-0.7, wa_fld=0.1, cs2_fld=0.1, use_ppf="no"),
    "radiation": with_fluids(early=None),
    "early": with_fluids(N_idr=None),
}


# twice the present error of log(with / without) in TT, EE, phiphi, P(k), most of it that of CLASS's default settings
BOUNDS = {
    "w0wa": (3.2e-4, 8e-4, 1.5e-5, 2e-5),
    "phantom": (4e-4, 1.8e-3, 5e-4, 2e-5),
    "fluid": (1e-3, 2.5e-3, 7e-4, 2e-5),
    "radiation": (3.3e-4, 1.2e-3, 5e-4, 1e-4),
    "early": (1.8e-4, 1.1e-3, 5e-4, 1e-4),
}


@pytest.fixture(scope="module")
def plain():
    return spectra(PLAIN)


@pytest.fixture(scope="module")
def responses():
    with np.load(made.PATH) as table:
        return {name: table[name] for name in table.files}


@pytest.mark.parametrize("name", CASES)
def test_what_it_does_to_spectra(name, plain, responses):
    """ln C_l and ln P(k) with the species over those without, against CLASS (early dark energy: CAMB)."""
    now = spectra(CASES[name])
    for x, bound in zip(("tt", "ee", "pp", "pk"), BOUNDS[name], strict=True):
        expected = responses[f"{name}_{x}"]
        expected = expected[LARGE] if x == "pk" else expected
        np.testing.assert_allclose(np.log(now[x] / plain[x]), expected, rtol=0, atol=bound, err_msg=x)


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
    np.testing.assert_allclose(reverse(x, cotangent), jacobian @ cotangent, rtol=1e-8, atol=1e-9)
    for name, step, row, unit in zip(NAMES, STEPS, jacobian, np.eye(x.size), strict=True):
        if name == "N_idr" and x[-1] == 0.0:  # no density is negative: one-sided differences
            points = [value(x + i * step * unit) for i in range(5)]
            difference = sum(c * p for c, p in zip((-25, 48, -36, 16, -3), points, strict=True)) / (12.0 * step)
        else:
            coarse, fine = ((value(x + h * unit) - value(x - h * unit)) / (2.0 * h) for h in (step, 0.5 * step))
            difference = (4.0 * fine - coarse) / 3.0
        scale = max(np.abs(difference).max(), 1e-6 / step)
        assert np.abs(row - difference).max() < 2e-4 * scale, (name, np.abs(row - difference).max() / scale)
