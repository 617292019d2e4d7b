"""Running agents and checks as processes that end when they must, with everything they started."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from harness.errors import HarnessError
from harness.output import Reader, Reading, Redactor

MARK = "HARNESS_PROCESS"  # in the environment of all that the harness starts: finds what left its process group
LOG_LIMIT = 16 * 2**20  # bytes of a log; of what comes after it only the end is kept
TAIL = 4096
GRACE = 5.0  # seconds between asking and killing


def end_group(group: int, mark: str = "", grace: float = GRACE) -> None:
    """End a process group: ask, wait, kill; then whatever carries the mark elsewhere (Linux)."""
    deadline = time.monotonic() + grace
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(group, number)
        while number == signal.SIGTERM and time.monotonic() < deadline and _alive(group):
            time.sleep(0.02)
    if mark:
        end_marked(mark)


def _alive(group: int) -> bool:
    """Whether a group has a process that is no zombie."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, 0)
        stats = Path("/proc").glob("[0-9]*/stat")
        if not Path("/proc/self/stat").exists():
            return True
        for stat in stats:
            with suppress(OSError, IndexError, ValueError):
                fields = stat.read_text().rpartition(")")[2].split()
                if int(fields[2]) == group and fields[0] != "Z":
                    return True
    return False


def end_marked(mark: str) -> list[int]:
    """Kill the processes whose environment carries a mark; their numbers."""
    needle, ended = f"{MARK}={mark}".encode(), []
    for folder in Path("/proc").glob("[0-9]*"):
        pid = int(folder.name)
        if pid == os.getpid():
            continue
        with suppress(OSError):
            if needle in (folder / "environ").read_bytes().split(b"\0"):
                os.kill(pid, signal.SIGKILL)
                ended.append(pid)
    return ended


class Log:
    """A file that output streams into, and the terminal beside it, both limited."""

    def __init__(self, path: Path, terminal: BinaryIO | None):
        self._file = open(path, "ab", buffering=0)
        self._terminal = terminal
        self._left = LOG_LIMIT
        self._dropped = 0
        self._end: deque[bytes] = deque(maxlen=64)

    def write(self, data: bytes) -> None:
        """Append, until the limit."""
        keep, rest = data[: self._left], data[self._left :]
        if self._file.closed:
            return
        if keep:
            self._left -= len(keep)
            self._file.write(keep)
            if self._terminal is not None:
                with suppress(OSError, ValueError):
                    self._terminal.write(keep)
                    self._terminal.flush()
        if rest:
            self._dropped += len(rest)
            self._end.append(rest[-1024:])

    def close(self) -> None:
        """Add the end of what was dropped."""
        if self._dropped:
            self._file.write(f"\n[... {self._dropped} bytes not kept; their end:]\n".encode())
            self._file.write(b"".join(self._end))
        self._file.close()


def _pump(pipe: BinaryIO, log: Log, redactor: Redactor, reader: Reader | None, tail: deque) -> None:
    """Carry output from a pipe to the log in whole lines, a line without end in pieces that overlap nothing."""
    rest = b""
    while block := os.read(pipe.fileno(), 1 << 16):
        data = rest + block
        cut = data.rfind(b"\n") + 1
        if not cut and len(data) > 1 << 16:
            cut = len(data) - 4096  # a key that straddles the cut must not slip through
        data, rest = data[:cut], data[cut:]
        if data:
            _emit(data, log, redactor, reader, tail)
    if rest:
        _emit(rest, log, redactor, reader, tail)


def _emit(data: bytes, log: Log, redactor: Redactor, reader: Reader | None, tail: deque) -> None:
    if reader is not None:
        reader.lines(data)
    clean = redactor.bytes(data)
    log.write(clean)
    tail.append(clean[-TAIL:])


@dataclass
class Ended:
    """How a process ended."""

    code: int
    timed_out: bool
    ended_by: str  # what `watch` answered, or an empty string
    seconds: float
    tail: str
    reading: Reading


def run(
    command: list[str],
    cwd: Path,
    environment: Mapping[str, str],
    log: Path,
    timeout: float,
    watch: Callable[[], str],
    redactor: Redactor,
    mark: str,
    stdin: Path | None = None,
    promise: str | None = None,
    terminal: bool = False,
) -> Ended:
    """Run a command in a process group of its own, its output in a log.

    watch: called a few times a second; a non-empty answer ends the process. mark: see MARK.

    Raises:
        HarnessError: the command cannot be started.
    """
    start, tail = time.monotonic(), deque(maxlen=8)
    reader = Reader(promise) if promise is not None else None
    sink = Log(log, sys.stdout.buffer if terminal else None)
    with open(stdin or os.devnull, "rb") as source:
        try:
            process = subprocess.Popen(
                command, cwd=cwd, env={**environment, MARK: mark}, stdin=source, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, start_new_session=True, bufsize=0,
            )  # fmt: skip
        except OSError as error:
            sink.close()
            raise HarnessError(f"{command[0]} cannot be started: {error.strerror}") from None
    pump = threading.Thread(target=_pump, args=(process.stdout, sink, redactor, reader, tail), daemon=True)
    pump.start()
    timed_out, ended_by = False, ""
    while True:
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.2)
            break
        timed_out = time.monotonic() - start > timeout
        ended_by = watch()
        if timed_out or ended_by:
            break
    end_group(process.pid, mark)
    process.wait()
    pump.join(GRACE)
    sink.close()
    if not pump.is_alive():
        process.stdout.close()
    text = b"".join(tail)[-TAIL:].decode("utf-8", "replace")
    reading = reader.reading if reader else Reading()
    return Ended(process.returncode, timed_out, ended_by, time.monotonic() - start, text, reading)


def find(command: list[str]) -> None:
    """Check that a command exists.

    Raises:
        HarnessError: it does not.
    """
    if not command or shutil.which(command[0]) is None:
        name = command[0] if command else ""
        raise HarnessError(f"the agent command {name!r} is not found: install it or give its path with --agent")
