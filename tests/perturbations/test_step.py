"""One collocation step in closed form against the dense textbook equations, and its derivative."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tests.perturbations.textbook import Densities, Textbook
from tests.perturbations.translation import Translation, cut

from boltzax.numerics.radau import FROM_START, MATRIX, NODES, SLOPE
from boltzax.perturbations.equations import Contents, Medium, coefficients
from boltzax.perturbations.layout import layout, moments
from boltzax.perturbations.step import State, advance, factor, tangent_forcing
from boltzax.precision import Precision

LENGTHS = (10, 12, 7)  # l_max of photons, massless and massive neutrinos
TAUS = (3.0, 100.0, 280.0, 1500.0, 13000.0)  # tight coupling, recombination, reionization, today
KS = (1e-4, 1e-2, 0.1, 1.0, 8.0)
STEPS = (1e-3, 0.03, 0.3)  # of the step, over tau


def random_state(lay, k, rng):
    tails = tuple(jnp.asarray(rng.normal(size=(2, len(g.lam), g.stop - g.start, 1))) for g in lay.groups)
    fluid = rng.normal(size=(4, 1)) * np.array([1.0, 1.0, 1.0, k])[:, None]
    return State(jnp.asarray(fluid), jnp.asarray(rng.normal(size=(3, lay.rows, 1))), tails)


class Case:
    """A universe, its layout and one compiled step."""

    def __init__(self, universe, name):
        self.u, self.p = universe(name), Precision(n_q=3)
        self.lay = cut(layout(self.p, self.u.n_ncdm), LENGTHS)
        self.run = jax.jit(self.step)

    def at(self, k, tau, dtau):
        """Medium at the nodes of a step, and the arguments of the compiled step but the state."""
        values = self.u.medium()(tau + NODES * dtau)
        m = Medium(*(jnp.asarray(v)[:, None] for v in values))
        return values, (Contents.of(self.u.background), jnp.full(1, k), jnp.full(1, dtau), m)

    def step(self, contents, k, dtau, m, z):
        c = coefficients(self.lay, contents, k, dtau, m)
        return advance(self.lay, c, factor(self.lay, c), z)


@pytest.fixture(scope="module", params=["fiducial", "massless"])
def case(request, universe):
    return Case(universe, request.param)


@pytest.mark.parametrize("k", KS)
def test_step(case, k):
    """X at the nodes solves SLOPE X - FROM_START z = dtau A(tau) X of the textbook for random z."""
    u, lay, p = case.u, case.lay, case.p
    book = Textbook(Densities.of(u.background), k, (LENGTHS[0], *LENGTHS), p.n_q * u.n_ncdm)
    plain, rng = Translation(lay, book), np.random.default_rng(1)
    for tau in TAUS:
        for step in STEPS:
            dtau = min(step * tau, 0.9 * (u.tau_0 - tau))
            values, arguments = case.at(k, tau, dtau)
            z = random_state(lay, k, rng)
            x, end = case.run(*arguments, z)
            n = book.size
            A = [book.matrix(*v) for v in zip(*values, strict=True)]
            matrix = np.kron(SLOPE, np.eye(n))
            for i in range(3):
                matrix[i * n : (i + 1) * n, i * n : (i + 1) * n] -= dtau * A[i]
            theirs = np.linalg.solve(matrix, np.kron(FROM_START, plain(z))).reshape(3, n)
            ours = plain(end)
            assert np.abs(ours - theirs[2]).max() < 2e-9 * np.abs(theirs[2]).max(), (tau, step)
            fluid, starts = np.asarray(x.fluid[:, :, 0]), [h.start for h in book.hierarchies]
            assert np.abs(fluid.T - theirs[:, :4]).max() < 2e-9 * np.abs(theirs).max()
            light = np.asarray(x.low[:, :, :3, 0])
            hierarchy = np.array([[t[s : s + 3] for s in starts[:3]] for t in theirs])  # [node, row, l]
            assert np.abs(np.moveaxis(light, 0, 2) - hierarchy).max() < 2e-9 * np.abs(theirs).max()
            constraints = np.array(book.metric(values[0][2], values[1][2]))
            error = np.asarray(x.border[:2, 2, 0]) - constraints @ ours
            assert np.abs(error / (np.abs(constraints) @ np.abs(ours))).max() < 1e-12


def test_tangent(case):
    """The rule of the step against derivatives through the elimination itself, and against its own transpose."""
    lay, k, tau, dtau = case.lay, 0.1, 300.0, 8.0
    _, arguments = case.at(k, tau, dtau)
    rng = np.random.default_rng(2)
    z, dz = (random_state(lay, k, rng) for _ in range(2))
    c = coefficients(lay, *arguments)
    # free streaming of light and the damping of what does not scatter are the same in every universe
    dc = jax.tree.map(lambda v: v * rng.normal(size=v.shape), c)
    massive = np.arange(lay.rows) > 2
    dc = dc._replace(gk=jnp.where(massive[:, None], dc.gk, 0.0))
    plain = lambda c, z: advance(lay, c, factor(lay, c), z)
    (x, _), expected = jax.jit(lambda: jax.jvp(plain, (c, z), (dc, dz)))()

    def push(dc, dz):
        f = factor(lay, c)
        return advance(lay, c, f, dz, tangent_forcing(lay, c, f, z, x)(dc))

    found = jax.jit(push)(dc, dz)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert np.abs(a - b).max() < 1e-10 * np.abs(b).max()
    cotangent = jax.tree.map(lambda v: jnp.asarray(rng.normal(size=v.shape)), found)
    pulled = jax.jit(lambda ct: jax.linear_transpose(push, dc, dz)(ct))(cotangent)
    dot = lambda a, b: sum(float(jnp.vdot(x, y)) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True))
    left, right = dot(cotangent, found), dot(pulled, (dc, dz))
    assert abs(left - right) < 1e-12 * abs(left)


def test_collocation_is_of_order_five():
    """Quadrature conditions of Radau IIA: B(5) at the end, C(3) at every node."""
    for power in range(5):
        assert np.isclose(MATRIX[2] @ NODES**power, 1.0 / (power + 1), rtol=1e-14)
    for power in range(3):
        assert np.allclose(MATRIX @ NODES**power, NODES ** (power + 1) / (power + 1), rtol=1e-14)
    assert not np.isclose(MATRIX[2] @ NODES**5, 1.0 / 6.0, rtol=1e-6)


def test_stress_energy(case):
    """Weights of delta rho, momentum and shear of every row."""
    u, lay, p = case.u, case.lay, case.p
    book = Textbook(Densities.of(u.background), 0.1, (LENGTHS[0], *LENGTHS), p.n_q * u.n_ncdm)
    psi = np.concatenate([np.ones(3), -book.slope / 4.0])
    starts = [h.start for h in book.hierarchies]
    for a in (1e-6, 1e-3, 0.1, 1.0):
        weights = moments(lay, u.background, jnp.asarray(a))
        for l, weight, row in zip(range(3), weights, (book.delta_rho, book.momentum, book.shear), strict=False):
            theirs = np.array([row(a)[i + l] for i in starts]) * psi / (book.k if l == 1 else 1.0)
            assert np.abs(np.asarray(weight) - theirs).max() < 1e-13 * np.abs(theirs).max()
        e = 1e-5
        slope = (np.log(moments(lay, u.background, jnp.asarray(a * (1 + e)))[2][2:]) - np.log(weights[2][2:])) / e
        assert np.abs(slope - weights[3][2:]).max() < 3e-5
