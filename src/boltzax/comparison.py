"""Comparison of spectra with CLASS: one classy run, differences on every l and k, and their summary in bands."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np

from boltzax.compat_settings import NONLINEAR_SETTINGS
from boltzax.cosmology import Cosmology
from boltzax.errors import BoltzaxError, MissingDependencyError
from boltzax.reference_settings import CLASS_REFERENCE_K_MAX, class_reference_settings

#: names of the differences and what each is relative to
DIFFERENCES = {
    "lensed_tt": "TT lensed",
    "lensed_ee": "EE lensed",
    "lensed_te": "TE lensed / sqrt(TT EE)",
    "lensed_bb": "BB lensed",
    "unlensed_tt": "TT unlensed",
    "unlensed_ee": "EE unlensed",
    "unlensed_te": "TE unlensed / sqrt(TT EE)",
    "pp": "phiphi",
    "pk": "P(k), z = 0",
    "pk_nonlinear": "P(k) nonlinear, z = 0",
}
_L_EDGES = (2, 30, 500, 1000, 2000)
_K_EDGES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)


def import_classy() -> Any:
    """The classy module, or `MissingDependencyError`."""
    try:
        import classy
    except ImportError as error:
        raise MissingDependencyError.from_package("classy", "oracle", "comparing with CLASS") from error
    return classy


def class_spectra(
    cosmo: Cosmology, l_max: int, k: np.ndarray, reference: bool = False, nonlinear: str | None = None
) -> dict[str, np.ndarray]:
    """Spectra of the same cosmology by classy: dimensionless C_l from l = 0 and P(k, z=0) [Mpc^3] at k [1/Mpc].

    Args:
        cosmo: the cosmology.
        l_max: largest multipole.
        k: wavenumbers [1/Mpc].
        reference: whether to use the settings of `boltzax.reference_settings` (minutes) or CLASS's defaults (seconds).
        nonlinear: method of `boltzax.Outputs`, with which there is a nonlinear P(k) as well.

    Raises:
        MissingDependencyError: classy is not installed.
        BoltzaxError: CLASS refuses the parameters.
    """
    classy = import_classy()
    settings = {**cosmo.to_classy(), "output": "tCl,pCl,lCl,mPk", "lensing": "yes", "l_max_scalars": int(l_max)}
    settings |= NONLINEAR_SETTINGS.get(nonlinear, {})
    settings["P_k_max_1/Mpc"] = max(1.01 * float(np.max(k)), CLASS_REFERENCE_K_MAX if reference else 0.0)
    if reference:
        settings |= class_reference_settings(cosmo.N_ncdm)
    run = classy.Class()
    try:
        run.set(settings)
        run.compute()
        lensed, raw = run.lensed_cl(l_max), run.raw_cl(l_max)
        spectra = {f"lensed_{x}": np.array(lensed[x]) for x in ("tt", "ee", "te", "bb")}
        spectra |= {f"unlensed_{x}": np.array(raw[x]) for x in ("tt", "ee", "te")}
        spectra |= {"pp": np.array(raw["pp"]), "pk": np.array([run.pk_lin(float(ki), 0.0) for ki in k])}
        if nonlinear is not None:
            spectra["pk_nonlinear"] = np.array([run.pk(float(ki), 0.0) for ki in k])
    except (classy.CosmoSevereError, classy.CosmoComputationError) as error:
        raise BoltzaxError(f"CLASS failed: {' '.join(str(error).split())}") from error
    finally:
        run.struct_cleanup()
        run.empty()
    return spectra


def differences(spectra: Mapping[str, Any], reference: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Relative differences of those spectra of `DIFFERENCES` that both have; NaN where the reference is zero (l < 2).

    TE is relative to sqrt(TT EE) of the reference, for it crosses zero; every other spectrum to itself.
    """
    out = {}
    for name in (name for name in DIFFERENCES if name in spectra and name in reference):
        scale = np.asarray(reference[name])
        if name.endswith("te"):
            scale = np.sqrt(np.asarray(reference[name[:-2] + "tt"]) * np.asarray(reference[name[:-2] + "ee"]))
        with np.errstate(divide="ignore", invalid="ignore"):
            out[name] = np.where(
                scale == 0.0, np.nan, (np.asarray(spectra[name]) - np.asarray(reference[name])) / scale
            )
    return out


def summary(
    relative: Mapping[str, np.ndarray], l_max: int, k: np.ndarray, h: float
) -> list[tuple[str, str, float, float]]:
    """Rows (spectrum, band, largest absolute difference, root mean square), bands in l and in k [h/Mpc]."""
    ell, k_h = np.arange(l_max + 1), np.asarray(k) / h
    rows = []
    for name, label in ((name, DIFFERENCES[name]) for name in relative):
        of_k = name.startswith("pk")
        x, edges, end = (k_h, _K_EDGES, k_h[-1]) if of_k else (ell, _L_EDGES, l_max)
        edges = [edge for edge in edges if edge < end] + [end]
        for low, high in pairwise(edges):
            band = relative[name][(x >= low) & ((x < high) | (high == end))]
            band = band[np.isfinite(band)]
            if band.size:
                text = f"l {low}-{high - (high != end)}" if not of_k else f"k {low:g}-{high:g} h/Mpc"
                rows.append((label, text, float(np.max(np.abs(band))), float(np.sqrt(np.mean(band**2)))))
    return rows
