"""Annihilating dark matter: against CLASS; derivatives by it and by varying constants, at their neutral values too."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tests.thermo.test_reference import SCALARS, TOLERANCE, check, check_scalars, errors

import boltzax
from boltzax.background import background
from boltzax.errors import NotImplementedParameterError, ParameterRangeError
from boltzax.thermo import injection, thermodynamics

# CLASS's rounded conversion of densities, off by 3e-5, enters squared
BOUNDS = TOLERANCE | {
    "T_b": [1e-4, 6e-5, 2e-5, 1.5e-7, 1e-8, 1e-8, 4e-8],
    "cb2": [2e-4, 7e-5, 1.5e-5, 1.3e-6, 3e-6, 3.5e-6, 5e-6],
    "g": [2.4e-8, 7e-9, 4e-7, 4e-6, 4e-14, 3e-19, 1e-100],
    "exp_m_kappa": [1.7e-7, 2.2e-7, 2e-6, 2.4e-6, 8e-16, 6e-21, 1e-100],
} | {name: [3e-4, 3e-4, 8e-5, 6e-5, 6.5e-6, 7e-6, 9e-6] for name in ("x_e", "kappa_prime")}  # fmt: skip
EPOCHS = SCALARS | {"z_rec": 1.4e-7, "tau_rec": 1.1e-7, "rs_rec": 1e-7, "theta_s_100": 1e-7} | {
    "z_star": 4e-7, "rs_star": 2.5e-7, "z_d": 3.4e-7, "rs_d": 2.3e-7, "z_reio": 2e-6,
}  # fmt: skip


def test_against_class(compared):
    ours, state, theirs = compared("annihilation")
    check(errors(state, theirs), BOUNDS)
    check_scalars(ours, theirs, EPOCHS)


def test_ten_times_as_strong(compared):
    ours, state, theirs = compared("annihilation_strong")
    stronger = {name: [10.0 * b for b in BOUNDS[name]] for name in ("g", "exp_m_kappa")}
    stronger["T_b"] = [3e-4, *BOUNDS["T_b"][1:4], 1e-7, 1e-7, 4e-7]
    stronger["cb2"] = [4.4e-4, *BOUNDS["cb2"][1:3], 2.6e-6, *BOUNDS["cb2"][4:]]
    check(errors(state, theirs), BOUNDS | stronger)
    check_scalars(ours, theirs, {name: 10.0 * bound for name, bound in EPOCHS.items()})


def test_recfast(compared):
    _, state, theirs = compared("recfast_annihilation")
    wider = {name: [*BOUNDS[name][:4], 4.5e-5, *BOUNDS[name][5:]] for name in ("x_e", "kappa_prime", "cb2")}
    check(errors(state, theirs), BOUNDS | wider)


def test_all_energy_is_absorbed():
    """What ionizes, excites and heats adds up to what is injected."""
    x_e, T, f_He, energy = jnp.linspace(1e-4, 1.2, 50), 2000.0, 0.08, 3.0
    alone = injection.ionization(energy, x_e, 0.0)
    ionized, excited = alone * injection._T_ION, (injection.ionization(energy, x_e, 1.0) - alone) * injection._T_LYMAN
    heat = injection.heating(energy, x_e, T, f_He) * 1.5 * T * (1.0 + x_e + f_He)
    np.testing.assert_allclose(ionized + excited + heat, energy, rtol=1e-13)
    np.testing.assert_allclose(ionized, energy / 3.0 * np.maximum(1.0 - x_e, 0.0), atol=5e-3 * energy)


def test_what_is_refused():
    with pytest.raises(ParameterRangeError, match="DM_annihilation_efficiency = -1e-24"):
        boltzax.Cosmology(DM_annihilation_efficiency=-1e-24)
    with pytest.raises(NotImplementedParameterError, match="DM_decay_Gamma"):
        boltzax.Cosmology(DM_decay_Gamma=1e-15)


NAMES = ("omega_b", "varying_alpha", "varying_me", "annihilation")
LN_A = jnp.linspace(-8.2, -0.05, 300)
NEUTRAL = np.array([0.02237, 1.0, 1.0, 0.0])
AWAY = np.array([0.0229, 1.03, 0.95, 2.0])
STEPS = np.array([1e-5, 3e-4, 6e-4, 3e-3])


def outputs(x):
    """ln kappa', g over its maximum, cb2 over k_B T_b / m_H and epochs; annihilation in 1e-23 m^3/s/J."""
    cosmo = boltzax.Cosmology(
        omega_b=x[0], varying_alpha=x[1], varying_me=x[2], DM_annihilation_efficiency=1e-23 * x[3]
    )
    thermo = thermodynamics(cosmo, background(cosmo))
    state = thermo.at(LN_A)
    scalars = jnp.stack([thermo.z_reio, thermo.rs_d, thermo.z_rec, thermo.theta_s_100, thermo.YHe])
    return jnp.concatenate([jnp.log(state.kappa_prime), state.g / 0.021, state.cb2 / state.T_b / 1e-13, scalars])


@pytest.fixture(scope="module")
def programs():
    value = jax.jit(outputs)
    forward = jax.jit(lambda x, v: jax.jvp(outputs, (x,), (v,))[1])
    reverse = jax.jit(lambda x, c: jax.vjp(outputs, x)[1](c)[0])
    return value, forward, reverse


@pytest.mark.parametrize("x", [NEUTRAL, AWAY], ids=["neutral", "away"])
def test_derivatives(programs, x):
    """Forward against differences of order four, reverse against forward.

    Rates of hydrogen are read between points of their tables, on which T lies at the neutral value: slopes jump there
    by 1.3e-6 in kappa' and 5e-6 in cb2, whatever the step.
    """
    value, forward, reverse = programs
    jacobian = np.array([forward(x, row) for row in np.eye(x.size)])
    cotangent = np.random.default_rng(1).normal(size=jacobian.shape[1])
    np.testing.assert_allclose(reverse(x, cotangent), jacobian @ cotangent, rtol=1e-10)
    n = LN_A.size
    for name, step, row, unit in zip(NAMES, STEPS, jacobian, np.eye(x.size), strict=True):
        near, far = (value(x + h * unit) - value(x - h * unit) for h in (step, 2.0 * step))
        error = np.abs((8.0 * near - far) / (12.0 * step) - row)
        for part, bound in ((slice(0, n), 3e-6), (slice(n, 2 * n), 1e-8), (slice(2 * n, 3 * n), 1e-5)):
            assert error[part].max() < bound * np.abs(row[part]).max(), (name, part)
        assert np.all(error[3 * n :] < 2e-7 * np.abs(row[3 * n :]) + 1e-9 / step), name
