"""Early dark energy: an axion-like field in the potential (1 - cos theta)^n, as a fluid averaged over oscillations.

Poulin, Smith, Grin, Karwal & Kamionkowski (2018, arXiv:1806.10608), sec. II, with the frequency of
oscillations as CAMB has it.
"""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import gammaln
from jaxtyping import Array, Float

from boltzax.fluids import sound_speed
from boltzax.fluids.fluid import Fluid, check


class EarlyDarkEnergy(Fluid):
    """A field that is frozen until z_c, and then dilutes with the equation of state (n - 1)/(n + 1).

    fde_zc: its part of the density at z_c of photons, neutrinos, baryons, cold dark matter and itself; theta_i: initial
    angle of the field, 0 < theta_i < pi; n > 1. rho_c, frequency: density at z_c [1/Mpc^2] and the frequency of its
    oscillations today [1/Mpc], fixed with the background.

    Raises ParameterRangeError for concrete values outside 0 <= fde_zc < 1, 0 < theta_i < pi, n > 1, z_c > 0.
    """

    fde_zc: Float[Array, ""]
    z_c: Float[Array, ""]
    theta_i: Float[Array, ""]
    n: float = eqx.field(static=True, default=3.0)
    rho_c: Float[Array, ""] | float = 0.0
    frequency: Float[Array, ""] | float = 0.0

    functions = ("density", "w", "slope")

    def __check_init__(self):
        check(self, fde_zc=(0.0, 1.0, True), z_c=(0.0, np.inf), theta_i=(0.0, np.pi), n=(1.0, np.inf))

    @property
    def size(self):
        return 2

    @property
    def _power(self):
        return 6.0 * self.n / (self.n + 1.0)  # of the fall of its density, 3 (1 + w_n)

    def _rise(self, a):
        """(a/a_c)^(3 (1 + w_n))."""
        return (a * (1.0 + self.z_c)) ** self._power

    def fixed(self, background):
        """The density, and the frequency of oscillations from theta_i and the time at which they set in."""
        a_c, n = 1.0 / (1.0 + self.z_c), self.n
        rho_c = self.fde_zc / (1.0 - self.fde_zc) * background.rho(a_c)
        # cosmic time at z_c as if radiation dominated, where the exponent of a(t) is p = 1/2 and the fit's F is 7/8
        time = 0.5 * a_c**2 / jnp.sqrt(background.early_radiation)
        # m (1 - cos theta_i)^((n - 1)/2), from sqrt((1 - F) (6p + 2) theta_i / (n sin theta_i)) over the time
        scaled = jnp.sqrt(5.0 / 8.0 * self.theta_i / (n * jnp.sin(self.theta_i))) / time
        gamma = jnp.exp(gammaln((n + 1.0) / (2.0 * n)) - gammaln(1.0 + 0.5 / n))
        shape = jnp.sqrt(jnp.pi) * gamma * 2.0 ** (-(n**2 + 1.0) / (2.0 * n)) * 3.0 ** (0.5 * (1.0 / n - 1.0))
        w_n = (n - 1.0) / (n + 1.0)
        frequency = scaled * shape * a_c ** (3.0 * w_n) * (1.0 + a_c**self._power) ** (0.5 * (1.0 / n - 1.0))
        return eqx.tree_at(lambda e: (e.rho_c, e.frequency), self, (rho_c, frequency))

    def rho(self, a):
        return 2.0 * self.rho_c / (1.0 + self._rise(a))

    def w(self, a):
        """Equation of state."""
        rise = self._rise(a)
        return self._power / 3.0 * rise / (1.0 + rise) - 1.0

    def pressure(self, a):
        return self.w(a) * self.rho(a)

    def time_functions(self, background, a):
        """a^2 rho, w and dw/d ln a."""
        rise = self._rise(a)
        slope = self._power**2 / 3.0 * rise / (1.0 + rise) ** 2
        return {"density": a**2 * self.rho(a), "w": self.w(a), "slope": slope}

    def _cs2(self, k, a):
        """Sound speed squared in the rest frame, over one oscillation; one while the field is frozen."""
        n = self.n
        x = (a * self.frequency * a ** (-3.0 * (n - 1.0) / (n + 1.0)) / k) ** 2
        return (2.0 * (n - 1.0) * x + 1.0) / (2.0 * (n + 1.0) * x + 1.0)

    def slopes(self, k, t, v, metric):
        return sound_speed.slopes(k, t, v, metric, self._cs2(k, t.a))

    def stress(self, k, t, v, metric):
        return sound_speed.stress(t, v)
