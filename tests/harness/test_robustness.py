"""What must never happen: a false accept, a lost commit or metric line, a change after bad input."""

import json
import os
import random
import signal
import subprocess
import time

import pytest
from harness.errors import Exit
from harness.state import append, rows
from toy_repository import COMMAND, FILES, git

LIES = (
    "lie",
    "prose",
    "nothing",
    "regress 1",
    "forge",
    "vanish",
    "unborn",
    "improve 2",
    "write criteria/good.toml [tolerance]\\nsine = 1e9",
    "write oracle/gate.py import sys; sys.exit(0)",
    "write oracle/__init__.py raise SystemExit(0)",
    "write json.py import os; os._exit(0)",
    "write src/sitecustomize.py import os; os._exit(0)",
    "write src/toy/__init__.py import os; os._exit(0)",
    "write src/toy/model.py import sys; sys.exit(0)",
    "write tests/conftest.py raise SystemExit(0)",
    "write .gitattributes criteria/* export-ignore",
    "undo criteria/good.toml",
    "attributes",
    "breaktest",
    "usage 0.01",
    "rewrite_lie",
    "leave",
    "busy 529",
    "crash",
)


def lying_run(toy, seed):
    """Three random lies; the harness must not believe any."""
    draw = random.Random(seed)
    acts = draw.choices(LIES, k=3)
    done = toy.run(*acts, more=("--max-iterations", "3", "--backoff", "0.001", "--budget-hours", "0.05"))
    assert done.returncode in (Exit.BUDGET, Exit.STALLED), f"{acts}\n{done.stdout}\n{done.stderr}"
    assert not any(gate["passed"] for gate in toy.events("gate")), acts
    assert git(toy.top, "rev-parse", "main") == toy.base
    changed = git(toy.top, "diff", "--name-only", toy.base, toy.state["branch"]).splitlines()
    assert not [p for p in changed if p.startswith(("oracle/", "criteria/", "harness.toml", "tests/"))], acts


@pytest.mark.parametrize("seed", range(8))
def test_no_lie_is_believed(toy, seed):
    lying_run(toy, seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8, 50))
def test_no_lie_of_many_is_believed(toy, seed):
    lying_run(toy, seed)


def killed_run(toy, kills, seed):
    """A run whose harness is killed at random moments ends as if it had not been."""
    draw = random.Random(seed)
    # twice as many as kills: however slow the machine, work is left when the last kill comes
    toy.acts(*[f"slow 0.4 {min(2 + i // 4, 8)}" for i in range(2 * kills)], "finish 9")
    (toy.top / "harness.toml").write_text(FILES["harness.toml"].replace("unmoved = 4", "unmoved = 100"))
    git(toy.top, "commit", "-q", "-a", "-m", "No stall")
    command = toy.run_arguments("--max-iterations", "100")
    lines, commits, killed = [], set(), 0
    while True:
        process = subprocess.Popen(command, cwd=toy.top, env=toy.environment, stdout=subprocess.DEVNULL)
        try:
            process.wait(draw.uniform(0.2, 1.5) if killed < kills else 120)
            break
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            killed += 1
        present = list(toy.top.glob(".harness/metrics.jsonl"))
        found = present[0].read_text().splitlines() if present else []
        assert found[: len(lines)] == lines  # lines are only ever added
        lines = found
        [json.loads(line) for line in lines]
        reached = set(agent_commits(toy))  # the agent outlives the harness and may commit at any moment
        assert commits <= reached  # none is ever lost
        commits = reached
    assert process.returncode == Exit.ACCEPTED
    assert commits <= set(agent_commits(toy))  # on the branch, or kept as a ref
    assert "TERMS = 9" in toy.show("src/toy/model.py")
    measured = [(row["iteration"], row["commit"]) for row in toy.rows("metrics")]
    assert len(measured) == len(set(measured))
    return killed


def agent_commits(toy):
    """Every commit of the agent that a ref reaches, the worktree's HEAD included."""
    worktree = toy.folder / "worktree"
    head = [git(worktree, "rev-parse", "HEAD")] if (worktree / ".git").exists() else []
    return git(toy.top, "log", "--format=%H", "--author=agent", "--all", *head).splitlines()


def test_a_killed_harness_goes_on(toy):
    assert killed_run(toy, 5, seed=1) >= 3


@pytest.mark.slow
def test_a_harness_killed_often_goes_on(toy):
    assert killed_run(toy, 20, seed=2) == 20


def test_a_harness_killed_before_its_folder_is_hidden_goes_on(toy):
    toy.folder.mkdir()
    (toy.folder / ".gitignore.1.partial").write_text("*")
    toy.acts("finish")
    assert toy.execute(toy.run_arguments()).returncode == Exit.ACCEPTED


def test_the_agent_of_a_killed_harness_is_ended(toy):
    toy.acts("hang", "finish")
    process = subprocess.Popen(toy.run_arguments(), cwd=toy.top, env=toy.environment, stdout=subprocess.DEVNULL)
    while not (toy.folder / "last-prompt.md").exists():
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert toy.execute(toy.run_arguments()).returncode == Exit.ACCEPTED
    assert toy.verdicts()[0] == "interrupted"
    assert not subprocess.run(["pgrep", "-f", toy.environment["CHILD_NAME"]], capture_output=True).stdout


def test_a_torn_line_is_closed_and_skipped(tmp_path):
    file = tmp_path / "rows.jsonl"
    append(file, {"a": 1, "b": float("nan")})
    with open(file, "a") as handle:
        handle.write('{"a": 2, "to')
    append(file, {"a": 3})
    assert list(rows(file)) == [{"a": 1, "b": None}, {"a": 3}]


# -- bad input ---------------------------------------------------------------------------------------------------------


def refused(toy, done, *words):
    assert done.returncode == Exit.BAD_INPUT, done.stdout + done.stderr
    assert done.stderr.startswith("harness: error: ") and len(done.stderr.splitlines()) <= 2
    for word in words:
        assert word in done.stderr
    assert not toy.folder.exists()
    assert git(toy.top, "for-each-ref", "--format=%(refname)") == "refs/heads/main"


def test_no_repository(toy, tmp_path):
    done = toy.execute([*toy.command()[:3], "--repo", str(tmp_path), *toy.run_arguments()[5:]])
    refused(toy, done, "not in a git repository")


def test_a_dirty_tree(toy):
    (toy.top / "src/toy/model.py").write_text("TERMS = 2\n")
    refused(toy, toy.run("nothing"), "not clean", "src/toy/model.py", "commit")


def test_no_agent(toy):
    refused(toy, toy.execute(toy.run_arguments("--agent", "no-such-agent -p")), "'no-such-agent' is not found")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"criterion": "criteria/bad.toml"}, "not valid TOML"),
        ({"criterion": "criteria/empty.toml"}, "is refused: KeyError: 'tolerance'"),
        ({"criterion": "criteria/none.toml"}, "not a committed file"),
        ({"task": "  "}, "task is empty"),
    ],
)
def test_bad_criterion_and_task(toy, options, words):
    refused(toy, toy.execute(toy.run_arguments(**options)), words)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--budget-hours", "-1"), "budget of hours"),
        (("--max-iterations", "0"), "budget of iterations"),
        (("--completion-promise", "A\nB"), "--completion-promise"),
        (("--no-such-option",), "unrecognized"),
    ],
)
def test_bad_options(toy, arguments, words):
    refused(toy, toy.execute(toy.run_arguments(*arguments)), words)


def test_nothing_to_continue(toy):
    refused(toy, toy.harness("run", "--agent", COMMAND), "no run to continue")
    refused(toy, toy.harness("status"), "there is no run")


def test_a_damaged_configuration(toy):
    (toy.top / "harness.toml").write_text("[path]\n")
    git(toy.top, "commit", "-q", "-a", "-m", "damage")
    refused(toy, toy.execute(toy.run_arguments()), "unknown table path")


def test_another_task_does_not_replace_an_unfinished_run(toy):
    toy.acts("slow 300")
    process = subprocess.Popen(toy.run_arguments(), cwd=toy.top, env=toy.environment, stdout=subprocess.DEVNULL)
    while not (toy.folder / "last-prompt.md").exists():
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    process.wait(120)
    run = toy.state["run"]
    done = toy.execute(toy.run_arguments(task="something else"))
    assert done.returncode == Exit.BAD_INPUT and run in done.stderr and "--new" in done.stderr
    toy.acts("finish")
    assert toy.execute(toy.run_arguments("--new", task="something else")).returncode == Exit.ACCEPTED
    assert toy.state["run"] != run
