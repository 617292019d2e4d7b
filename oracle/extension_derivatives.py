"""Derivatives by the parameters of extensions: `python -m oracle.extension_derivatives [CASE ...] [--update-docs]`.

At the neutral value of each, where the extension does nothing, and away from it: `boltzax.jacobian` against
extrapolated finite differences of boltzax, in the measure of `oracle.differences`, at default precision. Where a
parameter must not fall below its value the differences are one-sided. --update-docs rewrites the table in
docs/features.md, and keeps the rows of cases that are not named. Exit code 1 if an error is beyond 1e-4 by more than
the estimated error of the differences themselves, or that one beyond 1e-4.
"""

import argparse
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from oracle import reference as ref
from oracle import workers
from oracle.docs import current, rows_of, update_docs

DOCS = Path(__file__).resolve().parent.parent / "docs" / "features.md"
BOUND = 1e-4
LEVELS = 6
LCDM = {name: ref.FIDUCIAL[name] for name in ("h", "omega_b", "omega_cdm", "n_s", "ln_A_s_1e10", "tau_reio", "N_ur")}

#: about the uncertainty of each parameter; steps of differences begin at half of it
SCALES = {
    "T_ncdm": 0.02, "deg_ncdm": 0.2, "w0_fld": 0.1, "wa_fld": 0.3, "cs2_fld": 0.2, "alpha_s": 0.01, "beta_s": 0.01,
    "A_lens": 0.05, "r": 0.1, "n_t": 0.3, "alpha_t": 0.2, "Omega_k": 0.01, "f_cdi": 0.2, "n_cdi": 0.2,
    "alpha_cdi": 0.05, "c_ad_cdi": 0.2, "n_ad_cdi": 0.2, "varying_alpha": 0.005, "varying_me": 0.01,
    "DM_annihilation_efficiency": 5e-24, "N_idr": 0.3, "fde_zc": 0.05, "z_c": 500.0, "theta_i": 0.2,
    "Gamma_dcdm": 10.0, "omega_ini_dcdm": 0.01, "log10T_heat_hmcode": 0.2,
}  # fmt: skip
# Below, a parameter has no meaning. Omega_k has: but closed space lacks the longest waves, C_2 has a term in K |K|, and
# differences across zero are of first order in their step.
LOWEST = dict.fromkeys(("r", "f_cdi", "DM_annihilation_efficiency", "N_idr", "fde_zc", "Gamma_dcdm", "Omega_k"), 0.0)

#: for each parameter, at each point: the largest error, that of the differences themselves, and where
Found = Mapping[str, list[tuple[float, float, str]]]


class Case(NamedTuple):
    """An extension: its parameters, and the points, as arguments of `Cosmology` or of its fluid."""

    title: str
    parameters: tuple[str, ...]
    points: tuple[dict[str, Any], ...]
    nonlinear: str | None = None


def _isocurvature(f: float, c: float) -> dict[str, float]:
    return {"f_cdi": f, "n_cdi": 1.1, "alpha_cdi": 0.0, "c_ad_cdi": c, "n_ad_cdi": 0.0}


CASES: dict[str, Case] = {
    "neutrinos": Case(
        "temperature and degeneracy of massive neutrinos",
        ("T_ncdm", "deg_ncdm"),
        ({"T_ncdm": (ref.FIDUCIAL["T_ncdm"],), "deg_ncdm": (1.0,)},),
    ),
    "w0wa": Case("w0, wa", ("w0_fld", "wa_fld"), ({"w0_fld": -1.0, "wa_fld": 0.0}, {"w0_fld": -0.8, "wa_fld": -0.5})),
    "fluid": Case(
        "w0, wa, c_s^2 of a fluid",
        ("w0_fld", "wa_fld", "cs2_fld"),
        ({"w0_fld": -0.8, "wa_fld": 0.1, "cs2_fld": 0.5, "use_ppf": "no"},),
    ),
    "primordial": Case(
        "running, its running, A_lens",
        ("alpha_s", "beta_s", "A_lens"),
        ({"alpha_s": 0.0, "beta_s": 0.0, "A_lens": 1.0}, {"alpha_s": 0.03, "beta_s": -0.02, "A_lens": 1.2}),
    ),
    "tensors": Case(
        "r, n_t and its running",
        ("r", "n_t", "alpha_t"),
        ({"r": 0.0, "n_t": 0.0, "alpha_t": 0.0}, {"r": 0.1, "n_t": -0.1, "alpha_t": 0.02}),
    ),
    "curvature": Case("Omega_k", ("Omega_k",), ({"Omega_k": 0.0}, {"Omega_k": 0.03}, {"Omega_k": -0.03})),
    "cdi": Case(
        "cdm isocurvature",
        ("f_cdi", "n_cdi", "alpha_cdi", "c_ad_cdi", "n_ad_cdi"),
        (_isocurvature(0.0, 0.3), _isocurvature(0.4, 0.3)),
    ),
    "constants": Case(
        "alpha and m_e at recombination, annihilation",
        ("varying_alpha", "varying_me", "DM_annihilation_efficiency"),
        (
            {"varying_alpha": 1.0, "varying_me": 1.0, "DM_annihilation_efficiency": 0.0},
            {"varying_alpha": 1.01, "varying_me": 0.98, "DM_annihilation_efficiency": 1e-23},
        ),
    ),
    "radiation": Case("self-interacting radiation", ("N_idr",), ({"N_idr": 0.0}, {"N_idr": 0.5})),
    "early": Case(
        "early dark energy",
        ("fde_zc", "z_c", "theta_i"),
        ({"fde_zc": 0.0, "z_c": 3500.0, "theta_i": 2.7}, {"fde_zc": 0.08, "z_c": 3500.0, "theta_i": 2.7}),
    ),
    "decaying": Case(
        "decaying dark matter",
        ("Gamma_dcdm", "omega_ini_dcdm"),
        ({"Gamma_dcdm": 0.0, "omega_ini_dcdm": 0.03}, {"Gamma_dcdm": 10.0, "omega_ini_dcdm": 0.06}),
    ),
    "feedback": Case(
        "baryonic feedback of HMcode-2020",
        ("log10T_heat_hmcode",),
        ({"log10T_heat_hmcode": 7.8},),
        "hmcode2020_feedback",
    ),
}


def cosmology(name: str, point: Mapping[str, Any]) -> Any:
    """The Cosmology at a point of a case: one massive neutrino, but for decaying dark matter; helium from BBN."""
    import jax.numpy as jnp

    import boltzax
    from boltzax import fluids

    kinds = {
        "radiation": fluids.InteractingRadiation,
        "early": fluids.EarlyDarkEnergy,
        "decaying": fluids.DecayingDarkMatter,
    }
    plain = boltzax.Cosmology(**LCDM, YHe="BBN", m_ncdm=(0.06,), T_ncdm=(ref.FIDUCIAL["T_ncdm"],))
    if name in kinds:
        return plain.replace(fluids=(kinds[name](*map(jnp.asarray, point.values())),))
    return plain.replace(**point)


def compare(name: str, small: bool) -> Found:
    """The errors of every parameter of a case."""
    import equinox as eqx
    import jax

    import boltzax
    from boltzax.fields import locate
    from oracle import differences as diff
    from oracle.experiment import SMALL

    case = CASES[name]
    outputs = boltzax.Outputs(l_max=400 if small else 2500, k_max=2.0 if small else 8.0, nonlinear=case.nonlinear)
    precision = SMALL if small else boltzax.Precision()
    observe = diff.observer(outputs)
    program = jax.jit(lambda cosmo: observe(boltzax.solve(cosmo, outputs, precision)))
    found: dict[str, list] = {parameter: [] for parameter in case.parameters}
    for point in case.points:
        cosmo = cosmology(name, point)
        _, jacobian = boltzax.jacobian(cosmo, case.parameters, of=observe, outputs=outputs, precision=precision)
        value = program(cosmo)
        for parameter in case.parameters:
            field, step = locate(cosmo, parameter), 0.5 * SCALES[parameter]
            exact = jacobian[parameter]
            if field.value.ndim:
                exact = jax.tree.map(lambda leaf: leaf[0], exact)
            x = float(field.value.squeeze())

            def at(y, cosmo=cosmo, field=field):
                return program(eqx.tree_at(field.where, cosmo, field.value * 0.0 + y))

            if x - step < LOWEST.get(parameter, -np.inf):
                ratio, differences = 2.0, diff.one_sided_differences(at, x, step, LEVELS)
            else:
                ratio, differences = 4.0, diff.central_differences(at, x, 1.0, step, LEVELS)
            report = diff.compare(SCALES[parameter], value, exact, differences, ratio)
            flat = [(e, own, f"{o} {b}".strip()) for o, parts in report.items() for b, (e, own) in parts.items()]
            found[parameter].append(max(flat, key=lambda entry: np.nan_to_num(entry[0], nan=np.inf)))
    return found


def _fresh(name: str, small: bool) -> Found:
    """`compare` without the programs of the case before it, which keep their memory."""
    import jax

    jax.clear_caches()
    return compare(name, small)


def beyond(error: float, own: float) -> bool:
    """Whether an error exceeds the bound by more than that of the differences, or theirs, which proves nothing then."""
    return not (error <= BOUND + own and own <= BOUND)


def _words(name: str, i: int) -> str:
    case = CASES[name]
    return ", ".join(f"{p} {np.squeeze(case.points[i][p]):g}" for p in case.parameters)


def rows(name: str, found: Found) -> list[str]:
    """The rows of a case, one for each point."""
    lines = []
    for i in range(len(CASES[name].points)):
        at = {parameter: found[parameter][i] for parameter in found}
        error = float(np.max([e for e, _, _ in at.values()]))  # nan counts
        cell = f"**{error:.1e}**" if any(beyond(e, own) for e, own, _ in at.values()) else f"{error:.1e}"
        own = max(own for _, own, _ in at.values())
        lines.append(f"| {CASES[name].title} | {_words(name, i)} | {cell} | {own:.0e} |")
    return lines


def _cells(name: str, found: Found) -> list[tuple[bool, str]]:
    """Every error in words, and whether it is beyond the bound."""
    return [
        (beyond(error, own), f"{parameter} at {_words(name, i)}: {error:.1e} ({where}; differences {own:.0e})")
        for parameter, points in found.items()
        for i, (error, own, where) in enumerate(points)
    ]


def run(names: list[str], small: bool) -> tuple[dict[str, Any], list[str]]:
    """What `compare` found for every case, and what failed or is beyond the bound, in words."""
    found, missed = workers.gather(
        "cases",
        _fresh,
        [(name, small) for name in names],
        1,
        os.cpu_count() or 1,
        label=lambda name, _: name,
        describe=lambda task, errors: "; ".join(cell for _, cell in _cells(task[0], errors)),
    )
    results = {name: errors for (name, _), errors in found.items()}
    for name, errors in results.items():
        missed += [f"{name}: {cell}" for bad, cell in _cells(name, errors) if bad]
    return results, missed


def table(results: Mapping[str, Any], kept: str = "") -> str:
    """The rows of the results, and of other cases those in the table `kept`."""
    lines = ["| by the parameters of | at | largest error | of the differences alone |", "|---" * 4 + "|"]
    for name, case in CASES.items():
        lines += rows(name, results[name]) if name in results else rows_of(kept, case.title)
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    os.environ.setdefault("BOLTZAX_ON_ERROR", "nan")  # JAX caches no program that can raise
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"some of {', '.join(CASES)}; all unless given")
    parser.add_argument("--small", action="store_true", help="few modes, l_max 400: tries the instrument alone")
    parser.add_argument("--update-docs", action="store_true", help="rewrite the table in docs/features.md")
    options = parser.parse_args(arguments)
    unknown = set(options.cases) - set(CASES)
    if unknown:
        parser.error(f"unknown case {', '.join(sorted(unknown))}: choose from {', '.join(CASES)}")
    if options.small and options.update_docs:
        parser.error("--small measures nothing that belongs into the documentation")
    results, missed = run(options.cases or list(CASES), options.small)
    print(table(results))
    if options.update_docs:
        block = "extension derivatives"
        found = table(results, current(block, DOCS))
        update_docs(block, f"`python -m oracle.extension_derivatives --update-docs`\n\n{found}", DOCS)
    print("\n".join(missed) if missed else "every derivative is right")
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
