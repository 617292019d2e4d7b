"""Planck 2018 power spectra: plik-lite at high l, two temperature bins and three polarisation bins at low l.

Data: Planck Collaboration V (2020), arXiv:1907.12875, as repacked by Prince & Dunkley (2019), arXiv:1909.05869.
"""

import os

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from boltzax.errors import LikelihoodDataError
from boltzax.inference.files import read_files, read_fortran_matrix, read_table
from boltzax.inference.likelihood import Likelihood, whitening

__all__ = ["A_PLANCK", "TAU_LOWE", "LowEE", "LowTT", "PlikLite"]

#: calibration of the maps and its error (arXiv:1907.12875, section 3.3.4)
A_PLANCK = ("A_planck", 1.0, 0.0025)
#: optical depth from low-l EE alone, mean and standard deviation (arXiv:1807.06209, eq. 9)
TAU_LOWE = (0.0506, 0.0086)

_SOURCE = "https://github.com/heatherprince/planck-lite-py (folder data; the files belong to Planck)"
_HIGH = ("cl_cmb_plik_v22.dat", "c_matrix_plik_v22.dat", "blmin.dat", "blmax.dat", "bweight.dat")
_HIGH_SHA256 = "21a65c2cafeea0a2b16307e343c1f9fd340caa90a67857a46382c1e08a4dd0b9"
_LOW = ("CTT_bin_low_ell_2018.dat", "blmin_low_ell.dat", "blmax_low_ell.dat", "bweight_low_ell.dat")
_LOW_SHA256 = "15d58753f69989717f2d0ba697ad7621ea1d07113e724c7e536074633863c483"
_SPECTRA = {"TTTEEE": ("tt", "te", "ee"), "TT": ("tt",), "TE": ("te",), "EE": ("ee",)}
_L_FIRST = {"high": 30, "low": 2}


def _bins(minima: np.ndarray, maxima: np.ndarray, weights: np.ndarray, l_first: int) -> np.ndarray:
    """Matrix [bins, l_max + 1] from D_l, l >= 0, to binned C_l."""
    weights = weights[: maxima.max() + 1]
    ell = np.arange(weights.size) + l_first
    matrix = np.zeros((minima.size, ell[-1] + 1))
    for row, low, high in zip(matrix, minima, maxima, strict=True):
        part = slice(low, high + 1)
        row[ell[part]] = weights[part] * 2.0 * np.pi / (ell[part] * (ell[part] + 1.0))
    return matrix


def _integers(content: bytes, name: str) -> np.ndarray:
    return read_table(content, 1, name)[:, 0].astype(int)


class PlikLite(Likelihood):
    """Planck 2018 high-l TT, TE, EE with foregrounds marginalised (plik-lite, 30 <= l <= 2508).

    data: the folder with the files (or a folder above it; default: BOLTZAX_DATA). spectra: "TTTEEE", "TT", "TE" or
    "EE". Its parameter A_planck divides the theory squared. ln L carries no constant: it vanishes at zero residuals.

    Raises LikelihoodDataError, ChecksumError (see `boltzax.inference.files.read_files`) and ValueError for spectra.
    """

    bandpowers: Float[Array, " data"]
    bins: tuple[Float[Array, "bins l"], ...]
    whiten: Float[Array, "data data"]
    spectra: tuple[str, ...] = eqx.field(static=True)
    name: str = eqx.field(static=True)
    l_max: int = eqx.field(static=True)
    z: tuple[float, ...] = eqx.field(static=True, default=())
    nuisance: tuple[tuple[str, float, float], ...] = eqx.field(static=True, default=(A_PLANCK,))

    def __init__(
        self, data: str | os.PathLike | None = None, spectra: str = "TTTEEE", sha256: str | None = _HIGH_SHA256
    ):
        if spectra not in _SPECTRA:
            raise ValueError(f"unknown spectra '{spectra}': choose one of {', '.join(_SPECTRA)}")
        files = read_files(data, _HIGH, sha256, "Planck 2018 plik-lite", _SOURCE)
        table = read_table(files["cl_cmb_plik_v22.dat"], 3, "cl_cmb_plik_v22.dat")
        matrix = read_fortran_matrix(files["c_matrix_plik_v22.dat"], len(table), "c_matrix_plik_v22.dat")
        covariance = np.tril(matrix) + np.tril(matrix, -1).T  # the other triangle is not to be trusted
        starts = [0, *(np.flatnonzero(np.diff(table[:, 0]) < 0) + 1), len(table)]  # l begins anew with each spectrum
        sizes = np.diff(starts)
        low, high = (_integers(files[name], name)[: sizes[0]] for name in ("blmin.dat", "blmax.dat"))
        if len(sizes) != 3 or len(low) != max(sizes) or len(high) != len(low):
            raise LikelihoodDataError(f"plik-lite: {sizes} band powers of TT, TE, EE do not fit {len(low)} bins")
        bins = _bins(low, high, read_table(files["bweight.dat"], 1, "bweight.dat")[:, 0], _L_FIRST["high"])
        rows = {s: slice(*starts[i : i + 2]) for i, s in enumerate(("tt", "te", "ee"))}
        n_bins = dict(zip(rows, sizes, strict=True))  # TE and EE share the first bins of TT
        self.spectra = _SPECTRA[spectra]
        used = np.concatenate([np.arange(len(table))[rows[s]] for s in self.spectra])
        self.bandpowers = jnp.asarray(table[used, 1])
        self.bins = tuple(jnp.asarray(bins[: n_bins[s]]) for s in self.spectra)
        self.whiten = jnp.asarray(whitening(covariance[np.ix_(used, used)], "plik-lite"))
        self.name = f"plik-lite {spectra}"
        self.l_max = bins.shape[1] - 1

    def model(self, theory) -> Float[Array, " data"]:
        """Binned C_l [muK^2] of the theory, before calibration."""
        n = self.l_max + 1
        return jnp.concatenate([b @ getattr(theory, s)[:n] for s, b in zip(self.spectra, self.bins, strict=True)])

    def residuals(self, theory, nuisance):
        return self.whiten @ (self.bandpowers - self.model(theory) / nuisance["A_planck"] ** 2)


class LowTT(Likelihood):
    """Planck 2018 TT at 2 <= l < 30 as two Gaussian bins, in place of commander (arXiv:1909.05869, section 2).

    Arguments and errors as for `PlikLite`; the calibration A_planck applies as well.
    """

    bandpowers: Float[Array, " bins"]
    sigma: Float[Array, " bins"]
    bins: Float[Array, "bins l"]
    name: str = eqx.field(static=True, default="low-l TT")
    l_max: int = eqx.field(static=True, default=29)
    z: tuple[float, ...] = eqx.field(static=True, default=())
    nuisance: tuple[tuple[str, float, float], ...] = eqx.field(static=True, default=(A_PLANCK,))

    def __init__(self, data: str | os.PathLike | None = None, sha256: str | None = _LOW_SHA256):
        files = read_files(data, _LOW, sha256, "the low-l TT bins of Planck 2018", _SOURCE)
        table = read_table(files[_LOW[0]], 3, _LOW[0])
        low, high = (_integers(files[name], name) for name in _LOW[1:3])
        weights = read_table(files[_LOW[3]], 1, _LOW[3])[:, 0]
        if len(low) != len(table) or len(high) != len(table):
            raise LikelihoodDataError(f"low-l TT: {len(table)} band powers for {len(low)} bins")
        self.bandpowers, self.sigma = jnp.asarray(table[:, 1]), jnp.asarray(table[:, 2])
        self.bins = jnp.asarray(_bins(low, high, weights, _L_FIRST["low"]))
        self.l_max = self.bins.shape[1] - 1

    def residuals(self, theory, nuisance):
        model = self.bins @ theory.tt[: self.l_max + 1] / nuisance["A_planck"] ** 2
        return (self.bandpowers - model) / self.sigma


class LowEE(Likelihood):
    """Planck 2018 EE at 2 <= l < 30: a shifted lognormal in the mean D_l of three bins.

    An approximation to simall fitted by Prince & Dunkley (2022), arXiv:2104.05715: the density of D in a bin is
    exp(-(ln(D - D_0) - mu)^2 / 2 sigma^2) / ((D - D_0) sigma sqrt(2 pi)). In y = ln(D - D_0) it is a Gaussian with mean
    mu - sigma^2, so that residuals exist; ln L is normalised as in the source. It needs no data files.
    """

    name: str = eqx.field(static=True, default="low-l EE")
    l_max: int = eqx.field(static=True, default=29)
    z: tuple[float, ...] = eqx.field(static=True, default=())
    nuisance: tuple[tuple[str, float, float], ...] = eqx.field(static=True, default=())

    # l_min, l_max, mu, sigma, D_0 [muK^2]
    _BINS = np.array(
        [
            [2, 5, -3.2021233001783513, 0.5113593277417658, 0.0],
            [6, 9, -3.9973872345587576, 0.3458173715614616, -0.01851179682534038],
            [10, 29, -3.358413048106572, 0.1138409519592051, -0.03462076357220606],
        ]
    )

    def residuals(self, theory, nuisance):
        low, high, mu, sigma, shift = self._BINS.T
        mean = jnp.stack([jnp.mean(theory.ee[int(a) : int(b) + 1]) for a, b in zip(low, high, strict=True)])
        return (jnp.log(mean - shift) - mu + sigma**2) / sigma

    def constant(self) -> float:
        _, _, mu, sigma, _ = self._BINS.T
        return float(np.sum(0.5 * sigma**2 - mu - np.log(sigma * np.sqrt(2.0 * np.pi))))
