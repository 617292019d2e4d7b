"""Baryon acoustic oscillations: DESI DR1 (arXiv:2404.03000-2) and DR2 (arXiv:2503.14738, 2503.14739)."""

import os

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from boltzax.errors import LikelihoodDataError
from boltzax.inference.files import read_files, read_table
from boltzax.inference.likelihood import Likelihood, whitening

__all__ = ["DESI"]

_SOURCE = "https://github.com/CobayaSampler/bao_data"
_RELEASES = {
    "DR1": ("desi_2024_gaussian_bao_ALL_GCcomb", "1c823f7a54c0ffec9d17ae9275e06319b77e50bc5fa791e5b64700668f6f1349"),
    "DR2": ("desi_gaussian_bao_ALL_GCcomb", "a1f3f8ff06db6f3321478c00e0a76037b06e03009e16872449d74dee0b713ea4"),
}
_QUANTITIES = ("DV_over_rs", "DM_over_rs", "DH_over_rs")


class DESI(Likelihood):
    """Gaussian likelihood of distances over the sound horizon at the drag epoch, all tracers of a release.

    D_M is the transverse comoving distance, D_H = 1/H, D_V = (z D_M^2 D_H)^(1/3). Each row of the data says which of
    them it is: the order differs between releases.

    data: the folder with the files (or a folder above it; default: BOLTZAX_DATA). release: "DR1" or "DR2". Raises
    LikelihoodDataError, ChecksumError (see `boltzax.inference.files.read_files`) and ValueError for a release.
    """

    values: Float[Array, " data"]
    whiten: Float[Array, "data data"]
    quantities: tuple[str, ...] = eqx.field(static=True)
    rows: tuple[int, ...] = eqx.field(static=True)
    name: str = eqx.field(static=True)
    z: tuple[float, ...] = eqx.field(static=True)
    l_max: int = eqx.field(static=True, default=2)
    nuisance: tuple[tuple[str, float, float], ...] = eqx.field(static=True, default=())

    def __init__(self, data: str | os.PathLike | None = None, release: str = "DR2", sha256: str | None = "release"):
        """sha256: "release" for the known contents of the release, None to read any files of its names."""
        if release not in _RELEASES:
            raise ValueError(f"unknown release '{release}': choose one of {', '.join(_RELEASES)}")
        stem, known = _RELEASES[release]
        mean, covariance = f"{stem}_mean.txt", f"{stem}_cov.txt"
        self.name = f"DESI {release} BAO"
        files = read_files(data, (mean, covariance), known if sha256 == "release" else sha256, self.name, _SOURCE)
        rows = [line.split() for line in files[mean].decode().splitlines() if line.strip() and line[0] != "#"]
        try:
            z, values, self.quantities = zip(*((float(a), float(b), c) for a, b, c in rows), strict=True)
        except ValueError as error:
            raise LikelihoodDataError(f"{mean} is not a table of redshift, value, quantity: {error}") from error
        unknown = [q for q in self.quantities if q not in _QUANTITIES]
        if unknown:
            raise LikelihoodDataError(f"{mean}: unknown quantity '{unknown[0]}' (known: {', '.join(_QUANTITIES)})")
        matrix = read_table(files[covariance], len(values), covariance)
        self.values, self.whiten = jnp.asarray(values), jnp.asarray(whitening(matrix, self.name))
        self.z = tuple(sorted(set(z)))
        self.rows = tuple(self.z.index(value) for value in z)

    def model(self, theory) -> Float[Array, " data"]:
        """Distances over the sound horizon, in the order of the data."""
        z = np.asarray(self.z)
        place = jnp.argmin(jnp.abs(theory.z[None, :] - z[:, None]), axis=1)  # the theory may hold further redshifts
        D_M, D_H = theory.distance[place], 1.0 / theory.hubble[place]
        every = {"DM_over_rs": D_M, "DH_over_rs": D_H, "DV_over_rs": jnp.cbrt(z * D_M**2 * D_H)}
        rows = [every[q][i] for q, i in zip(self.quantities, self.rows, strict=True)]
        return jnp.stack(rows) / theory.rs_drag

    def residuals(self, theory, nuisance):
        return self.whiten @ (self.values - self.model(theory))
