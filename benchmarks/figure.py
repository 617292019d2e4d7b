"""Figure of benchmark results: codes and stages, prices of derivatives, growth with size."""

import os
from pathlib import Path
from statistics import median

from report import title


def _bars(axis, times: dict[str, list[float]], colors):
    """Median wall times with their ranges."""
    middle = [median(t) for t in times.values()]
    spread = [[m - min(t) for m, t in zip(middle, times.values(), strict=True)]]
    spread += [[max(t) - m for m, t in zip(middle, times.values(), strict=True)]]
    bars = axis.barh(list(times), middle, xerr=spread, color=colors, error_kw={"lw": 1, "capsize": 2})
    axis.bar_label(bars, fmt="%.3g", padding=6, fontsize=8)
    axis.margins(x=0.18)
    axis.invert_yaxis()


def _case(left, right, case):
    times = {name: r["wall"] for name, r in case["codes"].items()}
    _bars(left, times, ["C3" if name == "boltzax" else "C0" for name in times])
    left.set_xlabel("wall time of a new cosmology [s]: median, range")
    left.set_title(title(case), fontsize=10)
    stages = {name: [1e3 * t for t in times] for name, times in case.get("stages", {}).items()}
    if stages:
        _bars(right, stages, "C3")
    right.set_xlabel("wall time [ms]: median, range")
    right.set_title("boltzax by stage, each jitted alone" if stages else "no split by stage", fontsize=10)


def _derivatives(axis, result):
    tasks = {name: r["wall"] for name, r in result["jacobian"]["tasks"].items() if "wall" in r}
    if "batch" in result and "batch" in result["batch"]["times"]:
        size = result["batch"]["size"]
        tasks[f"vmap of {size}, each"] = [t / size for t in result["batch"]["times"]["batch"]["wall"]]
    _bars(axis, tasks, "C3")
    axis.set_xlabel("wall time [s]: median, range")
    axis.set_title(f"derivatives, l_max = {result['jacobian']['l_max']}", fontsize=10)


def _growth(axis, families):
    for name, family in families.items():
        points = sorted((int(size), wall) for size, wall in family["wall"].items())
        if len(points) < 2:
            continue
        x, y = zip(*points, strict=True)
        label = f"{name.split(' (')[0]}: {family['exponent']:.2f}"
        axis.plot([v / x[0] for v in x], [v / y[0] for v in y], "o-", ms=3, lw=1, label=label)
    top = max(axis.get_xlim()[1], 2.0)
    axis.plot([1, top], [1, top], "0.6", lw=0.8, ls="--", label="linear")
    axis.set(xscale="log", yscale="log", xlabel="size over the smallest", ylabel="wall time over the first")
    axis.set_title("growth with size, exponents", fontsize=10)
    axis.legend(fontsize=7)


def plot(result: dict, path: Path):
    """One row for each case of `codes`, and one for derivatives and growth."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    cases = result.get("codes", {}).get("cases", [])
    last = "jacobian" in result or "scaling" in result
    rows = len(cases) + last
    if not rows:
        raise SystemExit("nothing to draw: measure codes, jacobian or scaling first")
    heights = [2.6] * len(cases) + [3.6] * last
    figure, axes = plt.subplots(
        rows, 2, figsize=(12, sum(heights) + 0.4), squeeze=False, layout="constrained", height_ratios=heights
    )
    for (left, right), case in zip(axes, cases, strict=False):
        _case(left, right, case)
    if "tasks" in result.get("jacobian", {}):
        _derivatives(axes[-1][0], result)
    if "families" in result.get("scaling", {}):
        _growth(axes[-1][1], result["scaling"]["families"])
    for axis in axes.flat:
        if not axis.has_data():
            axis.set_visible(False)
    partial = path.with_name(".part-" + path.name)
    figure.savefig(partial, dpi=120)
    plt.close(figure)
    os.replace(partial, path)
