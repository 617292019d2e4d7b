"""Figures: what their curves hold, and that the files are images."""

import sys

import numpy as np
import pytest

from boltzax import comparison, plots
from boltzax.errors import MissingDependencyError

ELL = np.arange(41)
K = np.geomspace(1e-3, 1.0, 7)


class Spectra:
    def __init__(self, factor):
        self.ell = ELL
        for i, name in enumerate(("tt", "te", "ee", "bb", "pp")):
            setattr(self, name, factor * (i + 1.0) / (ELL + 1.0))

    def D_l(self, unit):
        assert unit == "muK2"
        return Spectra(100.0 * self.tt[0])


class Results:
    lensed_cl, unlensed_cl, tensor_cl = Spectra(1.0), Spectra(2.0), None
    nonlinear = None

    def pk_lin(self, k, z):
        return k / (1.0 + z)

    def pk(self, k, z):
        return 3.0 * k / (1.0 + z)


class Everything(Results):
    tensor_cl, nonlinear = Spectra(0.1), "halofit"


@pytest.fixture
def drawn(monkeypatch):
    """The figures that are made, so that their curves can be read."""
    figures, make = [], plots.new_figure

    def new_figure(size):
        figures.append(make(size))
        return figures[-1]

    monkeypatch.setattr(plots, "new_figure", new_figure)
    return figures


def curves(axes):
    return {line.get_label(): line.get_ydata() for line in axes.get_lines()}


def is_png(path):
    return path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_plot_spectra(drawn, tmp_path):
    plots.plot_spectra(Results(), tmp_path / "s.png", k=K, z=(0.0, 1.0), title="spectra")
    assert is_png(tmp_path / "s.png")
    panels = drawn[0].axes
    for axes, (name, factor) in zip(panels, (("tt", 1.0), ("ee", 3.0), ("te", 2.0), ("bb", 4.0)), strict=False):
        shown = curves(axes)
        np.testing.assert_allclose(shown["lensed"], 100.0 * factor / (ELL[2:] + 1.0), err_msg=name)
        assert ("unlensed" in shown) == (name != "bb")
        if name != "bb":
            np.testing.assert_allclose(shown["unlensed"], 2.0 * shown["lensed"])
        assert name.upper() in axes.get_ylabel() and "mu" in axes.get_ylabel()
    np.testing.assert_allclose(panels[4].get_lines()[0].get_ydata(), 500.0 / (ELL[2:] + 1.0))
    np.testing.assert_allclose(curves(panels[5])["linear, z = 1"], K / 2.0)
    assert all("tensor" not in curves(axes) and axes.get_yscale() == "linear" for axes in panels[:4])
    assert len(curves(panels[5])) == 2


def test_tensors_and_nonlinear_spectra_have_curves_of_their_own(drawn, tmp_path):
    plots.plot_spectra(Everything(), tmp_path / "s.png", k=K)
    panels = drawn[0].axes
    for axes, factor in zip(panels, (1.0, 3.0, 2.0, 4.0), strict=False):
        np.testing.assert_allclose(curves(axes)["tensor"], 10.0 * factor / (ELL[2:] + 1.0))
    assert panels[3].get_yscale() == "log"
    np.testing.assert_allclose(curves(panels[5])["halofit, z = 0"], 3.0 * K)


def test_plot_comparison(drawn, tmp_path):
    relative = {name: np.full(ELL.size, (i + 1) * 1e-4) for i, name in enumerate(comparison.DIFFERENCES)}
    relative |= {"pk": np.full(K.size, 9e-4), "pk_nonlinear": np.full(K.size, 8e-4)}
    plots.plot_comparison(relative, tmp_path / "c.png", K)
    assert is_png(tmp_path / "c.png")
    names = ("tt", "ee", "te", "bb", "pp", "pk")
    for axes, name in zip(drawn[0].axes, names, strict=True):
        main = curves(axes).get("lensed", axes.get_lines()[0].get_ydata())
        key = name if name in relative else f"lensed_{name}"
        np.testing.assert_array_equal(main, relative[key][: len(main)])
        assert len(main) == (K.size if name == "pk" else ELL.size - 2)
        assert ("nonlinear" in curves(axes)) == (name == "pk")
        assert [5e-4, 5e-4] in [list(line.get_ydata()) for line in axes.get_lines()]


def test_missing_matplotlib_names_the_extra(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    for draw in (plots.require_matplotlib, lambda: plots.plot_spectra(Results(), tmp_path / "s.png")):
        with pytest.raises(MissingDependencyError, match=r"boltzax\[plots\]"):
            draw()
    assert not list(tmp_path.iterdir())
