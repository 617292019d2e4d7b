"""The recombination history on a prescribed mesh in ln a.

Unknowns: neutral fractions of hydrogen and helium, and 1 - T_m/T_r. Each obeys a scalar equation given the other two;
a pass solves them in turn, at all nodes of the mesh at once (`collocation`), and passes repeat until nothing moves.
The tangent repeats passes about the solution, so that the number of passes never enters a derivative.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from boltzax.constants import C_LIGHT, M_ELECTRON, SIGMA_STEFAN_BOLTZMANN, SIGMA_THOMSON
from boltzax.thermo import helium, hydrogen, recfast
from boltzax.thermo.collocation import linear_step, newton_step

# 8 sigma_T a_r / (3 m_e c) [1/s/K^4]: Compton coupling of the matter temperature
COMPTON = 8.0 * SIGMA_THOMSON * 4.0 * SIGMA_STEFAN_BOLTZMANN / C_LIGHT / (3.0 * M_ELECTRON * C_LIGHT)
_MAX_PASSES = 40
_TOLERANCE = 1e-9  # last change of a pass; convergence is quadratic, so the error is round-off
_TANGENT_PASSES = 6  # each leaves about a hundredth of the coupling between the unknowns


class Conditions(NamedTuple):
    """What the history depends on: arrays [3, n] at the nodes, values at the start of the mesh, scalars."""

    ln_a: Float[Array, "3 n"]
    T: Float[Array, "3 n"]  # photon temperature [K]
    n_H: Float[Array, "3 n"]  # hydrogen nuclei [cm^-3]
    H: Float[Array, "3 n"]  # expansion rate [1/s]
    T_start: Float[Array, ""]
    n_H_start: Float[Array, ""]
    H_start: Float[Array, ""]
    f_He: Float[Array, ""]  # helium nuclei per hydrogen nucleus
    swift: Float[Array, " 3"]  # departures from the fiducial model of the SWIFT fit


class History(NamedTuple):
    """Node values [3, n] of the neutral fractions and of 1 - T_m/T_r."""

    hydrogen: Float[Array, "3 n"]
    helium: Float[Array, "3 n"]
    cooling: Float[Array, "3 n"]


class Mesh(NamedTuple):
    """Steps in ln a: size, and how many of the first follow helium; model of the rates."""

    step: float
    n_helium: int
    model: str


def coupling(x_e, T, H, f_He):
    """Compton coupling over the expansion rate, gamma in d T_m / d ln a = -2 T_m + gamma (T_r - T_m)."""
    return COMPTON * T**4 / H * x_e / (1.0 + x_e + f_He)


def matter_cooling(step: float, start: Float[Array, ""], gamma: Float[Array, "3 n"]) -> Float[Array, "3 n"]:
    """d = 1 - T_m/T_r at the nodes, from d' = 1 - (1 + gamma) d."""
    return linear_step(step, start, -(1.0 + gamma), jnp.ones_like(gamma))[0]


def start_values(c: Conditions) -> tuple[Float[Array, ""], Float[Array, ""], Float[Array, ""]]:
    """Hydrogen, helium and cooling in equilibrium, where the mesh starts."""
    neutral_He = helium.saha_neutral_helium(c.T_start, c.n_H_start, c.f_He)
    neutral_H = helium.saha_neutral_hydrogen(c.T_start, c.n_H_start, c.f_He)
    gamma = coupling(1.0 + c.f_He, c.T_start, c.H_start, c.f_He)
    return neutral_H, neutral_He, 1.0 / (1.0 + gamma)


def _rates(mesh: Mesh, c: Conditions):
    """Rate objects of hydrogen (all nodes) and helium (early nodes): what does not depend on the unknowns."""
    early = [x[:, : mesh.n_helium] for x in (c.T, c.n_H, c.H)]
    if mesh.model == "recfast":
        return recfast.hydrogen_rates(c.T, c.n_H, c.H, c.ln_a), recfast.helium_rates(*early, c.f_He)
    return hydrogen.effective_atom(c.T, c.n_H, c.H, c.swift), helium.helium_rates(*early, c.f_He)


def _guess(c: Conditions) -> History:
    """Rough histories at the nodes; the passes forget them."""
    z = c.T / 2.7255
    x_p = jax.nn.sigmoid((z - 1260.0) / 93.0) + 2.5e-4 * jnp.sqrt(z / 50.0)
    x_1 = jnp.minimum(helium.saha_neutral_hydrogen(c.T, c.n_H, 0.0), 1.0 - x_p)
    neutral = jnp.minimum(helium.saha_neutral_helium(c.T, c.n_H, c.f_He), jax.nn.sigmoid((2020.0 - z) / 200.0))
    return History(jnp.maximum(x_1, 1e-12), neutral, jnp.zeros_like(z))


def _pass(mesh: Mesh, c: Conditions, rates, y: History) -> History:
    """Helium, then hydrogen, then temperature, each from the newest values of the others."""
    start_H, start_He, start_d = start_values(c)
    n = mesh.n_helium
    of_hydrogen, of_helium = rates
    x_1, cooling = y.hydrogen[:, :n], y.cooling[:, :n]
    neutral = newton_step(mesh.step, start_He, lambda x: of_helium.rate(x, x_1, cooling), y.helium[:, :n])
    neutral = jnp.clip(neutral, 1e-12, 1.0 - 1e-14)
    rest = jnp.broadcast_to(neutral[-1, -1], (3, c.T.shape[1] - n))
    neutral = jnp.concatenate([neutral, rest], axis=1)
    x_He2 = c.f_He * (1.0 - neutral)
    x_1 = newton_step(mesh.step, start_H, lambda x: of_hydrogen.rate(x, x_He2, y.cooling), y.hydrogen)
    x_1 = jnp.clip(x_1, 1e-12, 1.0 - 1e-7)
    gamma = coupling(1.0 - x_1 + x_He2, c.T, c.H, c.f_He)
    return History(x_1, neutral, matter_cooling(mesh.step, start_d, gamma))


def _change(new: History, old: History) -> Float[Array, ""]:
    """Largest change: of hydrogen relative to both its fractions, of helium and temperature absolute."""
    x = new.hydrogen
    change = jnp.max(jnp.abs(x - old.hydrogen) / (x * (1.0 - x)))
    change = jnp.maximum(change, jnp.max(jnp.abs(new.helium - old.helium)))
    return jnp.maximum(change, jnp.max(jnp.abs(new.cooling - old.cooling)))


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def solve(mesh: Mesh, c: Conditions) -> tuple[History, Float[Array, ""]]:
    """History at the nodes of `mesh`, and the change that the last pass made (small when converged)."""
    rates = _rates(mesh, c)

    def body(state):
        y, _, count = state
        new = _pass(mesh, c, rates, y)
        return new, _change(new, y), count + 1

    def go_on(state):
        return (state[1] > _TOLERANCE) & (state[2] < _MAX_PASSES)

    y, change, _ = jax.lax.while_loop(go_on, body, (_guess(c), jnp.asarray(jnp.inf), 0))
    return y, change


def _partials(f, rates, d_rates, *unknowns):
    """At every node: f's change by d_rates, and its derivative by each of the unknowns."""
    explicit = jax.jvp(lambda r: f(r, *unknowns), (rates,), (d_rates,))[1]
    ones = jnp.ones_like(unknowns[0])

    def by(i):
        return jax.jvp(lambda u: f(rates, *unknowns[:i], u, *unknowns[i + 1 :]), (unknowns[i],), (ones,))[1]

    return explicit, [by(i) for i in range(len(unknowns))]


@solve.defjvp
def _solve_jvp(mesh, primals, tangents):
    """Tangent of the solution: the linearised equations, solved in turn until the coupling has converged."""
    (c,), (dc,) = primals, tangents
    y, change = solve(mesh, c)
    n, step = mesh.n_helium, mesh.step
    x_He2 = c.f_He * (1.0 - y.helium)
    (rates_H, rates_He), (d_rates_H, d_rates_He) = jax.jvp(lambda c: _rates(mesh, c), (c,), (dc,))
    early = (y.helium[:, :n], y.hydrogen[:, :n], y.cooling[:, :n])
    of_He, (He_He, He_H, He_d) = _partials(lambda r, *u: r.rate(*u), rates_He, d_rates_He, *early)
    now = (y.hydrogen, x_He2, y.cooling)
    of_H, (H_H, H_He, H_d) = _partials(lambda r, *u: r.rate(*u), rates_H, d_rates_H, *now)
    x_e = 1.0 - y.hydrogen + x_He2
    gamma, of_gamma = jax.jvp(coupling, (x_e, c.T, c.H, c.f_He), (jnp.zeros_like(x_e), dc.T, dc.H, dc.f_He))
    gamma_x = gamma / x_e * (1.0 + c.f_He) / (1.0 + x_e + c.f_He)
    start_H, start_He, start_d = jax.jvp(start_values, (c,), (dc,))[1]

    def one_pass(t, _):
        neutral = linear_step(step, start_He, He_He, of_He + He_H * t.hydrogen[:, :n] + He_d * t.cooling[:, :n])[0]
        rest = jnp.broadcast_to(neutral[-1, -1], (3, c.T.shape[1] - n))
        neutral = jnp.concatenate([neutral, rest], axis=1)
        d_He2 = dc.f_He * (1.0 - y.helium) - c.f_He * neutral
        x_1 = linear_step(step, start_H, H_H, of_H + H_He * d_He2 + H_d * t.cooling)[0]
        d_gamma = of_gamma + gamma_x * (d_He2 - x_1)
        cooling = linear_step(step, start_d, -(1.0 + gamma), -d_gamma * y.cooling)[0]
        return History(x_1, neutral, cooling), None

    t, _ = jax.lax.scan(one_pass, jax.tree.map(jnp.zeros_like, y), None, length=_TANGENT_PASSES)
    return (y, change), (t, jnp.zeros_like(change))
