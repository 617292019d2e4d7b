"""Convergence of boltzax by itself: `python -m oracle ladder`.

At one point, each setting of the precision is made finer by itself, and the change of every spectrum is set against a
third of its error budget (what `oracle.sweep_report` requires of the median point); those of tensor modes with r = 0.1,
in the total spectra. Then Precision.fast(), Precision() and Precision.reference() are compared with
Precision.reference(), with their times. Needs no CLASS. Every rung is a compilation of its own and runs in a process of
its own; DIR keeps finished ones, and the same command goes on from there. Exit code 0 if every setting of Precision()
is within its third, 1 if one is not, 2 for bad input.
"""

import argparse
import json
import os
import sys
import time
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

import boltzax
from boltzax.check_accuracy import direction
from oracle import codes, workers
from oracle import reference as ref
from oracle import runs as finished
from oracle.docs import FIGURES, update_docs
from oracle.errors import LABELS, MATTER, errors, largest
from oracle.files import save_npz, write_json
from oracle.progress import progress
from oracle.sweep_report import REQUIRED

L_MAX = 3000
_RAISED = 1.5  # factor of hierarchies, momenta, modes and ranges, whose price grows fast
_DOUBLED = ("n_h", "n_k", "n_v", "dtau_late", "chi_step", "l_growth", "l_step", "k_per_efold", "dy_min", "y_x_start")
_PRESETS = ("fast", "default", "reference")
_WAVES = "default, r = 0.1"  # what settings of tensor modes are compared with
_R = 0.1
_REPEAT = 5  # solutions of which the fastest counts


def finer(precision: boltzax.Precision, name: str) -> boltzax.Precision:
    """The precision with one setting finer: steps twice as dense, everything else by half again."""
    value = getattr(precision, name)
    factor = 2.0 if name in _DOUBLED else _RAISED
    value = value * factor if direction(name) > 0 else value / factor
    return replace(precision, **{name: round(value) if isinstance(getattr(precision, name), int) else value})


def preset(name: str) -> boltzax.Precision:
    """One of the named precisions."""
    return boltzax.Precision() if name == "default" else getattr(boltzax.Precision, name)()


def rungs() -> dict[str, boltzax.Precision]:
    """Every precision that is solved: the presets, and Precision() with one setting finer, by its name."""
    base = boltzax.Precision()
    presets = {name: preset(name) for name in _PRESETS} | {_WAVES: base}
    return presets | {f.name: finer(base, f.name) for f in fields(base) if direction(f.name)}


def base_of(name: str) -> str:
    """The rung that a finer setting is compared with: for those of tensor modes one that has them."""
    return _WAVES if name.endswith("_tensors") else "default"


def solve(point: dict[str, Any], settings: dict[str, Any], l_max: int, path: str) -> float:
    """Solves a point into a file; returns the least wall time of a solution once compiled."""
    precision = boltzax.Precision(**settings)
    seconds = []
    for _ in range(1 + _REPEAT):
        start = time.perf_counter()
        results = codes.solve(point, l_max, precision)
        np.asarray(results.lensed_cl.tt)
        seconds.append(time.perf_counter() - start)
    save_npz(Path(path), codes.flatten(results))
    return min(seconds[1:])


def sizes(result: dict[str, np.ndarray], reference: dict[str, np.ndarray], l_max: int) -> dict[str, float]:
    """Largest change of each spectrum."""
    found = errors(result, reference)
    return {name: largest(e, *((None, None) if name in MATTER else (2, l_max)))[0] for name, e in found.items()}


def climb(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Solves every rung that the folder lacks: {rung: {"seconds": wall time, "file": ...}}; None for what failed."""
    folder = options.out
    folder.mkdir(parents=True, exist_ok=True)
    package, found = codes.package()["hash"], {}
    wanted = rungs()
    if options.only:
        bases = (base_of(name) for name in options.only)
        wanted = {name: p for name, p in wanted.items() if name in (*_PRESETS, *bases, *options.only)}
    with progress("rungs", len(wanted)) as tell:
        for name, precision in wanted.items():
            point = ref.POINTS[options.point] | ({"r": _R} if _WAVES in (name, base_of(name)) else {})
            key = finished.settings_hash("rung", {**asdict(precision), "point": point, "l_max": options.l_max}, package)
            path, record = folder / f"{key}.npz", folder / f"{key}.json"
            if path.exists() and record.exists():
                found[name] = json.loads(record.read_text()) | {"path": path}
                tell(f"{name} was there", True)
                continue
            tell(name, False)
            task = (point, asdict(precision), options.l_max, str(path))
            for event in workers.run(solve, [task], 1, os.cpu_count() or 1):
                if event.kind == "done":
                    found[name] = {"seconds": event.result, "path": path}
                    write_json(record, {"seconds": event.result})
                elif event.kind == "failed":
                    found[name] = {"failure": event.result}
            tell(f"{name} finished: {found[name]}", True)
    return found


def report(found: dict[str, dict[str, Any]], l_max: int) -> dict[str, Any]:
    """Changes of every rung against Precision(), and of the presets against the reference."""
    flats = {}
    for name, rung in found.items():
        if "path" in rung:
            with np.load(rung["path"]) as data:
                flats[name] = {key: data[key] for key in data.files}
    settings = {
        name: sizes(flats[base_of(name)], flat, l_max)
        for name, flat in flats.items()
        if name not in (*_PRESETS, _WAVES) and base_of(name) in flats
    }
    presets = {n: sizes(flats[n], flats["reference"], l_max) for n in _PRESETS if n in flats and "reference" in flats}
    seconds = {name: found[name]["seconds"] for name in flats}
    failures = {name: rung["failure"] for name, rung in found.items() if "failure" in rung}
    return {"settings": settings, "presets": presets, "seconds": seconds, "failures": failures}


def _cell(value: float, limit: float) -> str:
    return f"{value:.0e}" if value <= limit else f"**{value:.1e}**"


def markdown(result: dict[str, Any]) -> str:
    """Both tables."""
    names = list(REQUIRED)
    heads = [LABELS[n].replace(" / sqrt(TT EE)", "") for n in names]
    lines = [f"| setting | value | finer | {' | '.join(heads)} | time |", "|---" * (4 + len(names)) + "|"]
    lines.append(f"| *a third of the budget* | | | {' | '.join(f'{REQUIRED[n] / 3.0:.0e}' for n in names)} | |")
    base, all_rungs = boltzax.Precision(), rungs()
    for setting, changes in result["settings"].items():
        value = [f"{getattr(p, setting):g}" for p in (base, all_rungs[setting])]
        cells = [_cell(changes[n], REQUIRED[n] / 3.0) if n in changes else "–" for n in names]
        ratio = result["seconds"][setting] / result["seconds"][base_of(setting)]
        lines.append(f"| {setting} | {' | '.join([*value, *cells])} | x {ratio:.2f} |")
    lines += ["", f"| precision | {' | '.join(heads)} | time [s] |", "|---" * (2 + len(names)) + "|"]
    for name, changes in result["presets"].items():
        label = "Precision()" if name == "default" else f"Precision.{name}()"
        cells = ["" if name == "reference" else f"{changes[n]:.1e}" for n in names if n in changes]
        lines.append(f"| {label} | {' | '.join(cells)} | {result['seconds'][name]:.2f} |")
    lines += [f"- {name} failed: {reason}" for name, reason in result["failures"].items()]
    return "\n".join(lines)


def misses(result: dict[str, Any]) -> list[str]:
    """Settings whose refinement moves a spectrum by more than a third of its budget, and failures."""
    lines = [
        f"{setting}: {LABELS[name]} moves by {change:.1e}, a third of the budget is {REQUIRED[name] / 3.0:.0e}"
        for setting, changes in result["settings"].items()
        for name, change in changes.items()
        if name in REQUIRED and not change <= REQUIRED[name] / 3.0
    ]
    return lines + [f"{name} failed: {reason}" for name, reason in result["failures"].items()]


def plot(result: dict[str, Any], path: Path) -> None:
    """The changes of every setting, in thirds of the budget, as a map of settings and spectra."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    rows = result["settings"].values()
    changes = np.array([[row.get(n, np.nan) / REQUIRED[n] * 3.0 for n in REQUIRED] for row in rows])
    figure, axis = plt.subplots(figsize=(8, 0.28 * len(changes) + 2.4), constrained_layout=True)
    map_ = axis.imshow(np.log10(np.maximum(changes, 1e-6)), cmap="RdYlBu_r", vmin=-3.0, vmax=3.0, aspect="auto")
    for (i, j), change in np.ndenumerate(changes):
        text = {"ha": "center", "va": "center", "fontsize": 7, "color": "w" if change < 0.02 else "k"}
        axis.text(j, i, f"{change:.1g}" if change >= 5e-4 else "0", **text)
    axis.set_xticks(range(len(REQUIRED)), [LABELS[n] for n in REQUIRED], rotation=35, ha="right", fontsize=8)
    axis.set_yticks(range(len(changes)), list(result["settings"]), fontsize=8)
    axis.set_title("change of Precision() with one setting finer, in thirds of the error budget", fontsize=10)
    figure.colorbar(map_, label="log10")
    figure.savefig(path, dpi=110)
    plt.close(figure)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command line."""
    settings = [name for name in rungs() if name not in (*_PRESETS, _WAVES)]
    parser.add_argument("--only", nargs="+", choices=settings, metavar="SETTING", help=f"of {', '.join(settings)}")
    parser.add_argument("--point", choices=("fiducial", "massless"), default="fiducial", help="default: fiducial")
    parser.add_argument("--l-max", type=int, default=L_MAX, help=f"largest multipole (default: {L_MAX})")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder that keeps finished rungs")
    parser.add_argument("--json", type=Path, metavar="FILE", help="every number")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="figure of the changes (default: DIR/ladder.png)")
    parser.add_argument("--update-docs", action="store_true", help="rewrite tables and figure of docs/accuracy.md")


def main(options: argparse.Namespace) -> int:
    """Runs the command; returns the exit code."""
    if options.only and options.update_docs:
        print("--update-docs writes the whole table: leave --only out", file=sys.stderr)
        return 2
    try:
        boltzax.Outputs(l_max=options.l_max)
    except boltzax.errors.PrecisionError as error:
        print(error, file=sys.stderr)
        return 2
    result = report(climb(options), options.l_max)
    text = markdown(result)
    print(text)
    figures = [options.plot or options.out / "ladder.png"] + [FIGURES / "ladder.png"] * options.update_docs
    for path in figures if result["settings"] else ():
        plot(result, path)
    if options.json:
        write_json(options.json, result)
    if options.update_docs:
        command = f"python -m oracle ladder --point {options.point} --out DIR"
        update_docs("ladder", f"`{command}`\n\n{text}")
    missed = misses(result)
    print("\n".join(["", *missed]) if missed else "\nevery setting is within a third of the budget")
    return 1 if missed else 0
