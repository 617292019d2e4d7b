"""Smoothness of chi2 along straight lines: `python -m oracle.smoothness [--lines NAME ...] [--plot FILE]`.

Along each line through the fiducial point, from -2 to +2 Planck standard deviations, 200 cosmologies are solved and
their chi2 against the fiducial spectra taken (`oracle.experiment.Experiment`: cosmic-variance-limited TT, TE and EE to
l = 2500). A polynomial is fitted to it; what departs from the polynomial is roughness of the solver, or curvature that
the order of the polynomial cannot follow: orders are raised until the departure stops falling. --update-docs rewrites
a table of docs/derivatives.md. Exit code 1 if a line departs by more than 1e-3.
"""

import argparse
import os
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
from numpy.polynomial import Chebyshev

import boltzax
from oracle.docs import update_docs
from oracle.experiment import PARAMETERS, POINTS, SMALL, SMALL_OUTPUTS, Experiment, cosmology, scales
from oracle.files import write_json

DOCS = Path(__file__).resolve().parent.parent / "docs" / "derivatives.md"
REQUIRED = 1e-3
REACH = 2.0  # standard deviations to each side
ORDERS = range(2, 13)  # of the polynomials
RANDOM = ("random 1", "random 2")
LINES = (*PARAMETERS, *RANDOM)


def direction(name: str) -> np.ndarray:
    """The step of one standard deviation along a line; random lines mix all parameters in units of theirs."""
    if name in PARAMETERS:
        return scales() * (np.array(PARAMETERS) == name)
    unit = np.random.default_rng(100 + RANDOM.index(name)).normal(size=len(PARAMETERS))
    return scales() * unit / np.linalg.norm(unit)


def departures(t: np.ndarray, chi2: np.ndarray) -> dict[int, float]:
    """Largest |chi2 - polynomial| for each order of the least-squares fit over t."""
    return {n: float(np.max(np.abs(chi2 - Chebyshev.fit(t, chi2, n)(t)))) for n in ORDERS}


def chosen_order(found: dict[int, float]) -> int:
    """The lowest order after which no further one lowers the departure to less than two thirds."""
    return next(n for n in found if min(found.values()) > found[n] * 2.0 / 3.0)


def line_report(chi2_at: Any, name: str, n_points: int) -> dict[str, Any]:
    """chi2 along a line and its departure from polynomials."""
    t = np.linspace(-REACH, REACH, n_points)
    x, d = np.array(POINTS["fiducial"]), direction(name)
    chi2 = np.array([float(chi2_at(x + ti * d)) for ti in t])
    found = departures(t, chi2)
    order = chosen_order(found)
    return {
        "t": t.tolist(),
        "chi2": chi2.tolist(),
        "departures": {str(n): value for n, value in found.items()},
        "order": order,
        "departure": found[order],
    }


def markdown(lines: dict[str, Any]) -> str:
    """The table of lines."""
    rows = [
        "| line | largest chi2 | order of the polynomial | departure, max | at orders 4 / 6 / 8 / 12 | required |",
        "|---|---|---|---|---|---|",
    ]
    for name, line in lines.items():
        value, found = line["departure"], line["departures"]
        shown = f"{value:.1e}" if value <= REQUIRED else f"**{value:.1e}**"
        others = " / ".join(f"{found[n]:.0e}" for n in ("4", "6", "8", "12"))
        rows.append(f"| {name} | {max(line['chi2']):.4g} | {line['order']} | {shown} | {others} | {REQUIRED:g} |")
    return "\n".join(rows)


def plot(lines: dict[str, Any], path: Path) -> None:
    """chi2 and its departure from the polynomial along every line."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(
        len(lines), 2, figsize=(10, 1.9 * len(lines) + 0.5), squeeze=False, sharex=True, layout="constrained"
    )
    for (left, right), (name, line) in zip(axes, lines.items(), strict=True):
        t, chi2 = np.array(line["t"]), np.array(line["chi2"])
        left.plot(t, chi2, "C3", lw=1)
        left.set_title(f"chi2, {name}", fontsize=9)
        right.plot(t, chi2 - Chebyshev.fit(t, chi2, line["order"])(t), "C0", lw=0.8)
        right.axhspan(-REQUIRED, REQUIRED, color="0.92", zorder=0)
        right.set_title(f"minus a polynomial of order {line['order']}; grey: required", fontsize=9)
    for axis in axes[-1]:
        axis.set_xlabel("distance from the fiducial point [standard deviations]")
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = ("h", "omega_cdm", "tau_reio", "m_ncdm", *RANDOM)
    parser.add_argument("--lines", nargs="+", default=default, choices=LINES, metavar="NAME")
    parser.add_argument("--n-points", type=int, default=200, help="cosmologies on each line")
    parser.add_argument("--small", action="store_true", help="few modes, l_max 400: tries the instrument alone")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every number")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw chi2 and departures")
    parser.add_argument("--update-docs", action="store_true", help="rewrite the table of docs/derivatives.md")
    options = parser.parse_args(arguments)
    if options.small and options.update_docs:
        parser.error("--small measures nothing that belongs into the documentation")
    if options.n_points < 2 * max(ORDERS):
        parser.error(f"--n-points must be at least {2 * max(ORDERS)}")
    return options


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    os.environ.setdefault("BOLTZAX_ON_ERROR", "nan")  # JAX caches no program that can raise
    options = _arguments(arguments)
    settings = (SMALL_OUTPUTS, SMALL) if options.small else (boltzax.Outputs(), boltzax.Precision())
    lensed = jax.jit(lambda x: boltzax.solve(cosmology(x), *settings).lensed_cl)
    experiment = Experiment(lensed(np.array(POINTS["fiducial"])))
    chi2_at = jax.jit(lambda x: experiment(lensed(x)))
    lines = {}
    for name in options.lines:
        lines[name] = line = line_report(chi2_at, name, options.n_points)
        print(f"{name}: departs by {line['departure']:.1e} from order {line['order']}", file=sys.stderr, flush=True)
    text = markdown(lines)
    print(text)
    if options.json:
        write_json(options.json, lines)
    if options.plot:
        plot(lines, options.plot)
    if options.update_docs:
        update_docs("smoothness", f"`python -m oracle.smoothness {' '.join(sys.argv[1:])}`\n\n{text}", DOCS)
    missed = [name for name, line in lines.items() if not line["departure"] <= REQUIRED]
    print(f"too rough: {', '.join(missed)}" if missed else "every line is smooth enough")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
