"""Planck PR4 lensing band powers, marginalised over the CMB spectra.

Carron, Mirmelstein & Lewis (2022), arXiv:2206.07773.
"""

import os

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from boltzax.errors import LikelihoodDataError
from boltzax.inference.files import read_files, read_table
from boltzax.inference.likelihood import Likelihood, whitening

__all__ = ["PlanckLensing"]

_SOURCE = "https://github.com/carronj/planck_PR4_lensing (folder planckpr4lensing/data_pr4)"
_STEM = "pp_consext8_npipe_smicaed_TiPi_jTP_pre30T_kfilt_rdn0cov_PS1"
_N = 9
_BANDS, _COVARIANCE = f"{_STEM}_bandpowers.dat", f"{_STEM}_CMBmarged_cov.dat"
_CORRECTION = f"{_STEM}_CMBmarged_lensing_fiducial_correction.dat"
_WINDOWS = tuple(f"{_STEM}_window/window{i + 1}.dat" for i in range(_N))
_SLOPES = tuple(f"{_STEM}_CMBmarged_lens_delta_window/window{i + 1}.dat" for i in range(_N))
_SHA256 = "9001c663ad3813935d6faeac6be6537e9d693464d3c82121bbbb60bfbdf0590f"


class PlanckLensing(Likelihood):
    """Gaussian likelihood of nine band powers of [L(L+1)]^2 C_L^phiphi / 2 pi, 8 <= L <= 400.

    The band powers of a theory are W D + (W' D - c): windows W, and the linear response W' of the normalisation and
    the N1 bias to the lensing spectrum around the fiducial model, for which the response is c.

    data: the folder with the files (or a folder above it; default: BOLTZAX_DATA). Raises LikelihoodDataError and
    ChecksumError (see `boltzax.inference.files.read_files`).
    """

    bandpowers: Float[Array, " data"]
    response: Float[Array, "data l"]
    correction: Float[Array, " data"]
    whiten: Float[Array, "data data"]
    name: str = eqx.field(static=True, default="Planck PR4 lensing")
    l_max: int = eqx.field(static=True, default=2500)
    z: tuple[float, ...] = eqx.field(static=True, default=())
    nuisance: tuple[tuple[str, float, float], ...] = eqx.field(static=True, default=())

    def __init__(self, data: str | os.PathLike | None = None, sha256: str | None = _SHA256):
        names = (_BANDS, _COVARIANCE, _CORRECTION, *_WINDOWS, *_SLOPES)
        files = read_files(data, names, sha256, "Planck PR4 lensing", _SOURCE)
        bands = read_table(files[_BANDS], 7, _BANDS)
        correction = read_table(files[_CORRECTION], 2, _CORRECTION)
        covariance = read_table(files[_COVARIANCE], None, _COVARIANCE)
        if len(bands) != _N or len(correction) != _N or covariance.shape != (_N, _N):
            raise LikelihoodDataError(f"Planck PR4 lensing: {len(bands)} band powers, covariance {covariance.shape}")
        response = np.zeros((_N, 2501))
        for group in (_WINDOWS, _SLOPES):
            for row, name in zip(response, group, strict=True):
                ell, weight = read_table(files[name], 2, name).T
                row[ell.astype(int)] += weight
        self.bandpowers, self.correction = jnp.asarray(bands[:, 4]), jnp.asarray(correction[:, 1])
        self.response = jnp.asarray(response)
        self.whiten = jnp.asarray(whitening(covariance, self.name))

    def model(self, theory) -> Float[Array, " data"]:
        """Band powers of the theory."""
        return self.response @ theory.pp[: self.l_max + 1] - self.correction

    def residuals(self, theory, nuisance):
        return self.whiten @ (self.bandpowers - self.model(theory))
