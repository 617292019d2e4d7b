"""Reionization as a tanh in (1 + z)^(3/2), and the redshift that gives a wanted optical depth.

Lewis (2008), arXiv:0804.3865, in the form `reio_camb` of CLASS: helium loses its first electron with hydrogen and the
second in a tanh in z. The ionized fraction that recombination leaves is added with weight 1 - tanh.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from boltzax.errors import ParameterRangeError, error_if
from boltzax.numerics.table import UniformTable, cell_integrals, grid_weights, keep, slopes
from boltzax.thermo.roots import newton, newton_pair

Z_START_MAX = 50.0  # reionization starts after this redshift (CLASS: reionization_z_start_max)
START_FACTOR = 8.0  # and this many widths before its middle
LN_A_LATE = -4.0  # from here on reionization may matter
LN_A_LAST = -1.0  # and it has started here
_NEWTON_STEPS = 20


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
        hydrogen, helium = (jax.nn.sigmoid(v) for v in self._arguments(jnp.exp(-ln_a)))
        return (1.0 + self.f_He - x_before) * hydrogen + self.f_He * helium

    def growth(self, ln_a: Float[Array, "*s"], x_before: Float[Array, "*s"]) -> Float[Array, "*s"]:
        """d added / d ln a at constant x_before."""
        z_1 = jnp.exp(-ln_a)
        hydrogen, helium = (jax.nn.sigmoid(v) * jax.nn.sigmoid(-v) for v in self._arguments(z_1))
        rate = 2.0 * z_1**self.exponent / ((1.0 + self.z_reio) ** (self.exponent - 1.0) * self.width)
        return (1.0 + self.f_He - x_before) * hydrogen * rate + self.f_He * helium * 2.0 * z_1 / self.width_helium

    def _arguments(self, z_1):
        """Arguments of the two logistic functions, which are (1 + tanh(v/2)) / 2."""
        middle, p = 1.0 + self.z_reio, self.exponent
        hydrogen = (middle**p - z_1**p) / (p * middle ** (p - 1.0) * self.width)
        return 2.0 * hydrogen, 2.0 * (1.0 + self.z_helium - z_1) / self.width_helium


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
    rate: Float[Array, " n"]  # a n_H sigma_T / (aH), times the weights of the integral over ln a
    residual: UniformTable  # x_before, the optical depth of the electrons left over, ln(-d x_before / d ln a)


def late_history(ln_a: Float[Array, " n"], x_before: Float[Array, " n"], rate: Float[Array, " n"]) -> LateHistory:
    """Prepare the integrals over the grid ln_a (uniform, ending at 0)."""
    dx = ln_a[1] - ln_a[0]
    x_before, per_cell = keep(x_before, x_before * rate)
    cells = cell_integrals(per_cell, dx)
    depth = jnp.concatenate([jnp.cumsum(cells[::-1])[::-1], jnp.zeros(1)])
    table = jnp.stack(keep(x_before, depth, jnp.log(-slopes(x_before, dx))), axis=-1)
    return LateHistory(ln_a, x_before, rate * grid_weights(len(ln_a)) * dx, UniformTable(ln_a[0], dx, table))


def optical_depth(model: Reionization, late: LateHistory) -> Float[Array, ""]:
    """Optical depth from today to the start of reionization, where x_e is smallest (CLASS's definition)."""
    start = newton(lambda x: _mismatch(model, late, x), _guess_start(model), LN_A_LATE, LN_A_LAST, _NEWTON_STEPS)
    return _depth(model, late, start)


def _depth(model: Reionization, late: LateHistory, start: Float[Array, ""]) -> Float[Array, ""]:
    """Optical depth from today to ln a = start."""
    return model.added(late.ln_a, late.x_before) @ late.rate + late.residual(start)[1]


def _mismatch(model: Reionization, late: LateHistory, x: Float[Array, ""]) -> Float[Array, ""]:
    """Zero where d x_e / d ln a = 0; nearly linear in the exponential tail of the tanh."""
    x_before, _, ln_decline = late.residual(x)
    return jnp.log(model.growth(x, x_before)) - ln_decline


def _guess_start(model: Reionization) -> Float[Array, ""]:
    z = jnp.maximum(model.z_reio + 4.0 * model.width, model.z_helium + 4.0 * model.width_helium)
    return jax.lax.stop_gradient(-jnp.log1p(z))


def find_redshift(model: Reionization, late: LateHistory, tau_reio: Float[Array, ""]) -> Reionization:
    """`model` with z_reio such that the optical depth is tau_reio; implicit derivatives.

    ParameterRangeError if tau_reio is below what z_reio = 0 gives or needs reionization to start before z = 50.
    """

    def at(u):  # u = (1 + z)^(3/2), in which the depth is nearly linear
        return eqx.tree_at(lambda m: m.z_reio, model, u ** (2.0 / 3.0) - 1.0)

    def mismatch(v):
        return jnp.stack([_depth(at(v[0]), late, v[1]) - tau_reio, _mismatch(at(v[0]), late, v[1])])

    limits = jnp.stack([jnp.ones(()), (1.0 + Z_START_MAX - START_FACTOR * model.width) ** 1.5])
    u = jnp.clip(1.0 + 450.0 * tau_reio, *limits)
    guess = jax.lax.stop_gradient(jnp.stack([u, _guess_start(at(u))]))
    bounds = (jnp.stack([limit, end]) for limit, end in zip(limits, (LN_A_LATE, LN_A_LAST), strict=True))
    u = newton_pair(mismatch, guess, *bounds, _NEWTON_STEPS)[0]
    u = error_if(  # the search stops at a limit beyond which the root lies
        u,
        u <= limits[0],
        "tau_reio is below what late helium reionization and residual ionization alone give: raise tau_reio",
        ParameterRangeError,
    )
    u = error_if(
        u, u >= limits[1], "tau_reio needs reionization to start before z = 50: lower tau_reio", ParameterRangeError
    )
    return at(u)
