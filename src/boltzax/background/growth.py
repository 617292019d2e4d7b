"""Growth of matter that clusters without pressure, the same at all scales, from the background alone."""

import jax
import jax.numpy as jnp
import numpy as np

from boltzax.numerics import runge_kutta
from boltzax.numerics.table import UniformTable

LN_A_START = -12.0  # radiation era, a thousandth of the Hubble rate's matter
_STEPS = 400


@jax.jit
def growth(bg) -> UniformTable:
    """Over ln a: ln D, D in units of the scale factor well within matter domination, and f = d ln D / d ln a.

    (a D')' = (3/2) rho_cb a^3 D, ' = d/dtau, where rho_cb is the density of baryons and cold dark matter: what streams
    freely expands the universe and does not cluster. Starts on the growing mode of Meszaros (1974), D ~ 1 + 3y/2,
    y = rho_cb / rho_radiation. Fourth-order Runge-Kutta of D and a D'.
    """
    step = -LN_A_START / _STEPS
    ln_a = np.linspace(LN_A_START, 0.0, 2 * _STEPS + 1)
    a, aH = np.exp(ln_a), np.exp(ln_a) * bg.hubble(jnp.asarray(ln_a))
    matter = bg.rho_b + a**3 * bg.rho_cold(jnp.asarray(a))
    rates = jnp.stack([1.0 / (a * aH), 1.5 * matter / aH], axis=-1)

    def advance(v, rate):
        new = runge_kutta.step(lambda v, rate: rate * v[::-1], v, rate, step)
        return new, new

    y = matter[0] * a[0] / bg.early_radiation
    start = jnp.stack([1.0 + 1.5 * y, a[0] * aH[0] * 1.5 * y]) * a[0] / (1.5 * y)
    _, rest = jax.lax.scan(advance, start, jnp.stack([rates[:-2:2], rates[1::2], rates[2::2]], axis=1))
    D, flow = jnp.concatenate([start[None], rest]).T
    values = jnp.stack([jnp.log(D), flow * rates[::2, 0] / D], axis=-1)
    return UniformTable(jnp.asarray(LN_A_START), jnp.asarray(step), values)
