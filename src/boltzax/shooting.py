"""The Hubble constant from an angle of the sound horizon: a root with an implicit derivative.

Four angles are known: `theta_s_100` (visibility peak) and `theta_star_100` (optical depth 1, reionization included), as
in CLASS; `thetastar` (optical depth 1 without reionization) and `cosmomc_theta`, as in CAMB.
"""

from collections.abc import Callable, Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from boltzax.background import background
from boltzax.background.curvature import areal_radius
from boltzax.errors import ParameterRangeError, error_if, is_traced, on_error_mode
from boltzax.numerics.quadrature import gauss_legendre
from boltzax.parameters import ANGLES, GROUPS, MASSES, PARAMETERS, STORED, to_scalar, to_vector
from boltzax.resolution import resolve
from boltzax.thermo import thermodynamics

_LOW, _HIGH = np.log(STORED["h"].low), np.log(STORED["h"].high)
_COARSE, _CLOSE = 1e-4, 1e-6  # last step in ln h, the error is a thousandth: approximate angle, the wanted one
_STEPS = 60
_A_START = 1e-8
_UNITS = (100.0, 100.0, 1.0, 1.0)  # of `ANGLES`
_A, _A_WEIGHT = gauss_legendre(32, 0.0, 1.0)
_LN_A, _LN_A_WEIGHT = gauss_legendre(64, 0.0, 1.0)


def cosmomc_theta(cosmo) -> Float[Array, ""]:
    """The angle of the sound horizon by the fitting formula of Hu & Sugiyama (1996), eq. (E-1), for decoupling.

    The definition of CosmoMC and CAMB (`cosmomc_theta`, not times 100): matter in the formula is b + cdm + ncdm, the
    baryon loading of the sound speed is 30000 a omega_b, and the sound horizon counts from a = 1e-8.
    """
    bg = background(cosmo, n_grid=16)
    matter, ob = cosmo.omega_b + cosmo.omega_cdm + jnp.sum(cosmo.omega_ncdm), cosmo.omega_b
    g1 = 0.0783 * ob**-0.238 / (1.0 + 39.5 * ob**0.763)
    g2 = 0.560 / (1.0 + 21.1 * ob**1.81)
    a = 1.0 / (1.0 + 1048.0 * (1.0 + 0.00124 * ob**-0.738) * (1.0 + g1 * matter**g2))
    early, ln_a = _A_START + (a - _A_START) * _A, jnp.log(a) * _LN_A
    speed = 1.0 / jnp.sqrt(3.0 * (1.0 + 3.0e4 * early * ob))
    horizon = (a - _A_START) * (speed / (early**2 * bg.hubble(jnp.log(early)))) @ _A_WEIGHT
    distance = -jnp.log(a) * (1.0 / (jnp.exp(ln_a) * bg.hubble(ln_a))) @ _LN_A_WEIGHT
    return horizon / areal_radius(bg.K, distance)


def angle(cosmo, name: str) -> Float[Array, ""]:
    """One of `ANGLES` of a cosmology; NaN where recombination cannot be followed."""
    return _angle_or_nan(cosmo, name)


@eqx.filter_jit
def _angle_or_nan(cosmo, name):
    with on_error_mode("nan"):
        return cosmomc_theta(cosmo) if name == "cosmomc_theta" else _angles(cosmo)[ANGLES.index(name)]


def _angles(cosmo) -> Float[Array, " 3"]:
    """Those of `ANGLES` that need recombination."""
    thermo = thermodynamics(cosmo, background(cosmo))
    return jnp.stack([getattr(thermo, name) for name in ANGLES[:3]])


def with_hubble(build: Callable[..., Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters `given` with h in place of an angle, if there is one.

    build: makes a cosmology of parameters. The value is concrete if all of `given` is. Raises ParameterRangeError if no
    h within its limits gives the angle, at once or, of traced values, when the program runs.
    """
    name = next((name for name in ANGLES if name in given), None)
    if name is None:
        return dict(given)
    target = to_scalar(name, given[name])
    others = _canonical({key: value for key, value in given.items() if key != name})
    h, found = _find(build, name == "cosmomc_theta", np.asarray(ANGLES.index(name)), target, others)
    shown = "" if is_traced(target) else f" = {float(target):.10g}"
    message = f"no h between {STORED['h'].low:g} and {STORED['h'].high:g} gives {name}{shown}"
    h = error_if(h, ~found, message, ParameterRangeError)
    return others | {"h": h if is_traced(h) else np.asarray(h)}


def _canonical(given: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters under the names that are stored, so that one compiled program serves all, but densities over
    critical, which need h. Raises what is wrong with them."""
    stored = resolve(dict(given), closed=False)
    kept = {name: value for name, value in stored.items() if value is not None and name != "h"}
    for group in GROUPS:
        for name in group:
            if name in given and name.startswith("Omega_"):
                del kept[group[0]]
                kept[name] = (to_vector if name in MASSES else to_scalar)(name, given[name])
    return kept | {name: value for name, value in given.items() if name not in PARAMETERS}


@eqx.filter_jit
def _find(build, fitted: bool, index, target, others) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """h, and whether its angle, the index-th of `ANGLES`, is the wanted one. fitted: whether it is `cosmomc_theta`."""

    def mismatch(of):
        return lambda u: jnp.log(of(build(**others, h=jnp.exp(u)))) - jnp.log(target)

    def solve(f, start):
        """From where the fitting formula, which needs no recombination, has the angle."""
        rough = mismatch(lambda cosmo: jnp.asarray(_UNITS)[index] * cosmomc_theta(cosmo))
        slope = lambda u: jax.jvp(rough, (u,), (jnp.ones(()),))[1]
        start, _ = _search(rough, start, slope(start), _COARSE)
        u, value = _search(f, start, slope(start), _CLOSE)
        return u, jnp.abs(value)

    with on_error_mode("off"):  # on the way anything may happen; the cosmology that is found is checked by `solve`
        exact = mismatch(cosmomc_theta if fitted else lambda cosmo: _angles(cosmo)[index])
        start = jnp.asarray(np.log(0.7))
        tangent = lambda linear, y: y / linear(jnp.ones_like(y))
        u, rest = jax.lax.custom_root(exact, start, solve, tangent, has_aux=True)
    return jnp.exp(u), jax.lax.stop_gradient(rest) < 10.0 * _CLOSE


def _search(f, u, slope, close: float) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """The root of an increasing f(ln h) by secants within a bracket, until a step is below `close`; the last f."""

    def step(state):
        u, last_u, last_value, slope, low, high, count = state
        value = f(u)
        moved = jnp.where(u == last_u, 1.0, u - last_u)
        slope = jnp.where(count == 0, slope, (value - last_value) / moved)
        low, high = jnp.where(value < 0.0, u, low), jnp.where(value > 0.0, u, high)
        new = u - value / slope
        new = jnp.where((new >= low) & (new <= high), new, 0.5 * (low + high))
        return new, u, value, slope, low, high, count + 1

    def go_on(state):
        return ~(jnp.abs(state[0] - state[1]) <= close) & (state[-1] < _STEPS)

    low, high = jnp.asarray(_LOW), jnp.asarray(_HIGH)
    start = (u, u + 1.0, jnp.asarray(jnp.inf), slope, low, high, 0)
    u, _, value, *_ = jax.lax.while_loop(go_on, step, start)
    return u, value
