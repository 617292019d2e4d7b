"""Dark radiation that scatters off itself so often that it is a perfect fluid."""

from jaxtyping import Array, Float

from boltzax.constants import RELIC
from boltzax.fluids.fluid import Fluid, check


class InteractingRadiation(Fluid):
    """Massless particles without free streaming: Ma & Bertschinger (1995), eq. (49), with F_l = 0 for l >= 2.

    N_idr: its density in units of one massless neutrino; it counts in N_eff, on top of the neutrinos.

    Raises ParameterRangeError for a concrete value outside 0 <= N_idr < 50.
    """

    N_idr: Float[Array, ""]
    rho_0: Float[Array, ""] | float = 0.0

    functions = ("density",)

    def __check_init__(self):
        check(self, N_idr=(0.0, 50.0, True))

    @property
    def size(self):
        return 2  # delta, theta

    def fixed(self, background):
        return InteractingRadiation(self.N_idr, self.N_idr * RELIC * background.rho_g)

    def rho(self, a):
        return self.rho_0 / a**4

    def pressure(self, a):
        return self.rho(a) / 3.0

    def early_radiation(self):
        return self.rho_0

    def time_functions(self, background, a):
        return {"density": a**2 * self.rho(a)}

    def slopes(self, k, t, v, metric):
        delta, theta = v
        return -4.0 / 3.0 * theta - 2.0 / 3.0 * metric.h_prime, 0.25 * k**2 * delta

    def stress(self, k, t, v, metric):
        delta, theta = v
        return t.own["density"] * delta, 4.0 / 3.0 * t.own["density"] * theta

    def start(self, k, tau, delta_g, theta_g):
        return delta_g, -(k**4) * tau**3 / 36.0
