"""Free streaming as a few exponentials: against the endless hierarchy, with and without damping."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.linalg import expm
from scipy.special import spherical_jn
from tests.perturbations.textbook import tail_matrix

from boltzax.perturbations.hierarchy import response, tail

# largest error of G on the imaginary axis for n pairs of modes: twice what was found
ERRORS = {4: 3.2e-2, 6: 2e-3, 8: 1.4e-4, 10: 8e-6, 12: 8e-7}


def approximation(n, s):
    t = tail(n)
    return sum(0.5 * (c / (s - lam) + np.conj(c) / (s - np.conj(lam))) for lam, c in zip(t.lam, t.c, strict=True))


def test_response_is_that_of_a_long_hierarchy():
    """G(s) for s with a positive real part, where an explicit matrix converges; and its limit, G on the axis."""
    matrix = tail_matrix(400)
    drive = np.zeros(len(matrix))
    drive[0] = 3.0 / 7.0
    for omega in (0.0, 0.3, 0.9, 1.2, 5.0):
        explicit = lambda re: np.linalg.solve((re + 1j * omega) * np.eye(len(matrix)) - matrix, drive)[0]  # noqa: B023
        near = [explicit(re) for re in (0.02, 0.04, 0.06, 0.08)]
        limit = 4.0 * near[0] - 6.0 * near[1] + 4.0 * near[2] - near[3]  # extrapolated to Re s = 0
        assert abs(limit - response(np.array([omega]))[0]) < 1e-3, omega
    assert response(np.array([1e4]))[0] == pytest.approx(3.0 / 7.0 / 1e4j, rel=1e-6)


@pytest.mark.parametrize("n", ERRORS)
def test_modes_reproduce_the_response(n):
    """On the axis between the fitted points, and with damping, where the maximum principle bounds the error."""
    t = tail(n)
    assert len(t.lam) == n and t.lam.real.max() < 0.0
    assert np.sum(t.c).real == pytest.approx(3.0 / 7.0, abs=3e-4)
    omega = np.concatenate([np.linspace(0.0, 0.994, 500), 1.0 + np.geomspace(6e-3, 150.0, 500)])
    assert np.abs(approximation(n, 1j * omega) - response(omega)).max() < ERRORS[n]
    matrix = tail_matrix(100)
    drive = np.zeros(len(matrix))
    drive[0] = 3.0 / 7.0
    for s in (0.3, 2.0, 0.2 + 0.8j, 1.0 + 5.0j, 30.0):
        explicit = np.linalg.solve(s * np.eye(len(matrix)) - matrix, drive)[0]
        assert abs(approximation(n, s) - explicit) < ERRORS[n], s


def streamed(n, times):
    """F_0, F_1, F_2 at speed 1 and times t of a hierarchy that starts as F_0 = 1."""
    t = tail(n)
    A = np.zeros((3 + 2 * n, 3 + 2 * n), complex)
    A[0, 1], A[1, 0], A[1, 2], A[2, 1] = -1.0, 1.0 / 3.0, -2.0 / 3.0, 2.0 / 5.0
    A[2, 3:] = -0.3 * np.concatenate([t.c, t.c.conj()])
    A[3:, 2] = 1.0
    A[3:, 3:] = np.diag(np.concatenate([t.lam, t.lam.conj()]))
    assert np.linalg.eigvals(A).real.max() < 0.0  # nothing grows
    return np.array([expm(A * time)[:3, 0].real for time in times])


@pytest.mark.parametrize(("n", "error"), [(6, 4e-4), (8, 2.3e-5), (10, 2e-6)])
def test_free_streaming_at_all_times(n, error):
    """Against j_l(t), the solution without end. A hierarchy cut at l = 24 is wrong by 0.05 after t = 45."""
    times = np.concatenate([np.linspace(0.0, 20.0, 41), np.linspace(25.0, 300.0, 56)])
    exact = np.array([spherical_jn(l, times) for l in range(3)]).T
    assert np.abs(streamed(n, times) - exact).max() < error


def test_kernel():
    """Exponentials against the kernel itself, F_3 after a kick of F_2; G is causal, so its real part says all."""
    t = tail(10)
    for time in (0.3, 2.0, 10.0):
        kernel = lambda w: response(np.array([w]))[0].real * np.cos(w * time) * 2.0 / np.pi  # noqa: B023
        exact = quad(kernel, 0.0, 1.0, limit=400)[0]
        assert np.sum(t.c * np.exp(t.lam * time)).real == pytest.approx(exact, abs=2e-6)
