"""A sample of the committed tables recomputed with classy: a table made with a wrong parameter fails."""

import numpy as np
import pytest
from oracle import reference as ref
from oracle import stages
from oracle.compare import cl_error, prefixed
from scipy.interpolate import CubicSpline

pytestmark = pytest.mark.oracle


@pytest.mark.parametrize("name", ref.POINTS)
def test_background_and_thermodynamics(name, reference):
    """Every point, the same precision: equal to round-off (so every parameter but A_s and n_s is right)."""
    varied = name in ref.VARIATIONS
    table = reference(name) if varied else reference(name, "stages")
    with ref.class_run(stages.background_settings(ref.POINTS[name])) as cosmo:
        live = stages.background_table(cosmo.get_background(), 150 if varied else 400)
        live |= stages.thermodynamics_table(cosmo.get_thermodynamics(), 2 if varied else 1)
    settings = ref.table_settings(name)  # whose integrator of the thermal history is another one at the fixed points
    own = {"thermo_evolver": settings["thermo_evolver"]} if "thermo_evolver" in settings else {}
    with ref.class_run(stages.background_settings(ref.POINTS[name]) | own) as cosmo:
        derived = cosmo.get_current_derived_parameters(["100*theta_s", "z_reio", "rs_d"])
    for key, values in live.items():
        np.testing.assert_allclose(table[key], values, rtol=1e-9, err_msg=key)
    spectra = reference(name)
    for key, value in derived.items():
        assert spectra[f"derived_{key}"] == pytest.approx(value, rel=1e-9), key


@pytest.mark.parametrize("name", ["fiducial", "massless", "n_s_p10", "n_s_m10"])
def test_spectra_at_default_precision(name, reference):
    """CLASS at its defaults is as far from the tables as is known: wrong A_s, n_s or order of the arrays fails."""
    settings = ref.class_settings(ref.POINTS[name], "default")
    # TT needs wave numbers far beyond l / tau_0
    settings |= {"l_max_scalars": 300, "k_max_tau0_over_l_max": 8, "lensing": "no", "P_k_max_1/Mpc": 0.17}
    table = reference(name)
    k = table["k"][(table["k"] > 1e-3) & (table["k"] < 0.12)][::10]
    with ref.class_run(settings) as cosmo:
        raw = cosmo.raw_cl(300)
        pk = np.array([[cosmo.pk(ki, z) for ki in k] for z in ref.Z_PK])
    unlensed = prefixed(table, "unlensed_") | {"pp": table["lensed_pp"]}
    for spectrum, l_max, bound in (("tt", 300, 1.5e-3), ("ee", 300, 4e-3), ("te", 300, 3.5e-3), ("pp", 100, 3e-3)):
        assert np.abs(cl_error(spectrum, raw, unlensed))[: l_max + 1].max() < bound, spectrum
    np.testing.assert_allclose(pk, table["pk"][:, np.isin(table["k"], k)], rtol=2e-3)


@pytest.mark.parametrize("name", ["fiducial", "massless"])
def test_matter_power_at_reference_precision(name, reference):
    """P(k) of the tables at a few k that are nodes of CLASS's own grid, hierarchies and tolerances as in the tables."""
    table = reference(name)
    chosen = [20, 80, 120, 150, 170]
    k = table["k"][chosen]
    settings = {x: v for x, v in ref.table_settings(name).items() if x not in stages.ONLY_FOR_CL}
    settings |= {"output": "mPk", "P_k_max_1/Mpc": 0.4, "k_step_super": 0.02, "k_step_sub": 0.5}
    settings |= {"k_output_values": ",".join(repr(float(x)) for x in k), "k_per_decade_for_pk": 5}
    settings |= {"k_per_decade_for_bao": 5}
    with ref.class_run(settings) as cosmo:
        live = np.array([[cosmo.pk(x, z) for x in k] for z in ref.Z_PK])
    np.testing.assert_allclose(table["pk"][:, chosen], live, rtol=2e-6)


@pytest.mark.parametrize("name", ["fiducial", "massless"])
def test_perturbations_at_one_wave_number(name, reference):
    """The rows of k = 0.01/Mpc from a run of its own (other steps, the same tolerances)."""
    table = reference(name, "stages")
    k, i = 0.01, int(np.flatnonzero(reference(name, "stages")["pt_k"] == 0.01)[0])
    settings = stages.stage_settings(ref.POINTS[name], (k,))
    settings = {x: v for x, v in settings.items() if x not in stages.ONLY_FOR_CL}
    settings |= {"output": "mPk", "P_k_max_1/Mpc": 0.02, "k_step_sub": 1.0, "k_per_decade_for_pk": 5}
    rows = []
    for flag in ("yes", "no"):
        with ref.class_run(settings | {"get_perturbations_in_current_gauge": flag}) as cosmo:
            rows.append(cosmo.get_perturbations()["scalar"][0])
            background = cosmo.get_background()
    live = stages.perturbation_rows(*rows, k, background)
    tau = np.log(table["pt_tau"][i])
    early = table["pt_tau"][i] < 3000.0  # later the end of the hierarchy shows in the multipoles of radiation
    for key, values in live.items():
        if key == "tau":
            continue
        stored = table[f"pt_{key}"][i][early]
        error = CubicSpline(np.log(live["tau"]), values)(tau)[early] - stored
        assert np.abs(error).max() < 1e-5 * np.abs(stored).max(), key
