"""Derivatives of background and thermodynamics: forward, reverse, one over the other, differences, edges.

Three programs serve every test: outputs, their Jacobian, and the gradient of any combination with its derivative along
a direction. Outputs are logarithms, or of order one; tables first, then every derived scalar.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import boltzax
from boltzax.background import background
from boltzax.errors import on_error_mode
from boltzax.thermo import thermodynamics

PARAMETERS = ("h", "omega_b", "omega_cdm", "tau_reio", "m_ncdm", "N_ur", "T_cmb")
P = np.array([0.6736, 0.02237, 0.12, 0.0544, 0.06, 2.0328, 2.7255])
MASS = PARAMETERS.index("m_ncdm")
LN_A = np.linspace(-8.2, -0.05, 300)
TABLES = ("H", "tau", "r_s", "x_e", "kappa_prime", "cb2")
EPOCHS = tuple(f"{what}_{when}" for what in ("z", "tau", "rs") for when in ("rec", "star", "d"))
THERMO = ("theta_s_100", *EPOCHS, "z_reio", "YHe", "n_H")
SCALARS = (*THERMO, "tau_0", "age", "N_eff", "ln_a(280)")
N = len(TABLES) * LN_A.size
EXPANSION = {"h", "omega_b", "omega_cdm", "m_ncdm", "N_ur", "T_cmb"}
# what a scalar depends on, where that is not everything that changes the expansion
DEPENDENCE = {
    "YHe": {"omega_b", "N_ur"},
    "n_H": {"omega_b", "N_ur"},
    "N_eff": {"N_ur"},
    "z_reio": {*EXPANSION, "tau_reio"},
    # optical depths are counted from today
    **{f"{what}_{when}": {*EXPANSION, "tau_reio"} for what in ("z", "tau", "rs") for when in ("star", "d")},
}


def outputs(p):
    """ln of the tables at LN_A (cb2 over k_B T_cmb (1 + z) / m_H) and of the scalars."""
    cosmo = boltzax.Cosmology(**dict(zip(PARAMETERS, p, strict=True)), T_ncdm=0.71611)
    with on_error_mode("nan"):
        bg = background(cosmo)
        thermo = thermodynamics(cosmo, bg)
    state = thermo.at(LN_A)
    tables = [jnp.log(f(LN_A)) for f in (bg.hubble, bg.conformal_time, bg.sound_horizon)]
    tables += [jnp.log(state.x_e), jnp.log(state.kappa_prime), state.cb2 * np.exp(LN_A) / (9.2e-14 * 2.7255)]
    scalars = [getattr(thermo, name) for name in THERMO] + [bg.tau_0, bg.age, bg.N_eff, jnp.exp(bg.ln_a(280.0))]
    return jnp.concatenate([*tables, jnp.log(jnp.stack(scalars))])


@pytest.fixture(scope="module")
def value():
    program = jax.jit(outputs)
    return lambda p: np.asarray(program(p))


@pytest.fixture(scope="module")
def jacobian():
    """jacobian(p) [output, parameter]."""
    program = jax.jit(jax.jacfwd(outputs))
    return lambda p: np.asarray(program(p))


@pytest.fixture(scope="module")
def curvature():
    """curvature(p, v, c): gradient of c . outputs, and its derivative along v."""

    def both(p, v, c):
        return jax.jvp(jax.grad(lambda q: c @ outputs(q)), (p,), (v,))

    return jax.jit(both)


def differences(f, i, step=3e-3):
    """df/dp_i by central differences of order four."""
    e = np.zeros(P.size)
    e[i] = step * P[i]
    return (8.0 * (f(P + e) - f(P - e)) - (f(P + 2 * e) - f(P - 2 * e))) / (12.0 * e[i])


@pytest.mark.parametrize("i", range(P.size), ids=PARAMETERS)
def test_forward_against_differences(value, jacobian, i):
    found = jacobian(P)[:, i] * P[i]
    error = np.abs(differences(value, i) * P[i] - found)
    for k, table in enumerate(TABLES):
        part = slice(k * LN_A.size, (k + 1) * LN_A.size)
        assert error[part].max() <= 6e-6 * np.abs(found[part]).max(), table
    for k, scalar in enumerate(SCALARS):
        assert error[N + k] < 5e-7, scalar
        depends = PARAMETERS[i] in DEPENDENCE.get(scalar, EXPANSION)
        assert (found[N + k] != 0.0) == depends, scalar


def test_reverse_against_forward(jacobian, curvature):
    found = jacobian(P)
    for c in np.random.default_rng(1).normal(size=(2, found.shape[0])):
        np.testing.assert_allclose(curvature(P, P, c)[0], c @ found, rtol=1e-12)
    for k, scalar in enumerate(SCALARS):
        gradient = curvature(P, P, np.eye(len(found))[N + k])[0]
        np.testing.assert_allclose(
            gradient, found[N + k], rtol=0.0, atol=1e-14 * np.abs(found[N + k]).max(), err_msg=scalar
        )


def test_second_derivatives(jacobian, curvature):
    expected = np.stack([differences(jacobian, i)[N:] for i in range(P.size)], axis=-1)  # [scalar, i, j]
    for k, scalar in enumerate(SCALARS):
        c = np.eye(N + len(SCALARS))[N + k]
        found = np.stack([np.asarray(curvature(P, v, c)[1]) for v in np.eye(P.size)], axis=-1)
        size, error = np.abs(found * P[:, None] * P), np.abs((found - expected[k]) * P[:, None] * P)
        assert error.max() < 4e-5 * size.max(), scalar


def test_massless_neutrinos(jacobian, curvature):
    """All is even in a mass: no slope at zero, a curvature that the slopes nearby show, no step on the way."""
    at = lambda mass: np.where(np.arange(P.size) == MASS, mass, P)
    zero, tiny, small, double = (jacobian(at(mass)) for mass in (0.0, 1e-6, 1e-4, 2e-4))
    assert np.all(np.isfinite(zero)) and not np.any(zero[:, MASS])
    for i in np.flatnonzero(np.arange(P.size) != MASS):
        np.testing.assert_allclose(tiny[:, i], zero[:, i], rtol=0.0, atol=2e-10 * np.abs(zero[:, i]).max())
    for k, scalar in enumerate(SCALARS):
        slope = small[N + k, MASS]
        if "m_ncdm" not in DEPENDENCE.get(scalar, EXPANSION):
            assert slope == 0.0, scalar
            continue
        assert double[N + k, MASS] / slope == pytest.approx(2.0, abs=0.16), scalar
        second = curvature(at(0.0), np.eye(P.size)[MASS], np.eye(len(zero))[N + k])[1][MASS]
        assert second == pytest.approx(slope / 1e-4, rel=0.04), scalar
