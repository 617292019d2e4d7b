"""Exit codes and the one exception that ends a command with advice instead of a traceback."""

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes of `python -m harness`."""

    ACCEPTED = 0
    BAD_INPUT = 2
    BUDGET = 3  # iterations, hours, dollars or tokens used up
    STALLED = 4
    AGENT_FAILS = 5
    STOPPED = 6
    INTERRUPTED = 75  # EX_TEMPFAIL: run again to continue


class HarnessError(Exception):
    """Bad input: nothing was changed. The message says what to do."""


class Interrupted(Exception):
    """A signal asked the harness to save and leave; the run continues when it is started again."""
