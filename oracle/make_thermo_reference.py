"""Write tests/reference/thermo_points.npz: thermal histories of CLASS at points around the fiducial one.

Run `python oracle/make_thermo_reference.py [POINT ...]`; without names, all of them. The file holds, for each point,
rows of CLASS's own table (no interpolation) and derived scalars; for the fiducial point also the background, so that
the thermodynamics stage can be tested alone; and a JSON header with CLASS's version and every setting.
"""

import datetime
import json
import sys
from pathlib import Path

import numpy as np

from oracle.files import save_npz

FILE = Path(__file__).resolve().parent.parent / "tests" / "reference" / "thermo_points.npz"

FIDUCIAL = dict(
    h=0.6736, omega_b=0.02237, omega_cdm=0.12, T_cmb=2.7255, YHe=0.2454, tau_reio=0.0544,
    N_ur=2.0328, N_ncdm=1, m_ncdm=0.06, T_ncdm=0.71611, recombination="HyRec",
)  # fmt: skip
# Hydrogen in equilibrium only before z = 1690 (1600 by default), helium before 3000 (2870): CLASS joins equilibrium to
# the solution over 100 in z, an error of 3e-4 and 2e-5 in x_e. HyRec's rate table ends at z = 1702. Runge-Kutta
# integrator (thermo_evolver 0): the default one leaves between 0 and 1e-6 of helium ionized for ever, depending on its
# steps, which changes x_e by up to 2.6e-3 at z < 100.
PRECISION = dict(
    thermo_evolver=0, tol_thermo_integration=1e-8, tol_background_integration=1e-12, tol_ncdm_bg=1e-10,
    background_Nloga=40000, reionization_optical_depth_tol=1e-9, recfast_z_full_H_recombination=1690.0,
    recfast_z_early_H_recombination=3000.0, thermo_Nz_lin=60000,
)  # fmt: skip
POINTS = {
    "fiducial": {},
    "omega_b_up": dict(omega_b=0.02237 * 1.1),
    "omega_b_down": dict(omega_b=0.02237 * 0.9),
    "omega_cdm_up": dict(omega_cdm=0.132),
    "omega_cdm_down": dict(omega_cdm=0.108),
    "h_up": dict(h=0.74096),
    "h_down": dict(h=0.60624),
    "YHe_up": dict(YHe=0.30),
    "YHe_down": dict(YHe=0.20),
    "tau_up": dict(tau_reio=0.09),
    "N_ur_up": dict(N_ur=3.5),
    "bbn": dict(YHe="BBN"),
    "z_reio": dict(tau_reio=None, z_reio=11.0),
    "alpha_up": dict(varying_alpha=1.02),
    "alpha_down": dict(varying_alpha=0.98, YHe="BBN"),
    "me_up": dict(varying_me=1.03),
    "me_down": dict(varying_me=0.97),
    "annihilation": dict(DM_annihilation_efficiency=1e-23),
    "annihilation_strong": dict(DM_annihilation_efficiency=1e-22),
    "recfast": dict(recombination="RECFAST"),
    "recfast_corner": dict(recombination="RECFAST", omega_b=0.02237 * 1.1, YHe=0.2),
    "recfast_varying": dict(recombination="RECFAST", varying_alpha=1.02, varying_me=0.97),
    "recfast_annihilation": dict(recombination="RECFAST", DM_annihilation_efficiency=1e-23),
}
COLUMNS = {
    "x_e": "x_e", "kappa_prime": "kappa' [Mpc^-1]", "exp_m_kappa": "exp(-kappa)", "g": "g [Mpc^-1]",
    "T_b": "Tb [K]", "cb2": "c_b^2",
}  # fmt: skip
SCALARS = {
    "z_rec": "z_rec", "tau_rec": "tau_rec", "rs_rec": "rs_rec", "theta_s_100": "100*theta_s", "z_star": "z_star",
    "rs_star": "rs_star", "z_d": "z_d", "rs_d": "rs_d", "z_reio": "z_reio", "tau_reio": "tau_reio", "YHe": "YHe",
}  # fmt: skip
WANTED_Z = np.concatenate(
    [
        np.linspace(0.0, 16.0, 50), np.geomspace(17.0, 640.0, 35), np.linspace(645.0, 720.0, 12),
        np.linspace(725.0, 1500.0, 70), np.linspace(1510.0, 1690.0, 16), np.linspace(1700.0, 3500.0, 40),
        np.geomspace(3600.0, 9000.0, 30), np.geomspace(9500.0, 8.0e4, 6),
    ]
)  # fmt: skip


def run(point: dict):
    """CLASS's thermodynamics at the fiducial parameters with those of `point` in their place."""
    import classy

    settings = {k: v for k, v in {**FIDUCIAL, **point, **PRECISION}.items() if v is not None}
    if any(name.startswith("varying") for name in point):
        settings["varying_fundamental_constants"] = "instantaneous"
    model = classy.Class()
    model.set(settings)
    model.compute(level=["thermodynamics"])
    return model


def table(model, z_wanted: np.ndarray) -> dict[str, np.ndarray]:
    """Rows of CLASS's table nearest to z_wanted, and the derived scalars."""
    rows = model.get_thermodynamics()
    order = np.argsort(rows["z"])
    z = rows["z"][order]
    after = np.clip(np.searchsorted(z, z_wanted), 1, len(z) - 1)
    nearest = np.unique(after - (z_wanted - z[after - 1] < z[after] - z_wanted))
    out = {"z": z[nearest]}
    out |= {name: rows[column][order][nearest] for name, column in COLUMNS.items()}
    derived = model.get_current_derived_parameters(list(SCALARS.values()))
    return out | {name: np.array(derived[column]) for name, column in SCALARS.items()}


def background_table(model) -> dict[str, np.ndarray]:
    """ln a, ln H, ln tau and ln r_s of CLASS's background at some 400 of its own rows between z = 0 and 1e7."""
    rows = model.get_background()
    order = np.argsort(-rows["z"])
    z = rows["z"][order]
    keep = z < 1e7
    index = np.flatnonzero(keep)
    index = np.unique(np.concatenate([index[:: max(1, len(index) // 400)], index[-1:]]))
    picked = {name: rows[name][order][index] for name in ("H [1/Mpc]", "conf. time [Mpc]", "comov.snd.hrz.")}
    return {
        "background_ln_a": -np.log1p(z[index]),
        "background_ln_H": np.log(picked["H [1/Mpc]"]),
        "background_ln_tau": np.log(picked["conf. time [Mpc]"]),
        "background_ln_rs": np.log(picked["comov.snd.hrz."]),
        "background_N_eff": np.array(model.get_current_derived_parameters(["Neff"])["Neff"]),
    }


def main(names: list[str]) -> None:
    """Run the points named (all, if none is) and write the file; it keeps what it has of the others."""
    import classy

    out = {}
    if names:
        with np.load(FILE) as data:
            out = {key: data[key] for key in data.files if key != "header"}
    for name in names or POINTS:
        model = run(POINTS[name])
        out |= {f"{name}/{key}": value for key, value in table(model, WANTED_Z).items()}
        if name == "fiducial":
            out |= background_table(model)
    header = dict(
        classy=classy.__version__, date=datetime.date.today().isoformat(), fiducial=FIDUCIAL, precision=PRECISION,
        points=POINTS,
    )  # fmt: skip
    save_npz(FILE, {"header": np.array(json.dumps(header)), **out})


if __name__ == "__main__":
    main(sys.argv[1:])
