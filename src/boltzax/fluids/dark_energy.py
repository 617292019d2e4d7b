"""Dark energy with an equation of state w(a): Chevallier-Polarski-Linder or a function of the user's.

Its perturbations are those of the parametrised post-Friedmann (PPF) description, which is smooth through w = -1 (Hu
2008, arXiv:0801.2433; Fang, Hu & Lewis 2008, arXiv:0808.3125), or of a fluid with a constant sound speed.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from boltzax.fluids import sound_speed
from boltzax.fluids.fluid import Fluid, Instant, Metric
from boltzax.numerics.quadrature import cumulative
from boltzax.numerics.table import UniformTable, cell_integrals

_C_GAMMA = 0.4  # transition of PPF to smooth dark energy, in sound horizons (Fang, Hu & Lewis 2008)
_LN_A_START, _N_GRID = -24.0, 2401  # of the density of a w(a) without closed form


class CPL(eqx.Module):
    """w(a) = w0 + wa (1 - a); Chevallier & Polarski (2001), Linder (2003)."""

    w0: Float[Array, ""]
    wa: Float[Array, ""]

    def __call__(self, a):
        return self.w0 + self.wa * (1.0 - a)

    def log_density(self, ln_a):
        """ln rho(a)/rho(1)."""
        return -3.0 * ((1.0 + self.w0 + self.wa) * ln_a + self.wa * (1.0 - jnp.exp(ln_a)))


class Tabulated(eqx.Module):
    """A w(a) without closed form of its density: -3 int (1 + w) d ln a on a grid."""

    w: Any
    table: UniformTable

    @classmethod
    def of(cls, w: Callable) -> "Tabulated":
        """w: function of the scale factor, a JAX function of numbers."""
        ln_a = np.linspace(_LN_A_START, 0.0, _N_GRID)
        step = -_LN_A_START / (_N_GRID - 1)
        value = jax.vmap(w)(jnp.exp(jnp.asarray(ln_a)))
        integral = cumulative(cell_integrals(-3.0 * (1.0 + value), step), jnp.zeros(()))
        values = jnp.stack([integral - integral[-1], value], axis=-1)
        return cls(w, UniformTable(jnp.asarray(_LN_A_START), jnp.asarray(step), values))

    def __call__(self, a):
        return self.table(jnp.log(a))[..., 1]

    def log_density(self, ln_a):
        """ln rho(a)/rho(1)."""
        return self.table(jnp.asarray(ln_a))[..., 0]


class DarkEnergy(Fluid):
    """Dark energy that closes the sum of all densities.

    w: `CPL` or `Tabulated`; cs2: sound speed squared in its rest frame; rho_0: density today [1/Mpc^2].
    """

    w: CPL | Tabulated
    cs2: Float[Array, ""]
    rho_0: Float[Array, ""] = eqx.field(default_factory=lambda: jnp.zeros(()))

    def rho(self, a):
        return self.rho_0 * jnp.exp(self.w.log_density(jnp.log(a)))

    def pressure(self, a):
        return self.w(a) * self.rho(a)


class PPF(DarkEnergy):
    """One unknown, Gamma: what is missing of the potential on scales where dark energy is smooth.

    Fang, Hu & Lewis (2008), sec. II, in synchronous gauge.
    """

    functions = ("dark", "ln_rest")

    @property
    def size(self):
        return 1

    def time_functions(self, background, a):
        """a^2 (rho + P) of dark energy, and ln a^2 (rho + P) of all else."""
        dark = self.rho(a) + self.pressure(a)
        rest = background.rho(a) + background.pressure(a) - dark
        return {"dark": a**2 * dark, "ln_rest": jnp.log(a**2 * rest)}

    def _flux(self, k, t: Instant, gamma, metric: Metric):
        """Gamma's source S and a^2 (rho + P) theta of dark energy, which solves a linear equation.

        The total momentum is k^2 eta' (2/3); the rest has the velocity theta_T = (total - own) / rest.
        """
        dark, rest = t.own["dark"], jnp.exp(t.own["ln_rest"])
        k2 = k * k
        c = _C_GAMMA**2 * self.cs2 * k2 / t.aH**2  # (c_Gamma k / aH)^2
        F = 1.0 + 4.5 * rest / k2
        damped = c / (F * (1.0 + c))
        k2_alpha = 0.5 * (metric.h_prime + 6.0 * metric.eta_prime)
        part = dark * (1.0 - damped) / rest
        total = 2.0 / 3.0 * k2 * metric.eta_prime
        drive = part * total - dark * damped * k2_alpha - 2.0 / 3.0 * k2 * t.aH * c / F * gamma
        own = drive / (1.0 + part)
        S = 1.5 * dark / (k2 * t.aH) * ((total - own) / rest + k2_alpha)
        return S, own, c

    def slopes(self, k, t, v, metric):
        (gamma,) = v
        S, _, c = self._flux(k, t, gamma, metric)
        return (t.aH * (S / (1.0 + c) - (1.0 + c) * gamma),)

    def stress(self, k, t, v, metric):
        (gamma,) = v
        _, own, _ = self._flux(k, t, gamma, metric)
        return -2.0 / 3.0 * k**2 * gamma - 3.0 * t.aH / k**2 * own, own


class SoundSpeed(DarkEnergy):
    """A fluid with a constant sound speed (`fluids.sound_speed`).

    w(a) must not cross -1, where it has no regular solution; a constant -1 is fine.
    """

    functions = ("density", "w", "slope")

    @property
    def size(self):
        return 2

    def time_functions(self, background, a):
        """a^2 rho, w and dw/d ln a."""
        w, slope = jax.jvp(self.w, (a,), (a,))
        return {"density": a**2 * self.rho(a), "w": w, "slope": slope}

    def slopes(self, k, t, v, metric):
        return sound_speed.slopes(k, t, v, metric, self.cs2)

    def stress(self, k, t, v, metric):
        return sound_speed.stress(t, v)
