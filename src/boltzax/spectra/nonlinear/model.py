"""Nonlinear corrections of a solution: to P(k) at any time, and to the potentials that lens."""

from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from boltzax.errors import OutOfRangeError, error_if
from boltzax.numerics.table import UniformTable
from boltzax.spectra.matter import MatterPower
from boltzax.spectra.nonlinear.growth import growth
from boltzax.spectra.nonlinear.halofit import halofit
from boltzax.spectra.nonlinear.hmcode import LOG10_T_AGN, hmcode
from boltzax.spectra.nonlinear.linear import epoch, linear_power
from boltzax.spectra.primordial import curvature_power

# where the nonlinear scale has become as small as this [1/Mpc], nothing that is solved is nonlinear
_K_FADE, _FADE_WIDTH = 300.0, 0.7


class Correction(eqx.Module):
    """ln(P_nl / P_lin) of all matter at n times, uniform in ln k over the solved modes, and where it begins.

    table: over ln k, k in 1/Mpc, values [k, n]; k_nl [1/Mpc]: wavenumber of the nonlinear scale at each time.
    """

    table: UniformTable
    k_nl: Float[Array, " n"]


@partial(jax.jit, static_argnames=("method",))
def correction(method: str, matter: MatterPower, background, cosmo, x: Float[Array, " n"]) -> Correction:
    """The correction at times tau/tau_0 = x by a method of `boltzax.precision.NONLINEAR`."""
    grown = growth(background) if method != "halofit" else None
    log10_T = None
    if method == "hmcode2020_feedback":
        log10_T = LOG10_T_AGN if cosmo.log10T_heat_hmcode is None else cosmo.log10T_heat_hmcode

    def at(x):
        universe = epoch(background, cosmo, jnp.exp(background.ln_a(x * matter.tau_0)))
        linear = linear_power(matter, partial(curvature_power, cosmo), x)
        power, k_nl = halofit(linear, universe) if grown is None else hmcode(linear, universe, grown, log10_T)
        return jnp.log(power / linear.m[: power.shape[0]]), k_nl

    values, k_nl = jax.vmap(at, out_axes=(1, 0))(x)
    lo, hi = (jnp.log(matter.y_modes[i] / matter.tau_0) for i in (0, -1))
    return Correction(UniformTable(lo, (hi - lo) / (values.shape[0] - 1), values), k_nl)


def lensing_factor(method: str, grid, matter: MatterPower, background, cosmo) -> Float[Array, "modes nodes"]:
    """sqrt(P_nl / P_lin) at the modes and time nodes of a grid: what the nonlinear Weyl potential is larger by.

    As in CLASS and CAMB the potential is taken to grow with the density. It returns to 1 as the nonlinear scale leaves
    the solved modes: smoothly, at about z = 8. Raises OutOfRangeError if the solved modes are linear even today.
    """
    late = correction(method, matter, background, cosmo, jnp.asarray(grid.x_late))
    k_max = matter.y_modes[-1] / matter.tau_0
    message = "the modes up to k_max are linear even today, so that a nonlinear scale cannot be found: raise k_max"
    k_nl = error_if(late.k_nl, late.k_nl[-1] > k_max, message, OutOfRangeError)
    fade = 0.5 * (1.0 - jnp.tanh((jnp.log(k_nl) - np.log(_K_FADE)) / _FADE_WIDTH))
    modes = jnp.log(jnp.asarray(grid.y_modes) / matter.tau_0)
    half = 0.5 * late.table(modes) * fade  # [modes, late nodes]
    x0, dx = grid.x_late[0], grid.x_late[1] - grid.x_late[0]
    nodes = np.maximum(grid.x, x0)
    factor = jnp.exp(UniformTable(jnp.asarray(x0), jnp.asarray(dx), half.T)(nodes)).T
    return jnp.where(grid.x < x0, 1.0, factor)
