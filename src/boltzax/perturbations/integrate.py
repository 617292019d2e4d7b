"""Linearly implicit integration of all modes on their prescribed meshes.

SDIRK4 of Hairer & Wanner (Solving ODEs II, table IV.6.5): five stages of order 4, L-stable and stiffly accurate, so the last
stage is the new state and its slope the exact derivative there. The system is linear: each stage is one `stage.solve`.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from boltzax.perturbations.initial import adiabatic
from boltzax.perturbations.layout import Layout
from boltzax.perturbations.mesh import Schedule
from boltzax.perturbations.stage import Medium, State, factor, solve

GAMMA = 0.25
NODES = np.array([1 / 4, 3 / 4, 11 / 20, 1 / 2, 1])
A = np.array(
    [
        [0, 0, 0, 0, 0],
        [1 / 2, 0, 0, 0, 0],
        [17 / 50, -1 / 25, 0, 0, 0],
        [371 / 1360, -137 / 2720, 15 / 544, 0, 0],
        [25 / 24, -49 / 48, 125 / 16, -85 / 12, 0],
    ]
)


class Trajectory(NamedTuple):
    """Solution at the end of every scheduled step, [rows, ..., lanes].

    fluid [4]: eta, delta_cdm, delta_b, theta_b; border [4]: h', eta', Pi, theta_b; low [3, hierarchies]: l = 0, 1, 2
    of every hierarchy; slope_theta_b [.]; slope_low [2, hierarchies]: d/dtau of l = 0 and l = 2.
    """

    fluid: jnp.ndarray
    border: jnp.ndarray
    low: jnp.ndarray
    slope_theta_b: jnp.ndarray
    slope_low: jnp.ndarray


def medium(history, x) -> Medium:
    """Background and thermodynamics at tau/tau_0 = x from the packed table over ln x."""
    ln_a, ln_aH, ln_kappa_prime, a_cb2 = jnp.moveaxis(history(jnp.log(x)), -1, 0)
    a = jnp.exp(ln_a)
    return Medium(a, jnp.exp(ln_aH), jnp.exp(ln_kappa_prime), a_cb2 / a)


def integrate(lay: Layout, background, history, plan: Schedule, block: int) -> Trajectory:
    """Run every mode of the plan from its start to today.

    history: UniformTable over ln(tau/tau_0) of ln a, ln aH, ln kappa', a c_b^2. Stages are factored `block` steps at
    a time, all lanes and stages at once; only the back-substitutions run step by step.
    """
    tau_0 = background.tau_0
    lanes = plan.x.shape[1]
    split = lambda v: v.reshape(-1, block, lanes)
    state = State(jnp.zeros((4, lanes)), jnp.zeros((3, lay.rows, lanes)), *[jnp.zeros((len(lay.lam), lanes))] * 2)

    def run_block(state, inputs):
        x, h, y, first = inputs
        k = y / tau_0
        times = x[:, None] + NODES[:, None] * h[:, None]  # [block, stages, lanes]
        wide = lambda v: jnp.broadcast_to(v[:, None], times.shape)
        f = factor(lay, background, wide(k), wide(GAMMA * h * tau_0), medium(history, times))
        lead = lambda v: jnp.moveaxis(v, (-3, -2), (0, 1))  # steps and stages first
        factors = jax.tree.map(lead, f)
        start = jax.tree.map(lambda v: jnp.moveaxis(v, -2, 0), adiabatic(lay, background, k, x * tau_0))
        return jax.lax.scan(lambda s, i: _step(lay, s, i), state, (factors, first, start))

    inputs = tuple(split(v) for v in (plan.x, plan.h, plan.y, plan.first))
    _, out = jax.lax.scan(run_block, state, inputs)
    return jax.tree.map(lambda v: v.reshape(-1, *v.shape[2:]), out)


def _step(lay: Layout, state: State, inputs):
    """One step of every lane; a lane whose step is the first of a mode begins from that mode's initial state."""
    factors, first, (fluid, low) = inputs
    state = State(
        jnp.where(first, fluid, state.fluid),
        jnp.where(first, low, state.low),
        jnp.where(first, 0.0, state.tail_re),
        jnp.where(first, 0.0, state.tail_im),
    )
    slopes = []
    for s in range(5):
        r = state
        for j in range(s):
            if A[s, j]:
                r = jax.tree.map(lambda y, d, c=A[s, j] / GAMMA: y + c * d, r, slopes[j])
        f = jax.tree.map(lambda v, s=s: v[s], factors)
        new, border = solve(lay, f, r)
        slopes.append(jax.tree.map(jnp.subtract, new, r))
    last = jax.tree.map(lambda v: v / f.g, slopes[-1])
    out = Trajectory(new.fluid, border, new.low, last.fluid[3], last.low[::2])
    return new, out
