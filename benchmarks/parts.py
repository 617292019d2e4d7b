"""The parts of a benchmark: each takes the options and returns what goes into the JSON file under its name."""

import contextlib
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

import numpy as np

HERE = Path(__file__).resolve().parent
TASKS = ("value", "jacobian", "gradient")
FAMILIES = {
    "number of k modes (n_k_cmb)": [{"n_k_cmb": n} for n in (88, 124, 176, 248, 352)],
    "exponentials of the hierarchies (n_tail)": [{"n_tail": n} for n in (4, 6, 8, 12, 16)],
    "momenta (n_q)": [{"n_q": n} for n in (3, 5, 8, 12)],
}
L_MAX = (1250, 1800, 2500, 3500, 5000)


class WorkerError(RuntimeError):
    """A code is missing, failed, or its process ended."""


class Worker:
    """A code in its own process."""

    def __init__(self, code: str, settings: dict, cache: str | None = None, python: str = "", **variables: str):
        env = dict(os.environ) | variables
        if cache is not None:
            env |= {
                "JAX_COMPILATION_CACHE_DIR": cache,
                "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
                "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
            }
        command = [python or sys.executable, str(HERE / "workers.py"), code, json.dumps(settings)]
        self.code = code
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)
        try:
            self.start = self._read()
        except WorkerError:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

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


def _settings(options, **changes) -> dict:
    base = {"l_max": options.l_max[0], "neutrinos": "massive", "k_max": options.k_max, "small": options.small}
    return base | {"pk": True} | changes


def _folder():
    return tempfile.TemporaryDirectory(prefix="boltzax-benchmark-")


def first_calls(settings: dict, cache: str, **request) -> dict:
    """The first call of a task in a fresh process, with nothing compiled and then with the cache that it left.

    Each process does nothing else, so its largest memory is that of the task: compiling, and then running it.
    """
    with Worker("boltzax", settings, cache) as worker:
        cold = worker.ask(point=0, **request)
    with Worker("boltzax", settings, cache) as worker:
        cached = worker.ask(point=0, **request)
        again = worker.ask(point=1, **request)
    return {
        "import": worker.start["import"],
        "cold": cold["wall"],
        "cold_cpu": cold["cpu"],
        "cold_peak_memory": cold["peak_memory"],
        "cached": cached["wall"],
        "cached_cpu": cached["cpu"],
        "peak_memory": again["peak_memory"],
        "cache_size": sum(f.stat().st_size for f in Path(cache).rglob("*") if f.is_file()) / 2**20,
    }


def take_turns(workers: dict[str, tuple], points, say, missing: dict) -> dict:
    """Times of {name: (Worker, request)} at every point, in turns; those that fail move to `missing`."""
    records = {name: {"wall": [], "cpu": []} for name in workers}
    for point in points:
        say(f"point {point}")
        for name in list(records):
            worker, request = workers[name]
            try:
                reply = worker.ask(point=point, **request)
            except WorkerError as error:
                missing[name] = str(error)
                del records[name]
                continue
            for key in ("wall", "cpu"):
                records[name][key].append(reply[key])
            records[name]["peak_memory"] = reply["peak_memory"]
    return records


# -- codes ------------------------------------------------------------------------------------------------------------


def codes(options, say) -> dict:
    """boltzax, classy and CAMB at each choice of l_max and neutrinos."""
    cases = []
    for l_max in options.l_max:
        for neutrinos in options.neutrinos:
            where = f"l_max {l_max}, {neutrinos}: "
            cases.append(_case(options, l_max, neutrinos, lambda text, where=where: say(where + text)))
    return {"cases": cases}


def _case(options, l_max, neutrinos, say) -> dict:
    base = _settings(options, l_max=l_max, neutrinos=neutrinos)
    case = {"l_max": l_max, "neutrinos": neutrinos, "k_max": options.k_max, "missing": {}}
    workers: dict[str, tuple] = {}
    with _folder() as cache, contextlib.ExitStack() as stack:
        try:
            say("boltzax, first calls")
            case["compile"] = first_calls(base, cache)
            workers["boltzax"] = (stack.enter_context(Worker("boltzax", base, cache)), {})
            workers["boltzax"][0].ask(point=0)
        except WorkerError as error:
            case["missing"]["boltzax"] = str(error)
        for code in ("classy", "camb"):
            for name, pk in ((code, True), (f"{code}, no P(k)", False)):
                try:
                    worker = stack.enter_context(Worker(code, base | {"pk": pk}))
                    worker.ask(point=0)
                    workers[name] = (worker, {})
                except WorkerError as error:
                    case["missing"][name] = str(error)
        case["codes"] = take_turns(workers, range(1, options.repeat + 1), say, case["missing"])
        if "boltzax" in case["codes"]:
            say("boltzax, stages")
            try:
                reply = workers["boltzax"][0].ask(task="stages", indices=list(range(1, options.repeat + 1)))
                case["stages"] = reply["found"]
            except WorkerError as error:
                case["missing"]["split by stage"] = str(error)
    return case


# -- derivatives and batches -------------------------------------------------------------------------------------------


def jacobian(options, say) -> dict:
    """Value, Jacobian and gradient: first calls and memory each alone, then warm times in turns in one process."""
    base, found = _settings(options), {"tasks": {}, "missing": {}}
    with _folder() as joint:
        for task in TASKS:
            with _folder() as cache:
                say(f"{task}, first calls")
                try:
                    found["tasks"][task] = first_calls(base, cache, task=task)
                except WorkerError as error:
                    found["missing"][task] = str(error)
                shutil.copytree(cache, joint, dirs_exist_ok=True)
        with Worker("boltzax", base, joint) as worker:
            requests = {task: (worker, {"task": task}) for task in found["tasks"]}
            for task in requests:
                worker.ask(point=0, task=task)
            times = take_turns(requests, range(1, options.repeat + 1), say, found["missing"])
    for task, record in times.items():
        found["tasks"][task] |= {key: record[key] for key in ("wall", "cpu")}
    return {"l_max": base["l_max"], **found}


def batch(options, say, size: int | None = None) -> dict:
    """One vmap over many cosmologies against one cosmology, in turns in one process."""
    base, n = _settings(options), size or options.batch
    with _folder() as cache:
        say(f"batch of {n}, first calls")
        first = first_calls(base, cache, task="batch", size=n)
        with Worker("boltzax", base, cache) as worker:
            requests = {"one": (worker, {}), "batch": (worker, {"task": "batch", "size": n})}
            for _, request in requests.values():
                worker.ask(point=0, **request)
            missing: dict[str, str] = {}
            times = take_turns(requests, range(1, options.repeat + 1), say, missing)
    return {"l_max": base["l_max"], "size": n, "first": first, "times": times, "missing": missing}


# -- scaling ----------------------------------------------------------------------------------------------------------


def scaling(options, say) -> dict:
    """Times against each setting that sets the size of the problem, and the exponents of their growth."""
    runs = {name: [_settings(options, precision=change) for change in changes] for name, changes in FAMILIES.items()}
    sizes = {name: [next(iter(change.values())) for change in changes] for name, changes in FAMILIES.items()}
    runs["l_max"] = [_settings(options, l_max=l_max) for l_max in L_MAX]
    sizes["l_max"] = list(L_MAX)
    found = {}
    for name, settings in runs.items():
        with _folder() as cache, contextlib.ExitStack() as stack:
            workers, missing = {}, {}
            for size, setting in zip(sizes[name], settings, strict=True):
                say(f"{name}: compiling {size}")
                try:
                    worker = stack.enter_context(Worker("boltzax", setting, cache))
                    worker.ask(point=0)
                    workers[str(size)] = (worker, {})
                except WorkerError as error:
                    missing[str(size)] = str(error)
            times = take_turns(workers, range(1, options.repeat + 1), lambda t, n=name: say(f"{n}: {t}"), missing)
        wall = {int(size): min(record["wall"]) for size, record in times.items()}
        found[name] = {"wall": wall, "missing": missing} | exponents(wall)
    return {"families": found}


def exponents(wall: dict[int, float]) -> dict[str, float | None]:
    """Slope of ln(time) over ln(size): least squares over all sizes, and between the two largest."""
    points = sorted((math.log(size), math.log(time)) for size, time in wall.items())
    if len(points) < 2:
        return {"exponent": None, "last_exponent": None}
    mean_x, mean_y = (sum(values) / len(points) for values in zip(*points, strict=True))
    slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / sum((x - mean_x) ** 2 for x, _ in points)
    (x0, y0), (x1, y1) = points[-2:]
    return {"exponent": slope, "last_exponent": (y1 - y0) / (x1 - x0)}


# -- peers ------------------------------------------------------------------------------------------------------------


def peers(options, say) -> dict:
    """Errors of lensed spectra against the reference, first call and later ones of each code, massless neutrinos.

    ABCMB, which wants a jax of its own, is run by another interpreter, --abcmb.
    """
    base, found = _settings(options, neutrinos="massless"), {"codes": {}, "missing": {}}
    for code in ("boltzax", "classy", "camb", *(["abcmb"] if options.abcmb else [])):
        say(code)
        try:
            with _folder() as cache, Worker(code, base, cache, options.abcmb if code == "abcmb" else "") as worker:
                first = worker.ask(point=None, task="spectra")
                record = {"first": first["wall"], "errors": _errors(first["value"], base["l_max"])}
                times = take_turns({code: (worker, {})}, range(1, options.repeat + 1), say, found["missing"])
                found["codes"][code] = record | times.get(code, {})
        except WorkerError as error:
            found["missing"][code] = str(error)
    return {"l_max": base["l_max"], **found}


def _errors(spectra: dict, l_max: int) -> dict[str, float]:
    """The largest error of each lensed spectrum, that of TE over sqrt(TT EE), for 30 <= l <= l_max."""
    sys.path.insert(0, str(HERE.parent))  # for `oracle`, which is not an installed package
    from oracle import errors
    from oracle import reference as ref

    with_kind = {f"lensed_{name}": np.array(values) for name, values in spectra.items()}
    reference = {k: v[: l_max + 1] for k, v in ref.load_spectra("massless").items() if k in with_kind}
    return {name: errors.largest(e, 30, l_max)[0] for name, e in errors.errors(with_kind, reference).items()}


# -- the compiled program and the device ------------------------------------------------------------------------------


def launches(options, say) -> dict:
    """What the compiled programs launch on this machine's device, for one spectrum and what else fits.

    Compiled for a CPU in XLA's own way, which is closer to how it compiles for a GPU: the other one, of
    `boltzax.compiler`, makes loops of scatters.
    """
    given = os.environ.get("XLA_FLAGS", "")  # before the import, which adds its choice
    from boltzax import compiler

    flags = {"XLA_FLAGS": f"{given} {compiler.FLAG}=true".strip()} if compiler.known() else {}
    found, missing = {}, {}
    with _folder() as cache, Worker("boltzax", _settings(options), cache, **flags) as worker:
        where = worker.ask(task="device")["found"]
        for name in (*TASKS, "batch"):
            say(name)
            try:
                request = {"size": options.batch} if name == "batch" else {}
                found[name] = worker.ask(task="launches", of=name, **request)["found"]
            except WorkerError as error:
                missing[name] = str(error)
    return {"platform": where["platform"], "device": where["kind"], "programs": found, "missing": missing}


def device(options, say) -> dict:
    """Times of one spectrum, a batch and a Jacobian on the device that JAX finds, with its name and memory."""
    requests = {"one": {}, "batch": {"task": "batch", "size": options.device_batch}, "jacobian": {"task": "jacobian"}}
    found: dict = {"batch": options.device_batch, "tasks": {}, "missing": {}}
    for name, request in requests.items():
        say(name)
        try:
            with _folder() as cache, Worker("boltzax", _settings(options), cache) as worker:
                first = worker.ask(point=0, **request)
                record = take_turns({name: (worker, request)}, range(1, options.repeat + 1), say, found["missing"])[
                    name
                ]
                where = worker.ask(task="device")["found"]
        except (WorkerError, KeyError) as error:
            found["missing"].setdefault(name, str(error))
            continue
        found |= {"platform": where["platform"], "device": where["kind"]}
        found["tasks"][name] = record | {"cold": first["wall"], "device_memory": where["peak"]}
        found["tasks"][name]["median"] = median(record["wall"])
    return found


PARTS = {
    "codes": codes,
    "jacobian": jacobian,
    "batch": batch,
    "scaling": scaling,
    "peers": peers,
    "launches": launches,
    "device": device,
}
