"""Halofit: nonlinear matter power as a function of the linear one at the scale where its Gaussian variance is 1.

Takahashi et al. 2012 (arXiv:1208.2701), with massive neutrinos after Bird, Viel & Haehnelt 2012 (arXiv:1109.4416) in
the form that was refitted to Takahashi's coefficients and that CLASS and CAMB use: f_nu enters beta, the one-halo term
and the linear power of the two-halo term, without the dependence on Omega_m of the paper.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from boltzax.numerics.quadrature import gauss_legendre
from boltzax.spectra.nonlinear.linear import Epoch, LinearPower
from boltzax.thermo.roots import newton

_START = 60.0  # Mpc: the search for the scale of unit variance begins here
_STEPS = 40


class Scale(NamedTuple):
    """Wavenumber k_sigma [1/Mpc] with sigma(1/k_sigma) = 1, effective index and curvature: Takahashi eq. (A4-5)."""

    k: Float[Array, ""]
    n_eff: Float[Array, ""]
    curvature: Float[Array, ""]


def ln_variance(linear: LinearPower, ln_R: Float[Array, ""]) -> Float[Array, ""]:
    """ln sigma^2 of all matter smoothed by exp(-k^2 R^2 / 2), R in Mpc."""
    return jnp.log(linear.step * jnp.sum(linear.m * jnp.exp(-((linear.k * jnp.exp(ln_R)) ** 2))))


def unit_variance(linear: LinearPower) -> Scale:
    """The scale on which the linear density field has variance 1.

    ln sigma^2 falls with ln R and ever more steeply, so that Newton's steps from the right cannot pass the root.
    """
    f = lambda ln_R: ln_variance(linear, ln_R)
    smallest = -jnp.log(linear.k[-1]) + 2.0
    ln_R = newton(f, jnp.log(_START), smallest, -jnp.log(linear.k[0]), _STEPS)
    slope = jax.grad(f)
    return Scale(jnp.exp(-ln_R), -3.0 - slope(ln_R), -jax.grad(slope)(ln_R))


def halofit(linear: LinearPower, epoch: Epoch) -> tuple[Float[Array, " k"], Float[Array, ""]]:
    """Nonlinear power per ln k at the solved wavenumbers [k], and k_sigma [1/Mpc].

    Takahashi et al. (2012), eqs. (A1)-(A14). Fitted for k < 30 h/Mpc and z < 10. CLASS sets f_1, f_2, f_3 to 1 once
    |1 - Omega_m(z)| < 0.01, z > 5, which is a step; here they go there by themselves.
    """
    scale = unit_variance(linear)
    n, C, f_nu = scale.n_eff, scale.curvature, epoch.f_nu
    power = linear.m[: linear.solved]
    k = linear.k[: linear.solved]
    y = k / scale.k
    de = epoch.Omega_de * (1.0 + epoch.w_de)
    a = 10.0 ** (1.5222 + n * (2.8553 + n * (2.3706 + n * (0.9903 + n * 0.2250))) - 0.6038 * C + 0.1749 * de)
    b = 10.0 ** (-0.5642 + n * (0.5864 + n * 0.5716) - 1.5474 * C + 0.2279 * de)
    c = 10.0 ** (0.3698 + n * (2.0404 + n * 0.8161) + 0.5869 * C)
    gamma = 0.1971 - 0.0843 * n + 0.8460 * C
    alpha = jnp.abs(6.0835 + n * (1.3373 - n * 0.1959) - 5.5274 * C)
    beta = 2.0379 + n * (-0.7354 + n * (0.3157 + n * (1.2490 + n * 0.3980))) - 0.1682 * C
    beta = beta + f_nu * (1.081 + 0.395 * n**2)
    nu = 10.0 ** (5.2105 + 3.6902 * n)
    f1, f2, f3 = _dark_energy_factors(epoch)
    halo = a * y ** (3.0 * f1) / (1.0 + b * y**f2 + (c * f3 * y) ** (3.0 - gamma))
    halo = halo / (1.0 + nu / y**2) * (1.0 + 0.977 * f_nu)
    k2 = (k / epoch.h) ** 2
    raised = power * (1.0 + 47.48 * f_nu * k2 / (1.0 + 1.5 * k2))
    quasi = power * (1.0 + raised) ** beta / (1.0 + alpha * raised) * jnp.exp(-y / 4.0 - y**2 / 8.0)
    return halo + quasi, scale.k


def _dark_energy_factors(epoch: Epoch):
    """f_1, f_2, f_3, between the fits for an open and for a flat universe; Smith et al. 2003 (astro-ph/0207664).

    Linear in Omega_de / (1 - Omega_m), which is beyond 1 in closed universes and has a pole where Omega_m = 1 that goes
    with (Omega_m^p - Omega_m^q) / (1 - Omega_m), here two integrals: over Omega_m, and over the exponent.
    """
    s, w = gauss_legendre(8, 0.0, 1.0)
    logarithm = -jnp.sum(w / (1.0 - s * (1.0 - epoch.Omega_m)))  # ln Omega_m / (1 - Omega_m)
    pairs = ((-0.0307, -0.0732), (-0.0585, -0.1423), (0.0743, 0.0725))
    change = lambda p, q: (p - q) * logarithm * jnp.sum(w * epoch.Omega_m ** (q + (p - q) * s))
    return tuple(epoch.Omega_m**q + epoch.Omega_de * change(p, q) for p, q in pairs)
