"""Speed and memory of boltzax, classy and CAMB, and the price of derivatives, batches and size, in one run.

    codes     boltzax, classy and CAMB in turns, each in its own process, at new cosmologies that are the same for all:
              wall and CPU time, peak memory, boltzax's first calls and its split by stage
    jacobian  value-and-Jacobian and value-and-gradient against the value: warm ratios, first calls, memory
    batch     one vmap over many cosmologies against one cosmology
    scaling   time against the number of k modes, l_max, hierarchy size and momenta, with exponents
    peers     errors, first call and later ones of boltzax, classy, CAMB and, with --abcmb, ABCMB
    launches  kernels that the compiled programs launch, their bytes and operations
    device    one spectrum, a batch and a Jacobian on the device that JAX finds (run it on a machine with a GPU)

Warm times leave the first call out; ratios are within one run. Results are merged into one JSON file: parts that are
not run keep what stands there. --tables measures nothing and makes tables and figure from the file.

Run: python benchmarks/run.py [--only PART,PART] [--repeat 5] [--json FILE] [--plot FILE] [--update-docs]
"""

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import figure
import report
from parts import HERE, PARTS, WorkerError

PACKAGES = ("boltzax", "jax", "jaxlib", "equinox", "numpy", "scipy", "classy", "camb")


def versions() -> dict[str, str]:
    """Versions of everything that is measured."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    commit = subprocess.run(["git", "-C", str(HERE), "describe", "--always", "--dirty"], capture_output=True, text=True)
    if commit.returncode == 0:
        found["commit"] = commit.stdout.strip()
    return found


def circumstances(args) -> dict:
    """When, where and how a part is measured."""
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": {"cpus": len(os.sched_getaffinity(0)), "model": report.cpu_model(), "load": os.getloadavg()[0]},
        "versions": versions(),
        "repeat": args.repeat,
        "k_max": args.k_max,
        "small": args.small,
    }


def measure(args, result: dict):
    """Runs the parts asked for and puts them into `result`; writes the file after each, so that none is lost."""
    start = time.perf_counter()
    for name in args.only:

        def say(text, name=name):
            print(f"[{time.perf_counter() - start:6.0f} s, {name}] {text}", file=sys.stderr, flush=True)

        part = {"where": circumstances(args)}
        try:
            part |= PARTS[name](args, say)
        except WorkerError as error:
            part["missing"] = {name: str(error)}
            say(f"not measured: {error}")
        kind = part.get("device")
        if kind is None:
            result[name] = part
        else:  # machines stand beside each other
            result.setdefault(name, {})[kind] = part
        if args.json:
            report.write_atomically(args.json, json.dumps(result, indent=1) + "\n")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = lambda text: [name for name in text.split(",") if name]
    parser.add_argument("--only", type=parts, default=["codes", "jacobian", "batch", "scaling", "launches"])
    parser.add_argument("--tables", action="store_true", help="measure nothing, show what the JSON file holds")
    parser.add_argument("--l-max", type=int, nargs="+", default=[2500, 5000], help="for codes; others take the first")
    parser.add_argument("--k-max", type=float, default=8.0, help="k of P(k) [1/Mpc] asked of every code")
    parser.add_argument("--neutrinos", nargs="+", choices=("massless", "massive"), default=["massless", "massive"])
    parser.add_argument("--repeat", type=int, default=5, help="timed calls of each kind")
    parser.add_argument("--batch", type=int, default=16, help="cosmologies in a batch")
    parser.add_argument("--device-batch", type=int, default=64, help="cosmologies in the batch of `device`")
    parser.add_argument("--abcmb", metavar="PYTHON", help="peers: the interpreter of an environment with ABCMB")
    parser.add_argument("--small", action="store_true", help="few modes, wrong by percents: tries the instrument alone")
    parser.add_argument("--json", type=Path, help="merge all figures into this file")
    parser.add_argument("--plot", type=Path, help="write a figure here")
    parser.add_argument("--update-docs", action="store_true", help="rewrite the tables of docs/performance.md")
    args = parser.parse_args()
    unknown = set(args.only) - set(PARTS)
    if unknown:
        parser.error(f"--only knows {', '.join(PARTS)}, not {', '.join(sorted(unknown))}")
    if min(args.l_max) < 200 or min(args.repeat, args.batch, args.device_batch) < 1 or not args.k_max > 0:
        parser.error("--l-max must be at least 200, --repeat and batches at least 1, --k-max positive")
    if args.small and args.update_docs:
        parser.error("--small measures nothing that belongs into the documentation")
    if args.tables and not (args.json and args.json.exists()):
        parser.error("--tables needs the --json file of earlier runs")
    for path in (args.json, args.plot):
        if path is not None and not os.access(path.resolve().parent, os.W_OK):
            parser.error(f"cannot write {path}: its folder is missing or not writable")
    return args


def main():
    args = arguments()
    result = json.loads(args.json.read_text()) if args.json and args.json.exists() else {}
    if not args.tables:
        measure(args, result)
    text = report.tables(result)
    print(text)
    if args.plot:
        figure.plot(result, args.plot)
    if args.update_docs:
        report.update_docs(HERE.parent / "docs" / "performance.md", text)


if __name__ == "__main__":
    main()
