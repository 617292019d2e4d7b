"""Best fit by Gauss-Newton steps, and the Fisher matrix there."""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from boltzax.errors import BoltzaxError, ConflictingParametersError, ConvergenceError, ParameterRangeError
from boltzax.inference.chains import atomic_savez
from boltzax.inference.model import Model, derived_values
from boltzax.inference.observables import Theory
from boltzax.progress import Progress

__all__ = ["BestFit", "fit"]

_MAX_HALVINGS = 8


@dataclass(frozen=True, repr=False)
class BestFit:
    """Where chi2 (-2 ln L - 2 ln prior, without constants) is least, and the Gaussian that it looks like there.

    x [n], fisher [n, n] = J^T J of the whitened residuals (priors included), covariance its inverse, chi2: its parts
    by likelihood, theory: the predictions, steps: chi2 after each step.
    """

    model: Model
    x: np.ndarray
    fisher: np.ndarray
    chi2: dict[str, float]
    theory: Theory
    steps: list[float] = field(default_factory=list)

    @property
    def covariance(self) -> np.ndarray:
        """Inverse of the Fisher matrix [n, n]."""
        scale = 1.0 / np.sqrt(np.diag(self.fisher))
        return np.linalg.inv(self.fisher * np.outer(scale, scale)) * np.outer(scale, scale)

    @property
    def sigma(self) -> np.ndarray:
        """Standard deviations of the Gaussian [n]."""
        return np.sqrt(np.diag(self.covariance))

    @property
    def values(self) -> dict[str, float]:
        """Best-fit parameters by name."""
        return self.model.values(self.x)

    @property
    def derived(self) -> dict[str, float]:
        """Derived parameters of the best fit."""
        return {name: float(value) for name, value in derived_values(self.theory.derived).items()}

    def save(self, path: str | os.PathLike) -> None:
        """Writes x, Fisher matrix and what describes the model into a file (.npz)."""
        about = json.dumps(self.model.describe())
        atomic_savez(Path(path), x=self.x, fisher=self.fisher, steps=self.steps, about=about)

    @classmethod
    def load(cls, path: str | os.PathLike, model: Model) -> "BestFit":
        """What `save` wrote; raises ConflictingParametersError if it was another model."""
        with np.load(path) as file:
            x, fisher, steps, about = (file[name] for name in ("x", "fisher", "steps", "about"))
        if json.loads(str(about)) != json.loads(json.dumps(model.describe())):
            raise ConflictingParametersError(
                f"'{path}' is the best fit of another model: remove it, or name another folder"
            )
        theory = model.theory(x)
        return cls(model, x, fisher, model.chi2(x, theory), theory, steps.tolist())

    def __repr__(self) -> str:
        rows = [f"  {n:<14} {v: .6g} +- {s:.2g}" for (n, v), s in zip(self.values.items(), self.sigma, strict=True)]
        parts = [f"  chi2 {name:<25} {value:.3f}" for name, value in self.chi2.items()]
        return "\n".join(["BestFit(", *rows, *parts, ")"])


def fit(model: Model, tolerance: float = 1e-3, max_steps: int = 20, progress: bool = True) -> BestFit:
    """The best fit of a model.

    Gauss-Newton: residuals are linearised and the linear problem solved; a step that raises chi2, or leads where the
    theory cannot follow, is halved; one that leaves the bounds is cut there, and a parameter that is held at its bound
    is left out while chi2 falls beyond it. It ends when a step promises to lower chi2 by less than `tolerance`.

    Raises ConvergenceError after max_steps, and what `boltzax.solve` raises at the start.
    """
    x = model.start.copy()
    with Progress("best fit (the first step compiles)", enabled=progress) as report:
        theory, r, J = model.linearize(x)
        steps = [float(r @ r)]
        for _ in range(max_steps):
            J, r = np.asarray(J), np.asarray(r)
            step = _step(model, x, r, J)
            promised = r @ r - np.sum((r + J @ step) ** 2)
            report.say(f"chi2 = {steps[-1]:.4f}, next step promises {promised:.2g}")
            if promised < tolerance:
                return BestFit(model, x, J.T @ J, model.chi2(x, theory), theory, steps)
            x, (theory, r, J) = _descend(model, x, step, steps[-1], tolerance)
            steps.append(float(r @ r))
    raise ConvergenceError(f"no best fit within {max_steps} Gauss-Newton steps; chi2 was {steps}")


def _step(model: Model, x: np.ndarray, r: np.ndarray, J: np.ndarray) -> np.ndarray:
    """The step to the minimum of the linear problem within the bounds."""
    low, high = model.bounds.T
    free = np.ones(x.size, dtype=bool)
    for _ in range(x.size):
        scale = np.linalg.norm(J[:, free], axis=0)
        if np.any(scale == 0.0):
            name = np.array(model.names)[free][scale == 0.0][0]
            raise ParameterRangeError(f"no likelihood and no prior constrains '{name}'")
        step = np.zeros_like(x)
        step[free] = np.linalg.lstsq(J[:, free] / scale, -r, rcond=1e-12)[0] / scale
        blocked = free & (((x <= low) & (step < 0.0)) | ((x >= high) & (step > 0.0)))
        if not np.any(blocked):
            return np.clip(x + step, low, high) - x
        free &= ~blocked
    return np.zeros_like(x)


def _descend(model: Model, x: np.ndarray, step: np.ndarray, chi2: float, tolerance: float) -> Any:
    """The first of x + step, x + step/2, ... where chi2 is no larger."""
    for _ in range(_MAX_HALVINGS):
        try:
            trial = model.linearize(x + step)
        except BoltzaxError:
            trial = None
        if trial is not None and float(trial[1] @ trial[1]) <= chi2 + 0.1 * tolerance:
            return x + step, trial
        step = 0.5 * step
    raise ConvergenceError(f"chi2 = {chi2:.6g} falls nowhere along the Gauss-Newton step at {model.values(x)}")
