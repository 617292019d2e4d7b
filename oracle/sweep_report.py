"""What a sweep found: requirements, distribution of errors by spectrum and band, worst points, failures; figure."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from oracle import codes, prior
from oracle import reference as ref
from oracle.docs import FIGURES, update_docs
from oracle.errors import LABELS, MATTER, bands, largest
from oracle.files import write_json
from oracle.sweep import load_all

OURS, *OTHERS = codes.COMPARED
# Largest error over l (k, z) that the median point may have; the worst point twice that.
REQUIRED: dict[str, float] = {
    **dict.fromkeys(("unlensed_tt", "unlensed_ee", "unlensed_te", "lensed_tt", "lensed_ee", "lensed_te"), 3e-4),
    "lensed_bb": 1e-3,
    "lensed_pp": 5e-4,
    "pk": 3e-4,
    "pk_cb": 3e-4,
}
_WORST = 2.0

Points = Sequence[tuple[Mapping[str, Any], Mapping[str, np.ndarray]]]


class Spread(NamedTuple):
    """Largest errors of the points: their median, the worst, the point where it is and its l (k in h/Mpc)."""

    median: float
    worst: float
    point: int
    at: float


def spread(points: Points, code: str, spectrum: str, low: int | None = None, high: int | None = None) -> Spread | None:
    """The spread of one code's errors in one spectrum between two multipoles; None where no point has it."""
    found = [(r["index"], largest(a[key], low, high)) for r, a in points if (key := f"{code}|{spectrum}") in a]
    if not found:
        return None
    sizes = np.array([size for _, (size, _) in found])
    worst = int(np.argmax(sizes))
    index, (_, at) = found[worst]
    return Spread(float(np.median(sizes)), float(sizes[worst]), index, float(ref.K_H[at]) if spectrum in MATTER else at)


def summary(points: Points, l_max: int) -> dict[str, Any]:
    """Every spread: {spectrum: {code: {"total" or band: Spread}}}."""
    out: dict[str, Any] = {}
    for spectrum in LABELS:
        parts: dict[str, tuple] = {"total": (None, None) if spectrum in MATTER else (2, l_max)}
        if spectrum not in MATTER:
            parts |= {f"{low}-{high}": (low, high) for low, high in bands(l_max)}
        out[spectrum] = {
            code: {part: s for part, ends in parts.items() if (s := spread(points, code, spectrum, *ends))}
            for code in codes.COMPARED
        }
    return out


def misses(found: Mapping[str, Any], points: Points) -> list[str]:
    """Requirements that are missed, and failures of boltzax or the reference, in words."""
    lines = []
    for spectrum, required in REQUIRED.items():
        ours = found[spectrum][OURS].get("total")
        if ours is None:
            lines.append(f"{LABELS[spectrum]}: no point")
            continue
        if not ours.median <= required:
            lines.append(f"{LABELS[spectrum]}: median {ours.median:.1e}, required {required:.0e}")
        if not ours.worst <= _WORST * required:
            at = f"point {ours.point} at {ours.at:.3g}"
            lines.append(f"{LABELS[spectrum]}: worst {ours.worst:.1e} ({at}), required {_WORST * required:.0e}")
        for other in OTHERS:
            theirs = found[spectrum][other].get("total")
            if theirs and not (ours.median < theirs.median and ours.worst < theirs.worst):
                lines.append(f"{LABELS[spectrum]}: {other} is closer to the reference (median {theirs.median:.1e})")
    return lines + [line for line in failures(points) if not line.startswith(tuple(OTHERS))]


def failures(points: Points) -> list[str]:
    """What failed, in words."""
    return [
        f"{name} failed at point {r['index']} ({prior.describe(r['parameters'])}): {reason}"
        for r, _ in points
        for name, reason in r["failures"].items()
    ]


def _cell(value: float, limit: float) -> str:
    return f"{value:.1e}" if value <= limit else f"**{value:.1e}**"


def markdown(found: Mapping[str, Any], points: Points) -> str:
    """The tables: requirements beside the other codes, bands, failures."""
    head = ["largest error", "required: median, worst", f"{OURS}: median", "worst", "at (point, l or k)"]
    head += [f"{other}: median, worst" for other in OTHERS]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for spectrum, required in REQUIRED.items():
        cells = [LABELS[spectrum], f"{required:.0e}, {_WORST * required:.0e}"]
        ours = found[spectrum][OURS].get("total")
        if ours:
            cells += [_cell(ours.median, required), _cell(ours.worst, _WORST * required)]
            cells += [f"{ours.point}, {ours.at:.3g}"]
        else:
            cells += ["**none**", "**none**", ""]
        for other in OTHERS:
            theirs = found[spectrum][other].get("total")
            cells.append(f"{theirs.median:.1e}, {theirs.worst:.1e}" if theirs else "–")
        lines.append(f"| {' | '.join(cells)} |")
    names = list(found["lensed_tt"][OURS])[1:]
    lines += ["", f"| {OURS} by band of l: median, worst | {' | '.join(names)} |", "|---" * (1 + len(names)) + "|"]
    for spectrum in (s for s in LABELS if s not in MATTER):
        rows = found[spectrum][OURS]
        cells = [f"{rows[band].median:.1e}, {rows[band].worst:.1e}" if band in rows else "–" for band in names]
        lines.append(f"| {LABELS[spectrum]} | {' | '.join(cells)} |")
    failed = failures(points)
    lines += ["", f"{len(points)} points, {len(failed)} failures.", *(f"- {line}" for line in failed)]
    return "\n".join(lines)


def plot(points: Points, l_max: int, path: Path) -> None:
    """Absolute errors over l and k: the median point and the worst at each l, for every code."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, 5, figsize=(21, 8), constrained_layout=True)
    colours = dict(zip(codes.COMPARED, ("C0", "C1", "C2"), strict=True))
    for axis, (spectrum, label) in zip(axes.flat, LABELS.items(), strict=True):
        for code, colour in colours.items():
            rows = [np.abs(a[key]) for _, a in points if (key := f"{code}|{spectrum}") in a]
            if not rows:
                continue
            rows = np.array([r.max(axis=0) if spectrum in MATTER else r[2 : l_max + 1] for r in rows])
            x = ref.K_H if spectrum in MATTER else np.arange(2, l_max + 1)
            axis.plot(x, np.median(rows, axis=0), color=colour, lw=1.2, label=f"{code}, median")
            axis.plot(x, rows.max(axis=0), color=colour, lw=0.6, alpha=0.6, label=f"{code}, worst")
        for factor, style in ((1.0, "-"), (_WORST, ":")):
            axis.axhline(factor * REQUIRED[spectrum], color="0.3", lw=0.8, ls=style)
        axis.set(xscale="log", yscale="log", title=label, ylim=(1e-6, 3e-2))
        axis.set_xlabel("k [h/Mpc]" if spectrum in MATTER else "l")
    axes.flat[0].legend(fontsize=7)
    figure.suptitle(f"difference from the reference at {len(points)} points; lines: required of median and worst")
    figure.savefig(path, dpi=110)
    plt.close(figure)


def report(options: argparse.Namespace, seed: int) -> int:
    """Prints the report of a folder, writes figure, JSON and documentation as asked; returns the exit code."""
    points = load_all(options.out)
    if not points:
        print(f"{options.out} holds no points yet")
        return 1
    stale = [r["index"] for r, _ in points if r["package"] != codes.package()["hash"]]
    found = summary(points, options.l_max)
    text = markdown(found, points)
    print(text)
    if stale:
        print(f"points of another version of boltzax than the one imported: {', '.join(map(str, stale))}")
    plot(points, options.l_max, options.plot or options.out / "sweep.png")
    if options.json:
        spreads = {s: {c: {k: v._asdict() for k, v in p.items()} for c, p in f.items()} for s, f in found.items()}
        content = {"seed": seed, "points": [r for r, _ in points], "spreads": spreads}
        write_json(options.json, content)
    if options.update_docs:
        update_docs("sweep", f"`python -m oracle sweep --points {len(points)} --seed {seed} --out DIR`\n\n{text}")
        plot(points, options.l_max, FIGURES / "sweep.png")
    missed = misses(found, points)
    print("\n".join(["", "missed:", *missed]) if missed else "\nevery requirement holds")
    return 1 if missed else 0
