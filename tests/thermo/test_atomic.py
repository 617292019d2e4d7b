"""Other constants of nature at recombination: against CLASS, limits, derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tests.thermo.test_reference import SCALARS, TOLERANCE, check, check_scalars, errors

import boltzax
from boltzax.background import background
from boltzax.errors import ParameterRangeError
from boltzax.thermo import thermodynamics

LN_A = jnp.linspace(-8.2, -0.05, 300)
NEUTRAL = jnp.ones(2)
# CLASS changes the constants in a step at z = 50, boltzax within 45 < z < 55; HyRec leaves out its correction where an
# excited atom of today's constants is ionized in 1 % of cases (z = 688, 3e-5 of x_e)
TRANSITION = (44.0, 56.0)
BOUNDS = TOLERANCE | {
    "T_b": [5.2e-5, 5e-5, 1.4e-5, 1.5e-7, 1e-10, 1e-10, 1e-10],
    "cb2": [1.5e-4, 5e-5, 1.4e-5, 6e-7, 3e-6, 3.5e-6, 5e-6],
    "g": [2e-8, 1e-9, 7e-7, 1e-6, 6e-13, 1.3e-17, 1e-100],
    "exp_m_kappa": [1e-7, 1e-7, 9e-7, 9e-7, 1.7e-14, 3e-19, 1e-100],
} | {name: [2e-4, 2.7e-4, 6e-5, 1.2e-6, 5e-6, 6e-6, 8e-6] for name in ("x_e", "kappa_prime")}  # fmt: skip
EPOCHS = SCALARS | {"z_star": 8e-8, "rs_star": 5e-8, "z_d": 1.4e-7, "rs_d": 9e-8}


def outside_transition(state, theirs):
    """State and columns without the redshifts at which the constants change."""
    keep = (theirs["z"] < TRANSITION[0]) | (theirs["z"] > TRANSITION[1])
    columns = {name: theirs[name][keep] for name in ("z", *TOLERANCE)}
    return type(state)(*(np.asarray(v)[keep] for v in state)), columns


@pytest.mark.parametrize("point", ["alpha_up", "me_up", "me_down"])
def test_hyrec(compared, point):
    ours, state, theirs = compared(point)
    check(errors(*outside_transition(state, theirs)), BOUNDS)
    check_scalars(ours, theirs, EPOCHS)


def test_nucleosynthesis(compared):
    """With helium from nucleosynthesis, which follows alpha."""
    ours, state, theirs = compared("alpha_down")
    assert abs(float(ours.YHe) / float(theirs["YHe"]) - 1.0) < 3.2e-5  # noise of the table
    assert errors(*outside_transition(state, theirs))["g"].max() < 3.4e-6


def test_recfast(compared):
    """CLASS does not rescale the lines of helium in RECFAST: x_e by 5e-4 at z = 2000, nothing in g."""
    ours, state, theirs = compared("recfast_varying")
    wider = {name: [*BOUNDS[name][:4], 3e-5, 1.1e-3, BOUNDS[name][6]] for name in ("x_e", "kappa_prime", "cb2")}
    wider["T_b"] = [*BOUNDS["T_b"][:5], 4e-10, 1e-10]
    check(errors(*outside_transition(state, theirs)), BOUNDS | wider)
    check_scalars(ours, theirs, EPOCHS)


def stage(**parameters):
    cosmo = boltzax.Cosmology(**parameters)
    thermo = thermodynamics(cosmo, background(cosmo))
    state = thermo.at(LN_A)
    return jnp.concatenate([jnp.log(state.kappa_prime), state.g / 0.021, state.cb2 / state.T_b / 1e-13])


def test_todays_constants_change_nothing():
    plain = jax.jit(stage)()
    varied = jax.jit(lambda x: stage(varying_alpha=x[0], varying_me=x[1]))(NEUTRAL)
    np.testing.assert_allclose(varied, plain, rtol=0.0, atol=1e-10)


def test_the_other_is_todays():
    cosmo = boltzax.Cosmology(varying_me=1.01)
    assert cosmo.varying_alpha == 1.0 and cosmo.replace(varying_alpha=1.02).varying_me == 1.01
    assert boltzax.Cosmology().varying_me is None
    with pytest.raises(ParameterRangeError, match=r"varying_alpha = 1\.2 "):
        boltzax.Cosmology(varying_alpha=1.2)
