"""Tables and figure of a benchmark result, and its place in docs/performance.md."""

import os
from pathlib import Path
from statistics import median

BEGIN, END = "<!-- performance table: begin -->", "<!-- performance table: end -->"
BASELINE = "classy"  # the code that ratios refer to


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


def _title(case) -> str:
    kind = {"massless": "massless neutrinos", "massive": "one massive neutrino"}[case["neutrinos"]]
    return f"l_max = {case['l_max']}, {kind}, P(k) to {case['k_max']:g}/Mpc"


def _code_table(case) -> list[str]:
    rows = [
        f"| {_title(case)} | wall min / median [s] | CPU min / median [s] "
        "| wall / classy, min / median | peak memory [MiB] |",
        "|---|---|---|---|---|",
    ]
    base = case["codes"].get(BASELINE)
    for name, record in case["codes"].items():
        wall, cpu = record["wall"], record["cpu"]
        ratio = f"{min(wall) / min(base['wall']):.3f} / {median(wall) / median(base['wall']):.3f}" if base else "-"
        rows.append(
            f"| {name} | {min(wall):.3f} / {median(wall):.3f} | {min(cpu):.3f} / {median(cpu):.3f} | {ratio} "
            f"| {record['peak_memory']:.0f} |"
        )
    return rows + [
        f"| {name} | not measured: {why.splitlines()[0][:120]} ||||" for name, why in case["missing"].items()
    ]


def _requirements(case) -> list[str]:
    """What boltzax reaches against what is required of it."""
    compile_, ours = case["compile"], case["codes"]["boltzax"]
    base = case["codes"].get(BASELINE)
    memory = max(ours["peak_memory"], compile_["cold_peak_memory"])
    rows = [
        ("first call, nothing compiled [s]", compile_["cold"], 90.0),
        ("first call, programs in the persistent cache [s]", compile_["cached"], 10.0),
        ("peak memory, compiling or warm [MiB]", memory, 4096.0),
    ]
    if base:
        rows.insert(0, ("warm wall time / classy, median", median(ours["wall"]) / median(base["wall"]), 0.5))
    lines = [f"| boltzax, {_title(case)} | reached | required |", "|---|---|---|"]
    for what, value, limit in rows:
        shown = f"{value:.3g}" if value < 1000 else f"{value:.0f}"
        lines.append(f"| {what} | {shown if value <= limit else f'**{shown}**'} | {limit:g} |")
    lines.append(f"| import [s] | {compile_['import']:.2f} | |")
    lines.append(f"| size of the persistent cache [MiB] | {compile_['cache_size']:.1f} | |")
    return lines


def _stage_table(case) -> list[str]:
    lines = [f"| stages of boltzax, each jitted alone; {_title(case)} | wall min / median [ms] |", "|---|---|"]
    for name, times in case["stages"].items():
        lines.append(f"| {name} | {1e3 * min(times):.1f} / {1e3 * median(times):.1f} |")
    return lines


def tables(result: dict) -> str:
    """All tables as Markdown."""
    machine = result["machine"]
    parts = [
        f"Measured {result['date']} on {machine['cpus']} CPUs ({machine['model']}), load {machine['load']:.1f} at the "
        f"start, {result['repeat']} timed calls of each code. "
        + ", ".join(f"{name} {number}" for name, number in result["versions"].items())
        + "."
    ]
    for case in result["cases"]:
        parts.append("\n".join(_code_table(case)))
        if "boltzax" in case["codes"]:
            parts.append("\n".join(_requirements(case)))
        if "stages" in case:
            parts.append("\n".join(_stage_table(case)))
    return "\n\n".join(parts)


def update_docs(path: Path, text: str):
    """Puts the tables between the two markers of the page."""
    page = path.read_text()
    if page.count(BEGIN) != 1 or page.count(END) != 1 or page.index(BEGIN) > page.index(END):
        raise SystemExit(f"{path} lacks its markers {BEGIN} and {END}")
    head, tail = page.split(BEGIN)[0], page.split(END)[1]
    write_atomically(path, f"{head}{BEGIN}\n{text}\n{END}{tail}")


def plot(result: dict, path: Path):
    """Median wall times of all codes and the split of boltzax by stage, one row for each case."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    cases = result["cases"]
    figure, axes = plt.subplots(
        len(cases), 2, figsize=(11, 2.4 * len(cases) + 0.6), squeeze=False, layout="constrained"
    )
    for (left, right), case in zip(axes, cases, strict=True):
        names = list(case["codes"])
        wall = [median(case["codes"][n]["wall"]) for n in names]
        spread = [
            [w - min(case["codes"][n]["wall"]) for n, w in zip(names, wall, strict=True)],
            [max(case["codes"][n]["wall"]) - w for n, w in zip(names, wall, strict=True)],
        ]
        colors = ["C3" if n == "boltzax" else "C0" for n in names]
        left.barh(names, wall, xerr=spread, color=colors, error_kw={"lw": 1, "capsize": 2})
        left.invert_yaxis()
        left.set_xlabel("wall time of a new cosmology [s]: median, range")
        left.set_title(_title(case), fontsize=10)
        stages = case.get("stages", {})
        bars = right.barh(list(stages), [1e3 * median(t) for t in stages.values()], color="C3")
        right.bar_label(bars, fmt="%.1f", padding=3, fontsize=8)
        right.margins(x=0.12)
        right.invert_yaxis()
        right.set_xlabel("wall time [ms]")
        right.set_title("boltzax by stage, each jitted alone" if stages else "no split by stage", fontsize=10)
    partial = path.with_name(".part-" + path.name)
    figure.savefig(partial, dpi=120)
    plt.close(figure)
    os.replace(partial, path)
