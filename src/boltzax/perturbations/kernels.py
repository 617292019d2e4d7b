"""Free streaming of tensor modes as a few exponentials.

In the variables of Kosowsky (1996) radiation in the field of a gravitational wave begins isotropic in mu, so that its
moments are convolutions of what drives it with kernels of the form int m(mu) exp(-i mu k tau) dmu, |mu| <= 1. A
rational approximation of their Laplace transforms replaces the whole hierarchy, as `hierarchy.tail` does for l >= 3.
"""

from functools import lru_cache

import numpy as np
from numpy.polynomial import Polynomial

from boltzax.perturbations import hierarchy
from boltzax.perturbations.hierarchy import Tail

#: m(mu) of the anisotropic stress: int m exp(-i mu s) dmu = j_2(s) / s^2 (Weinberg 2004, eq. 17)
INTENSITY = (1.0 / 16.0, 0.0, -2.0 / 16.0, 0.0, 1.0 / 16.0)
#: m(mu) of the polarised part of Psi: (3/5) P_0 + (6/7) P_2 + (3/70) P_4, times 1/2 (Kosowsky 1996, eq. 3.6)
POLARISATION = (3.0 / 32.0, 0.0, 18.0 / 32.0, 0.0, 3.0 / 32.0)

_FINEST = 2e-2  # distance from the branch points at s = +-i to which the transform is resolved
_MU, _WEIGHT = np.polynomial.legendre.leggauss(60)


def transform(coefficients: tuple[float, ...], omega: np.ndarray) -> np.ndarray:
    """int m(mu) / (s + i mu) dmu at s = i omega + 0, for the polynomial m with these coefficients.

    For |omega| < 2 the singular part m(x) int dmu / (mu - x), x = -omega, is split off.
    """
    m, x = Polynomial(coefficients), -np.asarray(omega, float)[:, None]
    far = np.abs(x) > 2.0
    near = np.where(far, 0.0, x)
    logarithm = np.log(np.abs((1.0 - near) / (1.0 + near))) + 1j * np.pi * (np.abs(near) < 1.0)
    close = (_WEIGHT * (m(_MU) - m(near)) / (_MU - near)).sum(1) + (m(near) * logarithm)[:, 0]
    return -1j * np.where(far[:, 0], (_WEIGHT * m(_MU) / (_MU - np.where(far, x, 3.0))).sum(1), close)


@lru_cache
def exponentials(coefficients: tuple[float, ...], n: int) -> Tail:
    """n pairs of modes w' = (speed lam - damping) w + drive whose Re sum(c w) is the moment of weight m(mu).

    The largest error over the kernel at 0 is 1e-4, 4e-5, 6e-6 for INTENSITY with n = 5, 6, 7 and 2e-3, 3e-4, 6e-5 for
    POLARISATION, whose kernel falls as 1/s only, with n = 6, 7, 8.
    """
    at_zero = _WEIGHT @ Polynomial(coefficients)(_MU)  # which tight coupling feels
    return hierarchy.exponentials(lambda omega: transform(coefficients, omega), at_zero, n, _FINEST)
