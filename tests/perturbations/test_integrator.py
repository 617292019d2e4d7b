"""The integrator: against the textbook equations, Einstein's equations along its solutions, limits, convergence."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.interpolate import make_interp_spline
from tests.perturbations.textbook import BARYON, CDM, ETA, THETA_B, Densities, Textbook
from tests.perturbations.translation import Translation, cut

from boltzax.perturbations.initial import initial
from boltzax.perturbations.layout import layout
from boltzax.perturbations.step import State
from boltzax.precision import Precision

MOMENTA = dict(n_q=2)
L_MAX = 36  # the end of a hierarchy reflects at k tau = 2 l_max and is felt a little before
FINE = dict(n_h=16.0, n_k=3.0, n_v=6.0, x_stream=100.0, y_x_start=3e-3)
UNTIL = {0.01: 4000.0, 0.1: 500.0, 1.0: 60.0}  # [Mpc]: the textbook pays for every oscillation
# twice the present errors of the fine mesh, over the largest value of each field
TEXTBOOK = {
    "eta": 3.5e-7,
    "delta_cdm": 2.7e-7,
    "delta_b": 4.7e-5,
    "theta_b": 2.7e-5,
    "h_prime": 1e-6,
    "eta_prime": 1e-6,
    "f0": 4.7e-5,
    "pi": 5.5e-5,
    "shear": 4e-6,
    "massive": 3.6e-7,
    "massive_flux": 1.7e-6,
}
LONG = (1e-5, 1e-4, 1e-3, 0.01, 0.05, 0.1, 0.2, 1.0)


def scipy_solution(u, k, tau):
    """States of the textbook at times tau, from the same initial state, by an adaptive stiff method."""
    p = Precision(**MOMENTA)
    lay = cut(layout(p, u.n_ncdm), (L_MAX,) * 3)
    book = Textbook(Densities.of(u.background), k, (L_MAX,) * 4, p.n_q * u.n_ncdm)
    fluid, low, _ = initial(lay, u.background, jnp.full(1, k), jnp.full(1, tau[0]))
    start = State(fluid, low, tuple(jnp.zeros((2, len(g.lam), g.stop - g.start, 1)) for g in lay.groups))
    medium = u.medium()
    A = lambda t, y: book.matrix(*medium(t))
    out = solve_ivp(
        lambda t, y: A(t, y) @ y, (tau[0], tau[-1]), Translation(lay, book)(start), "Radau", tau, jac=A,
        rtol=1e-9, atol=1e-12,
    )  # fmt: skip
    assert out.success
    return book, out.y


def differences(mode, book, y, medium):
    """Largest difference of each field over the largest value of the field."""
    a, aH, *_ = medium(mode.tau)
    h, eta = np.array([np.stack(book.metric(*v)) @ s for v, s in zip(zip(a, aH), y.T)]).T  # noqa: B905
    polar = lambda v: v[book.F + 2] + v[book.G] + v[book.G + 2]
    at = lambda row: np.array([row(v) @ s for v, s in zip(a, y.T, strict=True)])
    theirs = {
        "eta": y[ETA], "delta_cdm": y[CDM], "delta_b": y[BARYON], "theta_b": y[THETA_B], "h_prime": h, "eta_prime": eta,
        "f0": y[book.F], "pi": polar(y),
        "shear": at(book.shear), "massive": at(lambda v: book.delta_rho(v) * (np.arange(book.size) >= book.Psi[0])),
        "massive_flux": at(lambda v: book.momentum(v) * (np.arange(book.size) >= book.Psi[0])) / book.k,
    }  # fmt: skip
    f = mode.fields
    ours = dict(zip(("eta", "delta_cdm", "delta_b", "theta_b"), f.fluid.T, strict=True))
    ours |= dict(zip(("h_prime", "eta_prime"), f.metric.T, strict=True))
    ours |= {n: getattr(f, n) for n in ("f0", "pi", "shear")}
    ours |= {"massive": f.delta_ncdm, "massive_flux": f.theta_ncdm}
    inside = slice(20, -3)  # away from the ends of the splines
    return {n: np.abs(ours[n] - v)[inside].max() / np.abs(v).max() for n, v in theirs.items()}


@pytest.mark.parametrize("k", UNTIL)
def test_against_textbook(universe, evolve, k):
    u = universe("fiducial")
    mode = evolve("fiducial", tuple(UNTIL), **MOMENTA, **FINE)[list(UNTIL).index(k)]
    n = int(np.searchsorted(mode.tau, UNTIL[k] * (1 + 1e-9)))
    tau = np.concatenate([[mode.start], mode.tau[:n]])
    book, y = scipy_solution(u, k, tau)
    cut = type(mode)(k, mode.tau[:n], mode.start, type(mode.fields)(*(v[:n] for v in mode.fields)))
    found = differences(cut, book, y[:, 1:], u.medium())
    for field, error in found.items():
        assert error < TEXTBOOK[field], (field, error)


@pytest.mark.parametrize("name", ["fiducial", "massless"])
def test_einstein_equations(universe, evolve, name):
    """Slopes along the solution: eta' and h' = -2 delta_cdm', and MB95 (21d), which the integrator does not solve."""
    for mode in evolve(name, LONG, **FINE):
        late = (mode.tau > 20 * mode.start) & (mode.tau < 0.8 * mode.tau[-1])
        ln_tau = np.log(mode.tau)
        slope = lambda v: make_interp_spline(ln_tau, v, k=5).derivative()(ln_tau) / mode.tau  # noqa: B023
        eta, delta_cdm = mode.fields.fluid[:, 0], mode.fields.fluid[:, 1]
        h_prime, eta_prime = mode.fields.metric.T
        aH = universe(name).medium()(mode.tau)[1]
        terms = (-2 * aH * mode.alpha, eta, -4.5 * mode.fields.shear / mode.k**2)
        scale = sum(np.abs(v) for v in terms)
        error = lambda a, b, s: float(np.max(np.abs((a - b) / s)[late]))  # noqa: B023
        found = (
            error(slope(mode.alpha), sum(terms), scale),
            error(slope(eta), eta_prime, np.abs(eta_prime).max()),
            error(-2 * slope(delta_cdm), h_prime, np.abs(h_prime)),
        )
        for residual, allowed in zip(found, (9e-5, 5.5e-6, 8e-6), strict=True):
            assert residual < allowed, (mode.k, found)


@pytest.mark.parametrize("name", ["fiducial", "massless"])
def test_superhorizon_conservation(universe, evolve, name):
    """The comoving curvature R = eta - (a'/a) theta / k^2 stays 1 outside the horizon, through equality."""
    u = universe(name)
    for mode in evolve(name, LONG, **FINE)[:3]:
        a, aH, *_ = u.medium()(mode.tau)
        total = flux_per_enthalpy(u, a, mode)
        R = mode.fields.fluid[:, 0] - aH * total / mode.k**2
        outside = mode.k * mode.tau < 0.1
        assert np.abs(R[outside] - 1.0).max() < (5e-6 if mode.k == 1e-5 else 7.2e-5), mode.k


def flux_per_enthalpy(u, a, mode):
    """theta of everything from eta' = 4 pi G a^2 (rho + P) theta / k^2."""
    bg = u.background
    ncdm = sum(np.asarray(v)[:, 0] for v in bg.rho_ncdm(jnp.asarray(a))) if u.n_ncdm else 0.0
    enthalpy = 4 / 3 * (bg.rho_g + bg.rho_ur) / a**4 + (bg.rho_b + bg.rho_cdm) / a**3 + ncdm
    return mode.fields.metric[:, 1] * mode.k**2 / (1.5 * a**2 * np.asarray(enthalpy))


def common(mode, other, name, until=np.inf):
    """Largest difference of a field of two runs at the first one's times, over its largest value."""
    pick = {"eta": 0, "delta_cdm": 1, "delta_b": 2, "theta_b": 3}
    read = lambda m: m.fields.fluid[:, pick[name]] if name in pick else getattr(m.fields, name)
    inside = (mode.tau > 3 * max(mode.start, other.start)) & (mode.tau < until)
    there = make_interp_spline(np.log(other.tau), read(other), k=5)(np.log(mode.tau[inside]))
    return np.abs(there - read(mode)[inside]).max() / np.abs(there).max()


def check(modes, others, allowed):
    for mode, other in zip(modes, others, strict=True):
        for field, bound in allowed.items():
            error = common(mode, other, field, 40.0 / mode.k)
            assert error < bound, (mode.k, field, error)


def test_earlier_start(evolve):
    """The initial series is of the growing mode alone: starting ten times earlier than the default changes nothing."""
    allowed = {"eta": 4.4e-9, "delta_cdm": 7.5e-9, "theta_b": 1.5e-7, "f0": 1.4e-8, "pi": 2.8e-6, "shear": 1.1e-5}
    check(
        evolve("fiducial", LONG, **FINE | {"y_x_start": 1e-2}),
        evolve("fiducial", LONG, **FINE | {"y_x_start": 1e-3}),
        allowed,
    )


def test_step_refinement(evolve):
    """Default steps against half steps, where radiation is resolved."""
    allowed = {"eta": 3.6e-6, "delta_cdm": 1e-5, "theta_b": 1.8e-4, "f0": 2.6e-4, "pi": 4.8e-4, "shear": 1.4e-5}
    check(evolve("fiducial", LONG), evolve("fiducial", LONG, **FINE), allowed)


def test_more_exponentials(evolve):
    """Default number of exponentials for free streaming against twice as many."""
    allowed = {"eta": 1.9e-5, "delta_cdm": 2.5e-5, "theta_b": 8e-5, "f0": 5.5e-5, "pi": 1.1e-4, "shear": 1.1e-4}
    check(evolve("fiducial", LONG, **FINE), evolve("fiducial", LONG, **FINE, n_tail=16), allowed)
