"""What the harness must know of a repository: the file `harness.toml`, always read from the base revision.

Commands are lists of words in which {python}, {criterion}, {out} (a JSON file to write), {seed} and {state} (the
harness's own folder) are replaced. They run in a judge's tree (`harness.judge`), never in the agent's worktree.
"""

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from harness.errors import HarnessError

FILE = "harness.toml"


def matches(path: str, patterns: tuple[str, ...]) -> bool:
    """Whether a path lies in one of the folders ("oracle/"), or matches one of the globs ("**/conftest.py")."""
    for pattern in patterns:
        if path.startswith(pattern) if pattern.endswith("/") else fnmatchcase(path, pattern):
            return True
        if pattern.startswith("**/") and fnmatchcase(path, pattern[3:]):
            return True
    return False


@dataclass(frozen=True)
class Noise:
    """How far a metric moves without meaning anything: relative * value + absolute."""

    relative: float = 0.02
    absolute: float = 0.0

    def width(self, value: float) -> float:
        """The width of the noise around a value."""
        return self.relative * abs(value) + self.absolute


@dataclass(frozen=True)
class Stall:
    """After how many iterations in a row the agent is asked for a review, and stopped when that did not help."""

    unmoved: int = 5  # no metric became better
    empty: int = 3  # nothing committed
    repeated: int = 2  # a tree that was refused before


@dataclass(frozen=True)
class Config:
    """The content of harness.toml."""

    judged: tuple[str, ...]  # what the judge takes from the agent's commit; all else comes from the base revision
    protected: tuple[str, ...]  # must stay as they are
    add_only: tuple[str, ...]  # files may be added, those of the base revision must stay as they are
    pythonpath: tuple[str, ...]
    commands: Mapping[str, tuple[str, ...]]  # tests, metrics, gate, report; check: reads a criterion, before a run
    seconds: Mapping[str, float]  # time limit of each command
    environment: Mapping[str, str]
    metrics: Mapping[str, str]  # name -> keys, joined by dots, into the JSON that the metrics command writes
    noise: Mapping[str, Noise] = field(default_factory=dict)
    stall: Stall = field(default_factory=Stall)

    def noise_of(self, metric: str) -> Noise:
        """The noise of one metric, or the default."""
        return self.noise.get(metric) or self.noise.get("default") or Noise()

    def worse(self, metric: str, value: float, before: float) -> bool:
        """Whether a metric (smaller is better) became worse by more than its noise; not measurable is worse."""
        if math.isnan(before):
            return False
        return not value <= before + self.noise_of(metric).width(before)

    def better(self, metric: str, value: float, before: float) -> bool:
        """Whether a metric became better by more than its noise; measurable at last is better."""
        if math.isnan(before):
            return not math.isnan(value)
        return value < before - self.noise_of(metric).width(before)


def _words(table: Mapping[str, Any], key: str, default: tuple[str, ...] = ()) -> tuple[str, ...]:
    value = table.get(key, default)
    if not isinstance(value, list | tuple) or not all(isinstance(word, str) for word in value):
        raise HarnessError(f"{FILE}: {key} must be a list of strings")
    return tuple(value)


def parse(text: str) -> Config:
    """Config from the text of harness.toml.

    Raises:
        HarnessError: not TOML, a missing or unknown key.
    """
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise HarnessError(f"{FILE} is not valid TOML: {error}") from None
    known = {"paths", "commands", "seconds", "environment", "metrics", "noise", "stall"}
    if unknown := sorted(set(data) - known):
        raise HarnessError(f"{FILE}: unknown table {unknown[0]}; known are {', '.join(sorted(known))}")
    paths, commands = data.get("paths", {}), data.get("commands", {})
    if missing := sorted({"tests", "metrics", "gate", "report"} - set(commands)):
        raise HarnessError(f"{FILE}: the command {missing[0]} is missing under [commands]")
    try:
        return Config(
            judged=_words(paths, "judged"),
            protected=_words(paths, "protected"),
            add_only=_words(paths, "add_only"),
            pythonpath=_words(paths, "pythonpath", (".",)),
            commands={name: _words(commands, name) for name in commands},
            seconds={str(k): float(v) for k, v in data.get("seconds", {}).items()},
            environment={str(k): str(v) for k, v in data.get("environment", {}).items()},
            metrics={str(k): str(v) for k, v in data.get("metrics", {}).items()},
            noise={str(k): Noise(**v) for k, v in data.get("noise", {}).items()},
            stall=Stall(**data.get("stall", {})),
        )
    except (TypeError, ValueError) as error:
        raise HarnessError(f"{FILE}: {error}") from None
