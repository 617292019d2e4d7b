"""No failure anywhere in the prior: `python -m oracle robust --points N [--seed S] [--features [NAME ...]]`.

Draws points from the prior of the sweep (and of extensions, as `oracle.features` draws them), computes every output and
its derivatives by every parameter of the cosmology with `boltzax.jacobian`, and names the points where that raises, as
it does where a value or a derivative is not finite, and where spectra are not those of random fields: TT, EE, BB,
phiphi and P(k) positive, TE^2 < TT EE. Needs no CLASS. Exit code 0 if there is no such point, 1 if there is one, 2 for
bad input.
"""

import argparse
import os
from pathlib import Path
from typing import Any

import numpy as np

from oracle import prior, workers
from oracle.files import write_json
from oracle.sweep import positive

PLAIN = "LCDM"  # with massive neutrinos: what the sweep draws
L_MAX = 3000
_K_MAX = 8.0  # [1/Mpc]


def problems(results: Any) -> list[str]:
    """What is wrong with the spectra of one point, in words."""
    bad = []
    for kind, powers in (("unlensed_cl", ("tt", "ee", "pp")), ("lensed_cl", ("tt", "ee", "bb", "pp"))):
        cl = {name: np.asarray(getattr(getattr(results, kind), name))[2:] for name in (*powers, "te")}
        bad += [f"{kind}.{name} is not positive" for name in powers if not np.all(cl[name] > 0.0)]
        if not np.all(cl["te"] ** 2 < cl["tt"] * cl["ee"]):
            bad.append(f"{kind}: TE^2 is not below TT EE")
    k = np.geomspace(1e-4, _K_MAX, 200)
    bad += [f"P(k, z = {z}) is not positive" for z in (0.0, 1.0) if not np.all(np.asarray(results.pk_lin(k, z)) > 0.0)]
    return bad


def point(name: str, index: int, seed: int) -> dict[str, Any]:
    """Keyword arguments of `boltzax.Cosmology` at a point of the prior or of an extension."""
    from oracle import features

    return prior.draw(index, seed) if name == PLAIN else features.FEATURES[name].build(features.draw(name, index, seed))


def check(name: str, index: int, seed: int, l_max: int) -> list[str]:
    """Solves one point with all derivatives, which raises if one is not finite; what else is wrong, in words."""
    import boltzax
    from boltzax.fields import numbers

    cosmo = boltzax.Cosmology(**point(name, index, seed))
    outputs = boltzax.Outputs(l_max=l_max, k_max=_K_MAX)
    return problems(boltzax.jacobian(cosmo, numbers(cosmo), outputs=outputs)[0])


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command line."""
    from oracle.features import FEATURES

    parser.add_argument("--points", type=positive, required=True, metavar="N", help="points of each")
    parser.add_argument("--seed", type=int, help="of the points; drawn from the system's entropy unless given")
    parser.add_argument("--features", nargs="*", choices=FEATURES, metavar="NAME", help="of extensions too (all)")
    parser.add_argument("--workers", type=positive, default=1, help="processes (default: 1)")
    cores = os.cpu_count() or 1
    parser.add_argument("--threads", type=positive, default=cores, help=f"threads of each (default here: {cores})")
    parser.add_argument("--l-max", type=positive, default=L_MAX, help=f"largest multipole (default: {L_MAX})")
    parser.add_argument("--json", type=Path, metavar="FILE", help="seed, and what was found at every point")


def main(options: argparse.Namespace) -> int:
    """Runs the command; returns the exit code."""
    from oracle.features import FEATURES

    os.environ.setdefault("BOLTZAX_ON_ERROR", "nan")  # JAX caches no program that can raise
    seed = prior.fresh_seed() if options.seed is None else options.seed
    names = [PLAIN] if options.features is None else [PLAIN, *(options.features or FEATURES)]
    missed = []
    for name in names:  # each in new processes: compiled programs keep their memory
        found, failed = workers.gather(
            f"points of {name}",
            check,
            [(name, i, seed, options.l_max) for i in range(options.points)],
            options.workers,
            options.threads,
            label=lambda _, i, *__: f"point {i}",
            describe=lambda _, bad: "; ".join(bad) or "well",
        )
        missed += [f"{name}, {line}" for line in failed]
        missed += [f"{name}, point {i}: {'; '.join(bad)}" for (_, i, *_), bad in found.items() if bad]
    if options.json:
        write_json(options.json, {"seed": seed, "points": options.points, "of": names, "missed": missed})
    said = f"{options.points} points of {', '.join(names)}, seed {seed}: every output and derivative is well"
    print("\n".join(missed) if missed else said)
    return int(bool(missed))
