"""Linearly implicit integration of all modes on their prescribed meshes, and its derivative.

Steps are factored a block at a time, all lanes at once; only the back-substitutions run step by step. The derivative
is a rule of its own: tangents run along with the solution through the same factors, and reverse mode transposes
that linear map, block by block, from the states recorded at the blocks' beginnings.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from boltzax.background.curvature import wavenumber
from boltzax.numerics.fusion import settle
from boltzax.numerics.radau import NODES, SLOPE
from boltzax.numerics.table import UniformTable
from boltzax.perturbations import chain
from boltzax.perturbations.equations import Coefficients, Contents, Core, Medium, coefficients
from boltzax.perturbations.initial import initial
from boltzax.perturbations.layout import N_PHOTON, Layout
from boltzax.perturbations.mesh import Schedule
from boltzax.perturbations.species.photons import POLARISATION as G
from boltzax.perturbations.species.photons import TEMPERATURE as F
from boltzax.perturbations.step import Factors, Forcing, State, advance, factor, tangent_forcing


class Trajectory(NamedTuple):
    """Solution at the end of every scheduled step.

    fluid [steps, 4, lanes]: eta, delta_cdm, delta_b, theta_b; metric [steps, 2, lanes]: h', eta'; all others
    [steps, lanes]: f0 = F_0, pi = F_2 + G_0 + G_2; shear = a^2 sum (rho+P) sigma and its d/dtau; delta_ncdm,
    theta_ncdm: a^2 delta rho and a^2 (rho+P) theta / k of massive neutrinos.
    """

    fluid: jnp.ndarray
    metric: jnp.ndarray
    f0: jnp.ndarray
    pi: jnp.ndarray
    shear: jnp.ndarray
    shear_prime: jnp.ndarray
    delta_ncdm: jnp.ndarray
    theta_ncdm: jnp.ndarray


def medium(history, x, fluids=()) -> Medium:
    """Background and thermodynamics at tau/tau_0 = x from the packed table over ln x."""
    ln_a, ln_aH, ln_kappa_prime, a_cb2, *rest = settle(jnp.moveaxis(history(jnp.log(x)), -1, 0))
    a, columns = jnp.exp(ln_a), iter(rest)
    own = tuple({name: next(columns) for name in fluid.functions} for fluid in fluids)
    return Medium(a, jnp.exp(ln_aH), jnp.exp(ln_kappa_prime), a_cb2 / a, own)


class _Inputs(NamedTuple):
    """What the solution depends on: contents, table of the medium over ln(tau/tau_0), initial values."""

    contents: Contents
    history: UniformTable
    fluid: jnp.ndarray
    low: jnp.ndarray
    fluids: tuple[jnp.ndarray, ...]


def integrate(
    lay: Layout, background, history: UniformTable, plan: Schedule, block: int, modes: tuple[str, ...] = ("ad",)
) -> Trajectory:
    """Run every wavenumber of the plan from its start to today; several initial conditions give a leading axis.

    history: over ln(tau/tau_0) of ln a, ln aH, ln kappa', a c_b^2, and the time functions of every fluid. `block`
    steps are factored together.
    """
    contents = Contents.of(background)
    x_start = plan.x[plan.mode_start, plan.mode_lane]
    y_start = plan.y[plan.mode_start, plan.mode_lane]
    k = wavenumber(contents, y_start, plan.y.min())
    starts = [initial(lay, contents, k, x_start * contents.tau_0, mode) for mode in modes]
    run = lambda start: _run(lay, plan, block, _Inputs(contents, history, *start))
    if len(modes) == 1:
        return run(starts[0])
    return jax.vmap(run)(jax.tree.map(lambda *v: jnp.stack(v), *starts))


def _blocks(plan: Schedule, block: int):
    """Static arrays of the steps, [blocks, block, lanes]: start, length, wavenumber, first step of a mode, mode."""
    return tuple(v.reshape(-1, block, v.shape[1]) for v in (plan.x, plan.h, plan.y, plan.first, plan.mode))


def _steps(v):
    return v.reshape(-1, *v.shape[2:])


def _prepare(lay: Layout, y_first: float, steps, inputs: _Inputs) -> tuple[Coefficients, tuple]:
    """Coefficients and initial states (fluid, low, fluids) of the steps of a block, [block, ...]."""
    x, h, y, _, mode = steps
    tau_0 = inputs.contents.tau_0
    m = medium(inputs.history, x[:, None] + NODES[:, None] * h[:, None], inputs.contents.fluids)
    k = wavenumber(inputs.contents, y, y_first)
    c = jax.vmap(partial(coefficients, lay, inputs.contents))(k, h * tau_0, m)
    place = lambda v: jnp.moveaxis(v.at[..., mode].get(mode="promise_in_bounds"), -2, 0)
    return c, jax.tree.map(place, (inputs.fluid, inputs.low, inputs.fluids))


def _rest(lay: Layout, contents: Contents, lanes: int) -> State:
    tails = tuple(chain.rest(g, lanes) for g in lay.groups)
    if contents.K is None:
        tails = tuple(tail.modes for tail in tails)
    others = tuple(jnp.zeros((fluid.size, lanes)) for fluid in contents.fluids)
    return State(jnp.zeros((4, lanes)), jnp.zeros((3, lay.rows, lanes)), tails, others)


def _begin(first, fluid, low, fluids, state: State) -> State:
    """The state before a step: a lane whose step is the first of a mode begins from that mode's initial state."""
    new = State(fluid, low, jax.tree.map(jnp.zeros_like, state.tails), fluids)
    return jax.tree.map(lambda a, b: jnp.where(first, a, b), new, state)


@partial(jax.custom_jvp, nondiff_argnums=(0, 1, 2))
def _run(lay: Layout, plan: Schedule, block: int, inputs: _Inputs) -> Trajectory:
    def run(inputs):
        def run_block(state, steps):
            c, start = _prepare(lay, plan.y.min(), steps, inputs)
            end, begin, x = _advance(lay, state, c, _factor(lay, c), steps[3], start)
            return end, jax.vmap(_observe)(c, begin, x)

        _, out = jax.lax.scan(run_block, _rest(lay, inputs.contents, plan.x.shape[1]), _blocks(plan, block))
        return jax.tree.map(_steps, out)

    if jax.default_backend() == "cpu":  # the lanes of one cosmology fill the caches: many at once take twice as long
        run = jax.custom_batching.sequential_vmap(run)
    return run(inputs)


@_run.defjvp
def _run_tangent(lay: Layout, plan: Schedule, block: int, primals, tangents):
    @partial(jax.checkpoint, prevent_cse=False)
    def run_block(states, inputs, d_inputs, steps):
        (c, start), (dc, d_start) = jax.jvp(partial(_prepare, lay, plan.y.min(), steps), (inputs,), (d_inputs,))
        f, first = _factor(lay, c), steps[3]
        end, begin, x = _advance(lay, states[0], c, f, first, start)
        forcing = jax.vmap(lambda c, f, z, x, dc: tangent_forcing(lay, c, f, z, x)(dc))(c, f, begin, x, dc)
        d_end, d_begin, dx = _advance(lay, states[1], c, f, first, d_start, forcing)
        return (end, d_end), jax.jvp(jax.vmap(_observe), (c, begin, x), (dc, d_begin, dx))

    rest = _rest(lay, primals[0].contents, plan.x.shape[1])
    states = (rest, jax.tree.map(jnp.zeros_like, rest))
    body = lambda states, steps: run_block(states, *primals, *tangents, steps)
    _, (out, d_out) = jax.lax.scan(body, states, _blocks(plan, block))
    return jax.tree.map(_steps, out), jax.tree.map(_steps, d_out)


def _factor(lay: Layout, c: Coefficients) -> Factors:
    return jax.vmap(partial(factor, lay))(c)


def _advance(lay: Layout, state: State, c: Coefficients, f: Factors, first, start, forcing: Forcing | None = None):
    """Run the steps of a block: the state at its end; before each step the state, and in it the values at the nodes."""

    def step(state, xs):
        c, f, first, start, forcing = xs
        begin = _begin(first, *start, state)
        x, end = advance(lay, c, f, begin, forcing)
        return end, (begin, x)

    end, (begin, x) = jax.lax.scan(step, state, (c, f, first, start, forcing))
    return end, begin, x


def _observe(c: Coefficients, begin: State, x: Core) -> Trajectory:
    """What the sources need of a step's end."""
    slope = lambda now, start: sum(SLOPE[2, j] * (now[j] - start) for j in range(3)) / c.dtau
    x0, x1, x2 = x.low[:, 2]
    w_sigma, w_sigma_prime = c.w_sigma
    massive = slice(N_PHOTON + 1, None)
    shear = (w_sigma * x2).sum(0)
    shear_prime = (w_sigma * slope(x.low[2], begin.low[2]) + w_sigma_prime * x2).sum(0)
    for b, v, start in zip(c.fluids, x.fluids, begin.fluids, strict=True):
        if b.shear is not None:
            weight, weight_prime = b.shear
            shear = shear + (weight * v[:, 2]).sum(0)
            shear_prime = shear_prime + (weight * slope(jnp.moveaxis(v, 1, 0), start) + weight_prime * v[:, 2]).sum(0)
    return Trajectory(
        fluid=x.fluid[:, 2],
        metric=x.border[:2, 2],
        f0=x0[F],
        pi=x2[F] + x0[G] + x2[G],
        shear=shear,
        shear_prime=shear_prime,
        delta_ncdm=(c.w0[2, massive] * x0[massive]).sum(0),
        theta_ncdm=(c.w1[2, massive] * x1[massive]).sum(0),
    )
