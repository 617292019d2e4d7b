"""Growth and variance of matter from a solution, at any redshift, scale and species; all differentiable."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from boltzax.background import growth as growth_of
from boltzax.errors import OutOfRangeError, error_if
from boltzax.spectra.matter import KR_MAX, sigma_R
from boltzax.spectra.primordial import curvature_power


def growth_factor(results, z: Float[Array, "*z"]) -> Float[Array, "*z"]:
    """Scale-independent D(z), 1 today."""
    table = growth_of(results.background)
    return jnp.exp(_history(table, z)[..., 0] - table.values[-1, 0])


def growth_rate(results, z: Float[Array, "*z"]) -> Float[Array, "*z"]:
    """Scale-independent f = d ln D / d ln a."""
    return _history(growth_of(results.background), z)[..., 1]


def _history(table, z):
    ln_a = -jnp.log1p(jnp.asarray(z, float))
    bad = (ln_a > 1e-12) | (ln_a < table.x0)
    return table(error_if(ln_a, bad, "growth: z must lie between 0 and 1e5", OutOfRangeError))


def growth_rate_of_scale(results, k, z, species: str) -> Float[Array, "*z k"]:
    """f(k, z) = d ln delta / d ln a."""
    k, z = jnp.atleast_1d(jnp.asarray(k, float)), jnp.asarray(z, float)
    x, per_ln_a = _times(results, z)
    k, x = results.matter.check(k, x)
    matter = results.matter
    rate = lambda x, unit: unit * matter.slope(k, x, species) / matter.delta(k, x, species)
    return _each(rate, x, per_ln_a).reshape(z.shape + k.shape)


def sigma(results, R, z, species: str) -> Float[Array, "*z R"]:
    """RMS contrast in spheres of R Mpc, of the shape of z and then that of R."""
    return _variance(results, R, z, species, lambda value, slope, unit: value)


def sigma_growth(results, R, z, species: str) -> Float[Array, "*z R"]:
    """d sigma / d ln a."""
    return _variance(results, R, z, species, lambda value, slope, unit: slope * unit)


def _variance(results, R, z, species: str, pick: Callable) -> Float[Array, "*z R"]:
    R, z = jnp.asarray(R, float), jnp.asarray(z, float)
    x, per_ln_a = _times(results, z)
    matter, cosmo = results.matter, results.cosmology
    k_max = matter.y_modes[-1] / matter.tau_0
    _, x = matter.check(jnp.full(1, k_max), x)
    message = f"sigma: the power within spheres of R reaches to k = {KR_MAX:g}/R: raise R, or k_max in Outputs"
    R = error_if(R, KR_MAX > k_max * R, message, OutOfRangeError)

    def one(R, x):
        def power(k):
            return 2.0 * jnp.pi**2 / k**3 * curvature_power(cosmo, k) * matter.delta(k, x, species) ** 2

        return sigma_R(power, 1.0, R)

    def at(x, unit):
        value, slope = jax.jvp(lambda x: jax.vmap(one, (0, None))(R.ravel(), x), (x,), (jnp.ones_like(x),))
        return pick(value, slope, unit)

    return _each(at, x, per_ln_a).reshape(z.shape + R.shape)


def _times(results, z):
    """tau/tau_0 at z, and its derivative with respect to ln a."""
    bg, ln_a = results.background, -jnp.log1p(z)
    return bg.conformal_time(ln_a) / bg.tau_0, jnp.exp(-ln_a) / (bg.hubble(ln_a) * bg.tau_0)


def _each(f, x, per_ln_a):
    return jax.vmap(f)(x.ravel(), jnp.broadcast_to(per_ln_a, x.shape).ravel())
