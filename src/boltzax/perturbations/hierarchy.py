"""Modal form of the tail l >= 3 of a Boltzmann hierarchy.

For l >= 3 free streaming is a constant matrix times a speed. Its eigenmodes are independent scalar equations driven
by the quadrupole, so that an implicit solve is elementwise arithmetic and one sum.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np


class Tail(NamedTuple):
    """One member of each conjugate pair of modes: w' = (speed lam - damping) w + speed b F_2; F_3 = Re sum(c w)."""

    lam: np.ndarray  # eigenvalues, complex [m]
    b: np.ndarray  # driving by F_2, complex [m]
    c: np.ndarray  # read-out of F_3, complex [m]


@lru_cache
def tail(l_max: int) -> Tail:
    """Modes of F_l' = speed/(2l+1) [l F_{l-1} - (l+1) F_{l+1}] - damping F_l, 3 <= l <= l_max.

    Ma & Bertschinger (1995), eq. (49), closed by outflow, F_L' = speed (F_{L-1} - F_L) - damping F_L, which has no
    explicit time and so keeps the matrix constant. The matrix is balanced with f_l = sqrt(2l+1) F_l first.
    """
    ls = np.arange(3, l_max + 1)
    n = len(ls)
    step = ls / np.sqrt(4.0 * ls**2 - 1.0)  # coupling of f_l to f_{l-1}, symmetric up to sign
    matrix = np.diag(step[1:], -1) - np.diag(step[1:], 1)
    matrix[-1, -2] = np.sqrt((2.0 * l_max + 1.0) / (2.0 * l_max - 1.0))
    matrix[-1, -1] = -1.0
    lam, right = np.linalg.eig(matrix)
    left = np.linalg.inv(right)
    keep = lam.imag > -1e-12
    pair = np.where(lam.imag > 1e-12, 2.0, 1.0)
    assert n - (pair[keep] == 2.0).sum() * 2 == (pair[keep] == 1.0).sum()
    return Tail(lam[keep], left[keep, 0] * step[0] * np.sqrt(5.0), (pair * right[0])[keep] / np.sqrt(7.0))
