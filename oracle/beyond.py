"""Beyond l = 3000: `python -m oracle.beyond`.

Runs boltzax to l = 8000 and compares it at the massless point with CLASS at reference settings (in `oracle/kept`) on
every l to 6000. --keep writes CLASS's run, many minutes, there where it is missing. --update-docs rewrites the table of
docs/accuracy.md. Exit code 1 if TT or EE miss 1e-3.
"""

import argparse
import sys
import time

import numpy as np

import boltzax
from oracle import codes, kept
from oracle import reference as ref
from oracle.docs import update_docs
from oracle.errors import LABELS, MATTER, errors, largest
from oracle.workers import use_compilation_cache

POINT, L_CLASS, L_COMPARED, L_LAST = "massless", 6500, 6000, 8000
BANDS = ((2, 2999), (3000, 3999), (4000, 4999), (5000, L_COMPARED))
REQUIRED = {"unlensed_tt": 1e-3, "unlensed_ee": 1e-3, "lensed_tt": 1e-3, "lensed_ee": 1e-3}


def class_settings() -> dict:
    """All CLASS inputs of the run."""
    return ref.class_settings(ref.POINTS[POINT], "point") | {"l_max_scalars": L_CLASS}


def solve(l_max: int) -> tuple[dict[str, np.ndarray], float]:
    """boltzax at the point to l_max, with the wave numbers that CLASS takes into phiphi, and the time it took."""
    start = time.perf_counter()
    outputs = boltzax.Outputs(l_max=l_max, k_max=ref.OUTPUT["P_k_max_1/Mpc"])
    flat = codes.flatten(boltzax.solve(boltzax.Cosmology(**ref.POINTS[POINT]), outputs))
    return flat, time.perf_counter() - start


def markdown(found: dict[str, np.ndarray]) -> str:
    """Largest errors by band."""
    head = [f"{low}-{high}" for low, high in BANDS]
    lines = [f"| largest error by band of l | required | {' | '.join(head)} |", "|---" * (2 + len(head)) + "|"]
    for name, error in found.items():
        limit = REQUIRED.get(name)
        cells = [f"{largest(error, *band)[0]:.1e}" for band in BANDS]
        lines.append(f"| {LABELS[name]} | {'' if limit is None else f'{limit:.0e}'} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", action="store_true", help="add CLASS's run to oracle/kept")
    parser.add_argument("--update-docs", action="store_true", help="rewrite the table in docs/accuracy.md")
    options = parser.parse_args(arguments)
    use_compilation_cache()
    codes.require("classy")
    reference = kept.spectra(class_settings(), options.keep)
    ours, _ = solve(L_CLASS)
    found = {name: error for name, error in errors(ours, reference).items() if name not in MATTER}
    last, seconds = solve(L_LAST)
    sound = all(np.all(np.isfinite(v)) for k, v in last.items() if k not in MATTER)
    margin = {n: largest(e, 2, L_COMPARED)[0] for n, e in errors(ours, last).items() if n not in MATTER}
    text = markdown(found)
    text += (
        f"\n\nl_max = {L_LAST}: {'finite everywhere' if sound else '**not finite**'}, {seconds:.0f} s with compilation;"
        f" to l = {L_COMPARED} lensed TT and EE are within {max(margin['lensed_tt'], margin['lensed_ee']):.0e} of those"
        f" of the run to {L_CLASS}."
    )
    print(text)
    if options.update_docs:
        update_docs("beyond", f"`python -m oracle.beyond --update-docs`\n\n{text}")
    return int(not sound or any(largest(found[n], 2, L_COMPARED)[0] > limit for n, limit in REQUIRED.items()))


if __name__ == "__main__":
    sys.exit(main())
