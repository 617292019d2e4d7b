"""Small data in the formats of the real files, and a theory made of formulae, for tests that need neither."""

import jax.numpy as jnp
import numpy as np

from boltzax.inference import lensing
from boltzax.inference.observables import Theory
from boltzax.results import Derived

N_TT, N_POL, WIDTH = 6, 4, 5  # bins of TT, of TE and EE, and their width


def covariance(n: int, seed: int) -> np.ndarray:
    """A symmetric positive matrix with correlations of either sign."""
    a = np.random.default_rng(seed).normal(size=(n, 2 * n))
    return a @ a.T / (2 * n)


def write_plik_lite(folder):
    """Files of plik-lite; returns band powers, covariance, and the weights of each multipole from l = 30."""
    rng = np.random.default_rng(2)
    n = N_TT + 2 * N_POL
    low = WIDTH * np.arange(N_TT)
    weights = rng.uniform(0.5, 1.5, size=WIDTH * N_TT)
    values, matrix = rng.normal(size=n), 0.01 * covariance(n, 3)
    centre = low + 32.0
    columns = [np.concatenate([centre, centre[:N_POL], centre[:N_POL]]), values, np.sqrt(np.diag(matrix))]
    np.savetxt(folder / "cl_cmb_plik_v22.dat", np.stack(columns, axis=-1))
    for name, numbers in (("blmin", low), ("blmax", low + WIDTH - 1), ("bweight", weights)):
        np.savetxt(folder / f"{name}.dat", np.tile(numbers, 3))  # the real files repeat them for each spectrum
    stored = np.tril(matrix) + np.triu(np.full((n, n), 77.0), 1)  # the other triangle holds something else
    mark = (8 * n * n).to_bytes(4, "little")
    (folder / "c_matrix_plik_v22.dat").write_bytes(mark + stored.astype("<f8").tobytes() + mark)
    return values, matrix, weights


def write_low_tt(folder):
    """Files of the low-l TT bins."""
    np.savetxt(folder / "CTT_bin_low_ell_2018.dat", [[8.5, 50.0, 5.0], [22.5, 10.0, 0.6]])
    np.savetxt(folder / "blmin_low_ell.dat", [0, 14])
    np.savetxt(folder / "blmax_low_ell.dat", [13, 27])
    np.savetxt(folder / "bweight_low_ell.dat", np.full(28, 1.0 / 14.0))


def write_lensing(folder):
    """Files of the PR4 lensing band powers; returns band powers, covariance, windows, responses, corrections."""
    rng = np.random.default_rng(4)
    bands, matrix = rng.normal(size=9), covariance(9, 5)
    ell = np.arange(8, 30)
    windows, slopes, fiducial = rng.normal(size=(9, 22)), 0.1 * rng.normal(size=(9, 22)), 0.1 * rng.normal(size=9)
    table = np.zeros((9, 7))
    table[:, 0], table[:, 4] = np.arange(1, 10), bands
    np.savetxt(folder / lensing._BANDS, table, header="bin L_min L_max L_av PP Error Ahat")
    np.savetxt(folder / lensing._COVARIANCE, matrix)
    np.savetxt(folder / lensing._CORRECTION, np.stack([np.arange(1, 10), fiducial], axis=-1))
    for names, weights in ((lensing._WINDOWS, windows), (lensing._SLOPES, slopes)):
        for name, row in zip(names, weights, strict=True):
            (folder / name).parent.mkdir(exist_ok=True)
            np.savetxt(folder / name, np.stack([ell, row], axis=-1), fmt=["%d", "%.18e"])
    return bands, matrix, windows, slopes, fiducial


def write_bao(folder, stem="desi_gaussian_bao_ALL_GCcomb"):
    """Files of a DESI release, D_H before D_M at one redshift."""
    rows = ["# [z] [value] [quantity]", "0.3 8.0 DV_over_rs", "0.7 17.0 DM_over_rs", "0.7 20.0 DH_over_rs",
            "2.3 8.6 DH_over_rs", "2.3 39.0 DM_over_rs"]  # fmt: skip
    (folder / f"{stem}_mean.txt").write_text("\n".join(rows) + "\n")
    matrix = 0.04 * covariance(5, 6)
    np.savetxt(folder / f"{stem}_cov.txt", matrix)
    return matrix


def theory(cosmo, l_max: int = 420, z=(0.3, 0.7, 2.3)) -> Theory:
    """A Theory in closed form, smooth in h, omega_b, omega_cdm, n_s, ln_A_s_1e10 and tau_reio."""
    ell = jnp.arange(l_max + 1.0)
    amplitude = jnp.exp(cosmo.ln_A_s_1e10 - 3.0 - 2.0 * cosmo.tau_reio)
    tilt = (jnp.maximum(ell, 2.0) / 40.0) ** (cosmo.n_s - 1.0)
    wave = 1.0 + 0.4 * jnp.cos(0.05 * ell * (1.0 + 0.2 * (cosmo.h - 0.67))) + 8.0 * cosmo.omega_b
    tt = 300.0 * amplitude * tilt * wave
    zero = jnp.zeros(())
    derived = Derived(**{name: zero for name in Derived.__dataclass_fields__})
    z = jnp.asarray(z, float)
    return Theory(
        tt=tt, te=0.4 * amplitude * tilt * (wave - 1.0), ee=0.05 * amplitude + 0.1 * amplitude * tilt * cosmo.omega_cdm,
        bb=zero * ell, pp=1e-1 * amplitude * jnp.exp(-ell / 20.0), z=z, hubble=2e-4 * cosmo.h * jnp.exp(z),
        distance=3000.0 * z / cosmo.h, rs_drag=147.0 + 100.0 * (cosmo.omega_cdm - 0.12), derived=derived,
    )  # fmt: skip
