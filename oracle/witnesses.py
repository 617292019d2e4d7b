"""classy and CAMB at their default precision, at a reference point: they stand beside boltzax in the accuracy table."""

import importlib.util
from typing import Any

import numpy as np

from oracle import reference as ref


def class_default(name: str, l_max: int) -> dict[str, np.ndarray] | None:
    """classy at its defaults in the form of `oracle.reference.spectra`, or None where classy is missing."""
    if importlib.util.find_spec("classy") is None:
        return None
    settings = ref.class_settings(ref.POINTS[name], "default") | {"l_max_scalars": l_max, "P_k_max_1/Mpc": 2.0}
    return ref.spectra(settings)


def camb_default(name: str, l_max: int) -> dict[str, np.ndarray] | None:
    """CAMB at its defaults (lens_potential_accuracy 1) in the same form, or None where CAMB is missing.

    N_eff is matched in total; the massive species' temperature is CAMB's own, 1e-5 of Omega_m away.
    """
    if importlib.util.find_spec("camb") is None:
        return None
    import camb

    point = ref.POINTS[name]
    masses = point["m_ncdm"]
    per_species = (point["T_ncdm"] / (4.0 / 11.0) ** (1.0 / 3.0)) ** 4
    parameters = camb.CAMBparams()
    parameters.set_cosmology(
        H0=100.0 * point["h"],
        ombh2=point["omega_b"],
        omch2=point["omega_cdm"],
        TCMB=point["T_cmb"],
        YHe=point["YHe"],
        tau=point["tau_reio"],
        nnu=point["N_ur"] + per_species * len(masses),
        mnu=sum(masses),
        num_massive_neutrinos=len(masses),
    )
    parameters.InitPower.set_params(As=1e-10 * np.exp(point["ln_A_s_1e10"]), ns=point["n_s"])
    parameters.set_for_lmax(l_max, lens_potential_accuracy=1, nonlinear=False)
    parameters.set_matter_power(redshifts=sorted(ref.Z_PK, reverse=True), kmax=2.0)
    return _flat(camb.get_results(parameters), point, l_max)


def _flat(results: Any, point: dict[str, Any], l_max: int) -> dict[str, np.ndarray]:
    spectra = results.get_cmb_power_spectra(lmax=l_max, raw_cl=True, CMB_unit=None)
    flat = {}
    for kind, key in (("lensed", "total"), ("unlensed", "unlensed_total")):
        for column, name in enumerate(("tt", "ee", "bb", "te")):
            flat[f"{kind}_{name}"] = spectra[key][:, column]
    flat["lensed_pp"] = spectra["lens_potential"][:, 0]
    k = ref.K_H * point["h"]
    flat["pk"] = np.empty((len(ref.Z_PK), k.size))
    for i, z in enumerate(ref.Z_PK):
        interpolate = results.get_matter_power_interpolator(nonlinear=False, hubble_units=False, k_hunit=False)
        flat["pk"][i] = interpolate.P(z, k)
    return flat
