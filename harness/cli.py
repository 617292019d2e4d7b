"""The command line: run, say, pause, resume, stop, status, changelog, timeline."""

import argparse
import math
import os
import secrets
import shlex
import subprocess
import sys
import time
import tomllib
from pathlib import Path

from harness import changelog, config, process, steer, timeline
from harness.errors import Exit, HarnessError
from harness.ledger import Ledger
from harness.loop import Loop, Options
from harness.output import without_secrets
from harness.repo import Repo
from harness.state import Folder, State, lock, write_atomically

BUDGETS = {"max_iterations": "iterations", "budget_hours": "hours", "budget_usd": "usd", "budget_tokens": "tokens"}


class _Parser(argparse.ArgumentParser):
    def error(self, message: str):
        raise HarnessError(f"{message} (see {self.prog} --help)")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m harness", description=__doc__)
    parser.add_argument("--repo", default=".", metavar="DIR", help="a folder of the repository to work on (here)")
    commands = parser.add_subparsers(dest="command", required=True, parser_class=_Parser)
    run = commands.add_parser("run", help="run an agent until the gate agrees; continues a run that was interrupted")
    run.add_argument("--task", metavar="FILE|TEXT", help="what to do; not needed to continue")
    run.add_argument("--criterion", metavar="FILE", help="criterion of the gate, in the repository")
    run.add_argument("--agent", default="claude -p", metavar="COMMAND", help="reads the prompt on stdin (claude -p)")
    run.add_argument("--completion-promise", default="DONE", metavar="WORD", help="<promise>WORD</promise> claims it")
    run.add_argument("--max-iterations", type=int, metavar="N", help="20 unless given")
    run.add_argument("--budget-hours", type=float, metavar="H")
    run.add_argument("--budget-usd", type=float, metavar="X", help="where the agent reports cost")
    run.add_argument("--budget-tokens", type=float, metavar="N", help="where the agent reports tokens")
    run.add_argument("--iteration-timeout", type=float, default=120.0, metavar="MINUTES")
    run.add_argument("--backoff", type=float, default=60.0, metavar="SECONDS", help="first wait for a busy agent")
    run.add_argument("--allow", action="append", default=[], metavar="PATH", help="a protected path that may change")
    run.add_argument("--new", action="store_true", help="begin anew although another run is unfinished")
    say = commands.add_parser("say", help="a message for the next prompt")
    say.add_argument("text", nargs="+")
    commands.add_parser("pause", help="wait after the present iteration")
    commands.add_parser("resume", help="end a pause")
    stop = commands.add_parser("stop", help="end after the present iteration")
    stop.add_argument("--now", action="store_true", help="end the agent at once; its commits are judged")
    status = commands.add_parser("status", help="iteration, last verdict, metrics, budget left")
    status.add_argument("--json", action="store_true")
    log = commands.add_parser("changelog", help="check the form of CHANGELOG.md")
    log.add_argument("--base", metavar="REV", help="also what must not have changed since")
    log.add_argument(
        "--measure", action="store_true", help="first measure the present commit and write the status table"
    )
    timeline.arguments(commands.add_parser("timeline", help="accuracy of chosen commits, measured now, as a plot"))
    return parser


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    try:
        options = _parser().parse_args(arguments)
        return int(_COMMANDS[options.command](Repo(options.repo), options))
    except HarnessError as error:
        print(f"harness: error: {error}", file=sys.stderr)
        return int(Exit.BAD_INPUT)
    except KeyboardInterrupt:
        return int(Exit.INTERRUPTED)


def _run(repo: Repo, options: argparse.Namespace) -> int:
    folder = Folder(repo.top)
    old = State.load(folder.state)
    task = _task(options.task) if options.task is not None else None
    command = shlex.split(options.agent)
    process.find(command)
    budget = _budget(options)
    if options.iteration_timeout <= 0 or options.backoff < 0:
        raise HarnessError("--iteration-timeout and --backoff must be positive")
    state = None if options.new else _continued(old, task, options.criterion)
    fresh = state is None
    if state is None:
        state = _new(repo, task, options)
        _check(repo, _settings(repo, state.base), state.criterion)
    state.budget |= budget
    state.budget.setdefault("iterations", 20)
    settings = _settings(repo, state.base)
    with lock(repo.common):
        folder.make()
        if fresh:
            state.save(folder.state)
            folder.stop.unlink(missing_ok=True)
        elif state.phase == "finished":
            state.phase, state.outcome, state.reviewed = "idle", "", False
            state.unmoved = state.empty = state.repeated = state.crashes = 0
        given = Options(options.agent, 60 * options.iteration_timeout, options.backoff)
        return Loop(Ledger(repo, folder, settings, state), given).run()


def _task(given: str) -> str:
    path = Path(given)
    try:
        text = path.read_text() if len(given) < 4096 and "\n" not in given and path.is_file() else given
    except (OSError, UnicodeDecodeError) as error:
        raise HarnessError(f"the task file {given} cannot be read: {error}") from None
    if not text.strip():
        raise HarnessError("the task is empty")
    return text


def _budget(options: argparse.Namespace) -> dict[str, float]:
    given = {name: getattr(options, flag) for flag, name in BUDGETS.items() if getattr(options, flag) is not None}
    for name, value in given.items():
        if not value > 0 or math.isinf(value):
            raise HarnessError(f"the budget of {name} must be a positive number, not {value}")
    return given


def _continued(old: State | None, task: str | None, criterion: str | None) -> State | None:
    """The run to go on with, or None to begin one.

    Raises:
        HarnessError: another run is unfinished, or there is nothing to continue.
    """
    if task is None:
        if old is None:
            raise HarnessError("there is no run to continue: give --task and --criterion")
        if old.outcome.endswith(f"({_code(Exit.ACCEPTED)})"):
            raise HarnessError("the last run was accepted: give --task and --criterion to begin another")
        return old
    if old is None or old.phase == "finished":
        return None
    if old.task != task or (criterion is not None and criterion != old.criterion):
        raise HarnessError(
            f"the run {old.run} is unfinished: continue it with `python -m harness run`, or begin anew with --new "
            "(its branch stays)"
        )
    return old


def _code(code: Exit) -> str:
    return f"exit code {int(code)}"


def _new(repo: Repo, task: str | None, options: argparse.Namespace) -> State:
    """A new run from the present commit.

    Raises:
        HarnessError: something is missing, or the tree is dirty.
    """
    if task is None or options.criterion is None:
        raise HarnessError("a new run needs --task and --criterion")
    word = options.completion_promise
    if not word.strip() or "\n" in word or "<" in word:
        raise HarnessError("--completion-promise must be a word or words on one line")
    base = repo.commit("HEAD")
    if dirty := repo.dirty():
        raise HarnessError(
            f"the working tree is not clean ({dirty[0].strip()}{' and more' if len(dirty) > 1 else ''}): commit "
            "or stash first, so that the agent starts from what you see"
        )
    criterion = _criterion(repo, base, options.criterion)
    run = time.strftime("%Y%m%d-%H%M%S-") + secrets.token_hex(2)
    return State(
        run=run, base=base, task=task, criterion=criterion, promise=word, branch=f"harness-{run}",
        allow=options.allow, last_good=base,
    )  # fmt: skip


def _criterion(repo: Repo, base: str, given: str) -> str:
    """Path of the criterion in the repository.

    Raises:
        HarnessError: it is not part of the base revision, or malformed.
    """
    path = given
    for start in (Path.cwd(), repo.top):
        if (start / given).resolve().is_relative_to(repo.top.resolve()) and (start / given).exists():
            path = str((start / given).resolve().relative_to(repo.top.resolve()))
            break
    text = repo.read(base, path)
    if text is None:
        raise HarnessError(f"the criterion {given} is not a committed file of the repository")
    try:
        if not tomllib.loads(text):
            raise HarnessError(f"the criterion {given} is empty")
    except tomllib.TOMLDecodeError as error:
        raise HarnessError(f"the criterion {given} is not valid TOML: {error}") from None
    return path


def _check(repo: Repo, settings: config.Config, criterion: str) -> None:
    """Let the repository's own command read the criterion, where harness.toml names one.

    Raises:
        HarnessError: it refuses.
    """
    if "check" not in settings.commands:
        return
    places = {"python": sys.executable, "criterion": criterion}
    command = [word.format_map(places) for word in settings.commands["check"]]
    paths = os.pathsep.join(str(repo.top / p) for p in settings.pythonpath)
    environment = {**without_secrets(os.environ), "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, cwd=repo.top, env=environment, capture_output=True, text=True)
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines() or ["no reason given"]
        raise HarnessError(f"the criterion {criterion} is refused: {lines[-1]}")


def _settings(repo: Repo, base: str) -> config.Config:
    text = repo.read(base, config.FILE)
    if text is None:
        raise HarnessError(f"{config.FILE} is missing at {base[:12]}: see docs/harness.md")
    return config.parse(text)


def _say(repo: Repo, options: argparse.Namespace) -> int:
    steer.say(Folder(repo.top), " ".join(options.text))
    print("the next prompt carries it")
    return 0


def _pause(repo: Repo, options: argparse.Namespace) -> int:
    steer.pause(Folder(repo.top))
    return 0


def _resume(repo: Repo, options: argparse.Namespace) -> int:
    steer.resume(Folder(repo.top))
    return 0


def _stop(repo: Repo, options: argparse.Namespace) -> int:
    steer.stop(Folder(repo.top), options.now)
    return 0


def _status(repo: Repo, options: argparse.Namespace) -> int:
    folder = Folder(repo.top)
    state = State.load(folder.state)
    settings = _settings(repo, state.base) if state else None
    steer.print_status(steer.status(repo, folder, settings), options.json)
    return 0


def _changelog(repo: Repo, options: argparse.Namespace) -> int:
    path = repo.top / changelog.FILE
    if not path.is_file():
        raise HarnessError(f"{path} is missing")
    if options.measure:
        [point] = timeline.measure(repo, _settings(repo, repo.commit()), [(repo.commit(), "")])
        if point.reason:
            raise HarnessError(point.reason)
        write_atomically(path, changelog.with_status(path.read_text(), point.metrics, point.commit))
    before = repo.read(repo.commit(options.base), changelog.FILE) if options.base else None
    found = changelog.problems(path.read_text(), before)
    print("\n".join(found) if found else f"{changelog.FILE} has the form")
    return 1 if found else 0


def _timeline(repo: Repo, options: argparse.Namespace) -> int:
    return timeline.main(repo, _settings(repo, repo.commit("HEAD")), options)


_COMMANDS = {
    "run": _run, "say": _say, "pause": _pause, "resume": _resume, "stop": _stop, "status": _status,
    "changelog": _changelog, "timeline": _timeline,
}  # fmt: skip
