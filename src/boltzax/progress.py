"""Progress of long work on stderr: a line that is overwritten on a terminal, a few lines elsewhere."""

import sys
import time
from types import TracebackType

__all__ = ["Progress"]


class Progress:
    """Says what runs, how far it is and how long it will take.

    Used as a context manager. total: the number of items, None if it is not known. every: seconds between lines where
    stderr is no terminal.
    """

    def __init__(self, title: str, total: int | None = None, done: int = 0, enabled: bool = True, every: float = 30.0):
        self.title, self.total, self.done, self.enabled, self.every = title, total, done, enabled, every
        self.first, self.start = done, time.perf_counter()
        self.last = -float("inf")
        self.tty = sys.stderr.isatty()

    def __enter__(self) -> "Progress":
        self.say("")
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._print(f"{self.title}: {'stopped' if kind else 'done'} after {time.perf_counter() - self.start:.1f} s")
        if self.enabled and self.tty:
            print(file=sys.stderr)

    def step(self, text: str = "", items: int = 1) -> None:
        """Counts items that are done."""
        self.done += items
        now = time.perf_counter()
        if now - self.last < (0.5 if self.tty else self.every):
            return
        spent = now - self.start
        rest = spent / max(self.done - self.first, 1) * ((self.total or self.done) - self.done)
        self.say(f"{self.done}/{self.total}, {spent:.0f} s, {rest:.0f} s to go" + (f", {text}" if text else ""))

    def say(self, text: str) -> None:
        """Shows a text after the title."""
        self.last = time.perf_counter()
        self._print(f"{self.title}: {text}" if text else f"{self.title} ...")

    def _print(self, line: str) -> None:
        if self.enabled:
            print(f"\r\033[K{line}" if self.tty else line, file=sys.stderr, end="" if self.tty else "\n", flush=True)
