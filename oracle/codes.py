"""The codes that are compared, each as a function from a point to spectra in the form of `oracle.reference.spectra`.

A point is a dict of keyword arguments of `boltzax.Cosmology`. classy and CAMB runs come from the cache of
`oracle.reference` where it has them.
"""

import hashlib
import importlib.util
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from oracle import reference as ref
from oracle import runs as finished

Point = Mapping[str, Any]
Flat = dict[str, np.ndarray]


class MissingCodeError(RuntimeError):
    """A code that is to be run is not installed."""


def require(name: str) -> None:
    """Raises MissingCodeError, with advice, if the package is not installed."""
    if importlib.util.find_spec(name) is None:
        raise MissingCodeError(f"{name} is needed and not installed: pip install 'boltzax[oracle]'")


# -- boltzax -----------------------------------------------------------------------------------------------------------


def solve(point: Point, l_max: int, precision: Any = None) -> Any:
    """`boltzax.solve` at a point (precision: Precision() unless given)."""
    import boltzax

    precision = boltzax.Precision() if precision is None else precision
    return boltzax.solve(boltzax.Cosmology(**point), boltzax.Outputs(l_max=l_max), precision)


def flatten(results: Any) -> Flat:
    """Results of boltzax in the form of `oracle.reference.spectra`; nan where it refuses a k of the tables.

    In curved space k below the first mode, which do not exist, are nan too.
    """
    from boltzax.errors import OutOfRangeError

    flat = {f"lensed_{x}": np.asarray(getattr(results.lensed_cl, x)) for x in ("tt", "te", "ee", "bb", "pp", "tp")}
    flat |= {f"unlensed_{x}": np.asarray(getattr(results.unlensed_cl, x)) for x in ("tt", "te", "ee")}
    k = ref.K_H * float(results.cosmology.h)
    flat |= {"k": k, "z": np.array(ref.Z_PK)}
    exist = k >= (0.0 if results.matter.lift is None else float(results.matter.k_modes[0]))
    for key, species in (("pk", "m"), ("pk_cb", "cb")):
        flat[key] = np.full((len(ref.Z_PK), k.size), np.nan)
        for i, z in enumerate(ref.Z_PK):
            try:
                flat[key][i, exist] = results.pk_lin(k[exist], z, species=species)
            except OutOfRangeError:
                continue
    return flat


def boltzax(point: Point, l_max: int) -> Flat:
    """boltzax at its default precision."""
    return flatten(solve(point, l_max))


@lru_cache
def package() -> dict[str, str]:
    """The boltzax that is imported: version, and a hash over every file of the package."""
    import boltzax

    folder = Path(boltzax.__file__).resolve().parent
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and "__pycache__" not in p.parts):
        digest.update(f"{path.relative_to(folder).as_posix()} {ref.sha256(path)}\n".encode())
    return {"version": str(boltzax.__version__), "hash": digest.hexdigest(), "path": str(folder)}


# -- CLASS -------------------------------------------------------------------------------------------------------------


def reference(point: Point, l_max: int) -> Flat:
    """CLASS at the reference settings for points ("point" of `oracle.reference.class_settings`)."""
    require("classy")
    return finished.cached("spectra", reference_settings(point, l_max), ref.spectra)


def reference_settings(point: Point, l_max: int) -> dict[str, Any]:
    """What `reference` gives to CLASS."""
    return ref.class_settings(point, "point") | {"l_max_scalars": l_max}


def class_default(point: Point, l_max: int) -> Flat:
    """classy at its defaults."""
    require("classy")
    settings = ref.class_settings(point, "default") | {"l_max_scalars": l_max, "P_k_max_1/Mpc": 2.0}
    return finished.cached("spectra", settings, ref.spectra)


# -- CAMB --------------------------------------------------------------------------------------------------------------


def camb_version() -> str:
    """The version of the installed CAMB."""
    import camb

    return str(camb.__version__)


def camb_default(point: Point, l_max: int) -> Flat:
    """CAMB at its defaults with lens_potential_accuracy 1.

    N_eff and helium are matched; the massive species' temperature is CAMB's own, 1e-5 of Omega_m away.
    """
    require("camb")
    return finished.cached("camb", {**camb_settings(point), "l_max": l_max}, camb_spectra, version=camb_version())


#: what `set_cosmology` of CAMB is given
_CAMB_COSMOLOGY = ("H0", "ombh2", "omch2", "omk", "TCMB", "YHe", "tau", "nnu", "mnu", "num_massive_neutrinos")
#: what converges CAMB's spectra to 1e-4 and less between l = 2 and l_max, but for its recombination
_CAMB_RAISED = {
    "margin": 1200,  # of l beyond l_max: lensed spectra at its edge are off by percents
    "lens_potential_accuracy": 4,
    "accuracy": {"AccuracyBoost": 2.0, "lAccuracyBoost": 2.0, "lSampleBoost": 12.0},
    # unlensed C_l at low l from a run of their own: they are interpolated at l = 36, 38, ... (TE to 7e-4) whatever
    # lSampleBoost, but for 50, which takes 25 GB at l_max; and at source_k = 1 EE is off by 7e-4 at its minimum near 22
    "low": {"l_max": 60, "margin": 240, "lSampleBoost": 50.0, "source_k": 4.0, "lens_potential_accuracy": 0},
}


def camb_raised(point: Point, l_max: int, early: Mapping[str, float] | None = None) -> dict[str, Any]:
    """What `camb_spectra` is given at a point, at raised accuracy; early: of its AxionEffectiveFluid (w_n, fde_zc, zc,
    theta_i)."""
    return {**camb_settings(point), "l_max": l_max, **_CAMB_RAISED, "early": dict(early) if early else None}


def camb_settings(point: Point) -> dict[str, Any]:
    """A point in the words of CAMB's `set_cosmology`, with A_s and n_s."""
    import boltzax

    cosmo = boltzax.Cosmology(**point)
    YHe = point["YHe"]
    if YHe == "BBN":  # CAMB's own table differs; the comparison is of spectra
        from boltzax.thermo.bbn import helium_fraction

        YHe = float(helium_fraction(cosmo.omega_b, cosmo.N_eff))
    curved = {"omk": float(cosmo.Omega_k)} if point.get("Omega_k") else {}
    return curved | {
        "H0": float(cosmo.H0),
        "ombh2": float(cosmo.omega_b),
        "omch2": float(cosmo.omega_cdm),
        "TCMB": float(cosmo.T_cmb),
        "YHe": YHe,
        "tau": float(point["tau_reio"]),
        "nnu": float(cosmo.N_eff),
        "mnu": float(np.sum(cosmo.m_ncdm)),
        "num_massive_neutrinos": len(point["m_ncdm"]),
        "As": float(cosmo.A_s),
        "ns": float(cosmo.n_s),
    }


def _camb_parameters(settings: Mapping[str, Any]) -> Any:
    import camb

    parameters = camb.CAMBparams()
    parameters.set_cosmology(**{name: settings[name] for name in _CAMB_COSMOLOGY if name in settings})
    parameters.InitPower.set_params(As=settings["As"], ns=settings["ns"])
    if settings.get("early"):
        parameters.DarkEnergy = camb.dark_energy.AxionEffectiveFluid()
        parameters.DarkEnergy.set_params(**settings["early"])
    lensing = settings.get("lens_potential_accuracy", 1)
    parameters.set_for_lmax(
        settings["l_max"] + settings.get("margin", 0), lens_potential_accuracy=lensing, nonlinear=False
    )
    parameters.set_accuracy(**settings.get("accuracy", {}))
    parameters.Accuracy.SourcekAccuracyBoost = settings.get("source_k", 1.0)
    parameters.set_matter_power(redshifts=sorted(ref.Z_PK, reverse=True), kmax=settings.get("k_max", 2.0))
    return parameters


def camb_results(settings: Mapping[str, Any]) -> Any:
    """What CAMB returns for settings like those of `camb_raised`."""
    import camb

    return camb.get_results(_camb_parameters(settings))


def camb_electrons(settings: Mapping[str, Any], z: np.ndarray) -> np.ndarray:
    """Free electrons per hydrogen nucleus of CAMB at z < 1e4, for settings like those of `camb_raised`."""
    import camb

    background = camb.get_background(_camb_parameters(settings))
    return background.get_background_redshift_evolution(z, vars=["x_e"], format="dict")["x_e"]


def camb_low(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings like those of `camb_raised` for low multipoles alone."""
    low = settings["low"]
    return {**settings, **low, "accuracy": settings["accuracy"] | {"lSampleBoost": low["lSampleBoost"]}, "k_max": 0.1}


def camb_spectra(settings: Mapping[str, Any]) -> Flat:
    """Spectra of CAMB, in the form of `oracle.reference.spectra`."""
    flat = _cl(results := camb_results(settings), settings["l_max"])
    if low := settings.get("low"):
        found = _cl(camb_results(camb_low(settings)), low["l_max"])
        for x in ("tt", "ee", "te"):
            change = found[f"unlensed_{x}"] - flat[f"unlensed_{x}"][: low["l_max"] + 1]
            for kind in ("unlensed", "lensed"):  # lensing needs larger l, and changes nothing of the change
                flat[f"{kind}_{x}"][: low["l_max"] + 1] += change
    k = ref.K_H * settings["H0"] / 100.0
    interpolate = results.get_matter_power_interpolator(nonlinear=False, hubble_units=False, k_hunit=False)
    return flat | {"k": k, "z": np.array(ref.Z_PK), "pk": np.array([interpolate.P(z, k) for z in ref.Z_PK])}


def _cl(results: Any, l_max: int) -> Flat:
    spectra = results.get_cmb_power_spectra(lmax=l_max, raw_cl=True, CMB_unit=None)
    flat = {f"lensed_{name}": spectra["total"][:, i] for i, name in enumerate(("tt", "ee", "bb", "te"))}
    flat |= {f"unlensed_{name}": spectra["unlensed_total"][:, i] for i, name in ((0, "tt"), (1, "ee"), (3, "te"))}
    return flat | {"lensed_pp": spectra["lens_potential"][:, 0]}


#: what a sweep compares with the reference, by the name in its tables
COMPARED = {"boltzax": boltzax, "CLASS default": class_default, "CAMB default": camb_default}
