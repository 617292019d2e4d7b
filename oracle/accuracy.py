"""Errors of boltzax against the reference tables: `python -m oracle.accuracy [--points NAME ...|all]`.

Solves each point with boltzax's defaults, compares on every l, k and z of the tables, prints "reached, required", and
on request rewrites the table in docs/accuracy.md (--update-docs), draws the differences over l (--plot FILE) and writes
every number (--json FILE). Exit code 1 if a requirement is missed. Needs the repository's tests/reference; classy and
CAMB at their defaults stand beside boltzax where they are installed.
"""

import argparse
import sys
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from oracle import codes
from oracle import reference as ref
from oracle.compare import cl_error, compare_spectra, compare_values, prefixed, table
from oracle.docs import update_docs
from oracle.files import write_json

L_MAX = 2500


class Requirement(NamedTuple):
    """One row of the table: how to read it from a report, and the bound at the fiducial and massless points."""

    label: str
    path: tuple[str, ...]  # keys into the report
    bound: float


def _spectra_rows() -> list[Requirement]:
    rows = []
    for kind in ("unlensed", "lensed"):
        for name, label in (("tt", "TT"), ("ee", "EE"), ("te", "TE / sqrt(TT EE)")):
            if name == "ee":
                rows.append(Requirement(f"{label} {kind}, l < 30, max", (kind, name, "2-30", "max"), 1e-3))
                rows.append(Requirement(f"{label} {kind}, l >= 30, max", (kind, name, "30-", "max"), 5e-4))
            else:
                rows.append(Requirement(f"{label} {kind}, max", (kind, name, "total", "max"), 5e-4))
            rows.append(Requirement(f"{label} {kind}, rms", (kind, name, "total", "rms"), 2e-4))
    rows.append(Requirement("phiphi, max", ("lensed", "pp", "total", "max"), 5e-4))
    rows.append(Requirement("BB lensed, max", ("lensed", "bb", "total", "max"), 2e-3))
    for name, label in (("pk", "P(k)"), ("pk_cb", "P(k) of b + cdm")):
        rows += [Requirement(f"{label}, z = {z}, max", (name, f"z={z}", "max"), 5e-4) for z in (0, 1)]
    return rows


REQUIREMENTS: tuple[Requirement, ...] = (
    Requirement("H", ("H", "max"), 1e-6),
    Requirement("comoving distance", ("distance", "max"), 1e-6),
    Requirement("comoving sound horizon", ("rs", "max"), 1e-6),
    Requirement("x_e, 100 < z < 3000", ("x_e", "max"), 2e-4),
    Requirement("x_e elsewhere", ("x_e_elsewhere", "max"), 1e-3),
    Requirement("g at its peak", ("g_peak", "max"), 2e-4),
    Requirement("100 theta_s", ("theta_s", "max"), 1e-5),
    *_spectra_rows(),
)


def bound(requirement: Requirement, point: str) -> float:
    """The bound of a requirement at a point: twice as wide at the variations."""
    return requirement.bound * (2.0 if point in ref.VARIATIONS else 1.0)


def stage_errors(
    background: Any, thermodynamics: Any, stage: Mapping[str, np.ndarray], theta_s_100: float
) -> dict[str, dict[str, float]]:
    """Errors of background and thermodynamics on the rows of a table (bg_ and th_ arrays of `oracle.stages`)."""
    z, ln_a = stage["bg_z"], -np.log1p(stage["bg_z"])
    far = z > 1e-3  # a distance to z = 0 has no relative error
    report = {
        "H": compare_values(background.hubble(ln_a), stage["bg_H"], z),
        "rs": compare_values(background.sound_horizon(ln_a), stage["bg_rs"], z),
        "distance": compare_values(background.comoving_distance(z[far]), stage["bg_DA"][far] * (1.0 + z[far]), z[far]),
    }
    z = stage["th_z"]
    thermo = thermodynamics.at(-np.log1p(z))
    x_e, g = np.asarray(thermo.x_e), np.asarray(thermo.g)
    inside = (z > 100.0) & (z < 3000.0)
    peak = (z > 500.0) & (stage["th_g"] > 0.98 * stage["th_g"].max())
    report["x_e"] = compare_values(x_e[inside], stage["th_x_e"][inside], z[inside])
    report["x_e_elsewhere"] = compare_values(x_e[~inside], stage["th_x_e"][~inside], z[~inside])
    report["g_peak"] = compare_values(g[peak], stage["th_g"][peak], z[peak])
    report["theta_s"] = compare_values(np.atleast_1d(thermodynamics.theta_s_100), theta_s_100, np.zeros(1))
    return report


def _add_ee_band(report: dict[str, Any]) -> None:
    """Adds the union of the bands from l = 30 upwards ("30-"), which has a bound of its own for EE."""
    for kind in ("lensed", "unlensed"):
        for rows in report[kind].values():
            upper = [row for band, row in rows.items() if band not in ("total", "2-30", "30-")]
            rows["30-"] = max(upper, key=lambda row: row["max"])


def spectra_report(flat: Mapping[str, np.ndarray], reference: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """`compare_spectra` to L_MAX with the additional band of EE."""
    report = compare_spectra(flat, reference, L_MAX)
    _add_ee_band(report)
    return report


def point_report(name: str, results: Any) -> dict[str, Any]:
    """Every error of boltzax's Results at one point."""
    reference = ref.load_spectra(name)
    stage = reference if name in ref.VARIATIONS else ref.load_stages(name)
    report = spectra_report(codes.flatten(results), reference)
    return report | stage_errors(
        results.background, results.thermodynamics, stage, float(reference["derived_100*theta_s"])
    )


def reached(report: Mapping[str, Any], requirement: Requirement) -> float:
    """The number that a requirement is about; nan where the report has none."""
    value: Any = report
    for key in requirement.path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return float("nan") if value is None else float(value)


def misses(report: Mapping[str, Any], point: str) -> list[str]:
    """Requirements that a report of `point_report` misses, in words; a number that is not there counts as a miss."""
    out = []
    for row in REQUIREMENTS:
        value = reached(report, row)
        if not value <= bound(row, point):
            out.append(f"{point}: {row.label}: {value:.2e}, required {bound(row, point):.0e}")
    return out


def _others(name: str) -> dict[str, dict[str, np.ndarray]]:
    """Spectra of the other codes at their defaults, where they are installed."""
    flats = {}
    for label, run in (("CLASS default", codes.class_default), ("CAMB default", codes.camb_default)):
        try:
            flats[label] = run(ref.POINTS[name], L_MAX)
        except codes.MissingCodeError as error:
            print(f"{label} left out: {error}", file=sys.stderr)
    return flats


def markdown(reports: Mapping[str, Mapping[str, Any]], others: Mapping[str, Mapping[str, Any]]) -> str:
    """The table "reached, required" in Markdown: fiducial, massless, the worst variation, and the other codes."""
    main = [name for name in ("fiducial", "massless") if name in reports]
    varied = [name for name in reports if name in ref.VARIATIONS]
    head = ["", "required", *main, *(["variations, required", "variations, worst (at)"] if varied else []), *others]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for row in REQUIREMENTS:
        cells = [row.label, f"{row.bound:.0e}", *(_cell(reached(reports[name], row), row.bound) for name in main)]
        if varied:
            worst = max(varied, key=lambda name: np.nan_to_num(reached(reports[name], row), nan=np.inf))
            value = reached(reports[worst], row)
            cells += [f"{2 * row.bound:.0e}", f"{_cell(value, 2 * row.bound)} ({worst})"]
        cells += [_cell(reached(report, row), np.inf) for report in others.values()]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(value: float, limit: float) -> str:
    if np.isnan(value):
        return "–" if limit == np.inf else "**none**"
    return f"{value:.1e}" if value <= limit else f"**{value:.1e}**"


def plot(flats: Mapping[str, Mapping[str, np.ndarray]], point: str, path: str) -> None:
    """Draws the relative differences over l (and k) of each code at one point."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    reference = ref.load_spectra(point)
    panels = [("lensed", n) for n in ("tt", "ee", "te", "bb", "pp")] + [("unlensed", n) for n in ("tt", "ee", "te")]
    figure, axes = plt.subplots(3, 3, figsize=(15, 9), constrained_layout=True)
    limits = {
        (row.path[0], row.path[1]): row.bound
        for row in REQUIREMENTS
        if row.path[-2:] in (("total", "max"), ("30-", "max"))
    }
    for axis, (kind, name) in zip(axes.flat, panels, strict=False):
        b = limits.get((kind, name), 5e-4) if name != "bb" else 2e-3
        for label, flat in flats.items():
            if f"{kind}_{name}" in flat:
                error = cl_error(name, prefixed(flat, f"{kind}_"), prefixed(reference, f"{kind}_"))[: L_MAX + 1]
                axis.plot(np.arange(2, error.size), error[2:], lw=0.8, label=label)
        axis.set(xscale="log", title=f"{name} {kind}", ylim=(-4 * b, 4 * b), xlabel="l")
        axis.axhspan(-b, b, color="0.9", zorder=0)
    axis = axes.flat[-1]
    for label, flat in flats.items():
        axis.semilogx(ref.K_H, flat["pk"][0] / reference["pk"][0] - 1.0, lw=0.8, label=label)
    axis.set(title="P(k), z = 0", xlabel="k [h/Mpc]", ylim=(-2e-3, 2e-3))
    axis.axhspan(-5e-4, 5e-4, color="0.9", zorder=0)
    axis.legend(fontsize=8)
    figure.suptitle(f"difference from the reference, {point}; grey: required")
    figure.savefig(path, dpi=130)
    plt.close(figure)


def _arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    choices = [*ref.POINTS, "all"]
    parser.add_argument("--points", nargs="+", default=["fiducial", "massless"], choices=choices, metavar="NAME")
    parser.add_argument("--update-docs", action="store_true", help="rewrite the table in docs/accuracy.md")
    parser.add_argument("--plot", metavar="FILE", help="draw the differences at the first point")
    parser.add_argument("--json", metavar="FILE", help="write every number")
    parser.add_argument("--alone", action="store_true", help="do not run classy and CAMB beside boltzax")
    options = parser.parse_args(arguments)
    options.points = list(ref.POINTS) if "all" in options.points else options.points
    return options


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    options = _arguments(arguments)
    import jax

    jax.config.update("jax_enable_x64", True)
    import boltzax

    reports, first = {}, None
    for name in options.points:
        cosmo = boltzax.Cosmology(**ref.POINTS[name])
        results = boltzax.solve(cosmo, outputs=boltzax.Outputs(l_max=L_MAX), precision=boltzax.Precision())
        first = first or codes.flatten(results)
        reports[name] = point_report(name, results)
        print(f"== {name}\n{table(reports[name])}")
    flats = {} if options.alone else _others(options.points[0])
    reference = ref.load_spectra(options.points[0])
    others = {label: spectra_report(flat, reference) for label, flat in flats.items()}
    text = markdown(reports, others)
    print(text)
    if options.json:
        write_json(options.json, {"boltzax": reports, **others})
    if options.plot:
        plot({"boltzax": first} | flats, options.points[0], options.plot)
    if options.update_docs:
        given = "all" if options.points == list(ref.POINTS) else " ".join(options.points)
        update_docs("accuracy", f"`python -m oracle.accuracy --points {given} --update-docs`\n\n{text}")
    missed = [line for name, report in reports.items() for line in misses(report, name)]
    print("\n".join(missed) if missed else "every requirement is met")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
