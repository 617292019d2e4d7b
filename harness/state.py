"""What the harness keeps: a folder `.harness` beside the repository's files, a lock, and state that survives a kill.

`state.json` is replaced atomically after each step; `metrics.jsonl` and `events.jsonl` only grow, one line a fact.
"""

import contextlib
import fcntl
import json
import math
import os
import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from harness.errors import HarnessError


def write_atomically(path: Path, text: str) -> None:
    """Replace a file by way of a temporary one, so that no reader and no kill sees half of it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with open(temporary, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


class Folder:
    """The paths below `.harness`."""

    def __init__(self, top: Path):
        self.root = top / ".harness"
        self.state = self.root / "state.json"
        self.metrics = self.root / "metrics.jsonl"
        self.events = self.root / "events.jsonl"
        self.inbox = self.root / "inbox"
        self.read = self.root / "inbox" / "read"
        self.logs = self.root / "logs"
        self.worktree = self.root / "worktree"
        self.judge = self.root / "judge"
        self.pause = self.root / "PAUSE"
        self.stop = self.root / "STOP"

    def make(self) -> None:
        """Create the folders, hidden from git."""
        for folder in (self.root, self.inbox, self.read, self.logs):
            folder.mkdir(parents=True, exist_ok=True)
        ignore = self.root / ".gitignore"
        if not ignore.exists():
            write_atomically(ignore, "*\n")


def _finite(value: Any) -> Any:
    """A value with null for what JSON has no number for."""
    if isinstance(value, Mapping):
        return {k: _finite(v) for k, v in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def append(path: Path, row: dict[str, Any]) -> None:
    """Add one line of JSON; on disk when this returns. A line torn by a kill is closed first and skipped by `rows`."""
    handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        size = os.fstat(handle).st_size
        torn = size and os.pread(handle, 1, size - 1) != b"\n"
        os.write(handle, (b"\n" if torn else b"") + json.dumps(_finite(row)).encode() + b"\n")
        os.fsync(handle)
    finally:
        os.close(handle)


def rows(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a file that `append` wrote."""
    if path.exists():
        for line in path.read_text(errors="replace").splitlines():
            with contextlib.suppress(json.JSONDecodeError):
                yield json.loads(line)


@dataclass
class Used:
    """What a run has used of its budgets, over all restarts."""

    seconds: float = 0.0
    iterations: int = 0
    usd: float = 0.0
    tokens: int = 0
    reported: bool = False  # whether the agent ever reported cost or tokens


@dataclass
class State:
    """One run. `phase` says what to do first after a restart."""

    run: str
    base: str
    task: str
    criterion: str
    promise: str
    branch: str
    allow: list[str]
    last_good: str
    code: str = ""  # identity of the judged paths at last_good
    phase: str = "idle"  # idle | agent | judge | finished
    iteration: int = 0
    candidate: str = ""
    exit: str = ""  # how the agent of this iteration ended
    promised: bool = False
    outcome: str = ""  # why a finished run ended
    feedback: list[str] = field(default_factory=list)  # for the next prompt
    verdict: str = ""  # the last one, in a line
    gate: dict[str, Any] = field(default_factory=dict)  # the last verdict of the gate
    baseline: dict[str, float] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)  # at last_good
    best: dict[str, float] = field(default_factory=dict)
    unmoved: int = 0
    empty: int = 0
    repeated: int = 0
    crashes: int = 0
    refused_trees: list[str] = field(default_factory=list)
    reviewed: bool = False
    review_next: bool = False
    budget: dict[str, float] = field(default_factory=dict)  # iterations, hours, usd, tokens; missing is unlimited
    used: Used = field(default_factory=Used)

    @classmethod
    def load(cls, path: Path) -> "State | None":
        """The state in a file, or None if there is none.

        Raises:
            HarnessError: the file is damaged.
        """
        if not path.exists():
            return None
        try:
            data = json.loads(path.read_text())
            known = {f.name for f in fields(cls)}
            state = cls(**{k: v for k, v in data.items() if k in known})
            state.used = Used(**data["used"])
            return state
        except (ValueError, TypeError, KeyError) as error:
            raise HarnessError(f"{path} is damaged ({error}); move it away to begin anew") from None

    def save(self, path: Path) -> None:
        """Write atomically."""
        write_atomically(path, json.dumps(asdict(self), indent=1) + "\n")

    def left(self, name: str) -> float:
        """What is left of a budget: iterations, hours, usd or tokens."""
        used = {"hours": self.used.seconds / 3600}.get(name)
        used = getattr(self.used, name) if used is None else used
        return self.budget.get(name, float("inf")) - used


@contextlib.contextmanager
def lock(common: Path) -> Iterator[None]:
    """Hold the repository's one lock.

    Raises:
        HarnessError: another harness holds it.
    """
    path = common / "harness.lock"
    with open(path, "a+") as file:
        for patience in range(5, -1, -1):
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                if patience:  # `locked` may be looking
                    time.sleep(0.1)
                    continue
                file.seek(0)
                holder = file.read().strip() or path
                raise HarnessError(f"another harness works on this repository ({holder})") from None
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()} since {time.strftime('%F %T')}\n")
        file.flush()
        yield
        file.truncate(0)


def locked(common: Path) -> str:
    """Who holds the lock, or an empty string."""
    path = common / "harness.lock"
    if not path.exists():
        return ""
    with open(path) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return file.read().strip() or "somebody"
    return ""
