"""Importance sampling from the Gaussian at the best fit: independent solutions in place of a Markov chain."""

import os
from pathlib import Path

import numpy as np

from boltzax.errors import BoltzaxError, ConflictingParametersError
from boltzax.inference.chains import Chain, atomic_savez, effective_size, from_draws
from boltzax.inference.model import DERIVED, Model, derived_values
from boltzax.inference.newton import BestFit
from boltzax.progress import Progress

__all__ = ["importance_sample"]


def importance_sample(
    best: BestFit,
    draws: int = 800,
    seed: int = 0,
    widen: float = 1.1,
    checkpoint: str | os.PathLike | None = None,
    every: int = 20,
    progress: bool = True,
) -> Chain:
    """Samples of the posterior, drawn from the Gaussian of `best` and weighted by posterior over Gaussian.

    Draws are quasi-random (Halton's sequence, scrambled: Owen 2017, arXiv:1706.02808): averages over a posterior close
    to its Gaussian are several times closer than the effective size, which counts independent draws, says.

    widen: factor on the Gaussian's standard deviations, so that the tails are covered. checkpoint: a file (.npz) that
    is written every `every` draws and from which the same call resumes, also towards more draws. Draws outside the
    bounds, or where the theory cannot follow, get no weight.

    Raises ConflictingParametersError if the checkpoint belongs to other draws.
    """
    model = best.model
    z = _normal(draws, best.x.size, seed)
    x = best.x + widen * z @ np.linalg.cholesky(best.covariance).T
    path = None if checkpoint is None else Path(checkpoint)
    logp, derived = _resume(path, x)
    with Progress("importance sampling", draws, len(logp), progress) as report:
        for i in range(len(logp), draws):
            value, row = _evaluate(model, x[i])
            logp.append(value)
            derived.append(row)
            if path is not None and ((i + 1) % every == 0 or i + 1 == draws):
                atomic_savez(path, x=x[: i + 1], log_posterior=np.array(logp), derived=np.array(derived))
            report.step(f"effective size {effective_size(_weights(np.array(logp), z[: i + 1])):.0f}")
    logp = np.array(logp)
    columns = dict(zip(DERIVED, np.array(derived).T[:, None, :], strict=True))
    bounds = dict(zip(model.names, map(tuple, model.bounds.tolist()), strict=True))
    weights = _weights(logp, z)[None]
    return from_draws(model.names, x[None], columns, logp[None], weights=weights, bounds=bounds, name="Laplace")


def _normal(draws: int, size: int, seed: int) -> np.ndarray:
    """Quasi-random points [draws, size] of a unit Gaussian; more draws continue fewer."""
    from scipy.special import ndtri  # here: scipy.stats takes long to import
    from scipy.stats import qmc

    return ndtri(qmc.Halton(size, seed=seed).random(draws))


def _evaluate(model: Model, x: np.ndarray) -> tuple[float, list[float]]:
    """ln posterior and derived parameters; -inf and NaN where there are none."""
    nothing = [np.nan] * len(DERIVED)
    if not model.inside(x):
        return -np.inf, nothing
    try:
        theory = model.theory(x)
    except BoltzaxError:
        return -np.inf, nothing
    r = np.asarray(model.residuals(theory, x))
    value = model.constant() - 0.5 * float(r @ r)
    return (value if np.isfinite(value) else -np.inf), [float(v) for v in derived_values(theory.derived).values()]


def _weights(logp: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Posterior over proposal, the largest being one."""
    log_weight = logp + 0.5 * np.sum(z**2, axis=-1)
    return np.exp(log_weight - log_weight.max()) if np.any(np.isfinite(log_weight)) else np.zeros(len(logp))


def _resume(path: Path | None, x: np.ndarray) -> tuple[list[float], list[list[float]]]:
    if path is None or not path.exists():
        return [], []
    with np.load(path) as file:
        old, logp, derived = file["x"][: len(x)], file["log_posterior"][: len(x)], file["derived"][: len(x)]
    if old.shape[1:] != x.shape[1:] or not np.allclose(old, x[: len(old)], rtol=1e-9, atol=0.0):
        raise ConflictingParametersError(
            f"'{path}' holds draws of another best fit, seed or width: remove it, or name another checkpoint"
        )
    return logp.tolist(), derived.tolist()
