"""Speed and memory of boltzax, classy and CAMB, measured in one run.

Every code lives in a process of its own and they take turns, each turn at a new cosmology that is the same for all.
The first call of each is left out of the times. boltzax is first compiled in a fresh process with an empty cache, then
again in a second one that finds the compiled programs there; the second one is measured.

Run: python benchmarks/run.py [--l-max 2500 5000] [--repeat 5] [--json FILE] [--plot FILE] [--update-docs]
"""

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import report

HERE = Path(__file__).resolve().parent
PACKAGES = ("boltzax", "jax", "jaxlib", "equinox", "numpy", "scipy", "classy", "camb")


class WorkerError(RuntimeError):
    """A code is missing, failed, or its process ended."""


class Worker:
    """A code in its own process."""

    def __init__(self, code: str, settings: dict, cache: str | None = None):
        env = dict(os.environ)
        if cache is not None:
            env |= {
                "JAX_COMPILATION_CACHE_DIR": cache,
                "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
                "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
            }
        command = [sys.executable, str(HERE / "workers.py"), code, json.dumps(settings)]
        self.code = code
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)
        try:
            self.start = self._read()
        except WorkerError:
            self.close()
            raise

    def _read(self) -> dict:
        line = self.process.stdout.readline()
        if not line:
            raise WorkerError(f"the process of {self.code} ended (exit status {self.process.wait()})")
        reply = json.loads(line)
        if "error" in reply:
            raise WorkerError(reply["error"])
        return reply

    def ask(self, **request) -> dict:
        """Sends a request and waits for the reply."""
        try:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError as error:
            raise WorkerError(f"the process of {self.code} ended") from error
        return self._read()

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()


def compile_times(settings: dict, cache: str) -> tuple[dict, Worker]:
    """Cold and cached first calls of boltzax, and the second worker, ready for more."""
    cold = Worker("boltzax", settings, cache)
    try:
        first = cold.ask(point=0)
    finally:
        cold.close()
    warm = Worker("boltzax", settings, cache)
    try:
        again = warm.ask(point=0)
    except WorkerError:
        warm.close()
        raise
    found = {
        "import": cold.start["import"],
        "cold": first["wall"],
        "cold_cpu": first["cpu"],
        "cold_peak_memory": first["peak_memory"],
        "cached": again["wall"],
        "cached_cpu": again["cpu"],
        "cache_size": sum(f.stat().st_size for f in Path(cache).rglob("*") if f.is_file()) / 2**20,
    }
    return found, warm


def run_case(l_max: int, neutrinos: str, k_max: float, repeat: int, say) -> dict:
    """All codes at one choice of outputs and neutrinos, in turns."""
    base = {"l_max": l_max, "neutrinos": neutrinos, "k_max": k_max, "pk": True}
    case = {"l_max": l_max, "neutrinos": neutrinos, "k_max": k_max, "codes": {}, "missing": {}}
    workers: dict[str, Worker] = {}
    with tempfile.TemporaryDirectory(prefix="boltzax-benchmark-") as cache:
        try:
            say("boltzax: compiling")
            case["compile"], workers["boltzax"] = compile_times(base, cache)
        except WorkerError as error:
            case["missing"]["boltzax"] = str(error)
        try:
            for code in ("classy", "camb"):
                for name, pk in ((code, True), (f"{code}, no P(k)", False)):
                    try:
                        worker = workers[name] = Worker(code, base | {"pk": pk})
                        worker.ask(point=0)
                    except WorkerError as error:
                        case["missing"][name] = str(error)
            _take_turns(case, workers, repeat, say)
            if "boltzax" in case["codes"]:
                say("boltzax: stages")
                try:
                    case["stages"] = workers["boltzax"].ask(stages=list(range(1, repeat + 1)))
                    del case["stages"]["peak_memory"]
                except WorkerError as error:
                    case["missing"]["split by stage"] = str(error)
        finally:
            for worker in workers.values():
                worker.close()
    return case


def _take_turns(case, workers, repeat, say):
    """Fills case["codes"] with times at the points 1..repeat; drops codes that fail."""
    records = {name: {"wall": [], "cpu": []} for name in workers if name not in case["missing"]}
    for point in range(1, repeat + 1):
        say(f"point {point} of {repeat}")
        for name in list(records):
            try:
                reply = workers[name].ask(point=point)
            except WorkerError as error:
                case["missing"][name] = str(error)
                del records[name]
                continue
            for key in ("wall", "cpu"):
                records[name][key].append(reply[key])
            records[name]["peak_memory"] = reply["peak_memory"]
    case["codes"] = records


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


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--l-max", type=int, nargs="+", default=[2500], help="multipoles of the lensed spectra")
    parser.add_argument("--k-max", type=float, default=8.0, help="k of P(k) [1/Mpc] asked of every code")
    parser.add_argument("--neutrinos", nargs="+", choices=("massless", "massive"), default=["massless", "massive"])
    parser.add_argument("--repeat", type=int, default=5, help="timed calls of each code")
    parser.add_argument("--json", type=Path, help="write all figures here")
    parser.add_argument("--plot", type=Path, help="write a figure here")
    parser.add_argument("--update-docs", action="store_true", help="rewrite the tables of docs/performance.md")
    args = parser.parse_args()
    if min(args.l_max) < 10 or args.repeat < 1 or not args.k_max > 0:
        parser.error("--l-max must be at least 10, --repeat at least 1, --k-max positive")
    for path in (args.json, args.plot):
        if path is not None and not os.access(path.resolve().parent, os.W_OK):
            parser.error(f"cannot write {path}: its folder is missing or not writable")
    return args


def main():
    args = arguments()
    result = {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": {"cpus": len(os.sched_getaffinity(0)), "model": report.cpu_model(), "load": os.getloadavg()[0]},
        "versions": versions(),
        "repeat": args.repeat,
        "cases": [],
    }
    for l_max in args.l_max:
        for neutrinos in args.neutrinos:

            def say(text, where=f"l_max {l_max}, {neutrinos}"):
                print(f"[{where}] {text}", file=sys.stderr, flush=True)

            result["cases"].append(run_case(l_max, neutrinos, args.k_max, args.repeat, say))
    text = report.tables(result)
    print(text)
    if args.json:
        report.write_atomically(args.json, json.dumps(result, indent=1) + "\n")
    if args.plot:
        report.plot(result, args.plot)
    if args.update_docs:
        report.update_docs(HERE.parent / "docs" / "performance.md", text)


if __name__ == "__main__":
    main()
