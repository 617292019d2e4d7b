"""A verdict: `python -m oracle gate --criterion FILE` exits 0 only if the criterion holds.

Draws points from the prior, afresh from the system's entropy at each call, and compares the boltzax that is importable
with CLASS at reference settings there (minutes of CPU a point; finished ones are cached); then derivatives and speed,
where the criterion names them (`oracle.criterion` describes the file). Prints a table, and with --json writes seed,
figures, and hashes of criterion, reference recipe and package. `python -m oracle sweep --seed SEED` draws the same
points again. Exit code 0: the criterion holds; 1: it does not; 2: bad input.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from oracle import codes, prior, workers
from oracle import reference as ref
from oracle import runs as finished
from oracle.criterion import Criterion, CriterionError, load
from oracle.errors import LABELS, MATTER, errors, largest
from oracle.files import write_text
from oracle.progress import progress

_TIMED = 3  # evaluations of each code in the measure of speed
_SPEED_L_MAX, _SPEED_K_MAX = 2500, 8.0


class Row(NamedTuple):
    """One figure of a verdict; value None where there is none."""

    name: str
    value: float | None
    required: float
    passed: bool


def row(name: str, value: float | None, required: float) -> Row:
    """A figure that must not exceed `required`; one that is not finite does not pass."""
    finite = value is not None and bool(np.isfinite(value))
    return Row(name, float(value) if finite else None, required, finite and value <= required)


# -- what runs in the worker processes ---------------------------------------------------------------------------------


def point_errors(index: int, seed: int, l_min: int, l_max: int) -> dict[str, float]:
    """Largest error of boltzax in every spectrum at one point."""
    point = prior.draw(index, seed)
    reference = codes.reference(point, l_max)
    found = errors(codes.boltzax(point, l_max), reference)
    ends = lambda name: (None, None) if name in MATTER else (l_min, l_max)
    return {name: largest(e, *ends(name))[0] for name, e in found.items() if _long_enough(name, e, l_max)}


def _long_enough(name: str, error: np.ndarray, l_max: int) -> bool:
    return name in MATTER or len(error) > l_max


def _one_species(seed: int, n: int) -> list[dict[str, Any]]:
    """The first n points with one massive species, of a sequence that no point of the comparison belongs to."""
    points = (prior.draw(10**6 + i, seed) for i in range(100 * n))
    return [p for p in points if len(p["m_ncdm"]) == 1][:n]


def derivative_errors(parameters: tuple[str, ...], seed: int) -> dict[str, float]:
    """Largest error of `boltzax.jacobian` against converged finite differences, by parameter, at one point."""
    import boltzax
    from oracle import differences as diff
    from oracle.experiment import PARAMETERS, SIGMA

    point = _one_species(seed, 1)[0] | {"m_ncdm": None}
    x = np.array([_one_species(seed, 1)[0]["m_ncdm"][0] if n == "m_ncdm" else point[n] for n in PARAMETERS])
    programs = diff.Programs(boltzax.Outputs(), boltzax.Precision())
    value, jacobian = programs.jacobian(x)
    found = {}
    for name in parameters:
        report = diff.compare(SIGMA[name], value, jacobian[name], diff.of_boltzax(programs, x, name, levels=5))
        found[name] = max(error for parts in report.values() for error, _ in parts.values())
    return found


def speed(seed: int) -> float:
    """Median wall time of boltzax over that of CLASS at its defaults: l_max 2500, P(k) to 8/Mpc, compiled before."""
    import boltzax

    outputs = boltzax.Outputs(l_max=_SPEED_L_MAX, k_max=_SPEED_K_MAX)
    first, *points = _one_species(seed, 1 + _TIMED)
    boltzax.solve(boltzax.Cosmology(**first), outputs)
    ours, theirs = [], []
    for point in points:
        cosmo = boltzax.Cosmology(**point)
        start = time.perf_counter()
        np.asarray(boltzax.solve(cosmo, outputs).lensed_cl.tt)
        ours.append(time.perf_counter() - start)
        settings = ref.class_settings(point, "default")
        settings |= {"l_max_scalars": _SPEED_L_MAX, "P_k_max_1/Mpc": _SPEED_K_MAX}
        start = time.perf_counter()
        with ref.class_run(settings):
            theirs.append(time.perf_counter() - start)
    return float(np.median(ours) / np.median(theirs))


# -- the verdict -------------------------------------------------------------------------------------------------------


def judge(criterion: Criterion, seed: int, n_workers: int, threads: int) -> tuple[list[Row], list[str]]:
    """Every figure that the criterion asks for, and what failed, in words."""
    rows: list[Row] = []
    failures: list[str] = []
    cores = os.cpu_count() or 1
    with progress("gate", criterion.points + bool(criterion.derivatives) + bool(criterion.speed)) as tell:
        if criterion.speed is not None:
            [ratio] = _run(speed, [(seed,)], 1, cores, tell, failures, "speed")
            rows.append(row("speed ratio", ratio, criterion.speed))
        if criterion.tolerance:
            tasks = [(i, seed, criterion.l_min, criterion.l_max) for i in range(criterion.points)]
            found = _run(point_errors, tasks, n_workers, threads, tell, failures, "point")
            for name, required in criterion.tolerance.items():
                values = [np.inf if point is None else point.get(name, np.inf) for point in found]
                rows.append(row(name, max(values), required))
        if criterion.derivatives is not None:
            task = [(criterion.parameters, seed)]
            [by_parameter] = _run(derivative_errors, task, 1, cores, tell, failures, "derivatives")
            for name in criterion.parameters:
                value = None if by_parameter is None else by_parameter[name]
                rows.append(row(f"derivatives {name}", value, criterion.derivatives))
    return rows, failures


def _run(function, tasks, n_workers, threads, tell, failures: list[str], what: str) -> list[Any]:
    """Results in the order of the tasks, None for what failed."""
    results: dict[Any, Any] = dict.fromkeys(tasks)
    for event in workers.run(function, tasks, n_workers, threads):
        name = f"{what} {event.task[0]}" if len(tasks) > 1 else what
        if event.kind == "failed":
            failures.append(f"{name} failed: {event.result}")
        elif event.kind == "done":
            results[event.task] = event.result
        tell(f"{name} {event.kind}", event.kind != "started")
    return list(results.values())


def table(rows: list[Row]) -> str:
    """The verdict's figures as text."""
    lines = [f"{'':32s}{'reached':>10s}{'required':>10s}"]
    for r in rows:
        reached = "none" if r.value is None else f"{r.value:.1e}"
        verdict = "" if r.passed else "   missed"
        lines.append(f"{LABELS.get(r.name, r.name):32s}{reached:>10s}{r.required:>10.0e}{verdict}")
    return "\n".join(lines)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command line."""
    cores = os.cpu_count() or 1
    half = max(cores // 2, 1)
    parser.add_argument("--criterion", type=Path, required=True, metavar="FILE", help="TOML file: see oracle/criteria")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the verdict")
    parser.add_argument("--workers", type=int, default=half, help=f"processes (default here: {half})")
    parser.add_argument("--threads", type=int, default=min(2, cores), help="threads of each (default: 2)")


def _check(options: argparse.Namespace) -> Criterion:
    criterion = load(options.criterion)
    if options.json and not options.json.resolve().parent.is_dir():
        raise CriterionError(f"--json {options.json}: there is no folder {options.json.parent}")
    if options.workers < 1 or options.threads < 1:
        raise CriterionError("--workers and --threads must be positive")
    codes.require("classy")
    if criterion.reference_hash not in (None, ref.reference_hash()):
        raise CriterionError(
            f"{options.criterion} was written for the reference recipe {criterion.reference_hash}, and this is "
            f"{ref.reference_hash()}: a verdict would mean something else"
        )
    return criterion


def main(options: argparse.Namespace) -> int:
    """Runs the command; returns the exit code."""
    try:
        criterion = _check(options)
    except (CriterionError, codes.MissingCodeError) as error:
        print(error, file=sys.stderr)
        return 2
    seed = prior.fresh_seed()
    rows, failures = judge(criterion, seed, options.workers, options.threads)
    passed = bool(rows) and not failures and all(r.passed for r in rows)
    verdict = {
        "passed": passed,
        "seed": seed,
        "criterion": {"name": criterion.name, "hash": criterion.hash},
        "reference_hash": ref.reference_hash(),
        "class_version": finished.class_version(),
        "package": codes.package(),
        "failures": failures,
        "rows": [r._asdict() for r in rows],
    }
    print(table(rows))
    for failure in failures:
        print(failure)
    print(f"criterion {criterion.name} {'holds' if passed else 'does not hold'}; seed {seed}")
    if options.json:
        write_text(options.json, json.dumps(verdict, indent=1, allow_nan=False) + "\n")
    return 0 if passed else 1
