"""Cold dark matter that decays into dark radiation.

Audren, Lesgourgues, Mangano, Serpico & Tram (2014, arXiv:1407.2418), eqs. (2.1)-(2.9); Kaplinghat, Lopez, Dodelson &
Scherrer (1999, arXiv:astro-ph/9907388). In the synchronous gauge it moves with stable cold dark matter. The radiation
streams freely; with r = rho_dr a^4 its multipoles are F_l = r N_l, N_l those of massless neutrinos (Ma & Bertschinger
1995, eq. 49), and the decays add r' delta to F_0. On small scales the source varies slowly beside 1/k, and F_l is
r' delta / k int j_l: with the F_(l+1) / F_l of these integrals the hierarchy may be cut short.
"""

from math import gamma
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from boltzax.constants import H0_UNIT
from boltzax.fluids.fluid import Fluid, check
from boltzax.numerics.quadrature import cumulative
from boltzax.numerics.table import UniformTable, cell_integrals

_LN_A_START, _POINTS = -24.0, 1201
_ITERATIONS = 12  # of times and densities upon each other


def _integral(l: int) -> float:
    """The integral of j_l over all x, but for a constant."""
    return gamma(0.5 * (l + 1)) / gamma(0.5 * l + 1.0)


class DecayingDarkMatter(Fluid):
    """Dark matter that decays at the rate Gamma_dcdm [km/s/Mpc], and the radiation that it becomes.

    omega_ini_dcdm: Omega h^2 that it would have today if nothing decayed; it adds to the stable `omega_cdm`.
    l_max: last multipole of the radiation. history: over ln a, the part that has not decayed, and rho a^4 of the
    radiation [1/Mpc^2]; found with the background.

    Raises ParameterRangeError for concrete values outside 0 <= Gamma_dcdm < 1e5, 0 <= omega_ini_dcdm < 5.
    """

    Gamma_dcdm: Float[Array, ""]
    omega_ini_dcdm: Float[Array, ""]
    l_max: int = eqx.field(static=True, default=9)
    history: UniformTable | None = None

    functions = ("dcdm", "r", "r_prime")
    alone: ClassVar[bool] = True  # its density depends on the whole expansion
    sheared: ClassVar[bool] = True

    def __check_init__(self):
        check(self, Gamma_dcdm=(0.0, 1e5, True), omega_ini_dcdm=(0.0, 5.0, True), l_max=(3, 100))

    @property
    def size(self):
        return self.l_max + 2  # delta of the dark matter, F_0 .. F_l_max

    @property
    def _rate(self):
        return self.Gamma_dcdm * H0_UNIT / 100.0  # 1/Mpc

    def early_cold(self):
        return self.omega_ini_dcdm * H0_UNIT**2

    def fixed(self, background):
        """The densities over ln a, with the cosmological constant that closes their sum."""
        ln_a = np.linspace(_LN_A_START, 0.0, _POINTS)
        a, step = np.exp(ln_a), -_LN_A_START / (_POINTS - 1)
        others, whole = background.hubble(ln_a) ** 2, background.H0**2

        def improve(history, _):
            left, r = history
            own = self.early_cold() * left / a**3 + r / a**4
            H = jnp.sqrt(others + own + (whole - others[-1] - own[-1]))
            decays = self._rate * self.early_cold() * a * left / H  # d r / d ln a
            rates = jnp.stack([self._rate / H, decays])
            before = jnp.stack([0.5 * rates[0, 0], rates[1, 0] / 3.0])  # radiation era: t = 1/(2H), r ~ a^3
            age, r = jax.vmap(cumulative)(cell_integrals(rates, step), before)
            return (jnp.exp(-age), r), None

        start = jnp.ones(_POINTS), jnp.zeros(_POINTS)
        history = jax.lax.scan(improve, start, None, length=_ITERATIONS)[0]
        table = UniformTable(jnp.asarray(_LN_A_START), jnp.asarray(step), jnp.stack(history, axis=-1))
        return eqx.tree_at(lambda fluid: fluid.history, self, table, is_leaf=lambda x: x is None)

    def _history(self, a):
        left, r = jnp.moveaxis(self.history(jnp.log(a)), -1, 0)
        return self.early_cold() * left / a**3, r

    def rho_cold(self, a):
        return self._history(a)[0]

    def rho(self, a):
        cold, r = self._history(a)
        return cold + r / a**4

    def pressure(self, a):
        return self._history(a)[1] / (3.0 * a**4)

    def time_functions(self, background, a):
        """a^2 rho of the dark matter, r, and dr/dtau."""
        cold, r = self._history(a)
        return {"dcdm": a**2 * cold, "r": r, "r_prime": self._rate * cold * a**5}

    def slopes(self, k, t, v, metric):
        delta, *F = v
        r, last = t.own["r"], self.l_max
        F.append(_integral(last + 1) / _integral(last) * F[last])
        out = [-0.5 * metric.h_prime, -k * F[1] - 2.0 / 3.0 * r * metric.h_prime + t.own["r_prime"] * delta]
        out += [k / (2 * l + 1) * (l * F[l - 1] - (l + 1) * F[l + 1]) for l in range(1, last + 1)]
        out[3] += r * (4.0 / 15.0 * metric.h_prime + 1.6 * metric.eta_prime)
        return tuple(out)

    def stress(self, k, t, v, metric):
        delta, *F = v
        return t.own["dcdm"] * delta + F[0] / t.a**2, k * F[1] / t.a**2

    def shear(self, t, v):
        own = 2.0 / 3.0 * v[3] / t.a**2
        return own, -2.0 * t.aH * own

    def start(self, k, tau, delta_g, theta_g):
        return (0.75 * delta_g, *(jnp.zeros_like(delta_g),) * (self.l_max + 1))
