"""A run's books while a process of the harness works on it: state, events, the clock, the terminal."""

import time
from pathlib import Path
from typing import Any

from harness.config import Config
from harness.errors import Interrupted
from harness.output import Redactor
from harness.repo import Repo
from harness.state import Folder, State, append


class Ledger:
    """What every part of the loop writes to and asks; `signal` is set by whoever catches signals."""

    def __init__(self, repo: Repo, folder: Folder, config: Config, state: State):
        self.repo, self.folder, self.config, self.state = repo, folder, config, state
        self.redactor = Redactor()
        self.logs = folder.logs / state.run
        self.logs.mkdir(parents=True, exist_ok=True)
        self.signal = 0
        self._last_tick = self._last_save = time.monotonic()

    def save(self, **changes: Any) -> None:
        """Apply changes to the state and write it."""
        for name, value in changes.items():
            setattr(self.state, name, value)
        self._tick()
        self.state.save(self.folder.state)

    def event(self, event: str, **facts: Any) -> None:
        """A line of events.jsonl."""
        row = {"time": time.strftime("%FT%TZ", time.gmtime()), "run": self.state.run, "event": event}
        row |= {"iteration": self.state.iteration}
        append(self.folder.events, row | {k: self._clean(v) for k, v in facts.items()})

    def _clean(self, value: Any) -> Any:
        return self.redactor.text(value) if isinstance(value, str) else value

    def tell(self, text: str) -> None:
        """A line for the terminal."""
        print(f"[harness {time.strftime('%T')}] {self.redactor.text(text)}", flush=True)

    def skip_time(self) -> None:
        """Leave the time since the last look at the clock out of the budget."""
        self._last_tick = time.monotonic()

    def _tick(self) -> None:
        now = time.monotonic()
        self.state.used.seconds += now - self._last_tick
        self._last_tick = now

    def watch(self) -> str:
        """For long waits: keeps the clock, and answers "interrupted" once a signal has come."""
        self._tick()
        if time.monotonic() - self._last_save > 2.0:
            self._last_save = time.monotonic()
            self.state.save(self.folder.state)
        return "interrupted" if self.signal else ""

    def wait(self, seconds: float) -> None:
        """Wait; a stop ends that early.

        Raises:
            Interrupted: a signal came.
        """
        end = time.monotonic() + seconds
        while time.monotonic() < end and not self.folder.stop.exists():
            if self.watch():
                raise Interrupted
            time.sleep(min(0.2, seconds))

    def log(self, name: str) -> Path:
        """The log of one step of this iteration."""
        return self.logs / f"{self.state.iteration:04d}-{name}.log"

    def keep(self, commit: str, what: str = "") -> str:
        """Keep a commit of this iteration as a ref; its name."""
        ref = f"refs/harness/{self.state.run}/{self.state.iteration:04d}" + (f"-{what}" if what else "")
        self.repo.set_ref(ref, commit)
        return ref
