"""The judge: decides about a commit from trees that hold the base revision and, of the agent's work, what is judged.

The agent's worktree, git settings, attributes and hooks play no part, and each check gets a tree of its own: what one
check does to its files, the next does not see.
"""

import json
import math
import os
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.config import Config, matches
from harness.errors import Interrupted
from harness.output import Redactor, without_secrets
from harness.process import Ended, run
from harness.repo import Repo
from harness.state import Folder


@dataclass
class Check:
    """The result of one check."""

    passed: bool
    reason: str = ""
    data: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0


class Judge:
    """Runs the checks of harness.toml on commits, against one base revision."""

    def __init__(
        self, repo: Repo, folder: Folder, config: Config, base: str, allow: tuple[str, ...], criterion: str,
        redactor: Redactor, watch: Callable[[], str],
    ):  # fmt: skip
        self.repo, self.folder, self.config, self.base, self.allow = repo, folder, config, base, allow
        self.criterion, self.redactor, self.watch = criterion, redactor, watch
        self.base_files = repo.files(base)

    # -- what may be touched -------------------------------------------------------------------------------------------

    def forbidden(self, last_good: str, candidate: str) -> list[str]:
        """Protected paths that commits in last_good..candidate touch and that --allow does not name."""
        return sorted(path for path in self.repo.touched(last_good, candidate) if self.protects(path))

    def protects(self, path: str) -> bool:
        """Whether an agent must leave a path alone."""
        if self.allows(path):
            return False
        add_only = matches(path, self.config.add_only) and path in self.base_files
        return matches(path, self.config.protected) or add_only

    def allows(self, path: str) -> bool:
        """Whether --allow names a path, or a folder that holds it."""
        return any(path == a.rstrip("/") or path.startswith(a.rstrip("/") + "/") for a in self.allow)

    def identity(self, commit: str) -> str:
        """A name for all that is judged of a commit."""
        paths = (*self.config.judged, *self.config.add_only, *(a.rstrip("/") for a in self.allow))
        return self.repo.identity(commit, paths)

    # -- trees and commands --------------------------------------------------------------------------------------------

    def tree(self, commit: str, added: bool = False) -> Path:
        """A fresh tree: the base revision with the judged and allowed paths of a commit, and the files that it adds
        where only adding is allowed, if `added`."""
        shutil.rmtree(self.folder.judge, ignore_errors=True)
        tree = self.folder.judge / "tree"
        tree.mkdir(parents=True)

        def theirs(path: str) -> bool:
            if matches(path, self.config.judged) or self.allows(path):
                return not self.protects(path)
            return added and matches(path, self.config.add_only) and not self.protects(path)

        mine = lambda path: not (matches(path, self.config.judged) or self.allows(path)) or self.protects(path)
        self.repo.export(self.base, tree, mine)
        self.repo.export(commit, tree, theirs)
        return tree

    def run(self, name: str, tree: Path, log: Path, values: Mapping[str, Any]) -> Ended:
        """Run one command of harness.toml in a tree.

        Raises:
            Interrupted: the watcher asked to leave.
        """
        places = {"python": sys.executable, "state": self.folder.root, "criterion": self.criterion, **values}
        command = [word.format_map({k: str(v) for k, v in places.items()}) for word in self.config.commands[name]]
        environment = without_secrets(os.environ)
        environment |= {k: v.format_map({"state": str(self.folder.root)}) for k, v in self.config.environment.items()}
        environment["PYTHONPATH"] = os.pathsep.join(str(tree / p) for p in self.config.pythonpath)
        limit = self.config.seconds.get(name, 3600.0)
        done = run(command, tree, environment, log, limit, self.watch, self.redactor, f"{self.folder.root}:{name}")
        if done.ended_by:
            raise Interrupted(done.ended_by)
        return done

    # -- checks --------------------------------------------------------------------------------------------------------

    def tests(self, commit: str, log: Path) -> Check:
        """The quick tests, with the tests that the commit adds."""
        done = self.run("tests", self.tree(commit, added=True), log, {})
        if done.timed_out:
            return Check(False, f"the quick tests took longer than {done.seconds:.0f} s", seconds=done.seconds)
        return Check(done.code == 0, "" if done.code == 0 else _end(done.tail), seconds=done.seconds)

    def metrics(self, commit: str, log: Path) -> Check:
        """The metrics of harness.toml; one that the command does not give is nan."""
        tree = self.tree(commit)
        out = self.folder.judge / "metrics.json"
        done = self.run("metrics", tree, log, {"out": out})
        data = _json(out)
        values = {name: lookup(data, path) for name, path in self.config.metrics.items()}
        missing = [name for name, value in values.items() if math.isnan(value)]
        reason = f"no value of {', '.join(missing)}: {_end(done.tail)}" if missing else ""
        return Check(not missing, reason, values, done.seconds)

    def gate(self, commit: str, seed: int, log: Path) -> Check:
        """The gate: passed only with exit code 0 and a verdict whose every row holds."""
        tree = self.tree(commit)
        out = self.folder.judge / "verdict.json"
        done = self.run("gate", tree, log, {"out": out, "seed": seed})
        verdict = _json(out)
        seeded = any("{seed}" in word for word in self.config.commands["gate"])  # else the gate draws its own
        reason = _refusal(done, verdict, seed if seeded else None)
        return Check(not reason, reason, verdict, done.seconds)

    def report(self, commit: str, log: Path) -> str:
        """What the stage report prints about a commit."""
        tree = self.tree(commit)
        out = self.folder.judge / "report.json"
        before = log.stat().st_size if log.exists() else 0
        done = self.run("report", tree, log, {"out": out})
        text = log.read_bytes()[before:].decode("utf-8", "replace")
        return text if len(text) < 20000 else f"{text[:14000]}\n[...]\n{_end(done.tail)}"


def _refusal(done: Ended, verdict: dict[str, Any], seed: int | None) -> str:
    """Why a gate did not pass, or an empty string."""
    rows = verdict.get("rows") or []
    failing = [row for row in rows if not (row.get("passed") is True and _holds(row))]
    if failing:
        lines = [f"- {r.get('name')}: {r.get('value')}, required {r.get('required')}" for r in failing[:20]]
        return "the criterion does not hold:\n" + "\n".join(lines)
    if done.timed_out:
        return f"the gate took longer than {done.seconds:.0f} s"
    if done.code:
        return f"the gate ended with exit code {done.code}: {_end(done.tail)}"
    if verdict.get("passed") is not True or not rows:
        return "the gate gave no verdict"
    if seed is not None and verdict.get("seed") != seed:
        return f"the verdict is of another seed: {verdict.get('seed')} instead of {seed}"
    return ""


def _holds(row: dict[str, Any]) -> bool:
    """Whether a row's number is within its bound, where both are numbers."""
    value, required = row.get("value"), row.get("required")
    if isinstance(value, int | float) and isinstance(required, int | float):
        return value <= required
    return value is None and required is None


def lookup(data: Any, path: str) -> float:
    """The number at keys joined by dots; nan where there is none."""
    for key in path.split("."):
        data = data.get(key) if isinstance(data, Mapping) else None
    return float(data) if isinstance(data, int | float) and not isinstance(data, bool) else float("nan")


def _json(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


def _end(text: str, lines: int = 25) -> str:
    return "\n".join(text.strip().splitlines()[-lines:])
