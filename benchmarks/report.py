"""Tables of benchmark results, and their place in docs/performance.md."""

import os
import re
from pathlib import Path
from statistics import median

BEGIN, END = "<!-- performance table: begin -->", "<!-- performance table: end -->"
BASELINE = "classy"  # the code that ratios refer to
# NVIDIA H200 (SXM) data sheet: memory bandwidth [bytes/s], double precision without tensor cores [1/s]; and what a
# launch in a sequence costs at least [s], which is assumed.
H200_BANDWIDTH, H200_OPERATIONS, LAUNCH = 4.8e12, 34e12, 3e-6


def cpu_model() -> str:
    """Name of the processor, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return "unknown"
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")


def write_atomically(path: Path, text: str):
    """Writes the file in one step: it is either the old one or the new one, whole."""
    partial = path.with_name(path.name + ".part")
    partial.write_text(text)
    os.replace(partial, path)


def title(case) -> str:
    """What a case of `codes` computes."""
    kind = {"massless": "massless neutrinos", "massive": "one massive neutrino"}[case["neutrinos"]]
    return f"l_max = {case['l_max']}, {kind}, P(k) to {case['k_max']:g}/Mpc"


def _where(part) -> str:
    where = part["where"]
    machine, names = where["machine"], where["versions"]
    shown = ", ".join(f"{name} {number}" for name, number in names.items() if number != "not installed")
    small = ", at the small settings that measure nothing" if where["small"] else ""
    return (
        f"{where['date']} on {machine['cpus']} CPUs ({machine['model']}), load {machine['load']:.1f} at the start, "
        f"{where['repeat']} timed calls of each{small}; {shown}."
    )


def _within(value: float, limit: float) -> str:
    shown = f"{value:.3g}" if value < 1000 else f"{value:.0f}"
    return shown if value <= limit else f"**{shown}**"


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def _both(values, scale=1.0, digits=3) -> str:
    return f"{scale * min(values):.{digits}f} / {scale * median(values):.{digits}f}"


def _missing(part) -> str:
    """What a part could not measure, one line each."""
    return "\n".join(f"- not measured: {name}: {why.splitlines()[0][:160]}" for name, why in part["missing"].items())


# -- codes ------------------------------------------------------------------------------------------------------------


def _codes(part) -> list[str]:
    out = []
    for case in part["cases"]:
        base, rows = case["codes"].get(BASELINE), []
        for name, r in case["codes"].items():
            ratio = "-"
            if base:
                ratio = f"{min(r['wall']) / min(base['wall']):.3f} / {median(r['wall']) / median(base['wall']):.3f}"
            rows.append([name, _both(r["wall"]), _both(r["cpu"]), ratio, f"{r['peak_memory']:.0f}"])
        head = [title(case), "wall min / median [s]", "CPU min / median [s]", "wall / classy, min / median"]
        out.append(_table([*head, "peak memory [MiB]"], rows))
        if "boltzax" in case["codes"]:
            out.append(_requirements(case))
        if "stages" in case:
            rows = [[name, _both(times, 1e3, 1)] for name, times in case["stages"].items()]
            head = f"stages of boltzax, each jitted alone; {title(case)}"
            out.append(_table([head, "wall min / median [ms]"], rows))
        out.append(_missing(case))
    return out


def _requirements(case) -> str:
    """What boltzax reaches against what is required of it."""
    compile_, ours = case["compile"], case["codes"]["boltzax"]
    rows = [
        ("first call, nothing compiled [s]", compile_["cold"], 90.0),
        ("first call, programs in the persistent cache [s]", compile_["cached"], 10.0),
        ("peak memory, compiling or warm [MiB]", max(compile_["cold_peak_memory"], compile_["peak_memory"]), 4096.0),
    ]
    for code, limit, goal in (("camb", 1.0, 0.5), (BASELINE, 0.5, 0.12)):
        if code in case["codes"]:
            ratio = median(ours["wall"]) / median(case["codes"][code]["wall"])
            rows.append((f"warm wall time / {code}, median (goal {goal:g})", ratio, limit))
    shown = [[what, _within(value, limit), f"{limit:g}"] for what, value, limit in rows]
    shown += [["import [s]", f"{compile_['import']:.2f}", ""]]
    shown += [["size of the persistent cache [MiB]", f"{compile_['cache_size']:.1f}", ""]]
    return _table([f"boltzax, {title(case)}", "reached", "required"], shown)


# -- derivatives and batches -------------------------------------------------------------------------------------------


def _jacobian(part) -> list[str]:
    tasks = part["tasks"]
    names = {
        "value": "value",
        "jacobian": "value and Jacobian, 8 parameters",
        "gradient": "value and gradient of chi2 (reverse)",
    }
    base, rows = tasks.get("value", {}), []
    for task, r in tasks.items():
        row = [names[task]]
        if "wall" in r and "wall" in base:
            limit = 5.0 if task != "value" else 1.0
            low, mid = (f(r["wall"]) / f(base["wall"]) for f in (min, median))
            row += [_both(r["wall"]), _both(r["cpu"]), f"{_within(low, limit)} / {_within(mid, limit)}"]
        else:
            row += ["-", "-", "-"]
        limits = (120.0, 4096.0) if task != "value" else (90.0, 4096.0)
        row += [_within(r["cold"], limits[0]), f"{r['cached']:.1f}"]
        row += [f"{_within(r['peak_memory'], limits[1])} ({r['cold_peak_memory']:.0f})"]
        rows.append(row)
    head = [f"l_max = {part['l_max']}, one massive neutrino", "wall min / median [s]", "CPU min / median [s]"]
    head += ["over the value, min / median (<= 5, goal 3)", "first call, cold [s] (<= 120)", "cached [s]"]
    return [_table([*head, "peak memory warm (compiling) [MiB] (<= 4096)"], rows), _missing(part)]


def _batch(part) -> list[str]:
    one, many = (part["times"].get(name) for name in ("one", "batch"))
    if not (one and many):
        return [_missing(part)]
    per = [t / part["size"] for t in many["wall"]]
    ratio = f"{_within(min(per) / min(one['wall']), 1.0)} / {_within(median(per) / median(one['wall']), 1.0)}"
    rows = [
        ["one cosmology alone, wall min / median [s]", _both(one["wall"]), ""],
        [f"vmap of {part['size']}, wall min / median for each [s]", _both(per), ""],
        ["ratio, min / median", ratio, "1"],
        ["first call, cold [s]", f"{part['first']['cold']:.1f}", ""],
        ["peak memory of the batch, warm [MiB]", f"{part['first']['peak_memory']:.0f}", ""],
    ]
    return [_table([f"batch, l_max = {part['l_max']}", "reached", "required"], rows), _missing(part)]


# -- scaling, launches, device ----------------------------------------------------------------------------------------


def _scaling(part) -> list[str]:
    rows, missing = [], {}
    for name, family in part["families"].items():
        times = ", ".join(f"{size}: {1e3 * wall:.0f}" for size, wall in family["wall"].items())
        exponents = [family["exponent"], family["last_exponent"]]
        shown = ["-" if e is None else _within(e, 1.0) for e in exponents]
        rows.append([name, times, *shown])
        missing |= {f"{name} {size}": why for size, why in family["missing"].items()}
    head = ["time against", "size: wall, min [ms]", "exponent, fitted (<= 1)", "between the two largest (<= 1)"]
    return [_table(head, rows), _missing({"missing": missing})]


def _peers(part) -> list[str]:
    rows = []
    for name, r in part["codes"].items():
        errors = [f"{r['errors'][key]:.1e}" for key in ("lensed_tt", "lensed_te", "lensed_ee")]
        times = [_both(r[key], digits=2) for key in ("wall", "cpu")] if "wall" in r else ["-", "-"]
        memory = f"{r['peak_memory']:.0f}" if "wall" in r else "-"
        rows.append([name, *errors, f"{r['first']:.1f}", *times, memory])
    head = [f"lensed, 30 <= l <= {part['l_max']}, massless neutrinos", "TT, largest error", "TE / sqrt(TT EE)", "EE"]
    head += ["first call [s]", "new cosmology: wall min / median [s]", "CPU min / median [s]", "peak memory [MiB]"]
    return [_table(head, rows), _missing(part)]


def _launches(part) -> list[str]:
    out = []
    for device, run in part.items():
        rows = []
        for name, p in run["programs"].items():
            floor = max(p["bytes"] / H200_BANDWIDTH, p["operations"] / H200_OPERATIONS)
            loops = "; ".join(f"{n * times:g} passes of {inside:g}" for _, n, times, inside in p["loops"][:3])
            row = [name, f"{p['launches']:.0f}", loops, str(p["unknown_loops"]), f"{p['bytes'] / 1e9:.2f}"]
            row += [f"{p['operations'] / 1e9:.2f}", f"{1e3 * floor:.2f}", f"{1e3 * LAUNCH * p['launches']:.0f}"]
            rows.append(row)
        head = [f"compiled for {device}", "launches", "largest loops", "loops of unknown length (counted once)"]
        head += ["moved [GB]", "operations [10^9]", "H200 floor, bytes and operations [ms]"]
        out += [_where(run), _table([*head, f"launches at {1e6 * LAUNCH:g} us [ms]"], rows), _missing(run)]
    return out


def _device(part) -> list[str]:
    out = []
    for device, run in part.items():
        names = {"one": "one spectrum", "batch": f"batch of {run['batch']}, each", "jacobian": "value and Jacobian"}
        goals, rows = {"one": 0.1, "batch": 0.01}, []
        for task, r in run["tasks"].items():
            share = 1.0 / run["batch"] if task == "batch" else 1.0
            low, mid = min(r["wall"]) * share, median(r["wall"]) * share
            memory = "-" if r["device_memory"] is None else f"{r['device_memory']:.0f}"
            row = [names[task], f"{1e3 * low:.1f} / {1e3 * mid:.1f}"]
            rows.append([*row, f"{1e3 * goals[task]:g}" if task in goals else "", f"{r['cold']:.1f}", memory])
        head = [f"on {device}", "wall min / median [ms]", "goal on an H200 [ms]", "first call, cold [s]"]
        out += [_where(run), _table([*head, "peak device memory [MiB]"], rows), _missing(run)]
    return out


SECTIONS = {
    "codes": ("Against classy and CAMB", _codes),
    "jacobian": ("Price of derivatives", _jacobian),
    "batch": ("Batches", _batch),
    "scaling": ("Growth with size", _scaling),
    "peers": ("Beside other codes", _peers),
    "launches": ("Launches, bytes and operations", _launches),
    "device": ("Devices", _device),
}
BY_DEVICE = ("launches", "device")  # parts that hold one entry for each device


def tables(result: dict) -> str:
    """All tables as Markdown."""
    out = []
    for name, (heading, write) in SECTIONS.items():
        if name in result:
            out += [f"## {heading}"] + ([] if name in BY_DEVICE else [_where(result[name])])
            failed = set(result[name]) == {"where", "missing"}
            out += [_missing(result[name])] if failed else write(result[name])
    return "\n\n".join(part for part in out if part)


def _sections(text: str) -> dict[str, str]:
    """The sections of a text, {heading: whole section}."""
    parts = re.split(r"^(?=## )", text, flags=re.MULTILINE)
    return {part.splitlines()[0]: part.strip() for part in parts if part.startswith("## ")}


def update_docs(path: Path, text: str):
    """Puts the sections of `text` between the two markers of the page; those that it lacks stay as they are there."""
    page = path.read_text()
    if page.count(BEGIN) != 1 or page.count(END) != 1 or page.index(BEGIN) > page.index(END):
        raise SystemExit(f"{path} lacks its markers {BEGIN} and {END}")
    head, rest = page.split(BEGIN)
    present, tail = rest.split(END)
    merged = "\n\n".join((_sections(present) | _sections(text)).values())
    write_atomically(path, f"{head}{BEGIN}\n{merged}\n{END}{tail}")
