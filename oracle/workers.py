"""Tasks in parallel processes that may crash: every task ends with a result or with the reason why it has none."""

import multiprocessing
import os
import signal
import traceback
from collections.abc import Callable, Iterator
from multiprocessing.connection import wait
from typing import Any, NamedTuple

from oracle.progress import progress

#: variables that tell the compiled codes how many threads to take
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class Event(NamedTuple):
    """What happened to a task: "started", "done" with its result, or "failed" with the reason."""

    kind: str
    task: Any
    result: Any = None


def _serve(connection: Any, function: Callable[[Any], Any]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    use_compilation_cache()
    while (task := connection.recv()) is not None:
        try:
            answer = ("done", function(*task))
        except Exception as error:
            last = traceback.format_exception_only(error)[-1].strip()
            answer = ("failed", " ".join(last.split()))
        connection.send(answer)


class _Worker:
    """A process with a pipe to it, and the task that it has in hand."""

    def __init__(self, function: Callable[..., Any]):
        context = multiprocessing.get_context("spawn")
        self.connection, child = context.Pipe()
        self.process = context.Process(target=_serve, args=(child, function), daemon=True)
        self.process.start()
        child.close()
        self.task: Any = None

    def give(self, task: tuple) -> None:
        self.task = task
        self.connection.send(task)

    def answer(self) -> tuple[Event, bool]:
        """What became of the task, and whether the process lives on."""
        try:
            kind, result = self.connection.recv()
            return Event(kind, self.task, result), True
        except (EOFError, OSError):
            self.process.join()
            return Event("failed", self.task, f"the process ended with exit code {self.process.exitcode}"), False

    def stop(self) -> None:
        self.process.terminate()
        self.process.join()


def run(function: Callable[..., Any], tasks: list[tuple], workers: int, threads: int) -> Iterator[Event]:
    """function(*task) for every task, in `workers` processes of `threads` threads each; yields events as they come.

    An exception, and the death of a process, fail the task in hand and nothing else. Processes are stopped when the
    generator is closed.
    """
    os.environ.update(dict.fromkeys(_THREADS, str(threads)))
    left, pool = list(reversed(tasks)), []
    try:
        while left or pool:
            while left and len(pool) < workers:
                pool.append(_Worker(function))
                pool[-1].give(left.pop())
                yield Event("started", pool[-1].task)
            for worker in [w for w in pool if w.connection in wait([w.connection for w in pool])]:
                event, alive = worker.answer()
                yield event
                if alive and left:
                    worker.give(left.pop())
                    yield Event("started", worker.task)
                else:
                    pool.remove(worker)
                    worker.stop()
    finally:
        for worker in pool:
            worker.stop()


def gather(
    title: str,
    function: Callable[..., Any],
    tasks: list[tuple],
    workers: int,
    threads: int,
    label: Callable[..., str],
    describe: Callable[[tuple, Any], str],
) -> tuple[dict[tuple, Any], list[str]]:
    """{task: result}, and in words the tasks that failed; tells progress as `title` counted.

    label: names a task by its arguments; describe: says what the result of a task is.
    """
    results, failures = {}, []
    with progress(title, len(tasks)) as tell:
        for event in run(function, tasks, workers, threads):
            what = label(*event.task)
            if event.kind == "started":
                tell(what)
            elif event.kind == "failed":
                failures.append(f"{what} failed: {event.result}")
                tell(failures[-1], True)
            else:
                results[event.task] = event.result
                tell(f"{what}: {describe(event.task, event.result)}", True)
    return results, failures


def use_compilation_cache() -> None:
    """Keeps JAX's compiled programs where the command line of boltzax keeps them."""
    import jax

    if not jax.config.jax_compilation_cache_dir:
        base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
        folder = os.environ.get("BOLTZAX_CACHE_DIR") or os.path.join(base, "boltzax", "jax")
        if folder != "off":
            jax.config.update("jax_compilation_cache_dir", folder)
