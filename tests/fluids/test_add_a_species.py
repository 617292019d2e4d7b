"""The page docs/add-a-species.md: its code runs, and what it defines is right in a known limit."""

import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracle import responses
from oracle.experiment import SMALL, SMALL_OUTPUTS

import boltzax
from boltzax.background import background
from boltzax.constants import OMEGA_GAMMA_PER_T4, RELIC
from boltzax.fluids import InteractingRadiation

PAGE = Path(__file__).parents[2] / "docs" / "add-a-species.md"


@pytest.fixture(scope="module")
def page():
    namespace = {"__name__": "page"}
    for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S):
        exec(compile(block, str(PAGE), "exec"), namespace)
    return namespace


def test_background(page):
    bg = jax.jit(background)(page["cosmo"])
    fluid = bg.fluids[0]
    a = jnp.geomspace(1e-6, 1.0, 20)
    _, slope = jax.jvp(fluid.rho, (a,), (a,))
    np.testing.assert_allclose(slope, -3.0 * (fluid.rho(a) + fluid.pressure(a)), rtol=1e-12)
    assert float(bg.rho(jnp.ones(()))) == pytest.approx(float(bg.H0) ** 2, rel=1e-12)


def test_limit_of_radiation(page):
    """With w = 1/3 it is self-interacting radiation but for the early counting as radiation: 1e-6 here."""
    plain, N = responses.cosmology(None), 1e-3
    omega = N * RELIC * OMEGA_GAMMA_PER_T4 * plain.T_cmb**4
    solve = lambda *fluids: boltzax.solve(plain.replace(fluids=fluids), SMALL_OUTPUTS, SMALL).unlensed_cl
    ours = solve(page["Barotropic"](omega, jnp.asarray(1.0 / 3.0)))
    theirs, without = solve(InteractingRadiation(jnp.asarray(N))), solve()
    for name in ("tt", "ee"):
        value, expected, neutral = (np.asarray(getattr(cl, name))[2:] for cl in (ours, theirs, without))
        error, effect = np.abs(value / expected - 1.0).max(), np.abs(expected / neutral - 1.0).max()
        assert error < 5e-6 and effect > 20.0 * error
