"""Derivatives against each other and against finite differences: `python -m oracle.derivatives [--points NAME ...]`.

At each point: jax.jvp against jax.vjp and `boltzax.jacobian` against jax.jvp; the Jacobian against converged finite
differences of boltzax; with --classy, differences of boltzax against those of CLASS at reference settings and the same
steps; Hessian-vector products (forward over reverse) against finite differences of the gradient. What is compared and
how: `oracle.differences`. --update-docs rewrites the tables of what was run in docs/derivatives.md; --json FILE keeps
every number, and points and checks that the file holds from an earlier run stand in the tables beside the new ones.
Exit code 1 if a requirement is missed.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

import boltzax
from oracle import differences as diff
from oracle.docs import update_docs
from oracle.experiment import PARAMETERS, POINTS, SIGMA, SMALL, SMALL_OUTPUTS, Experiment, scales
from oracle.files import write_json

DOCS = Path(__file__).resolve().parent.parent / "docs" / "derivatives.md"
COTANGENTS = 3
BOUNDS = {"jvp against vjp": 1e-8, "jacobian against jvp": 1e-8, "hvp": 1e-4, "differences": 1e-4, "class": 1e-2}
TITLES = {
    "jvp against vjp": "jax.jvp against jax.vjp, random cotangents on all observables",
    "jacobian against jvp": "boltzax.jacobian against jax.jvp",
    "hvp": "Hessian-vector product of chi2 against finite differences of its gradient",
    "differences": "Jacobian against finite differences of boltzax",
    "class": "Finite differences of boltzax against those of CLASS, same steps",
}


def cotangent(value: diff.Observables, seed: int) -> diff.Observables:
    """Random cotangents that give every weighted observable the same say."""
    rng, found = np.random.default_rng(seed), {}
    for name, array in value.items():
        w = diff.weight(name, array)
        largest = np.max(np.abs(w * np.asarray(array))) or 1.0
        found[name] = jnp.asarray(rng.normal(size=np.shape(array)) * w / largest)
    return found


def contraction(cotangents: diff.Observables, tangents: diff.Observables) -> tuple[float, float]:
    """Sum of the products, and the root of the sum of their squares, the size of a sum of random signs."""
    products = [np.ravel(np.asarray(cotangents[n]) * np.asarray(tangents[n])) for n in cotangents]
    return sum(p.sum() for p in products), np.sqrt(sum((p**2).sum() for p in products))


def forward_against_reverse(programs: diff.Programs, x: np.ndarray) -> dict[str, dict[str, float]]:
    """jvp along each parameter against vjp of random cotangents, and jvp against `boltzax.jacobian`, by parameter."""
    value, jac = programs.jacobian(x)
    found: dict[str, dict[str, float]] = {"jvp against vjp": {}, "jacobian against jvp": {}}
    cotangents = [cotangent(value, seed) for seed in range(COTANGENTS)]
    reverse = [np.asarray(programs.vjp(x, c)) for c in cotangents]
    for i, name in enumerate(PARAMETERS):
        tangent = programs.jvp(x, np.eye(x.size)[i])
        errors = []
        for c, r in zip(cotangents, reverse, strict=True):
            total, size = contraction(c, tangent)
            errors.append(abs(total - r[i]) / size)
        found["jvp against vjp"][name] = float(max(errors))
        report = diff.compare(SIGMA[name], value, jac[name], [tangent, tangent])
        found["jacobian against jvp"][name] = max(e for parts in report.values() for e, _ in parts.values())
    return found


def hessian_products(programs: diff.Programs, x: np.ndarray, levels: int = 5) -> dict[str, float]:
    """Relative error of H v for random v, and of the differences themselves, in units of `experiment.SIGMA`.

    chi2 is centred one SIGMA away in every parameter, so that its gradient does not vanish.
    """
    s = scales()
    experiment = Experiment(programs.lensed(x + s * np.random.default_rng(7).choice([-1.0, 1.0], x.size)))
    v = np.random.default_rng(8).normal(size=x.size)
    product = s * np.asarray(programs.hvp(x, s * v, experiment)[1])
    step = min(diff.first_step(n, xi, 0.5) / si for n, xi, si in zip(PARAMETERS, x, s, strict=True)) / np.max(np.abs(v))
    found = diff.central_differences(lambda y: programs.hvp(y, s * v, experiment)[0], x, s * v, step, levels)
    reference, own = diff.extrapolate([s * d for d in found], np.ones_like(s), {"": slice(None)})
    size = np.max(np.abs(product))
    return {"error": float(np.max(np.abs(product - reference)) / size), "own": float(own[""] / size)}


def against_differences(
    programs: diff.Programs,
    x: np.ndarray,
    differences: Callable[[str], list[diff.Observables]],
    say: Callable,
    parameters: Sequence[str] = PARAMETERS,
    steps: int | None = None,
) -> dict[str, Any]:
    """`differences.compare` for every parameter: {parameter: {observable: {band: [error, own error]}}}.

    What is compared: the Jacobian, or with `steps` differences of boltzax, whose steps are as large as CLASS's.
    """
    value, jac = programs.jacobian(x)
    report = {}
    for name in parameters:
        ours = jac[name]
        if steps is not None:
            found = diff.wide_differences(programs.value, x, name, steps)
            ours = {key: diff.extrapolate([d[key] for d in found], 1.0, {"": slice(None)})[0] for key in found[0]}
        report[name] = diff.compare(SIGMA[name], value, ours, differences(name))
        error, own, where = max((*pair, f"{o} {b}") for o, parts in report[name].items() for b, pair in parts.items())
        say(f"{name}: {error:.1e} ({where.strip()}; the differences themselves {own:.1e})")
    return report


def point_report(programs: diff.Programs, x: np.ndarray, options: argparse.Namespace, say: Callable) -> dict[str, Any]:
    """Every requested check at one point."""
    report: dict[str, Any] = {}
    if "jvp" in options.checks:
        report |= forward_against_reverse(programs, x)
        for title in ("jvp against vjp", "jacobian against jvp"):
            say(f"{title}: {max(report[title].values()):.1e}")
    if "differences" in options.checks:
        report["differences"] = against_differences(
            programs, x, lambda name: diff.of_boltzax(programs, x, name, options.levels), say
        )
    if "hvp" in options.checks:
        report["hvp"] = hessian_products(programs, x)
        say(f"Hessian-vector product: {report['hvp']['error']:.1e} (differences {report['hvp']['own']:.1e})")
    if options.classy:
        settings = (programs.outputs, options.class_precision, options.class_levels)
        of_class = lambda name: diff.of_class(x, name, *settings)
        report["class"] = against_differences(
            programs, x, of_class, say, options.class_parameters, options.class_levels
        )
    return report


def worst(report: Any) -> tuple[float, float]:
    """The largest error in one check of a report, and the own error of the differences beside it; nan counts most."""
    if isinstance(report, Mapping) and "own" in report:
        return report["error"], report["own"]
    if isinstance(report, Mapping):
        return max((worst(part) for part in report.values()), key=lambda pair: np.nan_to_num(pair[0], nan=np.inf))
    return (report[0], report[1]) if isinstance(report, list) else (report, 0.0)


def _cell(value: float, limit: float) -> str:
    return f"{value:.1e}" if value <= limit else f"**{value:.1e}**"


def summary(points: Mapping[str, Any], checks: Sequence[str]) -> str:
    """The table of the requirements of some checks, one column for each point."""
    lines = [f"| largest error of | required | {' | '.join(points)} |", "|---" * (2 + len(points)) + "|"]
    for check in checks:
        cells = [_cell(worst(r[check])[0], BOUNDS[check]) if check in r else "–" for r in points.values()]
        lines.append(f"| {TITLES[check]} | {BOUNDS[check]:.0e} | {' | '.join(cells)} |")
    return "\n".join(lines)


def matrix(points: Mapping[str, Any], check: str) -> str:
    """Errors by observable and parameter: the worst over bands and points, then that of the differences alone."""
    reports = [r[check] for r in points.values() if check in r]
    parameters = [p for p in PARAMETERS if all(p in r for r in reports)]
    names = list(reports[0][parameters[0]])
    lines = [f"| {TITLES[check]} | {' | '.join(parameters)} |", "|---" * (1 + len(parameters)) + "|"]
    singles = [n for n in names if n.startswith("derived_")]
    rows = [(n, [n]) for n in names if n not in singles] + [("derived parameters", singles)] * bool(singles)
    for label, members in rows:
        # a report of an earlier version may lack a derived parameter
        parts = lambda p, own: {f"{i}{n}": r[p][n] for i, r in enumerate(reports) for n in own if n in r[p]}
        cells = [worst(parts(p, members))[0] for p in parameters]
        lines.append(f"| {label.replace('_', ' ')} | {' | '.join(_cell(c, BOUNDS[check]) for c in cells)} |")
    own = [max(pair[1] for r in reports for parts in r[p].values() for pair in parts.values()) for p in parameters]
    if np.all(np.isfinite(own)):  # a single step size tells nothing of its error
        lines.append(f"| *finite differences alone, estimated* | {' | '.join(f'{e:.0e}' for e in own)} |")
    return "\n".join(lines)


def tables(points: Mapping[str, Any]) -> dict[str, str]:
    """The tables of what was run, by their names in the documentation: of boltzax by itself, and against CLASS."""
    blocks = {"derivatives": [check for check in TITLES if check != "class"], "derivatives of CLASS": ["class"]}
    found = {}
    for block, checks in blocks.items():
        run = [check for check in checks if any(check in report for report in points.values())]
        if run:
            matrices = [matrix(points, check) for check in run if check in ("differences", "class")]
            found[block] = "\n\n".join([summary(points, checks), *matrices])
    return found


def misses(points: Mapping[str, Any]) -> list[str]:
    """Requirements that are missed, in words; nan is a miss."""
    found = []
    for point, report in points.items():
        for check in (c for c in TITLES if c in report):
            value = worst(report[check])[0]
            if not value <= BOUNDS[check]:
                found.append(f"{point}: {TITLES[check]}: {value:.1e}, required {BOUNDS[check]:.0e}")
    return found


def _arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", nargs="+", default=list(POINTS), choices=[*POINTS], metavar="NAME")
    checks = ("jvp", "differences", "hvp")
    parser.add_argument("--checks", nargs="*", default=checks, choices=checks, help="all three unless given")
    parser.add_argument("--levels", type=int, default=6, help="step sizes of boltzax's differences, each half the last")
    parser.add_argument("--classy", action="store_true", help="compare with CLASS too (hours, cached)")
    parser.add_argument("--class-precision", default="reference", choices=("reference", "variation"))
    parser.add_argument("--class-parameters", nargs="+", default=PARAMETERS, choices=PARAMETERS, metavar="NAME")
    parser.add_argument("--class-levels", type=int, default=1, help="step sizes of CLASS's differences, at least")
    parser.add_argument("--small", action="store_true", help="few modes, l_max 400: tries the instrument alone")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep every number here, beside what it holds")
    parser.add_argument("--update-docs", action="store_true", help="rewrite the tables of docs/derivatives.md")
    options = parser.parse_args(arguments)
    if options.small and options.update_docs:
        parser.error("--small measures nothing that belongs into the documentation")
    if options.levels < 2 or options.class_levels < 1:
        parser.error("--levels must be at least 2, --class-levels at least 1 (which gives no estimate of their error)")
    return options


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    os.environ.setdefault("BOLTZAX_ON_ERROR", "nan")  # JAX caches no program that can raise
    options = _arguments(arguments)
    if options.small:
        programs = diff.Programs(SMALL_OUTPUTS, SMALL)
    else:
        programs = diff.Programs(boltzax.Outputs(), boltzax.Precision())
    points = json.loads(options.json.read_text()) if options.json and options.json.exists() else {}
    start = time.perf_counter()
    for point in options.points:

        def say(text, point=point):
            print(f"[{time.perf_counter() - start:6.0f} s, {point}] {text}", file=sys.stderr, flush=True)

        found, kept = point_report(programs, np.array(POINTS[point]), options, say), points.setdefault(point, {})
        if "class" in found:  # parameters of earlier runs stay
            found["class"] = kept.get("class", {}) | found["class"]
        kept.update(found)
        if options.json:
            write_json(options.json, points)
    points = {name: points[name] for name in POINTS if name in points}
    found = tables(points)
    print("\n\n".join(found.values()))
    if options.update_docs:
        for block, text in found.items():
            update_docs(block, f"`python -m oracle.derivatives {' '.join(sys.argv[1:])}`\n\n{text}", DOCS)
    missed = misses(points)
    print("\n".join(missed) if missed else "every requirement is met")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
