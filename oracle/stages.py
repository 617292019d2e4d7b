"""Tables of the stages before C_l: background, thermodynamics, perturbations at fixed k, sources, all from CLASS.

Arrays of a stage table (lengths and conformal time in Mpc, c = 1):

- `bg_z`, `bg_tau` conformal time, `bg_H` [1/Mpc] (dot a / a in proper time), `bg_rs` comoving sound horizon from z to
  infinity, `bg_DA` proper angular-diameter distance, `bg_rho_ncdm`, `bg_p_ncdm` (8 pi G / 3 times density and
  pressure [1/Mpc^2], one species, massive points only). Rows of CLASS's own table, nothing interpolated.
- `th_z`, `th_tau`, `th_x_e` free electrons per hydrogen nucleus, `th_kappa_prime` = a n_e sigma_T [1/Mpc],
  `th_exp_m_kappa`, `th_g` visibility kappa' exp(-kappa) [1/Mpc], `th_T_b` [K], `th_c_b2` squared baryon sound speed,
  c = 1.
- `pt_k` [1/Mpc], `pt_tau[k, time]`, `pt_a[k, time]`, and `pt_NAME[k, time]` in the synchronous gauge comoving with
  CDM, for adiabatic initial conditions normalised to curvature R = 1 (eta -> 1 at early times): delta_g theta_g shear_g
  pol0_g pol1_g pol2_g delta_b theta_b delta_cdm delta_ur theta_ur shear_ur (delta_ncdm theta_ncdm shear_ncdm) h_prime
  eta eta_prime alpha, and the Newtonian potentials phi psi. delta = F_0, theta = (3/4) k F_1 [1/Mpc], shear = F_2 / 2,
  pol_l = G_l in the normalisation of Ma and Bertschinger (1995); alpha = (h' + 6 eta') / (2 k^2). Rows of the
  integrator's own steps, nothing interpolated.
- `src_k` [1/Mpc], `src_tau` and `src_NAME[k, tau]`: t0, t1, t2, p, phi_plus_psi, CLASS's form after integration by
  parts: the temperature transfer is the integral of t0 j_l + t1 j_l' + t2 (3 j_l'' + j_l) / 2, with
  p = sqrt(6) g P and t2 = g P, P = (G_0 + G_2 + F_2) / 8.

CLASS prints no h' and eta. A second run in which the perturbations are printed in the Newtonian gauge gives
theta_cdm = k^2 alpha there; the rest is MB95 (18) and (21b): eta = phi + (a'/a) alpha, eta' = 4 pi G a^2 sum (rho + p)
theta / k^2, h' = 2 k^2 alpha - 6 eta'.

No fluid or streaming approximation is used; hierarchies are long (`STAGE_PRECISION`), and tight coupling, which CLASS
cannot do without, ends early. Radiation multipoles at k tau beyond about twice the length of the hierarchy still carry
reflections from its end (they gravitate no longer).
"""

from pathlib import Path
from typing import Any

import numpy as np
from scipy.interpolate import CubicSpline

from oracle.reference import NCDM_PRECISION, POINTS, PRECISION, class_parameters, class_run
from oracle.runs import cached

K_OUTPUT = (1e-4, 1e-3, 0.01, 0.05, 0.1, 0.2, 1.0)  # [1/Mpc]
N_TIMES = 200

_HYDROGEN = ("recfast_z_full_H_recombination", "recfast_delta_z_full_H_recombination")
# Stage runs take CLASS's stiff integrator; the change of hydrogen at z > 1500 moves nothing in their perturbations, and
# th_ comes from a run of its own.
_NOT_FOR_STAGES = ("evolver", "accurate_lensing", "delta_l_max", "k_per_decade_for_pk", *_HYDROGEN)
ONLY_FOR_CL = ("accurate_lensing", "delta_l_max", "l_max_scalars", "lensing")  # refused by a run without C_l
STAGE_PRECISION: dict[str, Any] = {
    "k_step_super": 0.01,
    "k_step_sub": 0.7,
    "tol_perturbations_integration": 1e-7,
    "perturbations_sampling_stepsize": 0.05,
    "l_max_g": 60,
    "l_max_pol_g": 60,
    "l_max_ur": 60,
    "radiation_streaming_approximation": 3,
    "ur_fluid_approximation": 3,
    "start_large_k_at_tau_h_over_tau_k": 0.02,
    "tight_coupling_trigger_tau_c_over_tau_h": 0.002,
    "tight_coupling_trigger_tau_c_over_tau_k": 0.003,
}
STAGE_NCDM_PRECISION: dict[str, Any] = {"ncdm_fluid_approximation": 3, "l_max_ncdm": 40}

_BACKGROUND = {"z": "z", "tau": "conf. time [Mpc]", "H": "H [1/Mpc]", "rs": "comov.snd.hrz.", "DA": "ang.diam.dist."}
_BACKGROUND_NCDM = {"rho_ncdm": "(.)rho_ncdm[0]", "p_ncdm": "(.)p_ncdm[0]"}
_THERMO = {
    "z": "z",
    "tau": "conf. time [Mpc]",
    "x_e": "x_e",
    "kappa_prime": "kappa' [Mpc^-1]",
    "exp_m_kappa": "exp(-kappa)",
    "g": "g [Mpc^-1]",
    "T_b": "Tb [K]",
    "c_b2": "c_b^2",
}
_POLARISATION = {"G_g_0": "pol0_g", "G_g_1": "pol1_g", "G_g_2": "pol2_g"}
_PERTURBATIONS = (
    *("delta_g", "theta_g", "shear_g", "pol0_g", "pol1_g", "pol2_g", "delta_b", "theta_b", "delta_cdm"),
    *("delta_ur", "theta_ur", "shear_ur", "phi", "psi"),
)
_PERTURBATIONS_NCDM = ("delta_ncdm", "theta_ncdm", "shear_ncdm")
SOURCES = ("t0", "t1", "t2", "p", "phi_plus_psi")


def stage_settings(point: dict[str, Any], k_output: tuple[float, ...] = K_OUTPUT) -> dict[str, Any]:
    """All CLASS inputs of a stage run."""
    precision = {k: v for k, v in PRECISION.items() if k not in _NOT_FOR_STAGES} | STAGE_PRECISION
    if point["m_ncdm"]:
        precision |= NCDM_PRECISION | STAGE_NCDM_PRECISION
        precision.pop("ncdm_fluid_trigger_tau_over_tau_k")
    return {
        **class_parameters(point),
        **precision,
        "output": "tCl,pCl,lCl,mPk",
        "lensing": "no",
        "l_max_scalars": 2500,
        "P_k_max_1/Mpc": 1.0,
        "gauge": "synchronous",
        "recombination": "HyRec",
        "reio_parametrization": "reio_camb",
        "k_output_values": ",".join(repr(k) for k in k_output),
        "get_perturbations_in_current_gauge": "yes",
    }


def background_settings(point: dict[str, Any]) -> dict[str, Any]:
    """All CLASS inputs of a run that stops after thermodynamics."""
    names = ("tol_background_integration", "tol_thermo_integration", "reionization_optical_depth_tol")
    settings = class_parameters(point) | {name: PRECISION[name] for name in (*names, *_HYDROGEN)}
    settings |= {"recombination": "HyRec", "reio_parametrization": "reio_camb"}
    for primordial in ("ln_A_s_1e10", "n_s"):
        settings.pop(primordial)
    if point["m_ncdm"]:
        settings["tol_ncdm_bg"] = NCDM_PRECISION["tol_ncdm_bg"]
    return settings


def _rows(x: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Indices of the rows of x (increasing) nearest to the targets, each once."""
    right = np.clip(np.searchsorted(x, targets), 1, x.size - 1)
    return np.unique(np.where(targets - x[right - 1] < x[right] - targets, right - 1, right))


def background_table(background: dict[str, np.ndarray], n: int = 400) -> dict[str, np.ndarray]:
    """The bg_ arrays, n rows evenly spaced in ln(1 + z) from z = 1e8 to today, of `Class.get_background()`."""
    x = -np.log1p(background["z"])
    rows = _rows(x, np.linspace(-np.log1p(1e8), 0.0, n))
    names = _BACKGROUND | {k: v for k, v in _BACKGROUND_NCDM.items() if v in background}
    return {f"bg_{new}": background[old][rows] for new, old in names.items()}


def thermodynamics_table(thermo: dict[str, np.ndarray], thin: int = 1) -> dict[str, np.ndarray]:
    """The th_ arrays, about 600 / thin rows of `Class.get_thermodynamics()` from z = 0 to 1e6."""
    z = thermo["z"]
    targets = np.concatenate(
        [
            np.linspace(0.0, 40.0, 100 // thin),
            np.geomspace(40.0, 400.0, 60 // thin),
            np.linspace(400.0, 1800.0, 300 // thin),
            np.geomspace(1800.0, 1e4, 120 // thin),
            np.geomspace(1e4, 1e6, 20 // thin),
        ]
    )
    rows = _rows(z, targets)
    return {f"th_{new}": thermo[old][rows] for new, old in _THERMO.items()}


def compute_background(settings: dict[str, Any]) -> dict[str, np.ndarray]:
    """Background and thermodynamics tables (thinned) of one run that stops there."""
    with class_run(settings) as cosmo:
        return background_table(cosmo.get_background(), 150) | thermodynamics_table(cosmo.get_thermodynamics(), 2)


def _times(tau: np.ndarray, n: int) -> np.ndarray:
    """n rows of tau: half evenly in ln tau, half through recombination and the first oscillations after it."""
    targets = np.concatenate([np.geomspace(tau[0], tau[-1], 4 * n), np.linspace(150.0, 700.0, 2 * n)])
    rows = _rows(tau, np.sort(targets))
    return rows[np.round(np.linspace(0, rows.size - 1, n)).astype(int)]


def _metric(table: dict[str, np.ndarray], k: float, alpha: np.ndarray, background: dict[str, np.ndarray]) -> None:
    """Adds h', eta, eta', alpha to the perturbations of one k (MB95 (18), (21b))."""
    x = np.log(background["conf. time [Mpc]"])

    def at(values: np.ndarray) -> np.ndarray:
        return CubicSpline(x, values)(np.log(table["tau"]))

    a = table["a"]
    flux = 4.0 / 3.0 * at(background["(.)rho_g"] * (1 + background["z"]) ** -4) * a**-4 * table["theta_g"]
    flux += 4.0 / 3.0 * at(background["(.)rho_ur"] * (1 + background["z"]) ** -4) * a**-4 * table["theta_ur"]
    flux += at(background["(.)rho_b"] * (1 + background["z"]) ** -3) * a**-3 * table["theta_b"]
    if "theta_ncdm" in table:
        enthalpy = background["(.)rho_ncdm[0]"] + background["(.)p_ncdm[0]"]
        flux += at(enthalpy * (1 + background["z"]) ** -4) * a**-4 * table["theta_ncdm"]
    hubble = a * at(background["H [1/Mpc]"] / (1 + background["z"]) ** 2) / a**2
    table["alpha"] = alpha
    table["eta"] = table["phi"] + hubble * alpha
    table["eta_prime"] = 1.5 * a**2 * flux / k**2
    table["h_prime"] = 2.0 * k**2 * alpha - 6.0 * table["eta_prime"]


def perturbation_rows(
    synchronous: dict[str, np.ndarray], newtonian: dict[str, np.ndarray], k: float, background: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Every row of one k, in the names and units of the module docstring, from the two gauges' printed rows."""
    if not np.array_equal(synchronous["tau [Mpc]"], newtonian["tau [Mpc]"]):
        raise RuntimeError("the two runs took different steps")
    rename = _POLARISATION | {f"{name}[0]": name for name in _PERTURBATIONS_NCDM}
    columns = {rename.get(name, name): values for name, values in synchronous.items()}
    wanted = [name for name in (*_PERTURBATIONS, *_PERTURBATIONS_NCDM) if name in columns]
    table = {"tau": columns["tau [Mpc]"], "a": columns["a"]} | {name: columns[name] for name in wanted}
    _metric(table, k, newtonian["theta_cdm"] / k**2, background)
    return table


def _source_tables(cosmo: Any) -> dict[str, np.ndarray]:
    sources, k, tau = cosmo.get_sources()
    ki = _rows(k, np.concatenate([np.geomspace(1.5e-4, 0.05, 16), np.linspace(0.07, 0.6, 24)]))
    ti = _rows(tau, np.concatenate([np.linspace(tau[0], 450.0, 80), np.geomspace(460.0, tau[-1], 72)[:-1]]))
    table = {"src_k": k[ki], "src_tau": tau[ti]}
    return table | {f"src_{name}": sources[name][np.ix_(ki, ti)].astype(np.float32) for name in SOURCES}


def compute_stages(settings: dict[str, Any]) -> dict[str, np.ndarray]:
    """The whole stage table of one point from two runs that differ in the gauge of the printed perturbations."""
    with class_run(settings | {"get_perturbations_in_current_gauge": "no"}) as other:
        newtonian = other.get_perturbations()["scalar"]
    with class_run(settings) as cosmo:
        background, synchronous = cosmo.get_background(), cosmo.get_perturbations()["scalar"]
        table = background_table(background) | thermodynamics_table(cosmo.get_thermodynamics()) | _source_tables(cosmo)
    k_output = sorted(float(k) for k in settings["k_output_values"].split(","))  # classy returns them sorted
    columns: dict[str, list[np.ndarray]] = {}
    for k, now, then in zip(k_output, synchronous, newtonian, strict=True):
        full = perturbation_rows(now, then, k, background)
        rows = _times(full["tau"], N_TIMES)
        for name, values in full.items():
            columns.setdefault(name, []).append(values[rows])
    exact = ("tau", "a")
    table["pt_k"] = np.array(k_output)
    table |= {f"pt_{n}": np.array(v) if n in exact else np.array(v, np.float32) for n, v in columns.items()}
    return table


def compute_thermodynamics(settings: dict[str, Any]) -> dict[str, np.ndarray]:
    """The th_ arrays of a run that stops after thermodynamics."""
    with class_run(settings) as cosmo:
        return thermodynamics_table(cosmo.get_thermodynamics())


def stages(name: str, cache: Path | None = None) -> dict[str, np.ndarray]:
    """The stage table of a point, from the cache or made now (minutes); th_ comes from a background run."""
    point = POINTS[name]
    return cached("stages", stage_settings(point), compute_stages, cache) | cached(
        "thermodynamics", background_settings(point), compute_thermodynamics, cache
    )
