"""Primordial curvature power spectrum."""

import jax.numpy as jnp
from jaxtyping import Array, Float

PRIMORDIAL = ("ln_A_s_1e10", "n_s", "k_pivot")  # fields of Cosmology that nothing else reads


def curvature_power(cosmo, k: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """Dimensionless P_R(k) = A_s (k/k_pivot)^(n_s - 1), k in 1/Mpc."""
    return 1e-10 * jnp.exp(cosmo.ln_A_s_1e10 + (cosmo.n_s - 1.0) * jnp.log(k / cosmo.k_pivot))
