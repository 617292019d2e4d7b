"""Growth of structure as HMcode-2020 wants it: matter and dark energy alone, whatever the radiation.

Mead et al. 2021 (arXiv:2009.01858), appendix A. CLASS and CAMB integrate the same equation beside their own growth
factor because the fits were made with it.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from boltzax.numerics.quadrature import gauss_legendre
from boltzax.numerics.table import UniformTable
from boltzax.spectra.nonlinear.linear import Epoch, dark_energy, matter_density
from boltzax.thermo.roots import newton

_LN_A, _STEPS = np.log(1e-4), 240
_INDEX = 0.55  # of growth in Lambda-CDM, Linder & Cahn 2007 (astro-ph/0701317)


class Growth(eqx.Module):
    """Tables over ln a: ln(D/a) with D = a while matter dominates, and ln of the accumulated growth over a."""

    table: UniformTable

    def ln_factor(self, ln_a: Float[Array, "*s"]) -> Float[Array, "*s"]:
        """ln D with D = 1 today."""
        return ln_a + self.table(ln_a)[..., 0] - self.table(jnp.zeros(()))[..., 0]

    def ln_a(self, ln_D: Float[Array, "*s"]) -> Float[Array, "*s"]:
        """ln a at which ln D has a value; for values of epochs before today."""
        return newton(lambda u: self.ln_factor(u) - ln_D, ln_D, 1.5 * _LN_A, 0.5, 30)

    def over_a(self, ln_a: Float[Array, ""]) -> tuple[Float[Array, ""], Float[Array, ""]]:
        """D/a and G/a, G = int D d ln a; Mead et al. (2021), eq. (A6)."""
        return tuple(jnp.exp(self.table(ln_a)))


class _State(NamedTuple):
    """D/a, its slope in ln a, and G/a."""

    g: Float[Array, ""]
    slope: Float[Array, ""]
    total: Float[Array, ""]


def growth(background) -> Growth:
    """Solve D'' + (2 + dln H/dln a) D' = 3/2 Omega_m D, primes d/dln a, without radiation, by Runge-Kutta steps."""
    h = -_LN_A / _STEPS
    a = np.exp(_LN_A + 0.5 * h * np.arange(2 * _STEPS + 1))
    matter = matter_density(background, jnp.ones(())) / a**3
    rho_de, w_de = dark_energy(background, jnp.asarray(a))
    omega = matter / (matter + rho_de)
    bend = -1.5 * (1.0 + w_de * (1.0 - omega))  # dln H/dln a

    def slopes(y: _State, omega, bend):
        return _State(y.slope, -(4.0 + bend) * y.slope - (3.0 + bend - 1.5 * omega) * y.g, y.g - y.total)

    def step(y: _State, at):
        """Classical fourth-order step; at: Omega_m and dln H/dln a at its start, middle and end."""
        move = lambda s, d: jax.tree.map(lambda u, v: u + s * v, y, d)
        k1 = slopes(y, *at[0])
        k2 = slopes(move(h / 2, k1), *at[1])
        k3 = slopes(move(h / 2, k2), *at[1])
        k4 = slopes(move(h, k3), *at[2])
        y = jax.tree.map(lambda u, p, q, r, s: u + h / 6 * (p + 2 * q + 2 * r + s), y, k1, k2, k3, k4)
        return y, (y.g, y.total)

    functions = jnp.stack([omega, bend], axis=-1)
    one = jnp.ones(())
    start = _State(one, jnp.zeros(()), one)
    at = jnp.stack([functions[:-2:2], functions[1:-1:2], functions[2::2]], axis=1)
    _, (g, total) = jax.lax.scan(step, start, at)
    values = jnp.log(jnp.concatenate([jnp.ones((1, 2)), jnp.stack([g, total], axis=-1)]))
    return Growth(UniformTable(jnp.asarray(_LN_A), jnp.asarray(h), values))


def ln_growth_by_index(epoch: Epoch) -> Float[Array, ""]:
    """ln D in Lambda-CDM of the same matter by the growth index, D = exp(-int_a^1 Omega_m^0.55 dln a)."""
    x, w = gauss_legendre(16, 0.0, 1.0)
    ln_a = -jnp.log1p(epoch.z)
    ratio = epoch.Omega_de0 / epoch.Omega_m0 * jnp.exp(3.0 * ln_a * x)
    return ln_a * jnp.sum(w * (1.0 + ratio) ** -_INDEX)
