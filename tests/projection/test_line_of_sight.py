"""The projection of given sources: plateau of Sachs and Wolfe, direct quadrature, Limber's limit, splines in l."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import spherical_jn

from boltzax.grids import make_grid
from boltzax.precision import Outputs, Precision
from boltzax.projection import angular_spectra, every_ell, limber_lensing
from boltzax.projection.line_of_sight import lensing_kernel

TAU_0, TAU_REC = 14000.0, 281.0
P, OUT = Precision(), Outputs(l_max=500, lensing=False, k_max=0.5)
UNIVERSE = SimpleNamespace(tau_0=TAU_0, K=None), SimpleNamespace(tau_rec=TAU_REC)


@pytest.fixture(scope="module")
def grid():
    return make_grid(P, OUT)


def bump(tau, centre, width):
    return np.exp(-0.5 * ((tau - centre) / width) ** 2) / (np.sqrt(2.0 * np.pi) * width)


def fields(y, x):
    """Smooth stand-ins of S_T, S_P [1/Mpc] and phi + psi."""
    tau, k = x * TAU_0, y[:, None] / TAU_0
    S_T = bump(tau, 290.0, 25.0) * np.cos(130.0 * k) / (1.0 + (60.0 * k) ** 2)
    S_P = bump(tau, 290.0, 25.0) * (40.0 * k) ** 2 / (1.0 + (60.0 * k) ** 4)
    return S_T, S_P, (1.0 - 0.3 * x**3) / (1.0 + (k / 0.01) ** 2)


def project(grid, S_T, S_P, weyl):
    src = SimpleNamespace(S_T=jnp.asarray(S_T), S_P=jnp.asarray(S_P), weyl=jnp.asarray(weyl))
    flat = lambda k: jnp.ones_like(k)
    run = jax.jit(lambda s: angular_spectra(grid, P, *UNIVERSE, SimpleNamespace(**s), flat))
    limber = jax.jit(lambda s: limber_lensing(grid, P, OUT, *UNIVERSE, SimpleNamespace(**s), flat))
    cl = run(vars(src)) | {"limber": limber(vars(src))}
    return {name: np.asarray(v) for name, v in cl.items()}


@pytest.fixture(scope="module")
def projected(grid):
    S_T, S_P, weyl = fields(grid.y_modes, grid.x)
    return project(grid, S_T[: grid.n_cmb], S_P[: grid.n_cmb], weyl)


def direct(grid, l):
    """TT, EE, TE, pp at one l: the fields themselves, fine trapezoids in tau and scipy's Bessel functions."""
    S_T, S_P, weyl = fields(grid.y, (x := np.linspace(0.0, 1.0, 6001)[40:-1]))
    fine = np.linspace(100.0, 480.0, 229) / TAU_0  # the two bumps
    z = lambda x: grid.y[:, None] * (1.0 - x)
    S_T, S_P, _ = fields(grid.y, fine)
    step = (fine[1] - fine[0]) * TAU_0
    j = spherical_jn(l, z(fine))
    T = ((S_T + 1.5 * l * (l + 1.0) * S_P / z(fine) ** 2) * j).sum(1) * step
    E = 1.5 * np.sqrt((l + 2.0) * (l + 1.0) * l * (l - 1.0)) * (S_P / z(fine) ** 2 * j).sum(1) * step
    chi = TAU_0 * (1.0 - x)
    kernel = -np.maximum(TAU_0 - TAU_REC - chi, 0.0) / ((TAU_0 - TAU_REC) * chi)
    phi = (weyl * kernel * spherical_jn(l, z(x))).sum(1) * (x[1] - x[0]) * TAU_0
    pairs = {"tt": T * T, "ee": E * E, "te": T * E, "pp": phi * phi, "tp": T * phi, "ep": E * phi}
    return {name: 4.0 * np.pi * np.sum(v * grid.y_weight) for name, v in pairs.items()}


@pytest.mark.parametrize("l", [2, 3, 10, 30, 120, 300])
def test_against_direct_quadrature(grid, projected, l):
    i = np.argmin(np.abs(grid.ell - l))
    exact = direct(grid, int(grid.ell[i]))
    norm = {n: np.sqrt(exact[n[0] * 2] * exact[n[1] * 2]) for n in exact}
    bounds = {"tt": 1.4e-5, "ee": 1.2e-5, "te": 1.1e-5, "tp": 1.3e-6, "ep": 1.3e-6}
    if l < P.l_limber:  # beyond, phiphi is Limber's
        bounds["pp"] = 6.5e-5
    for name, bound in bounds.items():
        assert abs(projected[name][i] - exact[name]) < bound * norm[name], name


def test_sachs_wolfe_plateau(grid):
    """S_T = delta(tau - tau_*) makes l (l + 1) C_l = 2 pi; the width of the bump is felt from k width ~ 1."""
    S_T = np.broadcast_to(bump(grid.x * TAU_0, 300.0, 8.0), (grid.n_cmb, len(grid.x)))
    cl = project(grid, S_T, 0.0 * S_T, np.zeros((len(grid.y_modes), len(grid.x))))["tt"]
    low = grid.ell <= 10
    plateau = cl[low] * grid.ell[low] * (grid.ell[low] + 1.0) / (2.0 * np.pi)
    assert np.abs(plateau - 1.0).max() < 4e-4


def test_limber_limit(grid, projected):
    """Limber's phiphi is low by 10% at l = 2 and agrees where it takes over."""
    ratio = projected["limber"][: len(grid.ell)] / projected["pp"] - 1.0
    assert -0.11 < ratio[0] < -0.09
    assert np.all(np.diff(ratio[grid.ell < 30]) > 0.0)
    blend = (grid.ell > 0.7 * P.l_limber) & (grid.ell < 1.3 * P.l_limber)
    assert np.abs(ratio[blend]).max() < 6e-4


def test_lensing_kernel(grid):
    """(chi_* - chi) / (chi_* chi) with a minus sign, zero before recombination."""
    kernel = np.asarray(lensing_kernel(TAU_0 * (1.0 - grid.x), *UNIVERSE))
    chi, star = TAU_0 * (1.0 - grid.x), TAU_0 - TAU_REC
    after = chi < star
    assert np.all(kernel[~after] == 0.0)
    assert np.allclose(kernel[after], 1.0 / star - 1.0 / chi[after], rtol=1e-12)


def test_quadrature_rules(grid):
    """Nodes in order, positive weights; the weights integrate smooth functions of time and of ln k."""
    for nodes, weight in ((grid.x, grid.x_weight), (grid.y, grid.y_weight)):
        assert np.all(np.diff(nodes) > 0.0) and np.all(weight > 0.0)
    assert abs(np.sum(grid.x_weight * np.exp(-((grid.x - 0.4) ** 2) / 0.02)) / np.sqrt(0.02 * np.pi) - 1.0) < 9.5e-5
    assert abs(np.sum(grid.y_weight * np.exp(-(np.log(grid.y / 30.0) ** 2))) / np.sqrt(np.pi) - 1.0) < 3.2e-8


def test_every_ell():
    """Exact at the nodes and for l (l + 1) C_l a quintic; nothing at l = 0, 1."""
    nodes = np.array([2, 3, 4, 6, 9, 14, 20, 30, 45, 60, 80, 100])
    shape = lambda l: 1.0 + (l / 50.0) ** 3 - (l / 90.0) ** 5
    ell = np.arange(2, 101)
    cl = np.asarray(every_ell(nodes, jnp.asarray(shape(nodes) / (nodes * (nodes + 1.0)))))
    assert cl.shape == (101,)
    assert np.all(cl[:2] == 0.0)
    assert np.abs(cl[2:] * ell * (ell + 1.0) / shape(ell) - 1.0).max() < 1e-12
