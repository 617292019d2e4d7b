"""Reionization as a tanh in (1 + z)^(3/2), and the redshift that gives a wanted optical depth.

Lewis (2008), arXiv:0804.3865, in the form `reio_camb` of CLASS: helium loses its first electron with hydrogen and the
second in a tanh in z. The ionized fraction that recombination leaves is added with weight 1 - tanh.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from boltzax.errors import ParameterRangeError, error_if
from boltzax.numerics.table import UniformTable
from boltzax.thermo.quadrature import cell_integrals
from boltzax.thermo.roots import newton

Z_START_MAX = 50.0  # reionization starts after this redshift (CLASS: reionization_z_start_max)
START_FACTOR = 8.0  # and this many widths before its middle
LN_A_LATE = -4.0  # from here on reionization may matter
_NEWTON_STEPS, _START_STEPS = 8, 6


class Reionization(eqx.Module):
    """Middle (z), exponent and width of hydrogen's, middle and width (z) of helium's second reionization."""

    z_reio: Float[Array, ""]
    exponent: Float[Array, ""]
    width: Float[Array, ""]
    z_helium: Float[Array, ""]
    width_helium: Float[Array, ""]
    f_He: Float[Array, ""]

    def added(self, ln_a: Float[Array, "*s"], x_before: Float[Array, "*s"]) -> Float[Array, "*s"]:
        """Electrons per hydrogen nucleus that reionization adds to x_before."""
        z_1, p = jnp.exp(-ln_a), self.exponent
        middle = 1.0 + self.z_reio
        argument = (middle**p - z_1**p) / (p * middle ** (p - 1.0) * self.width)
        hydrogen = (1.0 + self.f_He - x_before) * jax.nn.sigmoid(2.0 * argument)
        return hydrogen + self.f_He * jax.nn.sigmoid(2.0 * (1.0 + self.z_helium - z_1) / self.width_helium)


def check_redshift(cosmo) -> Float[Array, ""]:
    """The given z_reio, checked: reionization must start between today and z = 50."""
    z_max = Z_START_MAX - START_FACTOR * cosmo.reionization_width
    z = jnp.asarray(cosmo.z_reio)
    return error_if(
        z, (z < 0.0) | (z > z_max), "z_reio must be positive and start reionization after z = 50", ParameterRangeError
    )


class LateHistory(eqx.Module):
    """Grid of ln a from LN_A_LATE to 0: electrons left over, d kappa / d ln a per electron, and their integral."""

    ln_a: Float[Array, " n"]
    x_before: Float[Array, " n"]
    rate: Float[Array, " n"]  # a n_H sigma_T / (aH)
    residual: UniformTable  # x_before and the optical depth of the electrons left over


def late_history(ln_a: Float[Array, " n"], x_before: Float[Array, " n"], rate: Float[Array, " n"]) -> LateHistory:
    """Prepare the integrals over the grid ln_a (uniform, ending at 0)."""
    dx = ln_a[1] - ln_a[0]
    cells = cell_integrals(x_before * rate, dx)
    depth = jnp.concatenate([jnp.cumsum(cells[::-1])[::-1], jnp.zeros(1)])
    return LateHistory(ln_a, x_before, rate, UniformTable(ln_a[0], dx, jnp.stack([x_before, depth], axis=-1)))


def optical_depth(model: Reionization, late: LateHistory) -> Float[Array, ""]:
    """Optical depth from today to the start of reionization, where x_e is smallest (CLASS's definition)."""
    added = model.added(late.ln_a, late.x_before) * late.rate
    return cell_integrals(added, late.ln_a[1] - late.ln_a[0]).sum() + late.residual(_start(model, late))[1]


def _start(model: Reionization, late: LateHistory) -> Float[Array, ""]:
    """ln a where d x_e / d ln a = 0, sought in the exponential tail of the tanh."""

    def mismatch(x):
        x_before, slope = late.residual(x)[0], late.residual.derivative(x)[0]
        return jnp.log(jax.grad(model.added)(x, x_before)) - jnp.log(-slope)

    z = jnp.maximum(model.z_reio + 4.0 * model.width, model.z_helium + 4.0 * model.width_helium)
    return newton(mismatch, jax.lax.stop_gradient(-jnp.log1p(z)), LN_A_LATE, -1.0, _START_STEPS)


def find_redshift(model: Reionization, late: LateHistory, tau_reio: Float[Array, ""]) -> Reionization:
    """`model` with z_reio such that the optical depth is tau_reio; implicit derivatives.

    ParameterRangeError if tau_reio is below what z_reio = 0 gives or needs reionization to start before z = 50.
    """

    def depth(u):  # u = (1 + z)^(3/2), in which the depth is nearly linear
        return optical_depth(eqx.tree_at(lambda m: m.z_reio, model, u ** (2.0 / 3.0) - 1.0), late)

    limits = jnp.stack([jnp.ones(()), (1.0 + Z_START_MAX - START_FACTOR * model.width) ** 1.5])
    u = newton(lambda u: depth(u) - tau_reio, 1.0 + 450.0 * tau_reio, *limits, _NEWTON_STEPS)
    lowest, highest = jax.vmap(depth)(limits)
    u = error_if(
        u,
        tau_reio < lowest,
        "tau_reio is below what late helium reionization and residual ionization alone give: raise tau_reio",
        ParameterRangeError,
    )
    u = error_if(
        u, tau_reio > highest, "tau_reio needs reionization to start before z = 50: lower tau_reio", ParameterRangeError
    )
    return eqx.tree_at(lambda m: m.z_reio, model, u ** (2.0 / 3.0) - 1.0)
