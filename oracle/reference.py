"""The reference recipe: points, CLASS settings, runner, cache, and the committed tables with their hashes.

CLASS at its defaults is good to about 1e-3 in C_l and cannot judge 5e-4, so the reference is CLASS at `PRECISION`
(with `NCDM_PRECISION` where there are massive neutrinos). Measured against a far more expensive CLASS run
(553 CPU s to l = 4000) a first form of these settings reached 1e-4 rms and 3e-4 max in TT and EE, 6e-5 rms in
TE / sqrt(TT EE) and 4e-5 in phiphi for l <= 1500; part of the 1e-4 belonged to the expensive run. What decides, each
measured as the change under a tighter value:

- `delta_l_max` 1000 instead of 2000, with `accurate_lensing` and l_max 3000: 5e-3 in lensed TT, 15% in BB at the edge.
- `tol_ncdm_synchronous` 1e-3 (five momenta): -6e-4 in phiphi for l > 500; 1e-5 (eleven momenta): -4e-5.
- `perturbations_sampling_stepsize` 0.05 leaves 2.4e-4 in TT, 3e-4 in EE, 2e-4 in TE at l < 30; 0.02: 4e-5 (against
  0.006).
- Photons 30/20 -> 45/35 multipoles (intensity/polarisation): TE 1e-4 for 10 < l < 30.
- `l_max_ur`, `l_max_ncdm` 25 -> 40 and photons 20 -> 30: TE 2e-4 -> 8e-5 at l < 30, phiphi 1e-4.
- `tol_perturbations_integration` 3e-6 -> 1e-6, k_max to 10/Mpc: below 2e-5 in phiphi, which needs wave numbers to
  about 10/Mpc, hence `P_k_max_1/Mpc`.
- `reionization_optical_depth_tol` 1e-4 (default) leaves z_reio wrong by 3e-4, 1e-4 in EE below l = 10; 1e-7 is free.
- `recfast_z_full_H_recombination` (with HyRec too): hydrogen from Saha's equation with a correction down to z = 1600 by
  default, 3.4e-4 in x_e at z = 1530; from 1670 the full solution, below 1e-6. HyRec's rate tables end at z = 1702.
- The fluid approximation for massive neutrinos, switched on at k tau = 60: -4e-4 in P_cb and -6e-4 in P_m at
  0.02 < k < 0.1/Mpc for 0.06 eV, 2.6e-3 for 0.3 eV (against no fluid and 60 multipoles). On at 1501: 6e-4 in P_cb for
  0.3 eV; on at 6001: 1.4e-4 at k > 1/Mpc, but 1.5e-3 in P_m at 0.42 < k < 0.7/Mpc; hence 10001 there. Without it, 40
  multipoles are good to 3e-5 at k = 0.4/Mpc, 25 to 1.6e-4, 17 to 5e-4.
- `evolver` 0 (Runge-Kutta) agrees with ndf15 to 1e-5 and takes a third of the time with neutrinos followed so long.
- `k_per_decade_for_pk` 10 -> 30: 2e-5 in phiphi at l = 2000, 6e-5 at l = 3000.

The manifest beside the tables repeats every setting and states the convergence error that was measured for them.

Pitfalls of classy: 'lensing' wants 'yes' (True reads as no); C_l are dimensionless and start at l = 0; `pk` takes k in
1/Mpc and returns Mpc^3; sigma8 depends on the largest k.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from boltzax.reference_settings import CLASS_REFERENCE, CLASS_REFERENCE_NCDM
from oracle.runs import ReferenceError, settings_hash

REFERENCE_DIR = Path(__file__).resolve().parent.parent / "tests" / "reference"
MANIFEST = "MANIFEST.json"

LENSED = ("tt", "te", "ee", "bb", "pp", "tp", "ep")
UNLENSED = ("tt", "te", "ee")
L_MAX = 3000

PRECISION: dict[str, Any] = CLASS_REFERENCE

NCDM_PRECISION: dict[str, Any] = CLASS_REFERENCE_NCDM

# Lighter settings for the variations, whose tables hold ratios to the fiducial point at these same settings.
# delta_l_max stays: 1500 (at l_max 2600) left 4e-3 in the ratio of BB at l = 2500 for n_s + 10%; 2000 leaves 3e-4.
VARIATION: dict[str, Any] = {
    "l_max_g": 30,
    "l_max_pol_g": 20,
    "perturbations_sampling_stepsize": 0.05,
    "ncdm_fluid_trigger_tau_over_tau_k": 701.0,
}
# Tables made before that was found end lower; their BB is good to 4e-3 at l = 2500, all else as well as the others.
SHORT_VARIATION: dict[str, Any] = VARIATION | {"l_max_scalars": 2600, "delta_l_max": 1500}
LONG_VARIATIONS: tuple[str, ...] = ("n_s_p10",)
HEAVIER_NCDM: dict[str, Any] = {"ncdm_fluid_trigger_tau_over_tau_k": 10001.0}  # masses above 0.1 eV

# For points anywhere in parameter space, judged to l = 3000. Measured at CLASS's defaults, massless, against steps of 5
# in l, delta_l_max 3500 and 4000 more angles: l_linstep 25 leaves cubic splines in l with 2.9e-4 in EE and 1.6e-4 in
# TE; lensing as an integral over as many angles as multipoles aliases, 9e-3 in BB at l = 3000; with delta_l_max 2000
# 3e-3 there. Against TIGHTER (massless, 20 CPU minutes) the whole is right to 9e-5 in TT, TE and EE for 2 <= l <= 3000,
# to 1.1e-4 in phiphi, 2.5e-4 in BB; q_linstep 0.4 instead of 0.3 would be 3e-4 in EE at l = 2.
# CLASS's stiff integrator of the thermal history leaves noise of 2e-5 in exp(-kappa) that differs between points.
# hyper_sampling_flat 12 leaves 6e-4 in EE and 2e-4 in phiphi at l = 2, and 1e-4 in TT for l < 30. The streaming
# approximations of photons from k tau = 100 and of massless neutrinos from 50 leave 2e-4 in TE at l = 15.
POINT: dict[str, Any] = {
    "radiation_streaming_trigger_tau_over_tau_k": 400.0,
    "ur_fluid_trigger_tau_over_tau_k": 300.0,
    "hyper_sampling_flat": 30.0,
    "thermo_evolver": 0,
    "perturbations_sampling_stepsize": 0.025,
    "l_linstep": 16,
    "num_mu_minus_lmax": 1000,
    "delta_l_max": 2800,
    "k_max_tau0_over_l_max": 2.0,
}
POINT_NCDM: dict[str, Any] = {"ncdm_fluid_trigger_tau_over_tau_k": 11001.0}  # never, for any k to 1 h/Mpc

# The same, tighter in everything that the module docstring names: it measures the convergence of POINT.
TIGHTER: dict[str, Any] = {
    "tol_thermo_integration": 1e-8,
    "evolver": 1,
    "l_max_g": 60,
    "l_max_pol_g": 60,
    "l_max_ur": 60,
    "tol_perturbations_integration": 1e-6,
    "perturbations_sampling_stepsize": 0.014,
    "k_step_super": 0.0005,
    "k_step_sub": 0.025,
    "k_per_decade_for_pk": 30,
    "delta_l_max": 4000,
    "num_mu_minus_lmax": 3000,
    "k_max_tau0_over_l_max": 2.3,
    "l_logstep": 1.03,
    "l_linstep": 9,
    "q_linstep": 0.2,
    "hyper_sampling_flat": 60.0,
    "radiation_streaming_trigger_tau_over_tau_k": 1000.0,
    "ur_fluid_trigger_tau_over_tau_k": 900.0,
}
TIGHTER_NCDM: dict[str, Any] = {"l_max_ncdm": 50}

OUTPUT: dict[str, Any] = {
    "output": "tCl,pCl,lCl,mPk",
    "modes": "s",
    "ic": "ad",
    "lensing": "yes",
    "l_max_scalars": L_MAX,
    "P_k_max_1/Mpc": 10.0,
    "z_pk": "0,1",
    "gauge": "synchronous",
    "recombination": "HyRec",
    "reio_parametrization": "reio_camb",
    "non_linear": "none",
}

FIDUCIAL: dict[str, Any] = {
    "h": 0.6736,
    "omega_b": 0.02237,
    "omega_cdm": 0.1200,
    "ln_A_s_1e10": 3.044,
    "n_s": 0.9649,
    "tau_reio": 0.0544,
    "m_ncdm": (0.06,),
    "N_ur": 2.0328,
    "T_ncdm": 0.71611,
    "YHe": 0.2454,
    "T_cmb": 2.7255,
}

VARIED = ("omega_b", "omega_cdm", "h", "n_s", "tau_reio")


def _points() -> dict[str, dict[str, Any]]:
    points = {"fiducial": dict(FIDUCIAL), "massless": {**FIDUCIAL, "m_ncdm": (), "N_ur": 3.044}}
    for name in VARIED:
        points[f"{name}_p10"] = {**FIDUCIAL, name: FIDUCIAL[name] * 1.1}
        points[f"{name}_m10"] = {**FIDUCIAL, name: FIDUCIAL[name] * 0.9}
    points["m_ncdm_015"] = {**FIDUCIAL, "m_ncdm": (0.15,)}
    points["m_ncdm_030"] = {**FIDUCIAL, "m_ncdm": (0.3,)}
    return points


POINTS: dict[str, dict[str, Any]] = _points()  # name -> keyword arguments of boltzax.Cosmology
VARIATIONS: tuple[str, ...] = tuple(name for name in POINTS if name not in ("fiducial", "massless"))

K_H = np.logspace(-4.0, 0.0, 201)  # wave numbers of the P(k) tables [h/Mpc]
Z_PK = (0.0, 1.0)

DERIVED = (
    "sigma8",
    "rs_d",
    "z_d",
    "z_rec",
    "tau_rec",
    "rs_rec",
    "100*theta_s",
    "theta_s_100",
    "age",
    "conformal_age",
    "Omega_m",
    "Omega_Lambda",
    "z_reio",
    "Neff",
)


def class_parameters(point: Mapping[str, Any]) -> dict[str, Any]:
    """Translates a point to CLASS's input parameters (CLASS wants N_ncdm and comma-separated lists).

    Species of equal mass, temperature and degeneracy become one that counts several times: the same physics, cheaper.
    """
    lists = ("m_ncdm", "T_ncdm", "deg_ncdm")
    parameters = {k: v for k, v in point.items() if k not in lists}
    masses = point["m_ncdm"]
    species = list(zip(*(np.broadcast_to(point.get(k, 1.0), len(masses)).tolist() for k in lists), strict=True))
    if len(species) > 1 and len(set(species)) == 1:
        m, T, degeneracy = species[0]
        species = [(m, T, degeneracy * len(masses))]
    parameters["N_ncdm"] = len(species)
    if species:
        values = dict(zip(lists, zip(*species, strict=True), strict=True))
        if set(values["deg_ncdm"]) == {1.0}:
            del values["deg_ncdm"]
        parameters |= {k: ",".join(repr(float(x)) for x in v) for k, v in values.items()}
    return parameters


PRECISIONS = ("reference", "point", "variation", "short variation", "tighter", "default")


def class_settings(point: Mapping[str, Any], precision: str = "reference") -> dict[str, Any]:
    """All CLASS inputs of a spectra run; precision: one of PRECISIONS, where default is CLASS's own."""
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, not {precision!r}")
    settings = {**OUTPUT, **class_parameters(point)}
    if precision == "default":
        return settings
    massive = bool(point["m_ncdm"])
    settings |= PRECISION | (NCDM_PRECISION if massive else {})
    if precision in ("point", "tighter"):
        settings |= POINT | (POINT_NCDM if massive else {})
    if precision == "tighter":
        settings |= TIGHTER | (TIGHTER_NCDM if massive else {})
    if precision in ("variation", "short variation"):
        lighter = VARIATION if precision == "variation" else SHORT_VARIATION
        settings |= lighter | (HEAVIER_NCDM if sum(point["m_ncdm"]) > 0.1 else {})
    return settings


def without_spectra(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The same for P(k) alone: without what CLASS refuses or warns of where it computes no C_l."""
    of_spectra = ("lensing", "l_max_scalars", "delta_l_max", "accurate_lensing")
    return {name: value for name, value in settings.items() if name not in of_spectra} | {"output": "mPk"}


def table_settings(name: str) -> dict[str, Any]:
    """The CLASS inputs that the committed table of a point was made with."""
    return class_settings(POINTS[name], table_precision(name))


def table_precision(name: str) -> str:
    """Which settings the committed table of a point was made with: a precision of `class_settings`."""
    if name not in VARIATIONS:
        return "point"
    return "variation" if name in LONG_VARIATIONS else "short variation"


@contextmanager
def class_run(settings: Mapping[str, Any]) -> Iterator[Any]:
    """A classy `Class` that has computed these settings; its memory is given back at the end of the block."""
    from classy import Class

    cosmo = Class()
    try:
        cosmo.set(dict(settings))
        cosmo.compute()
        yield cosmo
    finally:
        cosmo.struct_cleanup()
        cosmo.empty()


def derived(cosmo: Any) -> dict[str, float]:
    """Derived parameters as CLASS names them; lengths in Mpc, age in Gyr."""
    return {k: float(v) for k, v in cosmo.get_current_derived_parameters(list(DERIVED)).items()}


def spectra(settings: dict[str, Any]) -> dict[str, np.ndarray]:
    """C_l (dimensionless, l = 0..l_max), P(k) [Mpc^3] and derived numbers of one classy run, as flat arrays.

    Keys: ell; lensed_XY, unlensed_XY; k [1/Mpc], z, pk and pk_cb [z, k] in Mpc^3; derived_NAME.
    """
    with class_run(settings) as cosmo:
        l_max = settings["l_max_scalars"]
        lensed, raw = cosmo.lensed_cl(l_max), cosmo.raw_cl(l_max)
        result = {"ell": np.arange(l_max + 1)}
        result |= {f"lensed_{x}": np.array(lensed[x]) for x in LENSED if x in lensed}
        result |= {f"unlensed_{x}": np.array(raw[x]) for x in (*UNLENSED, "pp", "tp", "ep") if x in raw}
        k = K_H * settings["h"]
        massive = settings["N_ncdm"] > 0
        result |= {"k": k, "z": np.array(Z_PK)}
        result["pk"] = np.array([[cosmo.pk(ki, z) for ki in k] for z in Z_PK])
        result["pk_cb"] = np.array([[cosmo.pk_cb(ki, z) for ki in k] for z in Z_PK]) if massive else result["pk"]
        result |= {f"derived_{name}": np.array(value) for name, value in derived(cosmo).items()}
    return result


def reference_hash() -> str:
    """A hash of every setting of the reference recipe for points, and of where P(k) is compared."""
    settings = [OUTPUT, PRECISION, NCDM_PRECISION, POINT, POINT_NCDM]
    return settings_hash("recipe", {"settings": settings, "k": K_H.tolist(), "z": Z_PK}, "")


def sha256(path: Path) -> str:
    """The hex sha256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def manifest(folder: Path = REFERENCE_DIR) -> dict[str, Any]:
    """The manifest of the committed tables.

    Raises:
        ReferenceError: there is no manifest in the folder.
    """
    path = folder / MANIFEST
    if not path.exists():
        raise ReferenceError(f"{path} is missing: make the tables with `python -m oracle.make_references`")
    return json.loads(path.read_text())


def load_table(name: str, folder: Path = REFERENCE_DIR) -> dict[str, np.ndarray]:
    """Loads a committed table (file name without .npz) after checking its hash against the manifest.

    Raises:
        ReferenceError: the table is not in the manifest, missing, or its content differs from the manifest's hash.
    """
    entry = manifest(folder)["files"].get(f"{name}.npz")
    path = folder / f"{name}.npz"
    if entry is None or not path.exists():
        raise ReferenceError(
            f"no reference table {name!r} in {folder}: make it with `python -m oracle.make_references`"
        )
    if sha256(path) != entry["sha256"]:
        raise ReferenceError(f"{path} does not match the hash in {MANIFEST}: it was changed or damaged; restore it")
    with np.load(path) as data:
        return {key: data[key] for key in data.files}


def normalised(name: str, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    """C_XY / sqrt(C_XX C_YY) for a name such as "lensed_te"; zero at l = 0, 1."""
    kind, pair = name.split("_")
    out = np.zeros_like(arrays[name])
    out[2:] = arrays[name][2:] / np.sqrt(arrays[f"{kind}_{pair[0] * 2}"][2:] * arrays[f"{kind}_{pair[1] * 2}"][2:])
    return out


def load_spectra(name: str, folder: Path = REFERENCE_DIR) -> dict[str, np.ndarray]:
    """The reference spectra of a point, in the form that `spectra` returns (ell from 0; variations unpacked).

    Variations also carry thinned bg_ and th_ arrays (see `oracle.stages`).

    Raises:
        ReferenceError: see `load_table`.
    """
    table = load_table(f"spectra_{name}", folder)
    if name in VARIATIONS:
        fiducial, packed = load_table("spectra_fiducial", folder), dict(table)
        size = packed["lensed_tt"].size  # variations end at a lower l
        fiducial |= {k: v[:size] for k, v in fiducial.items() if k.startswith(("lensed_", "unlensed_"))}
        for key in (k for k in packed if k.startswith(("lensed_", "unlensed_", "pk"))):
            if key.startswith("pk") or key[-2] == key[-1]:
                table[key] = fiducial[key] * (1.0 + packed[key].astype(np.float64))
        for key in (k for k in packed if k.startswith(("lensed_", "unlensed_")) and k[-2] != k[-1]):
            kind, pair = key.split("_")
            scale = np.sqrt(table[f"{kind}_{pair[0] * 2}"] * table[f"{kind}_{pair[1] * 2}"])
            table[key] = (normalised(key, fiducial) + packed[key].astype(np.float64)) * scale
        table["derived_sigma8"] = fiducial["derived_sigma8"] * (1.0 + packed["derived_sigma8"])
    table["ell"] = np.arange(table["lensed_tt"].size)
    return table


def load_stages(name: str, folder: Path = REFERENCE_DIR) -> dict[str, np.ndarray]:
    """The stage table of "fiducial" or "massless" (arrays: see `oracle.stages`).

    Raises:
        ReferenceError: see `load_table`.
    """
    return load_table(f"stages_{name}", folder)
