"""What extensions do to spectra: `python -m oracle.responses [CASE ...] [--make] [--update-docs]`.

For each case CLASS (CAMB for early dark energy, which CLASS lacks, and for TT at l = 2 and 3 in closed space, which it
has wrong) is run with the extension and without it, at the same settings: what these leave of numerical error drops out
of the ratio. tests/reference/extensions.npz holds ln(C_l with / C_l without) of unlensed TT and EE and of phiphi at
chosen l, and of P(k, z = 0) at chosen k, with every setting and a hash; --make runs the codes for the cases named (all:
some 10 CPU minutes) and keeps the others. The command prints by how much boltzax at its default precision departs from
it; --update-docs rewrites that table in docs/features.md, and keeps the rows of cases that are not named.
"""

import argparse
import json
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import boltzax
from boltzax.fluids import DecayingDarkMatter, EarlyDarkEnergy, InteractingRadiation
from oracle import codes, early_dark_energy
from oracle import reference as ref
from oracle import runs as finished
from oracle.docs import current, rows_of, update_docs
from oracle.features import DECAYING_MULTIPOLES, K_CURVED, L_CLOSED, L_NIV, curved_sampling
from oracle.files import save_npz
from oracle.workers import use_compilation_cache

PATH = ref.REFERENCE_DIR / "extensions.npz"
DOCS = Path(__file__).resolve().parent.parent / "docs" / "features.md"
ELL = np.array([2, 3, 4, 6, 8, 12, 20, 30, 50, 80, 120, 160, 200, 240, 280, 320, 360, 400])
K = np.geomspace(3e-4, 0.3, 25)  # 1/Mpc
PLAIN: dict[str, Any] = {**ref.FIDUCIAL, "m_ncdm": (), "N_ur": 3.044}
SPECTRA = ("tt", "ee", "pp")
QUANTITIES = {"tt": "TT", "ee": "EE", "pp": "phiphi", "pk": "P(k)"}

#: extensions that are plain parameters, under CLASS's names
PARAMETERS: dict[str, dict[str, Any]] = {
    "w0wa": {"w0_fld": -0.85, "wa_fld": -0.6},
    "phantom": {"w0_fld": -1.3, "wa_fld": 0.2},
    "fluid": {"w0_fld": -0.7, "wa_fld": 0.1, "cs2_fld": 0.1, "use_ppf": "no"},
    "cdi": {"f_cdi": 0.8, "n_cdi": 1.1, "c_ad_cdi": 0.3, "n_ad_cdi": 0.05},
    "bi": {"f_bi": 4.0, "n_bi": 0.9},
    "nid": {"f_nid": 0.9, "c_ad_nid": -0.4, "n_nid": 1.0},
    "niv": {"f_niv": 0.7, "n_niv": 1.0, "alpha_niv": -0.02},
    "alpha": {"varying_alpha": 1.01},
    "me": {"varying_me": 1.02},
    "annihilation": {"DM_annihilation_efficiency": 1e-23},
    "open": {"Omega_k": 0.1},
    "closed": {"Omega_k": -0.1},
}
N_IDR = 0.5
EARLY = {"fde_zc": 0.08, "z_c": 3500.0, "theta_i": 2.7}
DECAY = {"Gamma_dcdm": 10.0, "omega_ini_dcdm": 0.06}
TITLES = {
    "w0wa": "w0 = -0.85, wa = -0.6",
    "phantom": "w0 = -1.3, wa = 0.2",
    "fluid": "fluid, w0 = -0.7, wa = 0.1, c_s^2 = 0.1",
    "radiation": "self-interacting radiation, N = 0.5",
    "early": "early dark energy, f = 0.08 at z = 3500",
    "decaying": "half of dark matter decays, Gamma = 10 km/s/Mpc",
    "cdi": "cdi, f = 0.8, correlated",
    "bi": "bi, f = 4",
    "nid": "nid, f = 0.9, anticorrelated",
    "niv": "niv, f = 0.7",
    "alpha": "alpha 1 % higher at recombination",
    "me": "m_e 2 % higher at recombination",
    "annihilation": "annihilation, 1e-23 m^3/s/J",
    "open": "Omega_k = 0.1",
    "closed": "Omega_k = -0.1",
}
LOWEST = {"niv": L_NIV}  # the first multipole that is compared
_FLAT = {"hyper_sampling_flat": 40.0, "q_linstep": 0.15, "q_logstep_spline": 80.0}
# Limber from l = 100 on for the lensing potential, as in flat space: beyond, wave numbers to k tau_0 = 5600 do not do
_CURVED = _FLAT | curved_sampling(0.1) | {"l_switch_limber": 100.0}
# hierarchies and sampling of the reference; multipoles beyond 400 and the largest wave numbers are not needed
SETTINGS = {"l_max_scalars": 500, "delta_l_max": 200, "P_k_max_1/Mpc": 3.0, "k_max_tau0_over_l_max": 8.0}
# CLASS starts so late by default that its isocurvature modes are off by percents at l < 10; from so early a start its
# explicit integrator does not get through
_EARLY_START = {
    "start_small_k_at_tau_c_over_tau_h": 2e-5,
    "start_large_k_at_tau_h_over_tau_k": 0.005,
    "evolver": 1,
    "tol_perturbations_integration": 1e-7,
}
_PLAINS = (None, "ad", "flat")  # of `class_settings`: what cases are compared with


def cosmology(name: str | None) -> boltzax.Cosmology:
    """The cosmology of a case, or of none."""
    plain = boltzax.Cosmology(**PLAIN)
    if name == "radiation":
        return plain.replace(fluids=(InteractingRadiation(jnp.asarray(N_IDR)),))
    if name == "decaying":
        fluid = DecayingDarkMatter(*map(jnp.asarray, DECAY.values()))
        return plain.replace(omega_cdm=PLAIN["omega_cdm"] - DECAY["omega_ini_dcdm"], fluids=(fluid,))
    if name == "early":
        return plain.replace(fluids=(EarlyDarkEnergy(*map(jnp.asarray, EARLY.values())),))
    return plain if name is None else plain.replace(**PARAMETERS[name])


@partial(jax.jit, static_argnames=("outputs", "precision"))
def spectra(cosmo, outputs, precision) -> dict[str, Any]:
    """TT, EE, phiphi and P(k) of boltzax by the names of the table."""
    r = boltzax.solve(cosmo, outputs, precision)
    cl = {"tt": r.unlensed_cl.tt, "ee": r.unlensed_cl.ee, "pp": r.unlensed_cl.pp}
    return {name: value[ELL] for name, value in cl.items()} | {"pk": r.pk_lin(K)}


def response(now: Mapping[str, Any], plain: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """ln of spectra with an extension over those without."""
    return {name: np.log(np.asarray(now[name]) / np.asarray(plain[name])) for name in now}


def load() -> dict[str, dict[str, np.ndarray]]:
    """{case: {quantity: response}} of the committed table, its hash checked."""
    arrays = finished.load_run(PATH)
    return {case: {q: arrays[f"{case}_{q}"] for q in QUANTITIES} for case in TITLES if f"{case}_tt" in arrays}


# -- CLASS and CAMB ----------------------------------------------------------------------------------------------------


def class_settings(name: str | None) -> dict[str, Any]:
    """All CLASS inputs of a case; None: of the plain point, "ad": of the plain point with the start of isocurvature,
    "flat": of the plain point with the sampling of curved space."""
    settings = ref.class_settings(PLAIN, "variation") | SETTINGS
    if name == "radiation":
        settings |= {"N_idr": N_IDR, "idr_nature": "fluid", "idr_streaming_trigger_tau_over_tau_k": 9002.0}
    elif name == "decaying":
        settings |= DECAY | {"omega_cdm": PLAIN["omega_cdm"] - DECAY["omega_ini_dcdm"]} | DECAYING_MULTIPOLES
    elif name in PARAMETERS:
        theirs, plain = cosmology(name).to_classy(), cosmology(None).to_classy()
        settings |= {key: value for key, value in theirs.items() if value != plain.get(key)}
    settings |= _CURVED if "Omega_k" in settings else _FLAT if name == "flat" else {}
    return settings | (_EARLY_START if name == "ad" or "," in settings.get("ic", "") else {})


def of_class(settings: dict[str, Any]) -> dict[str, np.ndarray]:
    """Spectra of CLASS."""
    with ref.class_run(settings) as cosmo:
        raw = cosmo.raw_cl(ELL[-1])
        lowest = K_CURVED if "Omega_k" in settings else 0.0
        power = [cosmo.pk(k, 0.0) if k > lowest else np.nan for k in K]
        return {x: raw[x][ELL] for x in SPECTRA} | {"pk": np.array(power)}


def of_camb(early: bool) -> dict[str, np.ndarray]:
    """Spectra of CAMB at the plain point, with early dark energy or without."""
    codes.require("camb")
    given = early_dark_energy.camb(EARLY) if early else None
    results = codes.camb_results(codes.camb_raised(PLAIN, 600, given))
    found = results.get_cmb_power_spectra(lmax=ELL[-1], raw_cl=True, CMB_unit=None)
    scalar, lensing = found["unlensed_scalar"], found["lens_potential"][:, 0]
    power = results.get_matter_power_interpolator(nonlinear=False, hubble_units=False, k_hunit=False)
    return {"tt": scalar[ELL, 0], "ee": scalar[ELL, 1], "pp": lensing[ELL], "pk": power.P(0.0, K)}


def camb_low(name: str | None) -> dict[str, Any]:
    """Settings of CAMB for low multipoles of a case, or of the plain point."""
    return codes.camb_low(codes.camb_raised(PLAIN | PARAMETERS.get(name, {}), 60))


def closed_of_camb() -> np.ndarray:
    """ln of TT of CAMB in closed space over that in flat space, at ELL below L_CLOSED."""
    codes.require("camb")
    runs = (codes.camb_results(camb_low(name)) for name in ("closed", None))
    tt, flat = (run.get_unlensed_scalar_cls(lmax=L_CLOSED, raw_cl=True, CMB_unit=None)[:, 0] for run in runs)
    lowest = ELL[ELL < L_CLOSED]
    return np.log(tt[lowest] / flat[lowest])


def make(names: list[str]) -> None:
    """Runs the codes for the cases and writes the table, which keeps what it has of the others."""
    arrays: dict[str, np.ndarray] = {"ell": ELL, "k": K}
    if set(names) != set(TITLES):
        arrays |= {f"{case}_{q}": v for case, found in load().items() for q, v in found.items() if case not in names}
    settings = {str(name): class_settings(name) for name in (*_PLAINS, *(t for t in TITLES if t != "early"))}
    needed = (*map(str, _PLAINS), *names)
    runs = {name: finished.cached("response", given, of_class) for name, given in settings.items() if name in needed}
    for name in names:
        if name == "early":
            found = response(of_camb(True), of_camb(False))
        else:
            without = "flat" if "Omega_k" in settings[name] else "ad" if "," in settings[name]["ic"] else "None"
            found = response(runs[name], runs[without])
        if name == "closed":  # CLASS's weights of the first modes leave 2e-3 (oracle.features.L_CLOSED)
            found["tt"][ELL < L_CLOSED] = closed_of_camb()
        arrays |= {f"{name}_{quantity}": value for quantity, value in found.items()}
    made = {"class": finished.class_version(), "made": datetime.now(UTC).date().isoformat(), "class_settings": settings}
    made |= {"camb": {"early": EARLY, "closed": camb_low("closed")}, "sha256": finished.content_hash(arrays)}
    save_npz(PATH, {**arrays, "provenance": np.array(json.dumps(made))})
    print(f"{PATH.name}: {PATH.stat().st_size / 1024:.0f} kB")


# -- the comparison ----------------------------------------------------------------------------------------------------


def departures(name: str, now: Mapping[str, Any], plain: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Response of boltzax less that of the committed table, at ELL from LOWEST on and at K."""
    theirs, low = load()[name], np.searchsorted(ELL, LOWEST.get(name, 2))
    found = {q: ours - theirs[q] for q, ours in response(now, plain).items()}
    found["pk"] = np.where(np.isnan(theirs["pk"]), 0.0, found["pk"])  # where CLASS was not asked
    return {q: difference if q == "pk" else difference[low:] for q, difference in found.items()}


def rows(names: list[str]) -> dict[str, str]:
    """Largest differences of the responses at default precision, and the largest response in TT, by case."""
    outputs, precision = boltzax.Outputs(l_max=500, k_max=3.0), boltzax.Precision()
    plain, lines = spectra(cosmology(None), outputs, precision), {}
    for name, theirs in ((name, load()[name]) for name in names):
        ours = departures(name, spectra(cosmology(name), outputs, precision), plain)
        cells = [f"{np.abs(ours[q]).max():.1e}" for q in QUANTITIES]
        lines[name] = f"| {TITLES[name]} | {np.abs(theirs['tt']).max():.2f} | {' | '.join(cells)} |"
    return lines


def table(found: Mapping[str, str], kept: str = "") -> str:
    """The rows found, and of other cases those in the table `kept`."""
    head = list(QUANTITIES.values())
    lines = [[found[name]] if name in found else rows_of(kept, title) for name, title in TITLES.items()]
    start = [f"| extension | effect in TT | {' | '.join(head)} |", "|---" * (2 + len(head)) + "|"]
    return "\n".join(start + list(chain.from_iterable(lines)))


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="CASE", help=f"some of {', '.join(TITLES)}; all unless given")
    parser.add_argument("--make", action="store_true", help="run CLASS and CAMB, and write the table of the tests")
    parser.add_argument("--update-docs", action="store_true", help="rewrite the table in docs/features.md")
    options = parser.parse_args(arguments)
    names = options.names or list(TITLES)
    if set(names) - set(TITLES):
        parser.error(f"unknown case {', '.join(set(names) - set(TITLES))}: choose from {', '.join(TITLES)}")
    use_compilation_cache()
    if options.make:
        codes.require("classy")
        make(names)
    found = rows(names)
    print(table(found))
    if options.update_docs:
        text = table(found, current("responses", DOCS))
        update_docs("responses", f"`python -m oracle.responses --update-docs`\n\n{text}", DOCS)
    return 0


if __name__ == "__main__":
    sys.exit(main())
