"""Acoustic wiggles of the linear power: what remains after a smooth spectrum is taken away.

Mead et al. 2021 (arXiv:2009.01858), section 4.2 and appendix A4.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from boltzax.spectra.nonlinear.linear import Epoch, LinearPower

_WIDTH = 0.25  # of the Gaussian in ln k that smooths the wiggles away
_PAD = 40  # wavenumbers beyond the solved ones that the smoothing reads


def smooth_shape(k: Float[Array, " k"], epoch: Epoch) -> Float[Array, " k"]:
    """k^3 P(k) without wiggles up to a factor: Eisenstein & Hu 1998 (astro-ph/9709112), eqs. (26), (28)-(31).

    It only takes out the broad shape before smoothing.
    """
    omega_m = epoch.Omega_m0 * epoch.h**2
    ratio = epoch.omega_b / omega_m
    horizon = 44.5 * jnp.log(9.83 / omega_m) / jnp.sqrt(1.0 + 10.0 * epoch.omega_b**0.75)  # Mpc
    alpha = 1.0 - 0.328 * jnp.log(431.0 * omega_m) * ratio + 0.38 * jnp.log(22.3 * omega_m) * ratio**2
    gamma = omega_m * (alpha + (1.0 - alpha) / (1.0 + (0.43 * k * horizon) ** 4))  # Gamma_eff h
    q = k * (epoch.T_cmb / 2.7) ** 2 / gamma
    L = jnp.log(2.0 * np.e + 1.8 * q)
    transfer = L / (L + (14.2 + 731.0 / (1.0 + 62.5 * q)) * q**2)
    return k ** (3.0 + epoch.n_s) * transfer**2


def wiggles(linear: LinearPower, epoch: Epoch) -> Float[Array, " k"]:
    """Power per ln k of the wiggles of all matter at the solved wavenumbers.

    CLASS smooths between 5e-3 and 5 in 1/Mpc and has no wiggles within 3 widths of those ends, which makes steps in k
    (below 1e-4 of the power); here all k are smoothed.
    """
    n = linear.solved + _PAD
    shape = smooth_shape(linear.k[:n], epoch)
    apart = linear.step * (np.arange(linear.solved)[:, None] - np.arange(n))
    weight = jnp.exp(-0.5 * (apart / _WIDTH) ** 2)
    smooth = (weight @ (linear.m[:n] / shape)) / weight.sum(1)
    return linear.m[: linear.solved] - shape[: linear.solved] * smooth
