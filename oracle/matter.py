"""P(k) against CLASS with long hierarchies: `python -m oracle.matter [--points N] [--seed S] [--massive]`.

A cut hierarchy of neutrinos reflects what reaches its end: the 40 multipoles of the reference recipe leave 2e-4 in P(k)
at k = 0.7/Mpc (120: 1e-6) and with it 1e-4 in C_l^phiphi at l = 3000. P(k) alone is cheap, so CLASS is run here with
`SETTINGS` at random points of the sweep's prior: 20 s each without massive neutrinos (the default); --massive
keeps those that are drawn, and takes far longer. Prints the largest errors at z = 0 and 1 by band of k, of all matter
and of baryons and cold dark matter; --update-docs rewrites the table of docs/accuracy.md. Exit code 1 if one is above
2e-4.
"""

import argparse
import itertools
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from oracle import codes, prior, runs, workers
from oracle import reference as ref
from oracle.docs import update_docs

DOCS = Path(__file__).resolve().parent.parent / "docs" / "accuracy.md"
SETTINGS: dict[str, Any] = {
    "l_max_g": 120,
    "l_max_pol_g": 120,
    "l_max_ur": 120,
    "radiation_streaming_trigger_tau_over_tau_k": 2000.0,
    "ur_fluid_trigger_tau_over_tau_k": 1900.0,
    "start_large_k_at_tau_h_over_tau_k": 0.01,
    "k_per_decade_for_pk": 60,
    "k_per_decade_for_bao": 140,
    "P_k_max_1/Mpc": 2.0,
}
LONG_NCDM = {"l_max_ncdm": 120}
BANDS = (1e-4, 1e-2, 0.1, 0.3, 1.0)  # h/Mpc
REQUIRED = 2e-4
L_MAX = 2500  # of boltzax: the modes of C_l serve P(k) as well


def draw(index: int, seed: int, massive: bool) -> dict[str, Any]:
    """Point number `index` of a seed, without massive neutrinos unless they are wanted."""
    point = prior.draw(index, seed)
    return point if massive else prior.massless(point)


def class_settings(point: Mapping[str, Any]) -> dict[str, Any]:
    """What CLASS is given at a point."""
    return ref.without_spectra(ref.class_settings(point, "point")) | SETTINGS | (LONG_NCDM if point["m_ncdm"] else {})


def _run(settings: dict[str, Any]) -> dict[str, np.ndarray]:
    with ref.class_run(settings) as cosmo:
        k = ref.K_H * settings["h"]
        names = {"pk": cosmo.pk_lin} | ({"pk_cb": cosmo.pk_cb_lin} if settings["N_ncdm"] else {})
        return {name: np.array([[f(x, z) for x in k] for z in ref.Z_PK]) for name, f in names.items()}


def compare(index: int, seed: int, massive: bool, finest: bool) -> list[float]:
    """The largest relative error in each band of k."""
    import boltzax

    point = draw(index, seed, massive)
    reference = runs.cached("matter", class_settings(point), _run)
    found = codes.flatten(codes.solve(point, L_MAX, boltzax.Precision.reference() if finest else None))
    errors = np.max([np.abs(found[name] / reference[name] - 1.0) for name in reference], axis=(0, 1))
    edges = np.searchsorted(ref.K_H, BANDS)
    edges[-1] = ref.K_H.size
    return [float(errors[low:high].max()) for low, high in itertools.pairwise(edges)]


def table(found: Mapping[str, list[list[float]]], options: argparse.Namespace) -> str:
    """Median and worst point of each band."""
    command = f"python -m oracle.matter --points {options.points} --seed {options.seed}"
    bands = [f"{low:g}-{high:g}" for low, high in itertools.pairwise(BANDS)]
    lines = [f"`{command}{' --massive' if options.massive else ''}`", ""]
    lines += [f"| P(k), largest error: median, worst point | {' | '.join(bands)} h/Mpc |", "|---" * (len(BANDS)) + "|"]
    for title, rows in found.items():
        values = np.array(rows)
        cells = [f"{np.median(column):.1e}, {column.max():.1e}" for column in values.T]
        lines.append(f"| {title} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=10, help="random points")
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--massive", action="store_true", help="with the massive neutrinos that are drawn")
    cores = os.cpu_count() or 1
    parser.add_argument("--workers", type=int, default=cores, help=f"processes (default here: {cores})")
    parser.add_argument("--update-docs", action="store_true", help="rewrite the table in docs/accuracy.md")
    options = parser.parse_args(arguments)
    codes.require("classy")
    found, failures = {}, []
    for title, finest in (("Precision()", False), ("Precision.reference()", True)):
        tasks = [(index, options.seed, options.massive, finest) for index in range(options.points)]
        errors, failed = workers.gather(
            title, compare, tasks, options.workers, 1,
            label=lambda index, *_: f"point {index}",
            describe=lambda _, errors: ", ".join(f"{e:.1e}" for e in errors),
        )  # fmt: skip
        found[title], failures = [errors[task] for task in tasks if task in errors], failures + failed
    if not all(found.values()):
        print("\n".join(failures))
        return 1
    text = table(found, options)
    print("\n".join([text, *failures]))
    if options.update_docs:
        update_docs("matter", text, DOCS)
    worst = np.max([np.max(rows) for rows in found.values()])
    return int(bool(failures) or not worst <= REQUIRED)


if __name__ == "__main__":
    raise SystemExit(main())
