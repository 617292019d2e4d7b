"""Progress of long work on stderr: a bar with rich on a terminal, a line for each event without."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def progress(title: str, total: int) -> Iterator[Callable[[str, bool], None]]:
    """Yields tell(text, advance): what goes on now, and whether one of `total` pieces is finished."""
    start, done = time.perf_counter(), 0

    def lines(text: str, advance: bool = False) -> None:
        nonlocal done
        done += advance
        print(f"[{time.perf_counter() - start:7.0f} s] {title} {done}/{total}: {text}", file=sys.stderr, flush=True)

    with contextlib.ExitStack() as stack:
        tell = lines
        if sys.stderr.isatty():
            with contextlib.suppress(ImportError):
                tell = stack.enter_context(_bar(title, total))
        yield tell


@contextlib.contextmanager
def _bar(title: str, total: int) -> Iterator[Callable[[str, bool], None]]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    columns = (*columns, TimeRemainingColumn(), TextColumn("{task.fields[now]}"))
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(title, total=total, now="")
        yield lambda text, advance=False: bar.update(task, advance=int(advance), now=text)
