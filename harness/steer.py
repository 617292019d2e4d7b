"""Steering a running loop through files in `.harness`: say, pause, resume, stop, status."""

import json
import math
import time
import tomllib
from contextlib import suppress
from pathlib import Path
from typing import Any

from harness.config import Config
from harness.errors import HarnessError
from harness.repo import Repo
from harness.state import Folder, State, locked, rows, write_atomically


def say(folder: Folder, text: str) -> None:
    """Leave a message for the next prompt.

    Raises:
        HarnessError: the message is empty.
    """
    if not text.strip():
        raise HarnessError("say what? The message is empty")
    folder.make()
    write_atomically(folder.inbox / f"{time.time_ns()}.txt", text.strip() + "\n")


def messages(folder: Folder) -> list[Path]:
    """Messages that no prompt has carried, oldest first."""
    return sorted(folder.inbox.glob("[0-9]*.txt"))


def delivered(folder: Folder, files: list[Path]) -> None:
    """Put messages away that the agent has had."""
    for file in files:
        with suppress(FileNotFoundError):  # the hook was quicker
            file.rename(folder.read / file.name)


def pause(folder: Folder) -> None:
    """Let the loop wait after the present iteration."""
    folder.make()
    write_atomically(folder.pause, "")


def resume(folder: Folder) -> None:
    """End a pause."""
    folder.pause.unlink(missing_ok=True)


def stop(folder: Folder, now: bool) -> None:
    """Let the loop end after the present iteration, or end the agent at once."""
    folder.make()
    write_atomically(folder.stop, "now" if now else "")


def status(repo: Repo, folder: Folder, config: Config | None) -> dict[str, Any]:
    """Where the run stands.

    Raises:
        HarnessError: there is no run.
    """
    state = State.load(folder.state)
    if state is None:
        raise HarnessError(f"there is no run in {folder.root}: start one with `python -m harness run --task ...`")
    required = tomllib.loads(repo.read(state.base, state.criterion) or "").get("tolerance")
    required = required if isinstance(required, dict) else {}
    judged = [row for row in rows(folder.events) if row.get("run") == state.run and row.get("event") == "judged"]
    return {
        "run": state.run,
        "task": state.task.strip().splitlines()[0][:100] if state.task.strip() else "",
        "branch": state.branch,
        "criterion": state.criterion,
        "process": locked(repo.common),
        "paused": folder.pause.exists(),
        "stopping": folder.stop.exists(),
        "phase": state.phase,
        "iteration": state.iteration,
        "outcome": state.outcome,
        "last_verdict": state.verdict,
        "last_good": state.last_good[:12],
        "metrics": {
            name: {
                "start": state.baseline.get(name), "best": state.best.get(name), "now": state.metrics.get(name),
                "required": required.get(name),
            }
            for name in (config.metrics if config else state.metrics)
        },
        "gate": {k: state.gate.get(k) for k in ("passed", "seed", "package") if k in state.gate},
        "gate_rows": state.gate.get("rows") or [],
        "left": {k: state.left(k) if k in state.budget else None for k in ("iterations", "hours", "usd", "tokens")},
        "cost_reported": state.used.reported,
        "used": vars(state.used),
        "messages_waiting": len(messages(folder)),
        "history": [f"{row['iteration']}: {row['verdict']}" for row in judged[-8:]],
    }  # fmt: skip


def _number(value: Any, form: str = "{:.2e}") -> str:
    return "-" if value is None or (isinstance(value, float) and math.isnan(value)) else form.format(value)


def print_status(found: dict[str, Any], as_json: bool) -> None:
    """Print it, in colour where rich is installed."""
    if as_json:
        print(json.dumps(found, indent=1))
        return
    running = f"running ({found['process']})" if found["process"] else "not running"
    running += ", paused" * found["paused"] + ", stopping" * found["stopping"]
    left = found["left"]
    lines = [
        f"run {found['run']}: {running}; {found['outcome'] or found['phase']}",
        f"task: {found['task']}",
        f"branch: {found['branch']} at {found['last_good']}; criterion: {found['criterion']}",
        f"iteration: {found['iteration']}; last verdict: {found['last_verdict'] or '-'}",
        f"budget left: {_number(left['iterations'], '{:.0f}')} iterations, {_number(left['hours'], '{:.1f}')} hours, "
        f"{_number(left['usd'], '{:.2f}')} USD, {_number(left['tokens'], '{:.0f}')} tokens"
        + ("" if found["cost_reported"] else " (the agent has reported no cost)"),
    ]
    if found["messages_waiting"]:
        lines.append(f"messages waiting: {found['messages_waiting']}")
    print("\n".join(lines))
    names = ("start", "best", "now", "required")
    body = [[name, *(_number(row[key]) for key in names)] for name, row in found["metrics"].items()]
    _table(["metric", *names], body)
    if found["gate_rows"]:
        body = [
            [str(r.get("name")), _cell(r.get("value")), _cell(r.get("required")), "yes" if r.get("passed") else "NO"]
            for r in found["gate_rows"]
        ]
        _table(["gate", "value", "required", "holds"], body)
    if found["history"]:
        print("history:\n  " + "\n  ".join(found["history"]))


def _cell(value: Any) -> str:
    return _number(value) if isinstance(value, int | float) or value is None else str(value)


def _table(head: list[str], body: list[list[str]]) -> None:
    if not body:
        return
    try:
        from rich.console import Console
        from rich.table import Table
    except ImportError:
        widths = [max(len(row[i]) for row in [head, *body]) for i in range(len(head))]
        for row in [head, *body]:
            print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
        return
    table = Table(*head)
    for row in body:
        table.add_row(*row)
    Console().print(table)
