"""Linear matter power spectrum and its moments."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from boltzax.errors import OutOfRangeError, error_if
from boltzax.grids import lagrange_weights, mode_coordinate
from boltzax.numerics.table import UniformTable

SPECIES = ("m", "cb")
_POINTS = 6
_R8 = 8.0  # Mpc/h


class MatterPower(eqx.Module):
    """Density contrasts of the solved modes at late times, read at any k and z.

    transfer: over tau/tau_0, delta(k)/scale of (m, cb) for each mode; y_modes = k tau_0 of the modes.
    """

    transfer: UniformTable
    y_modes: Float[Array, " modes"]
    tau_0: Float[Array, ""]

    def delta(self, k: Float[Array, " k"], x: Float[Array, ""], species: str = "m") -> Float[Array, " k"]:
        """Density contrast for R = 1 at wavenumbers k [1/Mpc] and time tau/tau_0 = x."""
        if species not in SPECIES:
            raise ValueError(f"unknown species '{species}': choose 'm' (all matter) or 'cb' (baryons + cdm)")
        n = self.y_modes.shape[0]
        offset = SPECIES.index(species) * n
        modes = self.transfer(x)[offset : offset + n]
        y = k * self.tau_0
        u_modes, u = mode_coordinate(self.y_modes, jnp), mode_coordinate(y, jnp)
        first = jnp.clip(jnp.searchsorted(u_modes, u) - _POINTS // 2, 0, n - _POINTS)
        index = first[:, None] + np.arange(_POINTS)
        weights = lagrange_weights(u_modes[index], u, jnp)
        return jnp.sum(weights * modes[index], axis=-1) * scale(y)

    def check(self, k, x):
        """k [1/Mpc], checked to lie within the solved modes, and x within the solved times."""
        lo, hi = self.y_modes[0] / self.tau_0, self.y_modes[-1] / self.tau_0
        k = error_if(k, (k < lo) | (k > hi), _range("k", k, lo, hi, "1/Mpc", "raise k_max in Outputs"), OutOfRangeError)
        x_min = self.transfer.x0
        message = "pk_lin: z lies beyond the solved times, tau < 0.15 tau_0 (z above ~ 40) or z < 0"
        return k, error_if(x, (x < x_min - 1e-12) | (x > 1.0 + 1e-12), message, OutOfRangeError)


def _range(name, value, lo, hi, unit, advice):
    try:
        return f"pk_lin: {name} must lie in [{float(lo):.3g}, {float(hi):.3g}] {unit}: {advice}"
    except Exception:  # traced bounds have no value to print
        return f"pk_lin: {name} lies outside the solved range: {advice}"


def scale(y):
    """Growth of delta with k, taken out before interpolation: y^2 on large scales, logarithmic on small ones."""
    return y**2 / (1.0 + (y / 200.0) ** 2) * jnp.log(jnp.e + y / 800.0)


def matter_power(grid, background, src) -> MatterPower:
    """Pack the matter sources of a solution."""
    y = grid.y_modes[grid.smooth_modes]
    delta = jnp.concatenate([v[grid.smooth_modes] for v in (src.delta_m, src.delta_cb)])
    delta = delta / jnp.tile(scale(y), 2)[:, None]
    x = grid.x_late
    table = UniformTable(jnp.asarray(x[0]), jnp.asarray(x[1] - x[0]), delta.T)
    return MatterPower(table, jnp.asarray(y), background.tau_0)


def sigma_R(power, h, R: float = _R8) -> Float[Array, ""]:
    """RMS linear density contrast in spheres of R Mpc/h; power: function of k [1/Mpc] giving P [Mpc^3].

    Integral over ln k from 1e-4 to the range where the top-hat window leaves less than 1e-6.
    """
    radius = R / h
    x = np.exp(np.linspace(np.log(2e-4), np.log(35.0), 1600))  # k R
    k = x / radius
    window = 3.0 * (np.sin(x) - x * np.cos(x)) / x**3
    integrand = power(k) * k**3 * window**2 / (2.0 * np.pi**2)
    return jnp.sqrt(jnp.sum(integrand) * (np.log(x[1]) - np.log(x[0])))
