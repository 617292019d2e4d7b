"""Primordial power spectra, and how modes add up in what is quadratic in them."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

PRIMORDIAL = ("ln_A_s_1e10", "n_s", "k_pivot")  # fields of Cosmology that nothing else reads


def curvature_power(cosmo, k: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """Dimensionless P_R(k) = A_s (k/k_pivot)^(n_s - 1), k in 1/Mpc."""
    return 1e-10 * jnp.exp(cosmo.ln_A_s_1e10 + (cosmo.n_s - 1.0) * jnp.log(k / cosmo.k_pivot))


def mixture(cosmo, adiabatic: Any) -> list[tuple[Any, Callable]]:
    """Perturbations and spectra P(k) whose quadratic forms add up to that of all initial conditions together.

    adiabatic: perturbations for R = 1, a pytree with those for S = 1 in `isocurvature`. The correlated part of two
    modes is a mode of its own, their sum, so that each is a perfect square.
    """
    curvature = lambda k: curvature_power(cosmo, k)
    if not cosmo.isocurvature:
        return [(adiabatic, curvature)]
    plain = eqx.tree_at(lambda s: s.isocurvature, adiabatic, ())
    parts, crosses = [], []
    for mode, perturbation in zip(cosmo.isocurvature, adiabatic.isocurvature, strict=True):
        if mode.c_ad is None:
            parts.append((perturbation, lambda k, m=mode: m.power(cosmo, k)))
            continue
        cross = lambda k, m=mode: m.cross(cosmo, k, curvature(k))
        crosses.append(cross)
        parts.append((perturbation, lambda k, m=mode, cross=cross: m.power(cosmo, k) - cross(k)))
        parts.append((jax.tree.map(jnp.add, plain, perturbation), cross))
    return [(plain, lambda k: curvature(k) - sum(cross(k) for cross in crosses)), *parts]
