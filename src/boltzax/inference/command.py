"""What `boltzax fit` does: a model from the command line, its best fit, samples, files and figures."""

import argparse
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from boltzax.errors import ParameterRangeError, UnknownParameterError
from boltzax.inference.bao import DESI
from boltzax.inference.chains import Chain
from boltzax.inference.laplace import importance_sample
from boltzax.inference.lensing import PlanckLensing
from boltzax.inference.model import LCDM, Model
from boltzax.inference.newton import BestFit, fit
from boltzax.inference.nuts import ENGINES, nuts, with_derived
from boltzax.inference.observables import NONLINEAR
from boltzax.inference.planck import TAU_LOWE, LowEE, LowTT, PlikLite
from boltzax.precision import NONLINEAR as METHODS
from boltzax.precision import Precision

__all__ = ["LIKELIHOODS", "OPTIONS", "add_arguments", "add_nonlinear", "model", "nonlinear", "run"]

LIKELIHOODS: dict[str, Callable] = {
    "plik-lite": PlikLite,
    "plik-lite-tt": lambda data: PlikLite(data, "TT"),
    "low-tt": LowTT,
    "low-ee": lambda data: LowEE(),
    "lensing": PlanckLensing,
    "desi-dr1": lambda data: DESI(data, "DR1"),
    "desi-dr2": lambda data: DESI(data, "DR2"),
}
OPTIONS = (
    "data", "likelihoods", "free", "prior", "bounds", "nonlinear", "method", "draws", "warmup", "chains", "engine",
    "seed",
)  # fmt: skip
_METHODS = ("fisher", "importance", "nuts")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `boltzax fit` beside the cosmological parameters."""
    known = ", ".join(LIKELIHOODS)
    parser.add_argument(
        "--data", metavar="DIR", help="folder with the data of the likelihoods (default: $BOLTZAX_DATA)"
    )
    parser.add_argument("--likelihoods", default="plik-lite,low-tt,low-ee", metavar="A,B", help=f"among {known}")
    parser.add_argument("--free", default=",".join(LCDM), metavar="A,B", help="parameters to fit; others stay fixed")
    text = "Gaussian prior; tau_reio has that of low-l EE unless low-ee is among the likelihoods"
    parser.add_argument("--prior", action="append", default=[], metavar="NAME=MEAN,SIGMA", help=text)
    parser.add_argument("--bounds", action="append", default=[], metavar="NAME=LOW,HIGH", help="hard limits")
    add_nonlinear(parser, NONLINEAR, "corrections to the potential that lenses; isocurvature needs none")
    text = "fisher: best fit and Fisher matrix only; importance: samples of the Gaussian there, weighted; nuts: a chain"
    parser.add_argument("--method", choices=_METHODS, default="importance", help=text)
    parser.add_argument("--draws", type=int, default=800, metavar="N", help="samples, of each chain (800)")
    parser.add_argument(
        "--warmup", type=int, default=50, metavar="N", help="nuts: transitions that adapt the step (50)"
    )
    parser.add_argument("--chains", type=int, default=1, metavar="N", help="nuts: number of chains (1)")
    parser.add_argument("--engine", choices=ENGINES, default="numpyro", help="nuts: whose implementation")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the samples (0)")


def add_nonlinear(parser: argparse.ArgumentParser, default: str, text: str) -> None:
    """The option --nonlinear, read by `nonlinear`."""
    parser.add_argument("--nonlinear", choices=("none", *METHODS), default=default, help=f"{text} ({default})")


def nonlinear(options: argparse.Namespace) -> str | None:
    """The method of `boltzax.Outputs` that the command line names."""
    return None if options.nonlinear == "none" else options.nonlinear


def _pairs(texts: list[str], what: str) -> dict[str, tuple[float, float]]:
    out = {}
    for text in texts:
        name, _, numbers = text.partition("=")
        try:
            first, second = (float(v) for v in numbers.split(","))
        except ValueError:
            raise ParameterRangeError(f"--{what} must look like NAME=1.0,0.1, not '{text}'") from None
        out[name] = (first, second)
    return out


def model(options: argparse.Namespace, given: Mapping[str, Any], precision: Precision) -> Model:
    """The model that the options describe; given: cosmological parameters, a start if free and fixed if not."""
    for name in ("draws", "chains"):
        if getattr(options, name) < 1:
            raise ParameterRangeError(f"--{name} must be at least 1, not {getattr(options, name)}")
    chosen = options.likelihoods.split(",")
    for name in chosen:
        if name not in LIKELIHOODS:
            raise UnknownParameterError.from_name(name, LIKELIHOODS, "likelihood")
    free = options.free.split(",")
    priors = _pairs(options.prior, "prior")
    if "tau_reio" in free and "low-ee" not in chosen:
        priors.setdefault("tau_reio", TAU_LOWE)
    return Model(
        [LIKELIHOODS[name](options.data) for name in chosen],
        free=free,
        fixed={name: value for name, value in given.items() if name not in free},
        start={name: float(np.ravel(value)[0]) for name, value in given.items() if name in free},
        priors=priors,
        bounds=_pairs(options.bounds, "bounds"),
        nonlinear=nonlinear(options),
        precision=precision,
    )


def run(model: Model, options: argparse.Namespace, out: Path) -> Callable[[Path], None]:
    """Fits and samples, with checkpoints in out/checkpoint; returns what writes the results into a folder."""
    checkpoint = out / "checkpoint"
    checkpoint.mkdir(parents=True, exist_ok=True)
    file = checkpoint / "best_fit.npz"
    best = BestFit.load(file, model) if file.exists() else fit(model)
    best.save(file)
    print(best)
    chain = _sample(best, options, checkpoint)
    if chain is not None:
        print(chain.summary())

    def write(folder: Path) -> None:
        _write(folder, best, chain, plot=not options.no_plot)

    return write


def _sample(best: BestFit, options: argparse.Namespace, checkpoint: Path) -> Chain | None:
    if options.method == "importance":
        return importance_sample(best, options.draws, options.seed, checkpoint=checkpoint / "importance.npz")
    if options.method == "nuts":
        how = options.draws, options.warmup, options.chains, options.seed, options.engine
        return with_derived(best, nuts(best, *how, checkpoint=checkpoint))
    return None


def _write(folder: Path, best: BestFit, chain: Chain | None, plot: bool) -> None:
    about = best.model.describe() | {
        "best_fit": best.values,
        "sigma": dict(zip(best.model.names, best.sigma.tolist(), strict=True)),
        "derived": best.derived,
        "chi2": best.chi2,
    }
    (folder / "best_fit.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    np.savetxt(folder / "covariance.txt", best.covariance, header=" ".join(best.model.names))
    if chain is not None:
        chain.save(folder)
    if plot:
        from boltzax.inference.plots import plot_best_fit, plot_corner

        if any(isinstance(like, PlikLite) for like in best.model.likelihoods):
            plot_best_fit(best, folder / "best_fit.png")
        if chain is not None:
            plot_corner([chain], folder / "corner.png", best=best)
