"""What a species is that free streaming and Thomson scattering do not touch: a density, and a few linear equations.

A species is one module: its density and pressure, the slopes of its unknowns and its stress-energy, linear in the
unknowns and in the metric's h' and eta'. The integrator takes it as it stands: nothing else in the code knows of it.
"""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from boltzax.errors import ParameterRangeError, is_traced


class Instant(NamedTuple):
    """What the equations of a fluid read at a time: scale factor a, a H [1/Mpc], and the fluid's own time functions by
    name."""

    a: Float[Array, "*s"]
    aH: Float[Array, "*s"]
    own: Mapping[str, Float[Array, "*s"]]


class Metric(NamedTuple):
    """Slopes h', eta' of the synchronous metric [1/Mpc]; Ma & Bertschinger (1995), eq. (4)."""

    h_prime: Float[Array, "*s"]
    eta_prime: Float[Array, "*s"]


def check(fluid: "Fluid", **limits: tuple) -> None:
    """Raises ParameterRangeError for a concrete field outside its (low, high); (low, high, True) allows low."""
    for name, (low, high, *included) in limits.items():
        value = getattr(fluid, name)
        if isinstance(value, (float, int, np.ndarray, jax.Array)) and not is_traced(value):
            if not (low < value < high or (included and value == low)):
                sign = "<=" if included else "<"
                kind = type(fluid).__name__
                raise ParameterRangeError(f"{name} = {float(value):g} of {kind}: give {low:g} {sign} {name} < {high:g}")


class Fluid(eqx.Module):
    """A species with a handful of unknowns for each wavenumber, in synchronous gauge comoving with cold dark matter.

    Densities and pressures are 8 pi G / 3 times the physical ones [1/Mpc^2]. Subclasses hold their parameters as traced
    fields and give the methods below; `slopes` and `stress` must be linear in `v` and in the metric. functions: the
    names of what `time_functions` gives.
    """

    functions: ClassVar[tuple[str, ...]] = ()
    alone: ClassVar[bool] = False  # not with a second fluid, dark energy or nonlinear corrections
    sheared: ClassVar[bool] = False  # whether `shear` is to be asked

    @property
    @abstractmethod
    def size(self) -> int:
        """Number of unknowns."""

    @abstractmethod
    def rho(self, a: Float[Array, "*s"]) -> Float[Array, "*s"]:
        """Density at scale factor a [1/Mpc^2]."""

    @abstractmethod
    def pressure(self, a: Float[Array, "*s"]) -> Float[Array, "*s"]:
        """Pressure at scale factor a [1/Mpc^2]."""

    @abstractmethod
    def slopes(self, k, t: Instant, v: tuple, metric: Metric) -> tuple:
        """d/dtau of each unknown in the tuple v [1/Mpc] at wavenumber k [1/Mpc]."""

    @abstractmethod
    def stress(self, k, t: Instant, v: tuple, metric: Metric) -> tuple:
        """a^2 delta rho and a^2 (rho + P) theta of the fluid."""

    def shear(self, t: Instant, v: tuple) -> tuple:
        """a^2 (rho + P) sigma, and its d/dtau at fixed v; linear in v. Asked where `sheared` is true."""
        raise NotImplementedError

    def fixed(self, background: Any) -> "Fluid":
        """The fluid once the densities of photons, neutrinos, baryons and cold dark matter, in `background`, are known.

        A fluid whose own density is stated in terms of theirs keeps here what it needs.
        """
        return self

    def time_functions(self, background, a: Float[Array, "*s"]) -> dict[str, Float[Array, "*s"]]:
        """What `slopes` and `stress` find in `Instant.own`: smooth functions of time alone, tabulated beforehand."""
        return {}

    def start(self, k, tau, delta_g, theta_g) -> tuple:
        """Adiabatic initial values of the unknowns, from those of the photons; zero unless it is given."""
        return (jnp.zeros_like(delta_g),) * self.size

    def early_radiation(self) -> Float[Array, ""]:
        """rho a^4 long before equality [1/Mpc^2], where the fluid counts as radiation."""
        return jnp.zeros(())

    def early_cold(self) -> Float[Array, ""]:
        """rho a^3 long before equality [1/Mpc^2] of what moves with cold dark matter."""
        return jnp.zeros(())

    def rho_cold(self, a: Float[Array, "*s"]) -> Float[Array, "*s"]:
        """The part of the density that moves with cold dark matter, and counts as it [1/Mpc^2]."""
        return jnp.zeros_like(a)
