"""Write tests/reference/growth.npz: CLASS's shooting for theta_s, growth, transfer functions, and several neutrinos.

Run `python -m oracle.make_growth_reference` (20 CPU minutes; finished runs of CLASS are kept by `oracle.reference`).
The file holds shooting/NAME, growth/NAME (z, k), transfer/COLUMN@Z (over transfer/k), neutrinos/POINT/NAME at every
STEP-th multipole, and a JSON header with CLASS's version and every setting.
"""

import datetime
import json
from typing import Any

import numpy as np

from oracle import reference as ref
from oracle import runs as finished
from oracle.files import save_npz
from oracle.make_thermo_reference import PRECISION as THERMO_PRECISION

FILE = ref.REFERENCE_DIR / "growth.npz"

# drawn by numpy.random.default_rng(7) from ranges around Planck's; 100 theta_s beyond what Planck allows
SHOOTING_VARIED = ("theta_s_100", "omega_b", "omega_cdm", "tau_reio", "N_ur", "m_ncdm")
SHOOTING_LOW = np.array([1.02, 0.020, 0.105, 0.04, 1.5, 0.03])
SHOOTING_HIGH = np.array([1.06, 0.025, 0.135, 0.09, 2.5, 0.30])
SHOOTING_FIXED: dict[str, Any] = {"YHe": 0.2454, "T_cmb": 2.7255, "N_ncdm": 1, "T_ncdm": 0.71611}
# CLASS's shooting leaves 1e-6 in theta_s (it works at a precision of its own) and crashes with thermo_evolver 0: the
# angle that it finally has is computed again at the h that it finds.
SHOOTING_PRECISION = {k: v for k, v in THERMO_PRECISION.items() if k != "thermo_evolver"}

CAMB_POINTS = ((0.6736, 0.02237, 0.12), (0.75, 0.020, 0.14))  # h, omega_b, omega_cdm
CAMB_FIXED: dict[str, Any] = {"mnu": 0.0, "nnu": 3.046, "tau": 0.0544, "YHe": 0.2454, "As": 2e-9, "ns": 0.96}

GROWTH_Z = (0.0, 0.5, 1.0, 2.0, 5.0)
GROWTH_K = (0.001, 0.01, 0.1, 1.0)  # 1/Mpc
GROWTH_STEP = 0.02  # in z, of CLASS's differences
TRANSFER_Z = (0.0, 2.0)

# three species that differ in everything, and one that counts three times
NEUTRINOS: dict[str, dict[str, Any]] = {
    "three": ref.FIDUCIAL
    | {"m_ncdm": (0.02, 0.06, 0.15), "T_ncdm": (0.71611, 0.71611, 0.6), "deg_ncdm": (1.0, 1.0, 0.5), "N_ur": 1.0},
    "deg3": ref.FIDUCIAL | {"m_ncdm": (0.05,), "deg_ncdm": (3.0,), "N_ur": 0.00641},
}
NEUTRINO_L_MAX, NEUTRINO_STEP = 2500, 7


def shooting_points() -> np.ndarray:
    """Five points [5, SHOOTING_VARIED]."""
    draws = np.random.default_rng(7).uniform(size=(5, len(SHOOTING_VARIED)))
    return SHOOTING_LOW + (SHOOTING_HIGH - SHOOTING_LOW) * draws


def shooting(settings: dict[str, Any]) -> dict[str, np.ndarray]:
    """h that CLASS finds, and the angle at that h."""
    from classy import Class

    out = {}
    for precision in (SHOOTING_PRECISION, THERMO_PRECISION):
        cosmo = Class()
        cosmo.set(settings | precision)
        cosmo.compute(["thermodynamics"])
        out |= {"h": np.array(cosmo.h())}
        out |= {"theta_s_100": np.array(cosmo.get_current_derived_parameters(["theta_s_100"])["theta_s_100"])}
        settings = {k: v for k, v in settings.items() if k != "theta_s_100"} | {"h": cosmo.h()}
    return out


def camb_angles() -> dict[str, np.ndarray]:
    """CAMB's thetastar and cosmomc_theta at `CAMB_POINTS`, massless neutrinos and recfast."""
    import camb

    out: dict[str, list[float]] = {"camb/thetastar": [], "camb/cosmomc_theta": []}
    for h, omega_b, omega_cdm in CAMB_POINTS:
        parameters = camb.set_params(H0=100.0 * h, ombh2=omega_b, omch2=omega_cdm, **CAMB_FIXED)
        found = camb.get_background(parameters)
        out["camb/thetastar"].append(found.get_derived_params()["thetastar"] / 100.0)
        out["camb/cosmomc_theta"].append(found.cosmomc_theta())
    return {name: np.array(values) for name, values in out.items()}


def growth_settings() -> dict[str, Any]:
    """CLASS's inputs for matter at late times: the recipe "variation", without angular spectra."""
    settings = ref.without_spectra(ref.class_settings(ref.FIDUCIAL, "variation"))
    settings = {name: value for name, value in settings.items() if name not in ("non_linear", "z_pk")}
    return settings | {"output": "mPk,dTk,vTk", "P_k_max_1/Mpc": 5.0, "z_max_pk": 12.0} | ref.HEAVIER_NCDM


def growth(settings: dict[str, Any]) -> dict[str, np.ndarray]:
    """Growth, variance and transfer functions of one run."""
    z, k, step = np.array(GROWTH_Z), np.array(GROWTH_K), GROWTH_STEP
    out = {"growth/z": z, "growth/k": k}
    with ref.class_run(settings) as cosmo:
        out["growth/D"] = np.array([cosmo.scale_independent_growth_factor(zi) for zi in z])
        out["growth/f"] = np.array([cosmo.scale_independent_growth_factor_f(zi) for zi in z])
        out["growth/f_of_k"] = np.array([[cosmo.scale_dependent_growth_factor_f(ki, zi, step) for ki in k] for zi in z])
        out["growth/sigma8"] = np.array([cosmo.sigma(8.0 / cosmo.h(), zi) for zi in z])
        out["growth/sigma8_cb"] = np.array([cosmo.sigma_cb(8.0 / cosmo.h(), zi) for zi in z])
        out["growth/sigma_20_mpc"] = np.array([cosmo.sigma(20.0, zi) for zi in z])
        out["growth/f_sigma8"] = np.array([cosmo.effective_f_sigma8(zi, step) for zi in z])
        for zi in TRANSFER_Z:
            for name, values in cosmo.get_transfer(zi).items():
                out[f"transfer/{name}@{zi:g}"] = np.asarray(values)[::3]
    return out


def neutrino_settings(name: str) -> dict[str, Any]:
    """CLASS's inputs for a point of `NEUTRINOS`: the recipe "variation" with smaller steps in l."""
    return ref.class_settings(NEUTRINOS[name], "variation") | ref.HEAVIER_NCDM | {"l_linstep": 12}


def neutrinos(name: str) -> dict[str, np.ndarray]:
    """Spectra at every STEP-th multipole, P(k), derived numbers."""
    run = finished.cached("spectra", neutrino_settings(name), ref.spectra)
    ell = np.arange(2, NEUTRINO_L_MAX + 1, NEUTRINO_STEP)
    out = {"ell": ell, "k": run["k"][::5], "z": run["z"]}
    out |= {f"lensed_{x}": run[f"lensed_{x}"][ell] for x in ("tt", "te", "ee", "pp")}
    out |= {x: run[x][:, ::5] for x in ("pk", "pk_cb")}
    out |= {x: run[f"derived_{x}"] for x in ("sigma8", "Neff", "Omega_m")}
    return {f"neutrinos/{name}/{key}": value for key, value in out.items()}


def main() -> None:
    """Run what is missing and write the file."""
    points = shooting_points()
    settings = [dict(zip(SHOOTING_VARIED, p.tolist(), strict=True)) | SHOOTING_FIXED for p in points]
    found = [finished.cached("shooting", s, shooting) for s in settings]
    out = {"shooting/points": points} | camb_angles()
    out |= {f"shooting/{x}": np.array([f[x] for f in found]) for x in ("h", "theta_s_100")}
    found = finished.cached("growth", growth_settings(), growth)
    unread = ("d_g", "d_ur", "t_")
    out |= {key: v for key, v in found.items() if not key.startswith(tuple(f"transfer/{name}" for name in unread))}
    for name in NEUTRINOS:
        out |= neutrinos(name)
    header = dict(
        classy=finished.class_version(), date=datetime.date.today().isoformat(), shooting=settings,
        growth=growth_settings(), neutrinos={name: neutrino_settings(name) for name in NEUTRINOS},
        camb=[CAMB_POINTS, CAMB_FIXED],
    )  # fmt: skip
    save_npz(FILE, {"header": np.array(json.dumps(header, default=str)), **out})


if __name__ == "__main__":
    main()
