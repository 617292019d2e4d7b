"""Primordial power spectra, and how modes add up in what is quadratic in them."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def curvature_power(cosmo, k: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """Dimensionless P_R(k), k in 1/Mpc: `cosmo.primordial_spectrum`, or with L = ln(k/k_pivot)

    ln P_R = ln A_s + (n_s - 1) L + alpha_s L^2 / 2 + beta_s L^3 / 6 (Planck 2013 XXII, arXiv:1303.5082, eq. 16).
    """
    if cosmo.primordial_spectrum is not None:
        k = jnp.asarray(k, float)
        return jax.vmap(cosmo.primordial_spectrum)(k.reshape(-1)).reshape(k.shape)
    L = jnp.log(k / cosmo.k_pivot)
    tilt = cosmo.n_s - 1.0 + (cosmo.alpha_s / 2.0 + cosmo.beta_s / 6.0 * L) * L
    return 1e-10 * jnp.exp(cosmo.ln_A_s_1e10 + tilt * L)


def tensor_power(cosmo, k: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """Dimensionless P_T(k) of both polarisations, k in 1/Mpc (Planck 2013 XXII, eq. 17):

    ln P_T = ln(r P_R(k_pivot)) + n_t L + alpha_t L^2 / 2. Where they are not given, n_t and alpha_t follow from
    single-field slow-roll inflation at second order, n_t = -r/8 (2 - r/8 - n_s), alpha_t = r/8 (r/8 + n_s - 1).
    """
    L, eighth = jnp.log(k / cosmo.k_pivot), cosmo.r / 8.0
    n_s = spectral_index(cosmo)
    n_t = -eighth * (2.0 - eighth - n_s) if cosmo.n_t is None else cosmo.n_t
    alpha_t = eighth * (eighth + n_s - 1.0) if cosmo.alpha_t is None else cosmo.alpha_t
    return cosmo.r * curvature_power(cosmo, cosmo.k_pivot) * jnp.exp((n_t + 0.5 * alpha_t * L) * L)


def spectral_index(cosmo) -> Float[Array, ""]:
    """n_s of the curvature spectrum at k_pivot."""
    if cosmo.primordial_spectrum is None:
        return cosmo.n_s
    slope = jax.grad(lambda ln_k: jnp.log(curvature_power(cosmo, jnp.exp(ln_k))))
    return 1.0 + slope(jnp.log(cosmo.k_pivot))


def mixture(cosmo, adiabatic: Any) -> list[tuple[Any, Callable]]:
    """Perturbations and spectra P(k) whose quadratic forms add up to that of all initial conditions together.

    adiabatic: perturbations for R = 1, a pytree with those for S = 1 in `isocurvature`. The correlated part of two
    modes is a mode of its own, their sum, so that each is a perfect square.
    """
    curvature = lambda k: curvature_power(cosmo, k)
    if not cosmo.isocurvature:
        return [(adiabatic, curvature)]
    plain = adiabatic.without_others()
    pivot, amplitude = cosmo.k_pivot, curvature(cosmo.k_pivot)
    parts, crosses = [], []
    for mode, perturbation in zip(cosmo.isocurvature, adiabatic.isocurvature, strict=True):
        if mode.c_ad is None:
            parts.append((perturbation, lambda k, m=mode: m.power(k / pivot, amplitude)))
            continue
        cross = lambda k, m=mode: m.cross(k / pivot, amplitude, curvature(k))
        crosses.append(cross)
        parts.append((perturbation, lambda k, m=mode, cross=cross: m.power(k / pivot, amplitude) - cross(k)))
        parts.append((jax.tree.map(jnp.add, plain, perturbation), cross))
    return [(plain, lambda k: curvature(k) - sum(cross(k) for cross in crosses)), *parts]
