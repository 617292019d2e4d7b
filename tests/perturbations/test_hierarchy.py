"""The tail of a hierarchy in modal form: equal to the explicit matrix, and its end harmless."""

import numpy as np
import pytest
from scipy.linalg import expm
from scipy.special import spherical_jn
from tests.perturbations.textbook import Textbook, tail_matrix

from boltzax.perturbations.hierarchy import tail


def modes(l_max):
    """All modes, each conjugate pair by both members: lam, b, c with F_3 = sum c w."""
    t = tail(l_max)
    pair = t.lam.imag > 1e-12
    both = lambda v: np.concatenate([v, v[pair].conj()])
    return both(t.lam), both(t.b), np.concatenate([np.where(pair, 0.5, 1.0) * t.c, 0.5 * t.c[pair].conj()])


L_MAX = [8, 16, 17, 24, 40]


@pytest.mark.parametrize("l_max", L_MAX)
def test_spectrum_is_that_of_the_matrix(l_max):
    """Same eigenvalues, none growing; the number of stored modes is that of the pairs."""
    lam, _, _ = modes(l_max)
    explicit = np.linalg.eigvals(tail_matrix(l_max))
    assert len(lam) == l_max - 2
    assert np.abs(lam[:, None] - explicit).min(1).max() < 1e-12
    assert np.abs(lam[:, None] - explicit).min(0).max() < 1e-12
    assert lam.real.max() < 0.0


@pytest.mark.parametrize("l_max", L_MAX)
def test_implicit_answer(l_max):
    """F_3 of (1 + g d - g s A) F = g s (3/7) F_2 e_3, for small steps and for steps far beyond the oscillation."""
    lam, b, c = modes(l_max)
    matrix, drive = tail_matrix(l_max), np.zeros(l_max - 2)
    drive[0] = 3.0 / 7.0
    for speed, damping in ((1e-3, 0.0), (0.3, 2.0), (1.0, 0.0), (30.0, 0.1), (1e3, 1e4)):
        explicit = np.linalg.solve((1.0 + damping) * np.eye(l_max - 2) - speed * matrix, speed * drive)[0]
        modal = np.sum(c * speed * b / (1.0 + damping - speed * lam))
        assert abs(modal - explicit) < 2e-14


@pytest.mark.parametrize("l_max", L_MAX)
def test_evolution(l_max):
    """F_3(t) after a kick of F_2, by the exponential of the matrix."""
    lam, b, c = modes(l_max)
    matrix, drive = tail_matrix(l_max), np.zeros(l_max - 2)
    drive[0] = 3.0 / 7.0
    for t in (0.5, 5.0, 20.0, 60.0):
        explicit = (expm(matrix * t) @ drive)[0]
        assert abs(np.sum(c * b * np.exp(lam * t)) - explicit) < 1e-13


def free_streaming(l_max, times):
    """F_0, F_1, F_2 of a whole hierarchy at speed 1, at uniform times, that starts as F_0 = 1, with an outflow end."""
    A = np.zeros((l_max + 1, l_max + 1))
    Textbook._stream(A, 0, l_max, 1.0)
    state, out = expm(A * times[0])[:, 0], []
    step = expm(A * (times[1] - times[0]))
    for _ in times:
        out.append(state[:3])
        state = step @ state
    return np.array(out)


def test_outflow_end():
    """Against j_l(t), the solution without end: the reflection from l_max = 24 comes back at t ~ 45."""
    early, late = np.linspace(0.0, 20.0, 21), np.linspace(20.0, 100.0, 81)
    exact = lambda t: np.array([spherical_jn(l, t) for l in range(3)]).T
    error = lambda l_max, t: np.abs(free_streaming(l_max, t) - exact(t)).max()
    assert error(24, early) < 1.1e-13
    assert error(80, late) < 2e-14
    assert error(24, late) < 9e-2
