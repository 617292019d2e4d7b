"""Linearly implicit integration of all modes on their prescribed meshes.

SDIRK4 of Hairer & Wanner (Solving ODEs II, table IV.6.5): five stages of order 4, L-stable and stiffly accurate, so
the last stage is the new state and its slope the exact derivative there. The system is linear: each stage is one
`stage.solve`.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from boltzax.perturbations.initial import adiabatic
from boltzax.perturbations.layout import N_PHOTON, Layout, moments
from boltzax.perturbations.mesh import Schedule
from boltzax.perturbations.species.photons import POLARISATION as G
from boltzax.perturbations.species.photons import TEMPERATURE as F
from boltzax.perturbations.stage import Factors, Medium, State, factor, solve

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
    """Solution at the end of every scheduled step.

    fluid [steps, 4, lanes]: eta, delta_cdm, delta_b, theta_b; metric [steps, 2, lanes]: h', eta'; all others
    [steps, lanes]: f0 = F_0, pi = F_2 + G_0 + G_2; shear = a^2 sum (rho+P) sigma; delta_ncdm, theta_ncdm: a^2 delta rho
    and a^2 (rho+P) theta / k of massive neutrinos; _prime is d/dtau.
    """

    fluid: jnp.ndarray
    metric: jnp.ndarray
    theta_b_prime: jnp.ndarray
    f0: jnp.ndarray
    pi: jnp.ndarray
    pi_prime: jnp.ndarray
    shear: jnp.ndarray
    shear_prime: jnp.ndarray
    delta_ncdm: jnp.ndarray
    theta_ncdm: jnp.ndarray


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
    tails = tuple(jnp.zeros((2, g.stop - g.start, len(g.lam), lanes)) for g in lay.groups)
    state = State(jnp.zeros((4, lanes)), jnp.zeros((3, lay.rows, lanes)), tails)

    def run_block(state, inputs):
        x, h, y, first = inputs
        k = y / tau_0
        times = x[:, None] + NODES[:, None] * h[:, None]  # [block, stages, lanes]
        wide = lambda v: jnp.broadcast_to(v[:, None], times.shape)
        f = factor(lay, background, wide(k), wide(GAMMA * h * tau_0), medium(history, times))
        lead = lambda v: jnp.moveaxis(v, (-3, -2), (0, 1))  # steps and stages first
        start = adiabatic(lay, background, k, x * tau_0)
        end = medium(history, x + h)
        _, _, w_sigma, dln_sigma = moments(lay, background, end.a)
        shear_weights = jnp.moveaxis(jnp.stack([w_sigma, w_sigma * dln_sigma * end.aH]), 2, 0)
        return jax.lax.scan(partial(_step, lay), state, (jax.tree.map(lead, f), first, start, shear_weights))

    inputs = tuple(split(v) for v in (plan.x, plan.h, plan.y, plan.first))
    _, out = jax.lax.scan(run_block, state, inputs)
    return jax.tree.map(lambda v: v.reshape(-1, *v.shape[2:]), out)


def _step(lay: Layout, state: State, inputs):
    """One step of every lane; a lane whose step is the first of a mode begins from that mode's initial state."""
    factors, first, (fluid, low), shear_weights = inputs
    begin = State(fluid, low, jax.tree.map(jnp.zeros_like, state.tails))
    state = jax.tree.map(lambda new, old: jnp.where(first, new, old), begin, state)

    def stage(carry, inputs):
        slopes, _, _ = carry
        f, row, s = inputs
        r = jax.tree.map(lambda y, d: y + jnp.tensordot(row, d, 1), state, slopes)
        new, border = solve(lay, f, r)
        slopes = jax.tree.map(lambda d, x, y: d.at[s].set(x - y), slopes, new, r)
        return (slopes, new, border[:2]), None

    slopes = jax.tree.map(lambda y: jnp.zeros((5, *y.shape)), state)
    carry = (slopes, state, jnp.zeros_like(state.fluid[:2]))
    (slopes, new, metric), _ = jax.lax.scan(stage, carry, (factors, jnp.asarray(A / GAMMA), np.arange(5)))
    return new, _observe(jax.tree.map(lambda v: v[-1], factors), shear_weights, new, slopes, metric)


def _observe(f: Factors, shear_weights, new: State, slopes: State, metric) -> Trajectory:
    """What the sources need of a step's end."""
    x0, x1, x2 = new.low
    x0_prime, _, x2_prime = slopes.low[-1] / f.g
    w_sigma, w_sigma_prime = shear_weights
    massive = slice(N_PHOTON + 1, None)
    return Trajectory(
        fluid=new.fluid,
        metric=metric,
        theta_b_prime=slopes.fluid[-1, 3] / f.g,
        f0=x0[F],
        pi=x2[F] + x0[G] + x2[G],
        pi_prime=x2_prime[F] + x0_prime[G] + x2_prime[G],
        shear=(w_sigma * x2).sum(0),
        shear_prime=(w_sigma * x2_prime + w_sigma_prime * x2).sum(0),
        delta_ncdm=(f.w0[massive] * x0[massive]).sum(0),
        theta_ncdm=(f.w1[massive] * x1[massive]).sum(0),
    )
