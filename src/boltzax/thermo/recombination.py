"""The recombination history on a prescribed mesh in ln a.

Unknowns: neutral fractions of hydrogen and helium, and 1 - T_m/T_r. Each obeys a scalar equation given the other two;
a pass solves them in turn, at all nodes of the mesh at once (`collocation`), and passes repeat until nothing moves.
The tangent repeats passes about the solution, so that the number of passes never enters a derivative.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from boltzax.constants import C_LIGHT, M_ELECTRON, SIGMA_STEFAN_BOLTZMANN, SIGMA_THOMSON
from boltzax.numerics.fusion import settle
from boltzax.thermo import atomic, helium, hydrogen, injection, recfast
from boltzax.thermo.collocation import factor, linear_step, mesh_nodes, newton_step, solve_steps

# 8 sigma_T a_r / (3 m_e c) [1/s/K^4]: Compton coupling of the matter temperature
COMPTON = 8.0 * SIGMA_THOMSON * 4.0 * SIGMA_STEFAN_BOLTZMANN / C_LIGHT / (3.0 * M_ELECTRON * C_LIGHT)
# z and ln(neutral / ionized) of hydrogen and helium in a typical cosmology: where the passes begin
_ROUGH_H = (
    (1700, 1600, 1500, 1400, 1300, 1200, 1100, 1000, 900, 850, 800, 750, 700, 600, 500, 300, 100, 20, 0),
    (-7.2, -5.2, -3.0, -1.4, -0.2, 0.8, 1.8, 3.0, 4.4, 5.1, 5.6, 6.1, 6.5, 7.0, 7.3, 7.8, 8.2, 8.5, 8.7),
)
_ROUGH_HE = (
    (3500, 3000, 2700, 2500, 2300, 2200, 2100, 2000, 1900, 1800, 1750, 1700, 1650),
    (-11.6, -6.8, -3.5, -2.2, -1.3, -0.9, -0.5, 0.1, 0.9, 2.4, 3.7, 6.2, 10.5),
)
_ROUGH_SCALE = 2.1e15  # n_H/H of hydrogen there at z = 600 [s/cm^3]
_MAX_PASSES = 40
_TOLERANCE = 2e-9  # last change of a pass; the next would be fifty times smaller
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
    constants: atomic.Constants | None = None  # where they are not today's
    injected: Float[Array, "3 n"] | None = None  # energy of dark matter per hydrogen nucleus and e-fold [K]
    injected_start: Float[Array, ""] | None = None

    def atomic_units(self) -> tuple[Float[Array, "3 n"], ...]:
        """T, n_H, H at which atoms of today behave as these do (see `atomic`)."""
        c = self.constants
        return atomic.temperature(c, self.T), atomic.density(c, self.n_H), atomic.expansion(c, self.H)


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


def coupling(x_e, T, H, f_He, strength=1.0):
    """Compton coupling over the expansion rate, gamma in d T_m / d ln a = -2 T_m + gamma (T_r - T_m).

    strength: over today's, see `atomic.compton`.
    """
    return COMPTON * strength * T**4 / H * x_e / (1.0 + x_e + f_He)


def matter_cooling(step: float, start: Float[Array, ""], c: Conditions, x_e: Float[Array, "3 n"]):
    """d = 1 - T_m/T_r at the nodes, from d' = 1 - q - (1 + gamma) d; q: heating by dark matter over T_r."""
    gamma = settle(_gamma(c, x_e))
    return linear_step(step, start, -(1.0 + gamma), 1.0 - injection.heating(c.injected, x_e, c.T, c.f_He))


def _gamma(c: Conditions, x_e):
    return coupling(x_e, c.T, c.H, c.f_He, atomic.compton(c.constants, c.ln_a))


def start_values(c: Conditions) -> tuple[Float[Array, ""], Float[Array, ""], Float[Array, ""]]:
    """Hydrogen, helium and cooling in equilibrium, where the mesh starts."""
    T, n_H = atomic.temperature(c.constants, c.T_start), atomic.density(c.constants, c.n_H_start)
    neutral_He = helium.saha_neutral_helium(T, n_H, c.f_He)
    neutral_H = helium.saha_neutral_hydrogen(T, n_H, c.f_He)
    strength = atomic.compton(c.constants, c.ln_a[0, 0])
    gamma = coupling(1.0 + c.f_He, c.T_start, c.H_start, c.f_He, strength)
    heat = injection.heating(c.injected_start, 1.0 + c.f_He, c.T_start, c.f_He)
    return neutral_H, neutral_He, (1.0 - heat) / (1.0 + gamma)


def _hydrogen(mesh: Mesh, c: Conditions):
    """Rate of hydrogen: what does not depend on the unknowns."""
    units, fineness = c.atomic_units(), atomic.fineness(c.constants)
    if mesh.model == "recfast":
        rates = recfast.hydrogen_rates(*units, c.ln_a, fineness)
    else:
        rates = hydrogen.effective_atom(mesh.step, *units, c.swift, fineness)
    if c.constants is None:
        return rates
    today, weight = _hydrogen(mesh, c._replace(constants=None)), atomic.before_transition(c.ln_a)
    return jax.tree.map(lambda early, late: late + weight * (early - late), rates, today)


def _helium(mesh: Mesh, c: Conditions):
    """The same of helium, which has recombined before the constants change."""
    model = recfast if mesh.model == "recfast" else helium
    return model.helium_rates(*c.atomic_units(), c.f_He, atomic.fineness(c.constants))


def _guess(mesh: Mesh, c: Conditions) -> History:
    """Histories good to some per cent; the passes forget them."""
    n = c.T.shape[1]
    z = np.exp(-mesh_nodes(-n * mesh.step, mesh.step, n)) - 1.0
    T, n_H, _ = c.atomic_units()
    like, interpolate = (z, np.interp) if c.constants is None else (z * T / c.T, jnp.interp)
    tables = ((-np.array(points), np.array(values)) for points, values in (_ROUGH_H, _ROUGH_HE))
    rough = [jnp.exp(interpolate(-like, *table)) for table in tables]
    late = np.argmin(np.abs(z[2] - 600.0))
    ratio = rough[0] * jnp.where(z < 900.0, c.n_H[2, late] / c.H[2, late] / _ROUGH_SCALE, 1.0)
    x_1 = jnp.minimum(helium.saha_neutral_hydrogen(T, n_H, 0.0), ratio / (1.0 + ratio))
    neutral = jnp.minimum(helium.saha_neutral_helium(T, n_H, c.f_He), rough[1] / (1.0 + rough[1]))
    x_e = 1.0 - x_1 + c.f_He * (1.0 - neutral)
    return History(x_1, neutral, matter_cooling(mesh.step, start_values(c)[2], c, x_e))


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
    x_1 = newton_step(mesh.step, start_H, lambda x: of_hydrogen.rate(x, x_He2, y.cooling, c.injected), y.hydrogen)
    x_1 = jnp.clip(x_1, 1e-12, 1.0 - 1e-7)
    return History(x_1, neutral, matter_cooling(mesh.step, start_d, c, 1.0 - x_1 + x_He2))


def _change(new: History, old: History) -> Float[Array, ""]:
    """Largest change: of hydrogen relative to both its fractions, of helium and temperature absolute."""
    x = new.hydrogen
    change = jnp.max(jnp.abs(x - old.hydrogen) / (x * (1.0 - x)))
    change = jnp.maximum(change, jnp.max(jnp.abs(new.helium - old.helium)))
    return jnp.maximum(change, jnp.max(jnp.abs(new.cooling - old.cooling)))


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def solve(mesh: Mesh, c: Conditions) -> tuple[History, Float[Array, ""]]:
    """History at the nodes of `mesh`, and the change that the last pass made (small when converged)."""
    early = c._replace(**{name: getattr(c, name)[:, : mesh.n_helium] for name in ("T", "n_H", "H")})
    rates = _hydrogen(mesh, c), _helium(mesh, early)

    def body(state):
        y, _, count = state
        new = _pass(mesh, c, rates, y)
        return new, _change(new, y), count + 1

    def go_on(state):
        return (state[1] > _TOLERANCE) & (state[2] < _MAX_PASSES)

    y, change, _ = jax.lax.while_loop(go_on, body, (_guess(mesh, c), jnp.asarray(jnp.inf), 0))
    return y, change


def _partials(f, *args):
    """Derivatives of f, which acts node by node, by each argument (arrays of one shape, or trees of them)."""
    value, pull_back = jax.vjp(f, *args)
    return pull_back(jnp.ones_like(value))


class Extra(NamedTuple):
    """What else the rates may depend on, at the nodes; both None in plain cosmologies."""

    constants: atomic.Constants | None
    injected: Float[Array, "3 n"] | None

    @classmethod
    def of(cls, c: Conditions) -> "Extra":
        """That of the conditions, or of their tangent."""
        return jax.tree.map(lambda x: jnp.broadcast_to(x, c.T.shape), cls(c.constants, c.injected))


def _dot(partials, tangents):
    """Sum of products over two equal trees of node values."""
    return sum(jax.tree.leaves(jax.tree.map(jnp.multiply, partials, tangents)))


def _linearised(mesh: Mesh, c: Conditions, y: History):
    """Derivatives at every node of the rates of hydrogen and helium.

    By T, n_H, H, swift or f_He, `Extra`, and by the unknowns.
    """

    def of_hydrogen(T, n_H, H, swift, extra, x_1, x_He2, cooling):
        local = c._replace(T=T, n_H=n_H, H=H, swift=swift, **extra._asdict())
        return _hydrogen(mesh, local).rate(x_1, x_He2, cooling, extra.injected)

    def of_helium(T, n_H, H, f_He, extra, neutral, x_1, cooling):
        local = c._replace(T=T, n_H=n_H, H=H, f_He=f_He, **extra._asdict())
        return _helium(mesh, local).rate(neutral, x_1, cooling)

    n, extra = mesh.n_helium, Extra.of(c)
    swift = jnp.broadcast_to(c.swift[:, None, None], (3, *c.T.shape))
    hydrogen = _partials(of_hydrogen, c.T, c.n_H, c.H, swift, extra, y.hydrogen, c.f_He * (1.0 - y.helium), y.cooling)
    early = (c.T, c.n_H, c.H, jnp.broadcast_to(c.f_He, c.T.shape), extra, y.helium, y.hydrogen, y.cooling)
    return hydrogen, _partials(of_helium, *jax.tree.map(lambda x: x[:, :n], early))


def _matter(c: Conditions, dc: Conditions, y: History, x_e):
    """gamma, and the derivatives of gamma d + q at constant d: along dc, and by x_e."""

    def pull(x_e, T, H, f_He, extra):
        local = c._replace(T=T, H=H, f_He=f_He, **extra._asdict())
        heat = injection.heating(extra.injected, x_e, T, f_He)
        return _gamma(local, x_e) * y.cooling + heat

    here, along = (x_e, c.T, c.H, c.f_He, Extra.of(c)), (dc.T, dc.H, dc.f_He, Extra.of(dc))
    along = jax.jvp(pull, here, (jnp.zeros_like(x_e), *along))[1]
    by_x_e = jax.jvp(lambda x_e: pull(x_e, *here[1:]), (x_e,), (jnp.ones_like(x_e),))[1]
    return _gamma(c, x_e), along, by_x_e


@solve.defjvp
def _solve_jvp(mesh, primals, tangents):
    """Tangent of the solution: the linearised equations, solved in turn until the coupling has converged.

    Derivatives of the rates and factors of the steps are the same for every tangent.
    """
    (c,), (dc,) = primals, tangents
    y, change = solve(mesh, c)
    n, step = mesh.n_helium, mesh.step
    (H_T, H_n, H_rate, H_swift, H_extra, *by_H), (He_T, He_n, He_rate, He_f, He_extra, *by_He) = _linearised(mesh, c, y)
    H_H, H_He, H_d = settle(jnp.stack(by_H))
    He_He, He_H, He_d = settle(jnp.stack(by_He))
    x_e = 1.0 - y.hydrogen + c.f_He * (1.0 - y.helium)
    gamma, of_matter, matter_x = _matter(c, dc, y, x_e)
    gamma, matter_x = settle(jnp.stack([gamma, matter_x]))
    start_H, start_He, start_d = jax.jvp(start_values, (c,), (dc,))[1]
    extra = Extra.of(dc)
    of_H = H_T * dc.T + H_n * dc.n_H + H_rate * dc.H + sum(H_swift[i] * dc.swift[i] for i in range(3))
    of_H = of_H + _dot(H_extra, extra)
    of_He = He_T * dc.T[:, :n] + He_n * dc.n_H[:, :n] + He_rate * dc.H[:, :n] + He_f * dc.f_He
    of_He = of_He + _dot(He_extra, jax.tree.map(lambda x: x[:, :n], extra))
    of_H, of_matter = settle(jnp.stack([of_H, of_matter]))
    steps_H, steps_He, steps_d = factor(step, H_H), factor(step, He_He), factor(step, -(1.0 + gamma))

    def one_pass(t, _):
        neutral = solve_steps(steps_He, start_He, of_He + He_H * t.hydrogen[:, :n] + He_d * t.cooling[:, :n])
        rest = jnp.broadcast_to(neutral[-1, -1], (3, c.T.shape[1] - n))
        neutral = jnp.concatenate([neutral, rest], axis=1)
        d_He2 = dc.f_He * (1.0 - y.helium) - c.f_He * neutral
        x_1 = solve_steps(steps_H, start_H, of_H + H_He * d_He2 + H_d * t.cooling)
        cooling = solve_steps(steps_d, start_d, -(of_matter + matter_x * (d_He2 - x_1)))
        return History(x_1, neutral, cooling), None

    t, _ = jax.lax.scan(one_pass, jax.tree.map(jnp.zeros_like, y), None, length=_TANGENT_PASSES)
    return (y, change), (t, jnp.zeros_like(change))
