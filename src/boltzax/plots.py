"""Figures of spectra and of their differences from a reference; matplotlib is imported only when one is drawn."""

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from boltzax.errors import MissingDependencyError

__all__ = ["BLUE", "GREY", "RED", "label_axes", "new_figure", "plot_comparison", "plot_spectra", "require_matplotlib"]

BLUE, GREY, RED = "#1f5fa8", "#9aa3ad", "#b8412f"


def require_matplotlib() -> None:
    """Raise `MissingDependencyError` unless matplotlib is installed."""
    new_figure((1.0, 1.0))


def new_figure(size: tuple[float, float]) -> Any:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingDependencyError.from_package("matplotlib", "plots", "drawing a figure") from error
    figure = Figure(figsize=size, layout="constrained")  # no pyplot: no window system and no global state
    figure.get_layout_engine().set(w_pad=0.12, h_pad=0.1)
    return figure


def label_axes(axes: Any, x: str, y: str) -> None:
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.tick_params(direction="in", which="both", top=True, right=True)


def plot_spectra(
    results: Any,
    path: str | os.PathLike,
    k: np.ndarray | None = None,
    z: tuple[float, ...] = (0.0,),
    title: str | None = None,
) -> None:
    """Draw lensed and unlensed TT, EE, TE, lensed BB [muK^2], C_l^phiphi and P(k) [Mpc^3] into an image file.

    Args:
        results: what `boltzax.solve` returns.
        path: the file; its ending chooses the format.
        k: wavenumbers [1/Mpc] of the P(k) panel.
        z: redshifts of the P(k) panel.
        title: a line above the panels.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    figure = new_figure((12.0, 7.0))
    panels = figure.subplots(2, 3).ravel()
    lensed, unlensed = results.lensed_cl.D_l("muK2"), results.unlensed_cl.D_l("muK2")
    ell = np.asarray(lensed.ell)[2:]
    names = (("tt", "TT"), ("ee", "EE"), ("te", "TE"), ("bb", "BB"))
    for axes, (name, text) in zip(panels, names, strict=False):
        if name != "bb":
            values = np.asarray(getattr(unlensed, name))[2:]
            axes.plot(np.asarray(unlensed.ell)[2:], values, color=GREY, lw=1.0, label="unlensed")
        axes.plot(ell, np.asarray(getattr(lensed, name))[2:], color=BLUE, lw=1.3, label="lensed")
        label_axes(axes, r"$\ell$", rf"$\ell(\ell+1)\,C_\ell^{{{text}}}/2\pi\;[\mu\mathrm{{K}}^2]$")
        axes.set_xlim(2, ell[-1])
        if name == "te":
            axes.axhline(0.0, color="black", lw=0.5)
        else:
            axes.set_ylim(bottom=0.0)
    panels[0].legend(frameon=False)
    panels[4].loglog(ell, np.asarray(lensed.pp)[2:], color=BLUE, lw=1.3)
    label_axes(panels[4], r"$\ell$", r"$[\ell(\ell+1)]^2\,C_\ell^{\phi\phi}/2\pi$")
    panels[4].set_xlim(2, ell[-1])
    k = np.geomspace(1e-4, 0.5, 300) if k is None else np.asarray(k)
    for i, redshift in enumerate(z):
        shade = 1.0 - 0.6 * i / len(z)
        panels[5].loglog(
            k, np.asarray(results.pk_lin(k, redshift)), color=BLUE, alpha=shade, lw=1.3, label=f"z = {redshift:g}"
        )
    label_axes(panels[5], r"$k\;[\mathrm{Mpc}^{-1}]$", r"$P_\mathrm{lin}(k)\;[\mathrm{Mpc}^3]$")
    panels[5].legend(frameon=False)
    if title:
        figure.suptitle(title)
    figure.savefig(path, dpi=150)


def plot_comparison(
    differences: Mapping[str, np.ndarray],
    path: str | os.PathLike,
    k: np.ndarray,
    title: str | None = None,
    reference: str = "CLASS",
) -> None:
    """Draw relative differences (as `boltzax.comparison.differences` returns them) into an image file.

    Args:
        differences: TT, EE, TE, BB lensed, TT, EE, TE unlensed, pp on l = 0..l_max, and pk on k.
        path: the file; its ending chooses the format.
        k: wavenumbers [1/Mpc] of differences["pk"].
        title: a line above the panels.
        reference: name of what was compared with.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    figure = new_figure((12.0, 7.0))
    panels = figure.subplots(2, 3).ravel()
    of = f" from {reference}"
    rows = (
        (r"$\Delta C^{TT}/C^{TT}$" + of, "tt"),
        (r"$\Delta C^{EE}/C^{EE}$" + of, "ee"),
        (r"$\Delta C^{TE}/\sqrt{C^{TT}C^{EE}}$" + of, "te"),
        (r"$\Delta C^{BB}/C^{BB}$" + of, "bb"),
        (r"$\Delta C^{\phi\phi}/C^{\phi\phi}$" + of, "pp"),
    )
    for axes, (text, name) in zip(panels, rows, strict=False):
        curves = [("unlensed_" + name, GREY, "unlensed"), ("lensed_" + name, BLUE, "lensed"), (name, BLUE, None)]
        for key, colour, label in curves:
            if key in differences:
                values = np.asarray(differences[key])
                axes.semilogx(np.arange(2, len(values)), values[2:], color=colour, lw=1.0, label=label)
        axes.set_xlim(2, len(values) - 1)
        label_axes(axes, r"$\ell$", text)
    panels[5].semilogx(k, np.asarray(differences["pk"]), color=BLUE, lw=1.0)
    label_axes(panels[5], r"$k\;[\mathrm{Mpc}^{-1}]$", r"$\Delta P/P$ at z = 0" + of)
    for axes in panels:
        axes.axhline(0.0, color="black", lw=0.5)
        axes.axhline(5e-4, color=RED, lw=0.8, ls=":", label="±5e-4")
        axes.axhline(-5e-4, color=RED, lw=0.8, ls=":")
        axes.ticklabel_format(axis="y", style="sci", scilimits=(-2, 2), useMathText=True)
    panels[0].legend(frameon=False)
    if title:
        figure.suptitle(title)
    figure.savefig(path, dpi=150)
