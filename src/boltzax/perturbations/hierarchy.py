"""Free streaming beyond the quadrupole as a few exponentials.

What the multipoles l >= 3 of a Boltzmann hierarchy do to the ones below is a linear answer, F_3(s) = G(s) F_2(s), with
s the Laplace variable of k tau. A hierarchy cut at some l_max follows it until k tau ~ 2 l_max, when its end reflects,
and not after. Here G itself is approximated, by a rational function: its poles are independent scalar equations driven
by the quadrupole, right at all times, and an implicit solve with them is elementwise arithmetic and one sum.
"""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import NamedTuple

import numpy as np

_FINEST = 5e-3  # distance from the branch points at s = +-i to which G is resolved: times up to its inverse
_FARTHEST = 200.0  # largest |s| fitted; G falls as 3/(7 s) beyond


class Tail(NamedTuple):
    """One member of each conjugate pair of modes: w' = (speed lam - damping) w + speed F_2; F_3 = Re sum(c w)."""

    lam: np.ndarray  # eigenvalues, complex [n]
    c: np.ndarray  # read-out of F_3, complex [n]


def response(omega: np.ndarray, last: int = 2) -> np.ndarray:
    """G(i omega) of the endless hierarchy F_l' = [l F_{l-1} - (l+1) F_{l+1}] / (2l+1), l >= 3.

    Ma & Bertschinger (1995), eq. (49), is Legendre's recursion for i^l Q_l(i s), so G = i Q_3(i s) / Q_2(i s), the
    limit from Re s > 0: on the cut |omega| < 1 of the Q_l by their recursion, elsewhere by their continued fraction.
    `last`: the same of F_{last+1} to F_last.
    """
    x = -np.asarray(omega, float)
    out = np.empty(x.shape, complex)
    cut = np.abs(x) < 1.0
    t = x[cut]
    lower = np.arctanh(t) - 0.5j * np.pi
    upper = t * lower - 1.0
    for l in range(1, last + 1):
        lower, upper = upper, ((2.0 * l + 1.0) * t * upper - l * lower) / (l + 1.0)
    out[cut] = 1j * upper / lower
    t, ratio = x[~cut], 0.0
    for l in range(2000, last - 1, -1):  # Q_{l+1} / Q_l
        ratio = (l + 1.0) / ((2.0 * l + 3.0) * t - (l + 2.0) * ratio)
    out[~cut] = 1j * ratio
    return out


@lru_cache
def tail(n: int, last: int = 2) -> Tail:
    """The n pairs of modes that approximate G on the imaginary axis, and so for every damped or driven solution.

    Poles by the AAA algorithm (Nakatsukasa, Sete & Trefethen 2018, SIAM J. Sci. Comput. 40, A1494), residues by least
    squares. The largest error of G is 1e-3, 7e-5, 4e-6, 4e-7 for n = 6, 8, 10, 12. last: see `response`.
    """
    return exponentials(partial(response, last=last), (last + 1.0) / (2.0 * last + 3.0), n, _FINEST)


def exponentials(transform: Callable[[np.ndarray], np.ndarray], at_zero: float, n: int, finest: float) -> Tail:
    """n pairs of modes whose Re sum(c w) is the answer with this Laplace transform at s = i omega + 0.

    at_zero: the answer at time zero, which the residues add up to; finest: distance from the branch points at s = +-i
    to which the transform is resolved.
    """
    near = np.geomspace(finest, 1.0, 400)
    half = [1.0 - near, 1.0 + near, np.geomspace(2.0, _FARTHEST, 150), np.linspace(0.0, 1.0 - finest, 100)]
    omega = np.unique(np.concatenate(half))
    s = 1j * np.concatenate([-omega[:0:-1], omega])
    values = transform(s.imag)
    poles = _poles(s, values, n)
    matrix = np.concatenate([1.0 / (s[:, None] - poles), np.full((1, 2 * n), 100.0)])
    residues = np.linalg.lstsq(matrix, np.append(values, 100.0 * at_zero), rcond=None)[0]
    upper = poles.imag > 0.0
    assert upper.sum() == n and poles.real.max() < 0.0
    return Tail(poles[upper], 2.0 * residues[upper])


def _poles(s, values, n: int):
    """The 2n poles of a rational interpolant of values(s), s symmetric about 0, through 0 and n pairs of conjugates."""
    from scipy.linalg import eigvals  # here: it takes long to import

    middle = len(s) // 2
    support = [middle]
    while True:
        rest = np.setdiff1d(np.arange(len(s)), support)
        cauchy = 1.0 / (s[rest, None] - s[support])
        weights = np.linalg.svd((values[rest, None] - values[support]) * cauchy, full_matrices=False)[2][-1].conj()
        if len(support) == 2 * n + 1:
            break
        fit = cauchy @ (weights * values[support]) / (cauchy @ weights)
        worst = rest[np.argmax(np.abs(fit - values[rest]))]
        support += [worst, 2 * middle - worst]
    arrow = np.diag(np.concatenate([[0.0], s[support]])).astype(complex)
    arrow[0, 1:], arrow[1:, 0] = weights, 1.0
    found = eigvals(arrow, np.diag(np.concatenate([[0.0], np.ones(len(support))])))
    return found[np.argsort(np.abs(found))[: 2 * n]]  # two of them are infinite
