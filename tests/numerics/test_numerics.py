"""Tables, quadrature rules, cumulative integrals, and what only steers the compiler."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.polynomial import Polynomial
from scipy.integrate import quad

from boltzax.numerics.fusion import settle
from boltzax.numerics.hidden import hidden
from boltzax.numerics.quadrature import cumulative, gauss_fermi, gauss_legendre
from boltzax.numerics.table import UniformTable


def table_of(functions, x0, dx, n):
    x = x0 + dx * np.arange(n)
    return UniformTable(jnp.asarray(x0), jnp.asarray(dx), jnp.stack([jnp.asarray(f(x)) for f in functions], axis=-1))


def test_table_is_exact_for_quintics():
    """Values and slopes, between nodes, at nodes, in the end cells and beyond them."""
    rng = np.random.default_rng(3)
    functions = [Polynomial(rng.normal(size=6)) for _ in range(3)]
    table = table_of(functions, -1.0, 0.1, 21)
    x = np.concatenate([np.linspace(-1.05, 1.05, 301), -1.0 + 0.1 * np.arange(21)])
    exact = np.stack([f(x) for f in functions], -1)
    slope = np.stack([f.deriv()(x) for f in functions], -1)
    assert np.abs(np.asarray(table(x)) - exact).max() < 1e-12
    assert np.abs(np.asarray(table.derivative(x)) - slope).max() < 1e-10
    automatic = jax.vmap(jax.jacfwd(table))(jnp.asarray(x[:301]))
    assert np.abs(np.asarray(automatic) - slope[:301]).max() < 1e-10


def test_table_converges_with_order_six():
    errors = []
    for n in (41, 81):
        table = table_of([np.exp], -2.0, 4.0 / (n - 1), n)
        x = np.linspace(-1.7, 1.7, 997)
        errors.append(np.abs(np.asarray(table(x))[:, 0] - np.exp(x)).max())
    assert 50.0 < errors[0] / errors[1] < 80.0


def test_table_shapes():
    table = table_of([np.sin, np.cos], 0.0, 0.01, 200)
    assert table(0.5).shape == (2,)
    assert table(jnp.zeros((3, 4))).shape == (3, 4, 2)


@pytest.mark.parametrize("n", [1, 3, 5, 11])
def test_gauss_fermi(n):
    """int q^m (-q^3 df0/dq) dq, exact up to m = 2n - 1 and not beyond; by parts it is (m + 3) int q^(m+2) f0."""
    q, w = gauss_fermi(n)
    assert np.all(w > 0.0) and np.all(np.diff(q) > 0.0)
    exact = lambda m: (m + 3) * quad(lambda x: x ** (m + 2) / (np.exp(x) + 1.0), 0.0, 120.0, epsabs=0, epsrel=1e-12)[0]
    for m in range(2 * n):
        assert abs(w @ q**m / exact(m) - 1.0) < (6e-14 if m < 10 else 2.5e-7), m  # high powers feel the cut at q = 60
    assert w @ q ** (2 * n) < exact(2 * n) * (1.0 - 4e-7)


def test_gauss_legendre():
    x, w = gauss_legendre(5, 1.0, 3.0)
    for m in range(10):
        assert abs(w @ x**m - (3.0 ** (m + 1) - 1.0) / (m + 1)) < 1e-11 * 3.0**m


def test_cumulative():
    cells = jnp.array([1.0, -2.0, 0.5])
    assert np.array_equal(cumulative(cells, jnp.asarray(3.0)), [3.0, 4.0, 2.0, 2.5])


def test_settle_and_hidden_change_nothing():
    x = np.random.default_rng(0).normal(size=(3, 50))
    assert np.array_equal(jax.jit(settle)(x), x)
    f = jax.jit(lambda s: s * hidden(x))
    assert np.array_equal(f(2.0), 2.0 * x)
    assert np.array_equal(jax.jacfwd(f)(2.0), x)
    assert np.allclose(jax.vmap(jax.grad(lambda s: f(s).sum()))(jnp.ones(2)), x.sum())
