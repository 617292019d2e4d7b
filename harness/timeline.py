"""Accuracy over the history: chosen commits measured with the oracle of today, and drawn with their milestones.

Each commit's package is measured by the metrics command of harness.toml in a tree of the present commit, as the judge
does. Measurements are kept by commit, package and oracle in `.harness/scores`, so that a commit is measured once.
"""

import argparse
import hashlib
import json
import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from harness import changelog
from harness.config import Config
from harness.errors import HarnessError
from harness.judge import Judge
from harness.output import Redactor
from harness.repo import Repo
from harness.state import Folder, write_atomically

# drawn unless --metrics names others, with their names in the plot
PANELS = {"lensed_tt": "TT", "lensed_ee": "EE", "lensed_te": "TE", "lensed_pp": r"$\phi\phi$"}
TRAILER = "Milestone"


@dataclass(frozen=True)
class Point:
    """One commit of the plot."""

    commit: str
    date: float  # seconds since 1970
    label: str
    metrics: dict[str, float]
    reason: str = ""
    merged: bool = True  # whether a branch holds it; a refused attempt is held by none


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command line."""
    parser.add_argument("--commits", nargs="+", metavar="REV", help="these commits (otherwise milestones and --every)")
    parser.add_argument("--range", default="HEAD", metavar="A..B", help="the history looked at (HEAD)")
    parser.add_argument("--every", type=int, default=0, metavar="N", help="also every N-th change of the package")
    parser.add_argument("--metrics", nargs="+", metavar="NAME", help=f"what to draw ({' '.join(PANELS)})")
    parser.add_argument("--x", choices=("date", "commit"), default="commit")
    parser.add_argument("--out", default="timeline.png", metavar="FILE", help="the plot (timeline.png)")
    parser.add_argument("--json", metavar="FILE", help="also the numbers")


def milestones(repo: Repo, span: str) -> dict[str, str]:
    """commit -> label, from trailers "Milestone: label" of commits and from releases of CHANGELOG.md."""
    out = {}
    form = f"%H%x00%(trailers:key={TRAILER},valueonly,separator=%x2C)"
    for row in repo.git("log", f"--format={form}", span).splitlines():
        commit, label = row.split("\0")
        if label.strip():
            out[commit] = label.strip()
    text = repo.read("HEAD", changelog.FILE)
    for version, name in changelog.releases(text) if text else []:
        out.setdefault(repo.commit(name), version)
    return out


def choose(repo: Repo, config: Config, options: argparse.Namespace) -> list[tuple[str, str]]:
    """(commit, label) of the commits to measure, oldest first.

    Raises:
        HarnessError: there are none, or one is unknown.
    """
    labels = milestones(repo, options.range)
    if options.commits:
        wanted = {repo.commit(name) for name in options.commits}
    else:
        changing = repo.git("log", "--format=%H", options.range, "--", *config.judged).splitlines()
        wanted = set(labels) | set(changing[:: options.every] if options.every > 0 else changing[:1])
    if not wanted:
        raise HarnessError("no commit to measure: give --commits, --every, or commits with a Milestone trailer")
    history = repo.git("rev-list", "--reverse", "--topo-order", *sorted(wanted)).splitlines()
    return [(commit, labels.get(commit, "")) for commit in history if commit in wanted]


def score(repo: Repo, folder: Folder, config: Config, judge: Judge, commit: str) -> tuple[dict[str, float], str]:
    """Metrics of a commit with the oracle of the judge's base, and why some are missing; measured once."""
    today = [config.commands["metrics"], sorted(config.metrics.items()), _oracle(repo, config, judge.base)]
    key = hashlib.sha256(json.dumps([judge.identity(commit), today]).encode()).hexdigest()[:24]
    file = folder.root / "scores" / f"{key}.json"
    if file.exists():
        kept = json.loads(file.read_text())
        return {name: float(value) for name, value in kept["metrics"].items()}, kept["reason"]
    found = judge.metrics(commit, folder.logs / f"timeline-{commit[:12]}.log")
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(file, json.dumps({"commit": commit, "metrics": found.data, "reason": found.reason}) + "\n")
    return found.data, found.reason


def _oracle(repo: Repo, config: Config, base: str) -> str:
    """A name for all that measures: the protected paths of the base, without the harness itself."""
    paths = tuple(p for p in config.protected if p.endswith("/") and p != "harness/")
    return repo.identity(base, paths)


def measure(repo: Repo, config: Config, chosen: list[tuple[str, str]]) -> list[Point]:
    """Every chosen commit, measured; tells how far it is."""
    folder = Folder(repo.top)
    folder.make()
    folder.judge = folder.root / "timeline"  # a running loop judges in its own folder
    judge = Judge(repo, folder, config, repo.commit("HEAD"), (), "", Redactor(), lambda: "")
    points = []
    for i, (commit, label) in enumerate(chosen):
        start = time.monotonic()
        metrics, reason = score(repo, folder, config, judge, commit)
        date, subject = repo.git("log", "-1", "--format=%ct %s", commit).split(" ", 1)
        merged = bool(repo.git("for-each-ref", "--contains", commit, "refs/heads", "refs/remotes", "refs/tags"))
        points.append(Point(commit, float(date), label, metrics, reason, merged or commit == judge.base))
        figures = ", ".join(f"{n} {v:.1e}" for n, v in metrics.items() if not math.isnan(v)) or reason.splitlines()[0]
        print(
            f"{i + 1}/{len(chosen)} {commit[:9]} {subject[:50]}: {figures} ({time.monotonic() - start:.0f} s)",
            flush=True,
        )
    return points


def draw(points: list[Point], names: list[str], x: str, path: Path) -> None:
    """The plot: each metric over commits or dates, logarithmic; a line through what is merged, crosses for refused
    attempts, grey bars for commits without numbers, milestones by name."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.dates
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(8, 4.5), constrained_layout=True)
    at = [p.date / 86400 for p in points] if x == "date" else [float(i) for i in range(len(points))]
    for i, name in enumerate(names):
        line = [(w, p.metrics.get(name, float("nan"))) for w, p in zip(at, points, strict=True) if p.merged]
        crosses = [(w, p.metrics.get(name, float("nan"))) for w, p in zip(at, points, strict=True) if not p.merged]
        axis.plot(*zip(*line, strict=True), "o-", color=f"C{i}", ms=4, lw=1.2, label=PANELS.get(name, name))
        if crosses:
            axis.plot(*zip(*crosses, strict=True), "x", color=f"C{i}", ms=7)
    for where, point in zip(at, points, strict=True):
        if all(math.isnan(point.metrics.get(name, float("nan"))) for name in names):
            axis.axvline(where, color="0.85", lw=6, zorder=0)
        if point.label:
            axis.axvline(where, color="0.6", lw=0.6, ls=":")
            text = point.label if point.merged else f"{point.label} (refused)"
            style = {"rotation": 90, "fontsize": 8, "ha": "right", "va": "top", "color": "0.3"}
            axis.text(where, 0.98, text, transform=axis.get_xaxis_transform(), **style)
    if x == "date":
        axis.xaxis.set_major_formatter(matplotlib.dates.ConciseDateFormatter(axis.xaxis.get_major_locator()))
    else:
        axis.set_xticks(at, [p.commit[:7] for p in points], rotation=60, fontsize=7)
        axis.set_xlim(-0.4, len(points) - 0.6)
    axis.set(yscale="log", ylabel="largest relative error")
    axis.set_ylim(axis.get_ylim()[0], axis.get_ylim()[1] * 10)
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8, loc="upper left")
    temporary = path.with_name(f".{path.name}")
    figure.savefig(temporary, dpi=90, format=path.suffix.lstrip(".") or "png")
    temporary.replace(path)
    plt.close(figure)


def main(repo: Repo, config: Config, options: argparse.Namespace) -> int:
    """Runs the command; returns the exit code."""
    out = Path(options.out)
    if not out.resolve().parent.is_dir():
        raise HarnessError(f"there is no folder {out.parent}")
    names = list(options.metrics or [n for n in PANELS if n in config.metrics] or config.metrics)
    if unknown := [name for name in names if name not in config.metrics]:
        raise HarnessError(f"unknown metric {unknown[0]}; known are {', '.join(config.metrics)}")
    points = measure(repo, config, choose(repo, config, options))
    if options.json:
        write_atomically(Path(options.json), json.dumps([asdict(p) for p in points], indent=1) + "\n")
    draw(points, names, options.x, out)
    print(f"{out}: {len(points)} commits")
    return 0
