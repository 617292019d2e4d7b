"""Primordial helium from big-bang nucleosynthesis.

PArthENoPE 3.0 (Gariazzo et al. 2022, arXiv:2103.05027) with tau_n = 878.4 s, as tabulated for CLASS 3.4
(sBBN_2025.dat). The table carries the time-step noise of that code, up to 1e-5, which a spline hands on to its
derivative (10 %); here one polynomial surface is fitted to the whole table.
"""

from functools import lru_cache
from importlib.resources import files

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from boltzax.errors import ParameterRangeError, error_if

N_EFF_REFERENCE = 3.046  # Delta N_eff = 0 of the table, as CLASS reads it
_DEGREES = (8, 7)  # in ln omega_b and Delta N_eff: the residual is the noise of the table


@lru_cache
def _surface() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Chebyshev coefficients [9, 8] of YHe, and the ranges of ln omega_b and Delta N_eff."""
    with np.load(files("boltzax") / "data" / "bbn_parthenope.npz") as data:
        x, y, YHe = np.log(data["omega_b"]), data["Delta_N_eff"], data["YHe"].astype(float)
    ranges = np.array([[x[0], x[-1]], [y[0], y[-1]]])
    basis = [
        np.polynomial.chebyshev.chebvander((2.0 * v - lo - hi) / (hi - lo), degree)
        for v, (lo, hi), degree in zip((x, y), ranges, _DEGREES, strict=True)
    ]
    along_x = np.linalg.lstsq(basis[0], YHe.T, rcond=None)[0]
    return np.linalg.lstsq(basis[1], along_x.T, rcond=None)[0].T, ranges[0], ranges[1]


def _chebyshev(t, n: int):
    terms = [jnp.ones_like(t), t]
    for _ in range(n - 2):
        terms.append(2.0 * t * terms[-1] - terms[-2])
    return jnp.stack(terms)


def helium_fraction(omega_b: Float[Array, ""], N_eff: Float[Array, ""]) -> Float[Array, ""]:
    """Helium mass fraction YHe for a baryon density and an effective number of neutrinos.

    Valid for 0.0073 < omega_b < 0.0329 and 0.046 < N_eff < 6.046; ParameterRangeError outside.
    """
    coefficients, (x_lo, x_hi), (y_lo, y_hi) = _surface()
    x, y = jnp.log(omega_b), N_eff - N_EFF_REFERENCE
    x = error_if(
        x,
        (x < x_lo) | (x > x_hi),
        f"omega_b is outside the nucleosynthesis table, {np.exp(x_lo):.4f} to {np.exp(x_hi):.4f}: give YHe a number",
        ParameterRangeError,
    )
    y = error_if(
        y,
        (y < y_lo) | (y > y_hi),
        f"N_eff is outside the nucleosynthesis table, {y_lo + N_EFF_REFERENCE:.3f} to {y_hi + N_EFF_REFERENCE:.3f}: "
        "give YHe a number",
        ParameterRangeError,
    )
    along_x = _chebyshev((2.0 * x - x_lo - x_hi) / (x_hi - x_lo), coefficients.shape[0])
    along_y = _chebyshev((2.0 * y - y_lo - y_hi) / (y_hi - y_lo), coefficients.shape[1])
    return along_x @ jnp.asarray(coefficients) @ along_y
