"""Errors over the whole parameter range: `python -m oracle sweep --points N --seed S --out DIR`.

Draws points from the prior (`oracle.prior`), runs CLASS at reference settings, boltzax, and the defaults of CLASS and
CAMB at each, and reports the distribution of errors by spectrum and band of l, the worst points and the failures. Each
point is written to DIR as it comes; the same command goes on where an interrupted one stopped, and computes boltzax
again where the package has changed since (reference runs are cached; those of seed 2026 are in `oracle/kept`, which
--keep adds to). --part I/N takes every N-th point, so that N jobs share one DIR; --report computes nothing. Exit code 0
if every requirement holds, 1 if one is missed or a point failed, 2 for bad input.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from oracle import codes, kept, prior, workers
from oracle import reference as ref
from oracle.errors import errors
from oracle.files import save_npz, write_json
from oracle.progress import progress

L_MAX = 3000
_STATE = "sweep.json"
_RECORD = "record"  # the entry of a point's file that holds everything but errors


class SweepError(RuntimeError):
    """A sweep cannot be done, or not go on, as asked."""


def compute(index: int, seed: int, l_max: int, keep: bool) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """One point: its record, and arrays of errors under "code|spectrum". What fails is named in the record."""
    point = prior.draw(index, seed)
    record: dict[str, Any] = {"index": index, "parameters": point, "failures": {}, "seconds": {}}
    record |= {"package": codes.package()["hash"], "reference": ref.reference_hash()}
    arrays: dict[str, np.ndarray] = {}
    reference = None
    for name, run in {"reference": partial(_reference, keep=keep), **codes.COMPARED}.items():
        start = time.perf_counter()
        try:
            flat = run(point, l_max)
            if name == "reference":
                reference = flat
            elif reference is not None:
                found = errors(flat, reference)
                arrays |= {f"{name}|{spectrum}": e.astype(np.float32) for spectrum, e in found.items()}
                bad = [spectrum for spectrum, e in found.items() if not np.all(np.isfinite(e))]
                if bad:
                    record["failures"][name] = f"values that are not finite in {', '.join(bad)}"
        except Exception as error:
            record["failures"][name] = f"{type(error).__name__}: {' '.join(str(error).split())}"
        record["seconds"][name] = round(time.perf_counter() - start, 2)
    return record, arrays


def _reference(point: Mapping[str, Any], l_max: int, keep: bool) -> dict[str, np.ndarray]:
    return kept.spectra(codes.reference_settings(point, l_max), keep)


# -- the folder --------------------------------------------------------------------------------------------------------


def open_folder(folder: Path, seed: int | None, l_max: int) -> int:
    """Makes the folder of a sweep, or checks that it belongs to this one; returns the seed.

    Raises:
        SweepError: the folder holds a sweep of another seed, l_max or reference, or the file that says so is damaged.
    """
    path = folder / _STATE
    if not path.exists():
        seed = prior.fresh_seed() if seed is None else seed
        folder.mkdir(parents=True, exist_ok=True)
        write_json(path, {"seed": seed, "l_max": l_max, "reference": ref.reference_hash()})
        return seed
    try:
        state = json.loads(path.read_text())
        found = (state["seed"], state["l_max"], state["reference"])
    except (ValueError, KeyError, TypeError) as error:
        raise SweepError(f"{path} is damaged: delete it or choose another folder") from error
    wanted = (found[0] if seed is None else seed, l_max, ref.reference_hash())
    for name, old, new in zip(("seed", "l_max", "reference"), found, wanted, strict=True):
        if old != new:
            raise SweepError(f"{folder} holds a sweep with {name} {old}, not {new}: choose another folder")
    return found[0]


def point_path(folder: Path, index: int) -> Path:
    """Where a point is kept."""
    return folder / f"point_{index:04d}.npz"


def save(folder: Path, record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    """Writes a point in one step."""
    save_npz(point_path(folder, record["index"]), {**arrays, _RECORD: np.array(json.dumps(record))})


def load(folder: Path, index: int) -> tuple[dict[str, Any], dict[str, np.ndarray]] | None:
    """A point as `save` wrote it; None where there is none that can be read."""
    try:
        with np.load(point_path(folder, index)) as data:
            arrays = {name: data[name] for name in data.files}
        return json.loads(str(arrays.pop(_RECORD))), arrays
    except Exception:
        return None


def load_all(folder: Path) -> list[tuple[dict[str, Any], dict[str, np.ndarray]]]:
    """Every readable point of a folder, in order."""
    indices = sorted(int(path.stem.split("_")[1]) for path in folder.glob("point_*.npz"))
    return [found for i in indices if (found := load(folder, i)) is not None]


def _finished(folder: Path, index: int) -> bool:
    found = load(folder, index)
    return (
        found is not None
        and not found[0]["failures"]
        and found[0]["package"] == codes.package()["hash"]
        and found[0]["reference"] == ref.reference_hash()
    )


# -- running -----------------------------------------------------------------------------------------------------------


def run(folder: Path, indices: list[int], seed: int, l_max: int, keep: bool, n_workers: int, threads: int) -> None:
    """Computes what the folder lacks of the points `indices`; failed points are tried again."""
    todo = [(i, seed, l_max, keep) for i in indices if not _finished(folder, i)]
    if not todo:
        return
    with progress("points", len(todo)) as tell:
        for event in workers.run(compute, todo, n_workers, threads):
            index = event.task[0]
            if event.kind == "started":
                tell(f"point {index}: {prior.describe(prior.draw(index, seed))}")
                continue
            if event.kind == "failed":  # the process died, or could not even begin
                record = {"index": index, "parameters": prior.draw(index, seed), "seconds": {}}
                record |= {"failures": {"process": event.result}}
                record |= {"package": codes.package()["hash"], "reference": ref.reference_hash()}
                event = event._replace(result=(record, {}))
            save(folder, *event.result)
            record = event.result[0]
            times = ", ".join(f"{name} {t:.1f} s" for name, t in record["seconds"].items())
            failed = "".join(f"; {name} failed: {reason}" for name, reason in record["failures"].items())
            tell(f"point {index} finished: {times}{failed}", True)


def _part(text: str) -> tuple[int, int]:
    try:
        i, n = (int(x) for x in text.split("/"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form I/N") from None
    if not 1 <= i <= n:
        raise argparse.ArgumentTypeError(f"part {text}: I must lie between 1 and N")
    return i, n


def positive(text: str) -> int:
    """A positive integer of the command line."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive integer")
    return int(text)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command line."""
    parser.add_argument("--points", type=positive, required=True, metavar="N", help="how many points")
    parser.add_argument("--seed", type=int, help="of the points; drawn from the system's entropy unless given")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the results")
    parser.add_argument("--part", type=_part, default=(1, 1), metavar="I/N", help="every N-th point, from the I-th")
    cores = os.cpu_count() or 1
    half = max(cores // 2, 1)
    parser.add_argument("--workers", type=positive, default=half, help=f"processes (default here: {half})")
    parser.add_argument("--threads", type=positive, default=min(2, cores), help="threads of each (default: 2)")
    parser.add_argument("--l-max", type=positive, default=L_MAX, help=f"largest multipole (default: {L_MAX})")
    parser.add_argument("--keep", action="store_true", help="add the reference runs to oracle/kept")
    parser.add_argument("--report", action="store_true", help="only report what DIR holds")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="figure of the errors (default: DIR/sweep.png)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="every number of the report")
    parser.add_argument("--update-docs", action="store_true", help="rewrite tables and figure of docs/accuracy.md")


def main(options: argparse.Namespace) -> int:
    """Runs the command; returns the exit code."""
    from oracle import sweep_report

    try:
        seed = open_folder(options.out, options.seed, options.l_max)
        if not options.report:
            for package in ("classy", "camb"):
                codes.require(package)
            part, parts = options.part
            indices = list(range(options.points))[part - 1 :: parts]
            run(options.out, indices, seed, options.l_max, options.keep, options.workers, options.threads)
    except (SweepError, codes.MissingCodeError) as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"interrupted: the same command goes on from what {options.out} holds", file=sys.stderr)
        return 130
    return sweep_report.report(options, seed)
