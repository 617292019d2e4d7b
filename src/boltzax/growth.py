"""Growth and variance of matter from a solution, at any redshift, scale and species; all differentiable."""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from boltzax.background import growth as growth_of
from boltzax.errors import OutOfRangeError, error_if
from boltzax.spectra.matter import KR_MAX, linear_power, sigma_R


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
    value, slope = _contrast(results.matter, k, x.ravel(), species)
    return (slope / value).reshape(z.shape + k.shape) * per_ln_a.reshape(z.shape + (1,) * k.ndim)


@partial(jax.jit, static_argnames="species")
def _contrast(matter, k, x, species: str):
    """delta(k) and its slope over tau/tau_0 at times x."""
    at = lambda x: (matter.delta(k, x, species), matter.slope(k, x, species))
    return jax.vmap(at)(x)


def sigma(results, R, z, species: str) -> Float[Array, "*z R"]:
    """RMS contrast in spheres of R Mpc, of the shape of z and then that of R."""
    return _variance_at(results, R, z, species)[0]


def sigma_growth(results, R, z, species: str) -> Float[Array, "*z R"]:
    """d sigma / d ln a."""
    return _variance_at(results, R, z, species)[1]


def _variance_at(results, R, z, species: str):
    R, z = jnp.asarray(R, float), jnp.asarray(z, float)
    x, per_ln_a = _times(results, z)
    matter = results.matter
    k_max = matter.k_modes[-1]
    _, x = matter.check(jnp.full(1, k_max), x)
    message = f"sigma: the power within spheres of R reaches to k = {KR_MAX:g}/R: raise R, or k_max in Outputs"
    R = error_if(R, KR_MAX > k_max * R, message, OutOfRangeError)
    value, slope = _variance(matter, results.cosmology, R.ravel(), x.ravel(), species)
    shape = z.shape + R.shape
    return value.reshape(shape), slope.reshape(shape) * per_ln_a.reshape(z.shape + (1,) * R.ndim)


@partial(jax.jit, static_argnames="species")
def _variance(matter, cosmo, R, x, species: str):
    """sigma [x, R] and its slope over tau/tau_0."""

    def one(R, x):
        return sigma_R(lambda k: linear_power(cosmo, matter, k, x, species), 1.0, R)

    def at(x):
        return jax.jvp(lambda x: jax.vmap(one, (0, None))(R, x), (x,), (jnp.ones_like(x),))

    return jax.vmap(at)(x)


def _times(results, z):
    """tau/tau_0 at z, and its derivative with respect to ln a."""
    bg, ln_a = results.background, -jnp.log1p(z)
    return bg.conformal_time(ln_a) / bg.tau_0, jnp.exp(-ln_a) / (bg.hubble(ln_a) * bg.tau_0)
