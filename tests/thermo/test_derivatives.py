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
    "z_star": {*EXPANSION, "tau_reio"},
    "tau_star": {*EXPANSION, "tau_reio"},
    "rs_star": {*EXPANSION, "tau_reio"},
    "z_reio": {*EXPANSION, "tau_reio"},
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


def test_forward_against_differences(value, jacobian):
    found = jacobian(P)
    for i, name in enumerate(PARAMETERS):
        error = np.abs(differences(value, i) - found[:, i]) * P[i]
        size = np.abs(found[:, i]) * P[i]
        for k, table in enumerate(TABLES):
            part = slice(k * LN_A.size, (k + 1) * LN_A.size)
            print("T",name,table,"%.1e %.1e"%(error[part].max(),size[part].max()))
        for k, scalar in enumerate(SCALARS):
            print("S",name,scalar,"%.1e %.1e"%(error[N + k],size[N + k]))


def test_reverse_against_forward(jacobian, curvature):
    found = jacobian(P)
    for c in np.random.default_rng(1).normal(size=(2, found.shape[0])):
        gradient = np.asarray(curvature(P, P, c)[0])
        print(gradient/(c @ found)-1)
    for k in range(len(SCALARS)):
        gradient = np.asarray(curvature(P, P, np.eye(len(found))[N + k])[0])
        print(SCALARS[k],np.abs(gradient-found[N+k]).max()/np.abs(found[N+k]).max(), [p for p,x in zip(PARAMETERS,found[N+k]) if x!=0])


def test_second_derivatives(jacobian, curvature):
    expected = np.stack([differences(jacobian, i)[N:] for i in range(P.size)], axis=-1)  # [scalar, i, j]
    for k, scalar in enumerate(SCALARS):
        c = np.eye(N + len(SCALARS))[N + k]
        found = np.stack([np.asarray(curvature(P, v, c)[1]) for v in np.eye(P.size)], axis=-1)
        size, error = np.abs(found * P[:, None] * P), np.abs((found - expected[k]) * P[:, None] * P)
        print("H",scalar,"%.1e %.1e"%(error.max(),size.max()), np.unravel_index(error.argmax(),error.shape))


def test_massless(value, jacobian, curvature):
    at = lambda m: np.where(np.arange(P.size) == MASS, m, P)
    z=jacobian(at(0.)); print(np.isfinite(z).all(), np.abs(z[:,MASS]).max())
    a,b,c_=(jacobian(at(m)) for m in (1e-6,1e-4,2e-4))
    print(np.abs(a-z).max(0)/np.abs(z).max(0))
    s=slice(N,None)
    print(c_[s,MASS]/b[s,MASS])
    h=np.array([np.asarray(curvature(at(0.), np.eye(P.size)[MASS], np.eye(N+len(SCALARS))[N+k])[1])[MASS] for k in range(len(SCALARS))])
    print(h/(b[s,MASS]/1e-4))
