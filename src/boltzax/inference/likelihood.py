"""Likelihoods that are Gaussian in some function of the theory: residuals in units of their errors."""

from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import scipy.linalg
from jaxtyping import Array, Float

from boltzax.errors import LikelihoodDataError
from boltzax.inference.observables import Theory

__all__ = ["Likelihood", "whitening"]


class Likelihood(eqx.Module):
    """Base of the likelihoods: ln L = constant - |residuals|^2 / 2; a pytree of the data.

    Whitened residuals rather than ln L alone are what Gauss-Newton steps and Fisher matrices are made of.

    name: shown in tables; l_max: largest multipole read; z: redshifts at which distances are read; nuisance: mean and
    standard deviation of the Gaussian prior of each of its own parameters.
    """

    name: eqx.AbstractVar[str]
    l_max: eqx.AbstractVar[int]
    z: eqx.AbstractVar[tuple[float, ...]]
    nuisance: eqx.AbstractVar[tuple[tuple[str, float, float], ...]]

    def residuals(self, theory: Theory, nuisance: Mapping[str, Any]) -> Float[Array, " data"]:
        """Differences of data and theory that have zero mean and unit covariance if the theory is right."""
        raise NotImplementedError

    def constant(self) -> float:
        """ln L where the residuals vanish; zero unless the likelihood's source normalises it."""
        return 0.0

    def loglike(self, theory: Theory, nuisance: Mapping[str, Any] | None = None) -> Float[Array, ""]:
        """ln L of a theory; parameters missing in `nuisance` stand at the means of their priors."""
        values = {name: mean for name, mean, _ in self.nuisance} | dict(nuisance or {})
        return self.constant() - 0.5 * jnp.sum(self.residuals(theory, values) ** 2)


def whitening(covariance: np.ndarray, name: str) -> np.ndarray:
    """The lower triangular matrix W with W covariance W^T = 1.

    Raises LikelihoodDataError unless the covariance is symmetric and positive.
    """
    if covariance.ndim != 2 or covariance.shape[0] != covariance.shape[1]:
        raise LikelihoodDataError(f"the covariance of {name} has shape {covariance.shape}")
    scale = np.sqrt(np.abs(np.diag(covariance)))
    if not np.allclose(covariance / np.outer(scale, scale), (covariance / np.outer(scale, scale)).T, atol=1e-8):
        raise LikelihoodDataError(f"the covariance of {name} is not symmetric")
    try:
        lower = scipy.linalg.cholesky(covariance / np.outer(scale, scale), lower=True)
    except np.linalg.LinAlgError as error:
        raise LikelihoodDataError(f"the covariance of {name} is not positive") from error
    return scipy.linalg.solve_triangular(lower, np.diag(1.0 / scale), lower=True)
