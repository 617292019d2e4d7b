"""Spherical Bessel functions j_l(z) on a uniform grid of z, for many l at once.

Upward recurrence is stable for z > l; below the turning point the ratios j_l / j_{l-1} are found by downward
recurrence, which never under- or overflows (DLMF 10.51.1).
"""

import numpy as np

DZ = 0.25  # with the quintic Hermite read-out of `table.py` good to 1e-8


def spherical_bessel(ells: np.ndarray, z_max: float) -> np.ndarray:
    """j_l(z) [len(ells), n] at z = i DZ up to z_max."""
    z = np.arange(int(np.ceil(z_max / DZ)) + 4) * DZ
    out = np.zeros((len(ells), len(z)))
    row = {int(l): i for i, l in enumerate(ells)}
    l_max = int(ells.max())
    chunk = 4096
    for start in range(0, len(z), chunk):
        out[:, start : start + chunk] = _chunk(row, l_max, np.maximum(z[start : start + chunk], 1e-8), len(ells))
    return out


def _chunk(row, l_max, z, n_rows):
    inv = 1.0 / z
    top = l_max + 50 + int(4 * l_max ** (1 / 3))
    ratio = np.zeros((l_max + 1, len(z)))  # j_l / j_{l-1}
    low = int(min(z[0], l_max))  # upward recurrence serves l <= z
    r = z / (2.0 * top + 3.0)
    for l in range(top, low, -1):
        r = 1.0 / ((2.0 * l + 1.0) * inv - r)
        if l <= l_max:
            ratio[l] = r
    out = np.zeros((n_rows, len(z)))
    previous, current = np.cos(z) * inv, np.sin(z) * inv  # j_{-1}, j_0
    for l in range(l_max + 1):
        if l in row:
            out[row[l]] = current
        up = (2.0 * l + 1.0) * inv * current - previous
        if l + 1 > low and l < l_max:
            up = np.where(l + 1 > z, ratio[l + 1] * current, up)
        previous, current = current, up
    return out
