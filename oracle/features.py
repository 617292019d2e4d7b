"""Extensions of LCDM against CLASS at random points: `python -m oracle.features [NAME ...] [--points N] [--seed S]`.

Draws LCDM parameters from the prior of the sweep and those of an extension broadly, runs boltzax and CLASS at the
reference settings for points (minutes each, cached; `oracle/kept` has many, and --keep adds to them) in parallel
processes, and prints the largest errors, those beyond what is required in bold. --json FILE keeps every error, and what
it holds from an earlier run stands in the table as well; --update-docs rewrites these rows of docs/features.md. Exit
code 1 if a requirement is missed or a point failed.
"""

import argparse
import json
import math
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from oracle import codes, early_dark_energy, kept, prior, workers
from oracle import reference as ref
from oracle.docs import current, rows_of, update_docs
from oracle.errors import LABELS, errors, largest
from oracle.files import write_json

DOCS = Path(__file__).resolve().parent.parent / "docs" / "features.md"
L_MAX = 2500
SCALAR = {name: 6e-4 for name in ("lensed_tt", "lensed_ee", "lensed_te")} | {"lensed_pp": 1e-3, "pk": 6e-4}

Errors = dict[str, tuple[float, float]]  # the largest of each quantity, and where


def _same(point: Mapping[str, Any]) -> dict[str, Any]:
    return dict(point)


def _translated(point: Mapping[str, Any]) -> dict[str, Any]:
    """What CLASS is given beyond LCDM, as `Cosmology.to_classy` says it."""
    import boltzax

    plain = boltzax.Cosmology(**prior.plain(point)).to_classy()
    return {k: v for k, v in boltzax.Cosmology(**point).to_classy().items() if k not in plain or v != plain[k]}


class Feature(NamedTuple):
    """An extension: how its parameters are drawn, and the largest errors allowed of what is compared.

    build: from a drawn point to keyword arguments of `boltzax.Cosmology`; settings: to what CLASS is given for it;
    lowest: the first multipole that is compared there; otherwise: other settings, for points where CLASS fails;
    compared: for an extension that CLASS lacks, spectra of both sides from a point, l_max, and whether runs are kept.
    """

    title: str
    draw: Callable[[np.random.Generator], dict[str, Any]]
    required: Mapping[str, float] = SCALAR
    build: Callable[[Mapping[str, Any]], dict[str, Any]] = _same
    settings: Callable[[Mapping[str, Any]], dict[str, Any]] = _translated
    lowest: Callable[[Mapping[str, Any]], int] = lambda _: 2
    otherwise: Mapping[str, Any] = {}
    compared: Callable[[Mapping[str, Any], int, bool], tuple[codes.Flat, codes.Flat]] | None = None


def _uniform(**ranges: tuple[float, float]) -> Callable[[np.random.Generator], dict[str, Any]]:
    return lambda rng: {name: float(rng.uniform(*ends)) for name, ends in ranges.items()}


def _w0wa(rng: np.random.Generator) -> dict[str, Any]:
    """w0 and wa with w0 + wa below -0.1: not to be felt at recombination."""
    while True:
        point = _uniform(w0_fld=(-1.5, -0.5), wa_fld=(-1.0, 0.7))(rng)
        if point["w0_fld"] + point["wa_fld"] < -0.1:
            return point


def _species(rng: np.random.Generator) -> dict[str, Any]:
    """Three massive species of different masses, to 0.6 eV in all, and N_eff."""
    masses = np.sort(rng.dirichlet(np.ones(3))) * rng.uniform(0.06, 0.6)
    return {"m_ncdm": tuple(masses.tolist()), "N_ur": float(rng.uniform(0.0, 1.0)), "T_ncdm": prior.T_NCDM}


def _decaying(rng: np.random.Generator) -> dict[str, Any]:
    """A rate, and a share of cold dark matter that decays."""
    return _uniform(Gamma_dcdm=(0.0, 30.0), decaying=(0.0, 0.6))(rng)


def _decaying_species(point: Mapping[str, Any]) -> dict[str, Any]:
    from boltzax.fluids import DecayingDarkMatter

    decays = point["decaying"] * point["omega_cdm"]
    others = {k: v for k, v in point.items() if k not in ("Gamma_dcdm", "decaying")}
    fluid = DecayingDarkMatter(point["Gamma_dcdm"], decays)
    return others | {"omega_cdm": point["omega_cdm"] - decays, "fluids": (fluid,), "recombination": "recfast"}


def _radiation(point: Mapping[str, Any]) -> dict[str, Any]:
    from boltzax.fluids import InteractingRadiation

    return {k: v for k, v in point.items() if k != "N_idr"} | {"fluids": (InteractingRadiation(point["N_idr"]),)}


def _isocurvature(kind: str, f: tuple[float, float], title: str, lowest: int = 2) -> Feature:
    """A mode with its amplitude in a range, its index and its correlation with the adiabatic mode."""
    ranges = {f"f_{kind}": f, f"n_{kind}": (0.8, 1.4), f"c_ad_{kind}": (-0.8, 0.8)}
    title = f"{title} isocurvature, correlated with the adiabatic mode" + (f", from l = {lowest}" if lowest > 2 else "")
    # from so early a start (_EARLY) CLASS's explicit integrator does not get through with neutrino density
    settings = lambda point: _translated(point) | ({"evolver": 1} if kind == "nid" else {})
    required = {name: 2e-3 for name in SCALAR}
    return Feature(title, _uniform(**ranges), required, settings=settings, lowest=lambda _: lowest)


def _together(rng: np.random.Generator) -> dict[str, Any]:
    """A draw of each extension that goes with all the others."""
    return {name: value for extension in TOGETHER for name, value in FEATURES[extension].draw(rng).items()}


def _together_settings(point: Mapping[str, Any]) -> dict[str, Any]:
    known = {name: value for name, value in point.items() if name != "N_idr"}
    return FEATURES["annihilation"].settings(known) | FEATURES["radiation"].settings(point)


#: extensions that are drawn at once as well
TOGETHER = ("neutrinos", "w0wa", "running", "constants", "annihilation", "radiation")

#: CLASS in curved space, at Omega_k = -0.03 and beyond 0.05. The default sampling of radial functions leaves 2e-3 in EE
#: at l = 3; against 30 and 20, 15 and 6 leave 5e-6 at -0.03, and 6e-4 (EE, l = 3) at 0.1. Steps in nu as large as those
#: of flat space leave 8e-4 in TT at l = 254 (-0.03), where those beyond nu = 500 skip modes. In phiphi CLASS's Limber
#: approximation leaves 0.1 / l at -0.1.
MILDLY_CURVED: dict[str, Any] = {
    "hyper_sampling_curved_low_nu": 15.0,
    "hyper_sampling_curved_high_nu": 6.0,
    "q_linstep": 0.15,
    "q_logstep_spline": 80.0,
}
STRONGLY_CURVED = MILDLY_CURVED | {"hyper_sampling_curved_low_nu": 30.0, "l_switch_limber": 250.0}
#: lowest multipole compared in closed space: CLASS's weights of the first modes leave 1.7e-3 in TT at l = 2 for
#: Omega_k = -0.1, which goes if ours are replaced by them, and is not there against CAMB (`oracle.responses`)
L_CLOSED = 4
#: the same of the neutrino velocity mode, which CLASS starts with a wrong eta at small k: its C_2 and C_4 move by tens
#: of per cent with the sampling of k
L_NIV = 6

FEATURES: dict[str, Feature] = {
    "neutrinos": Feature("three massive neutrinos of different mass", _species),
    "w0wa": Feature("dark energy, w0 + wa (1 - a), PPF through w = -1", _w0wa),
    "fluid": Feature(
        "dark energy, a fluid with a sound speed",
        lambda rng: _uniform(w0_fld=(-0.95, -0.5), cs2_fld=(0.1, 1.0))(rng) | {"use_ppf": "no"},
    ),
    "running": Feature("running of the scalar index", _uniform(alpha_s=(-0.05, 0.05))),
    "A_lens": Feature("A_lens", _uniform(A_lens=(0.7, 1.4))),
    "cdi": _isocurvature("cdi", (0.05, 0.6), "cdm"),
    "bi": _isocurvature("bi", (0.2, 3.0), "baryon"),
    "nid": _isocurvature("nid", (0.05, 0.6), "neutrino density"),
    "niv": _isocurvature("niv", (0.05, 0.6), "neutrino velocity", L_NIV),
    "constants": Feature(
        "other constants of nature at recombination", _uniform(varying_alpha=(0.97, 1.03), varying_me=(0.95, 1.05))
    ),
    "annihilation": Feature(
        "annihilating dark matter",
        _uniform(DM_annihilation_efficiency=(0.0, 2e-23)),
        settings=lambda point: _translated(point) | {"thermo_evolver": 1},  # the other one ends in nan
        # at 1e-7 its steps vanish at some points; 1e-6 moves x_e by 1e-6 at others
        otherwise={"tol_thermo_integration": 1e-6},
    ),
    "radiation": Feature(
        "self-interacting dark radiation",
        _uniform(N_idr=(0.05, 1.0)),
        build=_radiation,
        settings=lambda point: {
            "N_idr": point["N_idr"],
            "idr_nature": "fluid",
            "idr_streaming_trigger_tau_over_tau_k": 9002.0,  # never, and not when neutrinos' would be
        },
    ),
    "together": Feature("six at once: " + ", ".join(TOGETHER), _together, SCALAR, _radiation, _together_settings),
    "decaying": Feature(
        "cold dark matter, a part of which decays into radiation",
        _decaying,
        build=_decaying_species,
        settings=lambda point: (
            {
                "Gamma_dcdm": point["Gamma_dcdm"],
                "omega_ini_dcdm": point["decaying"] * point["omega_cdm"],
                "omega_cdm": (1.0 - point["decaying"]) * point["omega_cdm"],
            }
            | DECAYING_MULTIPOLES
            # with HyRec the decay moves CLASS's x_e by 8e-4 at z = 1000, EE by 9e-4; with RECFAST, rightly, by nothing
            | {"recombination": "RECFAST"}
        ),
    ),
    "early": Feature(
        f"early dark energy, against CAMB, as a response, with its x_e, N_eff = {early_dark_energy.N_EFF}",
        early_dark_energy.draw,
        build=early_dark_energy.build,
        compared=early_dark_energy.compared,
    ),
    "curvature": Feature(
        f"curvature, in closed space from l = {L_CLOSED}",
        _uniform(Omega_k=(-0.1, 0.1)),
        settings=lambda point: (
            {"Omega_k": point["Omega_k"]}
            | curved_sampling(point["Omega_k"])
            # with massive neutrinos CLASS's synchronous gauge has 1e-2 more TT at l = 2 (0.22 eV, Omega_k = 0.07)
            | ({"gauge": "newtonian"} if point["m_ncdm"] else {})
        ),
        lowest=lambda point: L_CLOSED if point["Omega_k"] < 0.0 else 2,
    ),
}
#: multipoles of CLASS's decay radiation: 17, the default, leave 1.4e-3 in P(k) at Gamma = 30 km/s/Mpc
DECAYING_MULTIPOLES = {"l_max_dr": 701}
K_CURVED = 6e-4  # 1/Mpc: in curved space CLASS's P(k) is asked for beyond this alone
# CLASS starts isocurvature modes so late that they are off by percents at l < 10
_EARLY = {"start_small_k_at_tau_c_over_tau_h": 2e-5, "start_large_k_at_tau_h_over_tau_k": 0.005}


def curved_sampling(Omega_k: float) -> dict[str, Any]:
    """MILDLY_CURVED or STRONGLY_CURVED, with radial functions of curved space to k tau_0 = 4500, what l = 2500 feels.

    From nu = k / sqrt(K) = 4000 on CLASS takes rescaled Bessel functions by default: 1.2e-3 in TT and EE at l > 1500
    for Omega_k = -0.03. Beyond the largest nu it fails.
    """
    nu = 4500.0 / (3.3 * math.sqrt(abs(Omega_k)))  # tau_0 = 3.3 / H_0
    sampling = MILDLY_CURVED if abs(Omega_k) < 0.05 else STRONGLY_CURVED
    return sampling | {"hyper_flat_approximation_nu": max(4000.0, round(nu, -2))}


def draw(name: str, index: int, seed: int) -> dict[str, Any]:
    """Point number `index` of a seed: LCDM from the prior of the sweep, and the extension.

    Neutrinos are massive at every tenth point alone, if they are not among the extensions: CLASS takes long with them.
    """
    rng = np.random.default_rng([seed, index, *map(ord, name)])
    point = prior.draw(index, seed)
    if index % 10 != 9 and name not in ("neutrinos", "together"):
        point = prior.massless(point)
    return point | FEATURES[name].draw(rng)


def class_settings(name: str, point: Mapping[str, Any], recipe: str) -> dict[str, Any]:
    """What CLASS is given at a point, at a precision of `reference.class_settings`."""
    settings = (
        ref.class_settings(prior.plain(point), recipe) | FEATURES[name].settings(point) | {"l_max_scalars": L_MAX}
    )
    return settings | (_EARLY if "," in settings.get("ic", "") else {})


def reference(name: str, point: Mapping[str, Any], recipe: str, keep: bool) -> codes.Flat:
    """Spectra of CLASS at a point."""
    settings, otherwise = class_settings(name, point, recipe), FEATURES[name].otherwise
    if not otherwise:
        return kept.spectra(settings, keep)
    from classy import CosmoComputationError

    try:
        return kept.spectra(settings, keep)
    except CosmoComputationError:
        return kept.spectra(settings | otherwise, keep)


def compare(name: str, index: int, seed: int, recipe: str, keep: bool) -> Errors:
    """The largest error of everything that is required at one point, and the l or k where it is."""
    point = draw(name, index, seed)
    if FEATURES[name].compared is not None:
        ours, theirs = FEATURES[name].compared(point, L_MAX, keep)
    else:
        theirs = reference(name, point, recipe, keep)
        ours = codes.flatten(codes.solve(FEATURES[name].build(point), L_MAX))
    found = errors(ours, theirs)
    Omega_k = point.get("Omega_k", 0.0)
    first = {"pk": int(np.searchsorted(theirs["k"], K_CURVED)) if Omega_k else 0}
    lowest = FEATURES[name].lowest(point)
    return {q: largest(found[q], first.get(q, lowest), L_MAX) for q in FEATURES[name].required}


def run(names: list[str], options: argparse.Namespace) -> tuple[dict[str, list[Errors]], list[str]]:
    """The errors at every point of every extension, and what failed, in words."""
    tasks = [(n, i, options.seed, options.recipe, options.keep) for i in range(options.points) for n in names]
    found, failures = workers.gather(
        "points",
        compare,
        tasks,
        options.workers,
        options.threads,
        label=lambda name, index, *_: f"{name} {index}",
        describe=lambda _, errors: ", ".join(f"{LABELS[q]} {v:.1e} at {w:g}" for q, (v, w) in errors.items()),
    )
    return {name: [found[task] for task in tasks if task[0] == name and task in found] for name in names}, failures


def table(results: Mapping[str, Mapping[str, Any]], before: str = "") -> str:
    """The largest errors of all points, extension by extension, and of others those in the table `before`."""
    names = [LABELS[quantity] for quantity in SCALAR]
    lines = [f"| extension | points | {' | '.join(names)} | command |", "|---" * (len(names) + 3) + "|"]
    for name in FEATURES:
        if name not in results:
            lines += rows_of(before, FEATURES[name].title)
            continue
        found, cells = results[name]["errors"], []
        for quantity, limit in FEATURES[name].required.items():
            worst = max(errors[quantity][0] for errors in found)
            cells.append(f"{worst:.1e}" if worst <= limit else f"**{worst:.1e}**")
        lines.append(f"| {FEATURES[name].title} | {len(found)} | {' | '.join(cells)} | `{results[name]['command']}` |")
    return "\n".join(lines)


def misses(name: str, found: list[Errors]) -> list[str]:
    """Requirements that are missed, in words; nan is a miss."""
    limits = FEATURES[name].required
    return [
        f"{name}, point {i}: {LABELS[q]} {value:.1e} at {where:g}, required {limits[q]:.0e}"
        for i, errors in enumerate(found)
        for q, (value, where) in errors.items()
        if not value <= limits[q]
    ]


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"some of {', '.join(FEATURES)}; all unless given")
    parser.add_argument("--points", type=int, default=10, help="random points of each extension")
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--recipe", default="point", choices=ref.PRECISIONS, help="settings of CLASS")
    cores = os.cpu_count() or 1
    parser.add_argument("--workers", type=int, default=cores, help=f"processes (default here: {cores})")
    parser.add_argument("--threads", type=int, default=1, help="threads of each (default: 1)")
    parser.add_argument("--keep", action="store_true", help="add CLASS's runs to oracle/kept")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep every error here, beside what it holds")
    parser.add_argument("--update-docs", action="store_true", help="rewrite the table in docs/features.md")
    options = parser.parse_args(arguments)
    unknown = set(options.names) - set(FEATURES)
    if unknown:
        parser.error(f"unknown extension {', '.join(unknown)}: choose from {', '.join(FEATURES)}")
    codes.require("classy")
    results = json.loads(options.json.read_text()) if options.json and options.json.exists() else {}
    names = options.names or list(FEATURES)
    found, missed = run(names, options)
    for name in (name for name in names if found[name]):
        command = f"python -m oracle.features {name} --points {options.points} --seed {options.seed}"
        command += "" if options.recipe == "point" else f" --recipe {options.recipe}"
        results[name] = {"command": command, "errors": found[name]}
        missed += misses(name, found[name])
    if options.json:
        write_json(options.json, results)
    print(table(results))
    if options.update_docs:
        update_docs("features", table(results, current("features", DOCS)), DOCS)
    print("\n".join(missed) if missed else "every requirement is met")
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
