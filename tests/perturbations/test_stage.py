"""One implicit stage in closed form against the dense textbook equations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tests.perturbations.textbook import Densities, Textbook
from tests.perturbations.translation import Translation

from boltzax.perturbations.layout import layout, moments
from boltzax.perturbations.stage import Medium, State, factor, solve
from boltzax.precision import Precision

LENGTHS = dict(l_max_g=10, l_max_pol_g=8, l_max_ur=12, l_max_ncdm=7, n_q=3)
TAUS = (3.0, 100.0, 280.0, 1500.0, 13000.0)  # tight coupling, recombination, reionization, today
KS = (1e-4, 1e-2, 0.1, 1.0, 8.0)
STEPS = (1e-3, 1.0, 100.0)  # g [Mpc]


def random_state(lay, k, rng):
    tails = tuple(jnp.asarray(rng.normal(size=(2, g.stop - g.start, len(g.lam), 1))) for g in lay.groups)
    fluid = rng.normal(size=(4, 1)) * np.array([1.0, 1.0, 1.0, k])[:, None]
    return State(jnp.asarray(fluid), jnp.asarray(rng.normal(size=(3, lay.rows, 1))), tails)


def l_max(p):
    return p.l_max_g, p.l_max_pol_g, p.l_max_ur, p.l_max_ncdm


@pytest.fixture(scope="module", params=["fiducial", "massless"])
def stage(request, universe):
    u, p = universe(request.param), Precision(**LENGTHS)
    lay = layout(p, u.n_ncdm)
    run = jax.jit(lambda bg, k, g, m, r: solve(lay, factor(lay, bg, k, g, m), r))
    return u, lay, p, lambda *a: run(u.background, *a)


@pytest.mark.parametrize("k", KS)
def test_implicit_stage(stage, k):
    """(1 - g A) X = r for random r, and h', eta' of the constraints."""
    u, lay, p, run = stage
    book = Textbook(Densities.of(u.background), k, l_max(p), p.n_q * u.n_ncdm)
    plain, rng, worst = Translation(lay, book), np.random.default_rng(1), 0.0
    for tau in TAUS:
        values = u.medium()(tau)
        A = book.matrix(*values)
        constraints = np.array(book.metric(*values[:2]))
        for g in STEPS:
            r = random_state(lay, k, rng)
            one = lambda v: jnp.full(1, float(v))
            X, border = run(one(k), one(g), Medium(*map(one, values)), r)
            ours, right = plain(X), plain(r)
            theirs = np.linalg.solve(np.eye(book.size) - g * A, right)
            residual = ours - g * A @ ours - right
            # backward error: of each equation, over the size of its terms
            terms = np.abs(ours) + g * np.abs(A) @ np.abs(ours) + np.abs(right)
            worst = max(worst, np.abs(residual / terms).max())
            assert np.abs(ours - theirs).max() < 1.2e-9 * np.abs(theirs).max(), (tau, g)
            size = np.abs(constraints) @ np.abs(ours)
            assert np.abs((np.asarray(border[:2, 0]) - constraints @ ours) / size).max() < 6e-14
    assert worst < 2e-11


def test_stress_energy(stage):
    """Weights of delta rho, momentum and shear of every row."""
    u, lay, p, _ = stage
    book = Textbook(Densities.of(u.background), 0.1, l_max(p), p.n_q * u.n_ncdm)
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
