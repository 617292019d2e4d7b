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

    Tensor modes have curves of their own, and BB then a logarithmic scale; a nonlinear P(k) is dashed.

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
    lensed = results.lensed_cl.D_l("muK2")
    ell = np.asarray(lensed.ell)[2:]
    for axes, name in zip(panels, ("tt", "ee", "te", "bb"), strict=False):
        _plot_angular(axes, results, name)
    panels[0].legend(frameon=False)
    panels[4].loglog(ell, np.asarray(lensed.pp)[2:], color=BLUE, lw=1.3)
    label_axes(panels[4], r"$\ell$", r"$[\ell(\ell+1)]^2\,C_\ell^{\phi\phi}/2\pi$")
    panels[4].set_xlim(2, ell[-1])
    _plot_power(panels[5], results, np.geomspace(1e-4, 0.5, 300) if k is None else np.asarray(k), z)
    if title:
        figure.suptitle(title)
    figure.savefig(path, dpi=150)


def _plot_angular(axes: Any, results: Any, name: str) -> None:
    """One of tt, ee, te, bb: unlensed, lensed, and of tensor modes."""
    curves = [("unlensed", GREY, 1.0), ("lensed", BLUE, 1.3), ("tensor", RED, 1.0)]
    hidden = {"unlensed"} if name == "bb" else set()
    hidden |= {"tensor"} if results.tensor_cl is None else set()
    for kind, colour, width in curves:
        if kind not in hidden:
            D_l = getattr(results, f"{kind}_cl").D_l("muK2")
            ell, values = np.asarray(D_l.ell)[2:], np.asarray(getattr(D_l, name))[2:]
            solved = slice(None, int(np.max(np.nonzero(values), initial=0)) + 1)  # tensors end before the rest
            axes.plot(ell[solved], values[solved], color=colour, lw=width, label=kind)
    label_axes(axes, r"$\ell$", rf"$\ell(\ell+1)\,C_\ell^{{{name.upper()}}}/2\pi\;[\mu\mathrm{{K}}^2]$")
    total = results.lensed_cl.D_l("muK2")
    axes.set_xlim(2, np.asarray(total.ell)[-1])
    if name == "te":
        axes.axhline(0.0, color="black", lw=0.5)
    elif name == "bb" and results.tensor_cl is not None:
        top = np.asarray(total.bb)[2:].max()
        axes.set(xscale="log", yscale="log", ylim=(1e-5 * top, 2.0 * top))
    else:
        axes.set_ylim(bottom=0.0)


def _plot_power(axes: Any, results: Any, k: np.ndarray, z: tuple[float, ...]) -> None:
    """P(k), linear and nonlinear."""
    for i, redshift in enumerate(z):
        curve = {"color": BLUE, "alpha": 1.0 - 0.6 * i / len(z), "lw": 1.3}
        axes.loglog(k, np.asarray(results.pk_lin(k, redshift)), label=f"linear, z = {redshift:g}", **curve)
        if results.nonlinear is not None:
            label = f"{results.nonlinear}, z = {redshift:g}"
            axes.loglog(k, np.asarray(results.pk(k, redshift)), ls="--", label=label, **curve)
    label_axes(axes, r"$k\;[\mathrm{Mpc}^{-1}]$", r"$P(k)\;[\mathrm{Mpc}^3]$")
    axes.legend(frameon=False)


def plot_comparison(
    differences: Mapping[str, np.ndarray],
    path: str | os.PathLike,
    k: np.ndarray,
    title: str | None = None,
    reference: str = "CLASS",
) -> None:
    """Draw relative differences (as `boltzax.comparison.differences` returns them) into an image file.

    Args:
        differences: TT, EE, TE, BB lensed, TT, EE, TE unlensed, pp on l = 0..l_max, and pk (pk_nonlinear) on k.
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
    panels[5].semilogx(k, np.asarray(differences["pk"]), color=BLUE, lw=1.0, label="linear")
    if "pk_nonlinear" in differences:
        panels[5].semilogx(k, np.asarray(differences["pk_nonlinear"]), color=GREY, lw=1.0, label="nonlinear")
    label_axes(panels[5], r"$k\;[\mathrm{Mpc}^{-1}]$", r"$\Delta P/P$ at z = 0" + of)
    for axes in panels:
        axes.axhline(0.0, color="black", lw=0.5)
        axes.axhline(5e-4, color=RED, lw=0.8, ls=":", label="±5e-4")
        axes.axhline(-5e-4, color=RED, lw=0.8, ls=":")
        axes.ticklabel_format(axis="y", style="sci", scilimits=(-2, 2), useMathText=True)
    for axes in panels[:: 5 if "pk_nonlinear" in differences else 6]:
        axes.legend(frameon=False)
    if title:
        figure.suptitle(title)
    figure.savefig(path, dpi=150)
