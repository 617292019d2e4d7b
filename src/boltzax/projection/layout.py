"""How the line-of-sight table of one block of wavenumbers is cut into rectangles.

What is negligible is left out. Below its turning point z = l a Bessel function is dark. Above, it oscillates with
sqrt(1 - (l/z)^2) radians for each of z: where that is more than the time nodes resolve it is tapered off, for a source
that smooth integrates to nothing against so fast an oscillation. And at early times each multipole has a largest
wavenumber, beyond which damped sources and the fall of j_l leave it nothing.

Where the time nodes are there for the sources, not for the Bessel functions, fewer Chebyshev nodes carry the latter:
j_l(y (1 - x)) is a polynomial in x through its values at those, so that the sources can be summed onto them first.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

_EARLY = 0.1  # until then sources are those of recombination and of the early Sachs-Wolfe effect
_LATE_ELL, _LATE = 1000, 0.2  # beyond this multipole sources are faded out, until this time
_EDGES = np.concatenate([[0.0, 0.03, 0.05, 0.075], np.linspace(_EARLY, 0.9, 17), [0.925, 0.95, 0.97, 0.98, 0.99, 1.0]])
_WIDTH = 0.15  # of the taper, in units of its limit
_LAST = 1.0 + 3.5 * _WIDTH  # in units of the limit: what is beyond is left out
_WORTH = 2000  # entries of a row that a further rectangle must save


class Rectangle(NamedTuple):
    """Time nodes first..stop, or so many Chebyshev nodes in their stead if not 0; multipoles low..high."""

    first: int
    stop: int
    low: int
    high: int
    chebyshev: int

    @property
    def nodes(self) -> int:
        """Nodes at which its Bessel functions are tabulated."""
        return self.chebyshev or self.stop - self.first

    @property
    def area(self) -> int:
        """Entries of a row of the table."""
        return self.nodes * (self.high - self.low)


def largest_y(ell):
    """Beyond this wavenumber recombination adds less than about 3e-6 to C_l^TT and C_l^EE.

    A low multipole sees j_l^2 fall as y^-2, a high one the damping tail.
    """
    return np.minimum(1300.0 * ell**0.25, 3300.0 + 1.3 * ell)


def oscillation(z, ell):
    """d(phase of j_l)/dz, zero below the turning point."""
    return jnp.sqrt(jnp.maximum(1.0 - ((ell + 0.5) / z) ** 2, 0.0))


def taper(radians):
    """Smooth switch that drops Bessel functions of too many radians to a time step, in units of the limit."""
    return 0.5 * (1.0 - jnp.tanh((radians - 1.0) / _WIDTH))


def fade(x, ell):
    """Smooth switch that drops late sources at high multipoles, where only their correlation with lensing was left."""
    width = 0.17 * (_LATE - _EARLY)
    return jnp.where(ell > _LATE_ELL, 0.5 * (1.0 - jnp.tanh((x - 0.5 * (_EARLY + _LATE)) / width)), 1.0)


def chebyshev_nodes(n: int, lo: float, hi: float):
    """The n Chebyshev nodes of [lo, hi], from hi to lo."""
    return 0.5 * (hi + lo) + 0.5 * (hi - lo) * np.cos((np.arange(n) + 0.5) * np.pi / n)


def _degree(phase: float) -> int:
    """Number of Chebyshev nodes that carry exp(i t), |t| <= phase, to 1e-7: where J_n(phase) has become so small."""
    return int(np.ceil(phase + 6.0 * (phase / 2.0) ** (1 / 3) + 4.0))


def rectangles(x, x_step, ell, limit: float, y_first: float, y_last: float) -> list[Rectangle]:
    """The rectangles of wavenumbers y_first .. y_last that have the least area."""
    z = y_last * (1.0 - x)
    high = np.searchsorted(ell, z + 3.0 * z ** (1 / 3) + 4.0)  # multipoles that are not dark
    resolved = np.minimum(_LAST * limit / (y_first * x_step), 1.0)
    low = np.searchsorted(ell, y_first * (1.0 - x) * np.sqrt(1.0 - resolved**2) - 0.5)
    high = np.where(x < _LATE, high, np.minimum(high, np.sum(ell <= _LATE_ELL)))
    low = np.where(x < _EARLY, np.maximum(low, np.sum(largest_y(ell) < y_first)), low)
    best = [(0, [])]  # least cost up to each edge, and the rectangles
    for j in range(1, len(_EDGES)):
        options = []
        for i in range(j):
            nodes = np.flatnonzero((high > low) & (x >= _EDGES[i]) & (x < _EDGES[j]))
            new = _rectangle(nodes, z, low, high, _EDGES[j] <= 0.9)
            cost = sum(r.area + _WORTH for r in new)
            options.append((best[i][0] + cost, best[i][1] + new))
        best.append(min(options, key=lambda option: option[0]))
    return best[-1][1]


def _rectangle(nodes, z, low, high, far: bool) -> list[Rectangle]:
    """far: not where sources are divided by a distance that goes to zero, so that interpolation errors would grow."""
    if not len(nodes):
        return []
    first, stop = int(nodes[0]), int(nodes[-1]) + 1
    n = _degree(0.5 * (z[first] - z[stop - 1]))
    n = n if far and n < 0.85 * (stop - first) else 0
    return [Rectangle(first, stop, int(low[nodes].min()), int(high[nodes].max()), n)]
