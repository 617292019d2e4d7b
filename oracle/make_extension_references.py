"""Makes tests/reference/extensions.npz: what extensions do to spectra: `python -m oracle.make_extension_references`.

For each case CLASS (CAMB for early dark energy, which CLASS lacks) is run with the extension and without it, at the
same settings: what these leave of numerical error drops out of the ratio. Stored is log(C_l with / C_l without) of
unlensed TT and EE and of phiphi at chosen l, and of P(k, z = 0) at chosen k. A minute in all.
"""

import json
from datetime import UTC, datetime
from typing import Any

import numpy as np

from oracle import codes
from oracle import reference as ref

PATH = ref.REFERENCE_DIR / "extensions.npz"
ELL = np.array([2, 3, 4, 6, 8, 12, 20, 30, 50, 80, 120, 160, 200, 240, 280, 320, 360, 400])
K = np.geomspace(3e-4, 0.3, 25)  # 1/Mpc
PLAIN: dict[str, Any] = {**ref.FIDUCIAL, "m_ncdm": (), "N_ur": 3.044}
SPECTRA = ("tt", "ee", "pp")

#: what CLASS is given on top of the plain point
CLASS_CASES: dict[str, dict[str, Any]] = {
    "w0wa": {"Omega_Lambda": 0.0, "w0_fld": -0.85, "wa_fld": -0.6, "cs2_fld": 1.0, "use_ppf": "yes"},
    "phantom": {"Omega_Lambda": 0.0, "w0_fld": -1.3, "wa_fld": 0.2, "cs2_fld": 1.0, "use_ppf": "yes"},
    "fluid": {"Omega_Lambda": 0.0, "w0_fld": -0.7, "wa_fld": 0.1, "cs2_fld": 0.1, "use_ppf": "no"},
    "radiation": {"N_idr": 0.5, "idr_nature": "fluid"},
    "cdi": {"ic": "ad,cdi", "f_cdi": 0.8, "n_cdi": 1.1, "c_ad_cdi": 0.3, "n_ad_cdi": 0.05},
    "bi": {"ic": "ad,bi", "f_bi": 4.0, "n_bi": 0.9},
    "nid": {"ic": "ad,nid", "f_nid": 0.9, "c_ad_nid": -0.4, "n_nid": 1.0},
    "niv": {"ic": "ad,niv", "f_niv": 0.7, "n_niv": 1.0, "alpha_niv": -0.02},
}
EARLY = {"fde_zc": 0.08, "zc": 3500.0, "theta_i": 2.7, "w_n": 0.5}


def of_class(extension: dict[str, Any]) -> dict[str, np.ndarray]:
    """Spectra of CLASS at the plain point with an extension."""
    settings = ref.class_settings(PLAIN, "default") | {"l_max_scalars": 500, "P_k_max_1/Mpc": 3.0}
    settings |= {"tol_perturbations_integration": 1e-7, "k_max_tau0_over_l_max": 8.0} | extension
    if "ic" in extension:  # CLASS starts so late by default that its isocurvature modes are off by percents at l < 10
        settings |= {"start_small_k_at_tau_c_over_tau_h": 2e-5, "start_large_k_at_tau_h_over_tau_k": 0.005}
    cosmo = ref.run_class(settings)
    try:
        raw = cosmo.raw_cl(ELL[-1])
        return {x: raw[x][ELL] for x in SPECTRA} | {"pk": np.array([cosmo.pk(k, 0.0) for k in K])}
    finally:
        cosmo.struct_cleanup()
        cosmo.empty()


def of_camb(early: bool) -> dict[str, np.ndarray]:
    """Spectra of CAMB at the plain point, with early dark energy or without."""
    codes.require("camb")
    import camb

    p = camb.CAMBparams()
    p.set_cosmology(
        H0=100.0 * PLAIN["h"], ombh2=PLAIN["omega_b"], omch2=PLAIN["omega_cdm"], TCMB=PLAIN["T_cmb"],
        YHe=PLAIN["YHe"], tau=PLAIN["tau_reio"], nnu=PLAIN["N_ur"], mnu=0.0, num_massive_neutrinos=0,
    )  # fmt: skip
    p.InitPower.set_params(As=1e-10 * np.exp(PLAIN["ln_A_s_1e10"]), ns=PLAIN["n_s"])
    if early:
        p.DarkEnergy = camb.dark_energy.AxionEffectiveFluid()
        p.DarkEnergy.set_params(**EARLY)
    p.set_for_lmax(600, lens_potential_accuracy=2, nonlinear=False)
    p.set_accuracy(AccuracyBoost=2.0, lAccuracyBoost=2.0, lSampleBoost=10.0)
    p.set_matter_power(redshifts=[0.0], kmax=3.0)
    results = camb.get_results(p)
    spectra = results.get_cmb_power_spectra(lmax=ELL[-1], raw_cl=True, CMB_unit=None)
    scalar = spectra["unlensed_scalar"]
    power = results.get_matter_power_interpolator(nonlinear=False, hubble_units=False, k_hunit=False)
    lensing = spectra["lens_potential"][:, 0]
    return {"tt": scalar[ELL, 0], "ee": scalar[ELL, 1], "pp": lensing[ELL], "pk": power.P(0.0, K)}


def main() -> None:
    """Runs everything and writes the table."""
    made = {"class": ref.class_version(), "made": datetime.now(UTC).date().isoformat(), "plain": PLAIN}
    made |= {"cases": {**CLASS_CASES, "early": EARLY}}
    arrays = {"ell": ELL, "k": K, "made": np.array(json.dumps(made))}
    plain = of_class({})
    early = of_class({"ic": "ad"})
    ratios = {name: (of_class(case), early if "ic" in case else plain) for name, case in CLASS_CASES.items()}
    ratios["early"] = of_camb(True), of_camb(False)
    for name, (with_it, without) in ratios.items():
        arrays |= {f"{name}_{x}": np.log(with_it[x] / without[x]) for x in with_it}
    ref.save_npz(PATH, arrays)
    PATH.chmod(0o644)
    print(f"{PATH.name}: {PATH.stat().st_size / 1024:.0f} kB")


if __name__ == "__main__":
    main()
