"""Linear matter power spectrum and its moments."""

from functools import lru_cache
from math import factorial
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from boltzax.background.curvature import lift, wavenumber
from boltzax.errors import OutOfRangeError, error_if
from boltzax.grids import mode_coordinate
from boltzax.numerics.hidden import hidden
from boltzax.numerics.table import UniformTable
from boltzax.show import is_concrete, quantity
from boltzax.spectra.primordial import mixture

SPECIES = ("m", "cb")
_DEGREE = 5  # of the splines in k: wavenumbers move over the modes with tau_0, and P(k) must have no kink there
_R8 = 8.0  # Mpc/h
KR_MAX = 35.0  # where the integral of sigma_R ends


class MatterPower(eqx.Module):
    """Density contrasts of the solved modes at late times, read at any k and z.

    transfer: over tau/tau_0, coefficients of the splines through delta(k)/scale of (m, cb), [species, power, interval]
    flattened, powers falling; y_modes = k tau_0 of the modes; others: over tau/tau_0, the fields `boltzax.sources.LATE`
    at the modes, flattened. isocurvature: the same for the entropy modes. k_modes [1/Mpc]; lift: k^2 - (y/tau_0)^2,
    None in flat space.
    """

    transfer: UniformTable
    y_modes: Float[Array, " modes"]
    tau_0: Float[Array, ""]
    others: UniformTable | None = None
    isocurvature: tuple["MatterPower", ...] = ()
    lift: Float[Array, ""] | None = None
    adiabatic: bool = eqx.field(static=True, default=True)

    @property
    def k_modes(self) -> Float[Array, " modes"]:
        """Wavenumbers of the modes [1/Mpc]."""
        p = self.y_modes / self.tau_0
        return p if self.lift is None else jnp.sqrt(p**2 + self.lift)

    def y(self, k: Float[Array, " k"]) -> Float[Array, " k"]:
        """What numbers wavenumbers k [1/Mpc] as y_modes does the modes; in curved space not below the first of them."""
        if self.lift is None:
            return k * self.tau_0
        return self.tau_0 * jnp.sqrt(jnp.maximum(k**2 - self.lift, (self.y_modes[0] / self.tau_0) ** 2))

    def delta(self, k: Float[Array, " k"], x: Float[Array, ""], species: str = "m") -> Float[Array, " k"]:
        """Density contrast for R = 1 at wavenumbers k [1/Mpc] and time tau/tau_0 = x."""
        if species not in SPECIES:
            raise ValueError(f"unknown species '{species}': choose 'm' (all matter) or 'cb' (baryons + cdm)")
        intervals = self.y_modes.shape[0] - 1
        splines = self.transfer(x).reshape(len(SPECIES), _DEGREE + 1, intervals)[SPECIES.index(species)]
        y = self.y(k)
        u_modes, u = mode_coordinate(self.y_modes, jnp), mode_coordinate(y, jnp)
        i = jnp.clip(jnp.searchsorted(u_modes, u, side="right") - 1, 0, intervals - 1)
        return jnp.polyval(splines[:, i], u - u_modes[i]) * scale(k * self.tau_0, self.adiabatic)

    def slope(self, k: Float[Array, " k"], x: Float[Array, ""], species: str = "m") -> Float[Array, " k"]:
        """d delta / dx."""
        return jax.jvp(lambda x: self.delta(k, x, species), (x,), (jnp.ones_like(x),))[1]

    def check(self, k, x):
        """k [1/Mpc], checked to lie within the solved modes, and x within the solved times."""
        lo, hi = self.k_modes[0], self.k_modes[-1]
        outside = (k < lo * (1.0 - 1e-12)) | (k > hi * (1.0 + 1e-12))
        k = error_if(k, outside, _range("k", k, lo, hi, "1/Mpc", "raise k_max in Outputs"), OutOfRangeError)
        x_min = self.transfer.x0
        message = "pk_lin: z lies beyond the solved times, tau < 0.15 tau_0 (z above ~ 40) or z < 0"
        return k, error_if(x, (x < x_min - 1e-12) | (x > 1.0 + 1e-12), message, OutOfRangeError)

    def __repr__(self) -> str:
        return f"MatterPower({self._brief()})"

    def _brief(self) -> str:
        if not is_concrete(self.tau_0) or self.tau_0.ndim:
            return "P(k, z)"
        low, high = (quantity(self.k_modes[i]) for i in (0, -1))
        return f"P(k, z) from k = {low} to {high} 1/Mpc"


def _range(name, value, lo, hi, unit, advice):
    try:
        return f"pk_lin: {name} must lie in [{float(lo):.3g}, {float(hi):.3g}] {unit}: {advice}"
    except Exception:  # traced bounds have no value to print
        return f"pk_lin: {name} lies outside the solved range: {advice}"


def potential_scale(y):
    """Decline of the potentials with k, taken out before interpolation."""
    return jnp.log(jnp.e + y / 800.0) / (1.0 + (y / 200.0) ** 2)


def scale(y, adiabatic: bool = True):
    """Growth of delta with k, taken out before interpolation: y^2 on large scales, logarithmic on small ones.

    Isocurvature modes are constant or go like y at small y, and over y^2 they would be steep between modes.
    """
    return (y**2 if adiabatic else y**2 + 900.0) * potential_scale(y)


@lru_cache(maxsize=8)
def _splines(y: tuple[float, ...]) -> np.ndarray:
    """Coefficients [power, interval, mode] of the splines in `mode_coordinate` through a one at each mode."""
    from scipy.interpolate import make_interp_spline  # here: it takes long to import

    u = mode_coordinate(np.array(y))
    spline = make_interp_spline(u, np.eye(len(u)), k=_DEGREE)
    return np.array([spline(u[:-1], nu) / factorial(nu) for nu in range(_DEGREE, -1, -1)])


def matter_power(grid, background, src, adiabatic: bool = True) -> MatterPower:
    """Pack the matter sources of a solution, or of an isocurvature mode of it."""
    y = grid.y_modes[grid.smooth_modes]
    k_tau = y if background.K is None else wavenumber(background, y, grid.y_modes[0]) * background.tau_0
    size = scale(k_tau, adiabatic)
    delta = jnp.stack([v[grid.smooth_modes] for v in (src.delta_m, src.delta_cb)]) / size[:, None]
    splines = jnp.einsum("pim,smx->xspi", hidden(_splines(tuple(y.tolist()))), delta)
    x = grid.x_late
    table = UniformTable(jnp.asarray(x[0]), jnp.asarray(x[1] - x[0]), splines.reshape(len(x), -1))
    others = None
    if src.late is not None:
        rows = jnp.moveaxis(src.late[:, grid.smooth_modes], -1, 0).reshape(len(x), -1)
        others = UniformTable(table.x0, table.dx, rows)
    modes = tuple(matter_power(grid, background, mode, adiabatic=False) for mode in src.isocurvature)
    g = None if background.K is None else lift(background.K, grid.y_modes[0] / background.tau_0)
    return MatterPower(table, jnp.asarray(y), background.tau_0, others, modes, g, adiabatic)


class _Delta(NamedTuple):
    """Density contrasts of the adiabatic mode and of the isocurvature ones."""

    value: jnp.ndarray
    isocurvature: tuple = ()

    def without_others(self) -> "_Delta":
        """The adiabatic mode alone."""
        return _Delta(self.value)


def linear_power(cosmo, matter: MatterPower, k: Float[Array, " k"], x, species: str = "m") -> Float[Array, " k"]:
    """Linear P(k) [Mpc^3] of all initial conditions at wavenumbers k [1/Mpc] and time tau/tau_0 = x."""
    others = tuple(_Delta(mode.delta(k, x, species)) for mode in matter.isocurvature)
    parts = mixture(cosmo, _Delta(matter.delta(k, x, species), others))
    return 2.0 * jnp.pi**2 / k**3 * sum(power(k) * delta.value**2 for delta, power in parts)


def sigma_R(power, h, R: float = _R8) -> Float[Array, ""]:
    """RMS linear density contrast in spheres of R Mpc/h; power: function of k [1/Mpc] giving P [Mpc^3].

    Integral over ln k from 1e-4 to the range where the top-hat window leaves less than 1e-6.
    """
    radius = R / h
    x = np.exp(np.linspace(np.log(2e-4), np.log(KR_MAX), 1600))  # k R
    k = x / radius
    window = 3.0 * (np.sin(x) - x * np.cos(x)) / x**3
    integrand = power(k) * k**3 * window**2 / (2.0 * np.pi**2)
    return jnp.sqrt(jnp.sum(integrand) * (np.log(x[1]) - np.log(x[0])))
