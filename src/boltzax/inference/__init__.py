"""Inference with real data: likelihoods, best fits, samplers, forecasts, and the interfaces of other programs.

`Model` joins likelihoods (`PlikLite`, `LowTT`, `LowEE`, `PlanckLensing`, `DESI`) with free parameters and priors; `fit`
finds its best fit and Fisher matrix, `importance_sample` and `nuts` its posterior. cobaya, candl, numpyro, blackjax,
getdist and arviz are imported only where they are used.
"""

from boltzax.inference.bao import DESI
from boltzax.inference.chains import Chain
from boltzax.inference.laplace import importance_sample
from boltzax.inference.lensing import PlanckLensing
from boltzax.inference.likelihood import Likelihood
from boltzax.inference.model import LCDM, Model
from boltzax.inference.newton import BestFit, fit
from boltzax.inference.observables import Observables, Theory
from boltzax.inference.planck import TAU_LOWE, LowEE, LowTT, PlikLite

__all__ = [
    "DESI",
    "LCDM",
    "TAU_LOWE",
    "BestFit",
    "Chain",
    "Likelihood",
    "LowEE",
    "LowTT",
    "Model",
    "Observables",
    "PlanckLensing",
    "PlikLite",
    "Theory",
    "fit",
    "importance_sample",
]
