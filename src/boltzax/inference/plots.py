"""Figures of inference: corner plots, and the best fit with residuals against the data."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from boltzax.errors import MissingDependencyError
from boltzax.inference.chains import Chain
from boltzax.inference.newton import BestFit
from boltzax.inference.planck import PlikLite
from boltzax.plots import BLUE, GREY, RED, label_axes, new_figure

__all__ = ["plot_best_fit", "plot_corner"]


def plot_corner(
    chains: Sequence[Chain],
    path: str | os.PathLike,
    names: Sequence[str] | None = None,
    best: BestFit | None = None,
    published: Mapping[str, tuple[float, float]] | None = None,
) -> None:
    """Draw one- and two-dimensional marginal posteriors (getdist) into an image file.

    chains: one or several, drawn over each other. names: parameters (default: the sampled ones of the first chain).
    best: adds the Gaussian of the Fisher matrix. published: mean and standard deviation by name, drawn as bands.

    Raises MissingDependencyError without getdist or matplotlib.
    """
    try:
        import matplotlib
        from getdist import plots as getdist_plots
        from getdist.gaussian_mixtures import GaussianND
    except ImportError as error:
        raise MissingDependencyError.from_package(error.name or "getdist", "inference", "a corner plot") from error
    names = list(names or chains[0].sampled)
    samples = [chain.to_getdist() for chain in chains]
    for one in samples:
        one.updateSettings({"smooth_scale_1D": 0.4, "smooth_scale_2D": 0.6})
    colours = [BLUE, RED, GREY]
    if best is not None:
        from boltzax.inference.model import LABELS

        labels = [LABELS.get(name, name) for name in best.model.names]
        samples.append(GaussianND(best.x, best.covariance, names=list(best.model.names), labels=labels, label="Fisher"))
    with matplotlib.rc_context({"backend": "agg"}):
        plotter = getdist_plots.get_subplot_plotter(width_inch=1.4 * len(names) + 1.5)
        plotter.settings.alpha_filled_add = 0.7
        plotter.triangle_plot(
            samples, names, filled=[True] * len(chains) + [False] * (best is not None),
            legend_labels=[*(chain.name for chain in chains), *(["Fisher"] if best is not None else [])],
            contour_colors=[*colours[: len(chains)], *(["black"] if best is not None else [])],
        )  # fmt: skip
        for i, name in enumerate(names):
            if published and name in published:
                mean, sigma = published[name]
                plotter.subplots[i, i].axvspan(mean - sigma, mean + sigma, color=GREY, alpha=0.3, lw=0)
        plotter.export(os.fspath(path))


def plot_best_fit(best: BestFit, path: str | os.PathLike, title: str | None = None) -> None:
    """Draw the band powers of plik-lite, the best-fit spectra and the residuals in units of their errors.

    Raises MissingDependencyError without matplotlib, ValueError if the model holds no plik-lite.
    """
    likes = [like for like in best.model.likelihoods if isinstance(like, PlikLite)]
    if not likes:
        raise ValueError("plot_best_fit draws plik-lite, which is not among the likelihoods of this model")
    like = likes[0]
    calibration = best.model.nuisance(best.x).get("A_planck", 1.0) ** 2
    figure = new_figure((4.6 * len(like.spectra), 6.0))
    rows = figure.subplots(2, len(like.spectra), squeeze=False, sharex="col", height_ratios=[2.2, 1.0])
    covariance = np.linalg.inv(np.asarray(like.whiten.T @ like.whiten))
    model, start = np.asarray(like.model(best.theory)) / calibration, 0
    for column, (name, bins) in enumerate(zip(like.spectra, like.bins, strict=True)):
        part = slice(start, start + len(bins))
        start += len(bins)
        _panel(rows[:, column], name, best, np.asarray(bins), like, model[part], part, covariance)
    if title:
        figure.suptitle(title)
    figure.savefig(path, dpi=150)


def _panel(
    axes: Any, name: str, best: BestFit, bins: np.ndarray, like: PlikLite, model, part: slice, covariance
) -> None:
    """One spectrum: band powers as D_l with errors above, residuals below."""
    ell = np.arange(bins.shape[1])
    weight = bins.sum(axis=1)  # C_l per D_l in each bin
    centre = bins @ ell / weight
    data = np.asarray(like.bandpowers[part])
    sigma = np.sqrt(np.diag(covariance))[part]
    axes[0].errorbar(centre, data / weight, sigma / weight, fmt=".", ms=2.5, lw=0.7, color=GREY, label="Planck 2018")
    axes[0].plot(ell[2:], np.asarray(getattr(best.theory, name))[2 : ell.size], color=BLUE, lw=1.2, label="best fit")
    label_axes(axes[0], "", rf"$D_\ell^{{{name.upper()}}}\;[\mu\mathrm{{K}}^2]$")
    axes[0].set_xlim(2, centre[-1] + 20)
    axes[1].axhline(0.0, color="black", lw=0.5)
    axes[1].plot(centre, (data - model) / sigma, ".", ms=2.5, color=BLUE)
    axes[1].set_ylim(-4.5, 4.5)
    label_axes(axes[1], r"$\ell$", r"$(D_\ell - \mathrm{fit})/\sigma$")
    if name == "tt":
        axes[0].legend(frameon=False)
