"""Growth of structure as HMcode-2020 wants it: matter, dark energy and curvature, whatever the radiation.

Mead 2017 (arXiv:1606.05345), appendix A. CLASS and CAMB integrate the same equation beside their own growth factor,
because the fits were made with it.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from boltzax.numerics import runge_kutta
from boltzax.numerics.quadrature import gauss_legendre
from boltzax.numerics.table import UniformTable
from boltzax.spectra.nonlinear.linear import Epoch, curvature, dark_energy, matter_density
from boltzax.thermo.roots import newton

_LN_A, _STEPS = np.log(1e-4), 240
_STEP = -_LN_A / _STEPS
_LN_A_EARLY = -np.log(11.0)
_INDEX = 0.55  # of growth in Lambda-CDM, Linder & Cahn 2007 (astro-ph/0701317)


class Growth(eqx.Module):
    """Tables over ln a: ln(D/a) with D = a while matter dominates, and ln of the accumulated growth over a.

    ln_early_excess: ln D at z = 10, where D = 1 today, minus the same in flat space with the same matter and a
    cosmological constant.
    """

    table: UniformTable
    ln_early_excess: Float[Array, ""]

    def ln_factor(self, ln_a: Float[Array, "*s"]) -> Float[Array, "*s"]:
        """ln D with D = 1 today."""
        return ln_a + self.table(ln_a)[..., 0] - self.table(jnp.zeros(()))[..., 0]

    def ln_a(self, ln_D: Float[Array, "*s"]) -> Float[Array, "*s"]:
        """ln a at which ln D has a value; for values of epochs before today."""
        return newton(lambda u: self.ln_factor(u) - ln_D, ln_D, 1.5 * _LN_A, 0.5, 30)

    def over_a(self, ln_a: Float[Array, ""]) -> tuple[Float[Array, ""], Float[Array, ""]]:
        """D/a and G/a, with the accumulated growth G = int D d ln a."""
        return tuple(jnp.exp(self.table(ln_a)))


class _State(NamedTuple):
    """D/a, its slope in ln a, and G/a."""

    g: Float[Array, ""]
    slope: Float[Array, ""]
    total: Float[Array, ""]


def growth(background) -> Growth:
    """Growth in the universe of a background without its radiation."""
    a = jnp.asarray(np.exp(_LN_A + 0.5 * _STEP * np.arange(2 * _STEPS + 1)))
    matter = matter_density(background, jnp.ones(())) / a**3
    rho, w = dark_energy(background, a)
    rho_k = curvature(background, a)
    table = _integrate(matter, rho_k, rho, w)
    constant = _integrate(matter, jnp.zeros_like(a), (rho + rho_k)[-1] * jnp.ones_like(a), -1.0)
    own, other = (table(np.array([_LN_A_EARLY, 0.0]))[:, 0] for table in (table, constant))
    return Growth(table, (own[0] - own[1]) - (other[0] - other[1]))


def _integrate(matter, rho_k, rho_de, w_de) -> UniformTable:
    """Solve D'' + (2 + dln H/dln a) D' = 3/2 Omega_m D, primes d/dln a, by classical Runge-Kutta steps.

    matter, rho_k (curvature), rho_de: what each adds to H^2, and w_de, at the ends and middles of the steps.
    """
    H2 = matter + rho_k + rho_de
    omega = matter / H2
    bend = -1.5 * (1.0 + w_de * rho_de / H2) + 0.5 * rho_k / H2  # dln H/dln a
    functions = jnp.stack([omega, bend], axis=-1)

    def slopes(y: _State, at):
        omega, bend = at
        return _State(y.slope, -(4.0 + bend) * y.slope - (3.0 + bend - 1.5 * omega) * y.g, y.g - y.total)

    def step(y: _State, at):
        y = runge_kutta.step(slopes, y, at, _STEP)
        return y, (y.g, y.total)

    first = -4.0 / 7.0 * (rho_k / H2)[0]  # the growing mode begins as D = a (1 - 4/7 a Omega_k/Omega_m)
    start = _State(1.0 + first, first, 1.0 + 0.5 * first)
    at = jnp.stack([functions[:-2:2], functions[1:-1:2], functions[2::2]], axis=1)
    _, (g, total) = jax.lax.scan(step, start, at)
    values = jnp.log(jnp.concatenate([jnp.stack([start.g, start.total])[None], jnp.stack([g, total], axis=-1)]))
    return UniformTable(jnp.asarray(_LN_A), jnp.asarray(_STEP), values)


def ln_growth_by_index(epoch: Epoch) -> Float[Array, ""]:
    """ln D in flat Lambda-CDM of the same matter by the growth index, D = exp(-int_a^1 Omega_m^0.55 dln a)."""
    x, w = gauss_legendre(16, 0.0, 1.0)
    ln_a = -jnp.log1p(epoch.z)
    ratio = (epoch.Omega_de0 + epoch.Omega_k0) / epoch.Omega_m0 * jnp.exp(3.0 * ln_a * x)
    return ln_a * jnp.sum(w * (1.0 + ratio) ** -_INDEX)
