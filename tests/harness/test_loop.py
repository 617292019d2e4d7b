"""The loop on a real git repository with real processes: each scenario of a scripted agent ends as it must."""

import signal
import subprocess
import time
from pathlib import Path

import pytest
from harness.errors import Exit
from toy_repository import COMMAND, ended, git, wait_for


def untouched(toy):
    """The user's own branch and files are as they were."""
    return git(toy.top, "rev-parse", "main") == toy.base and git(toy.top, "status", "--porcelain") == ""


def test_honest_work_is_accepted_and_entered(toy):
    ended(toy.run("improve 2", "finish"), Exit.ACCEPTED)
    assert toy.verdicts() == ["finished; good", "promise; good; promise accepted"]
    assert untouched(toy)
    measured = [row["metrics"]["sine"] for row in toy.rows("metrics")]
    assert measured[0] > measured[1] > 1e-3 > 1e-8 > measured[2]
    (gate,) = toy.events("gate")
    assert gate["passed"] and toy.state["gate"]["seed"] == gate["seed"]
    table = toy.show("CHANGELOG.md")
    commit = toy.rows("metrics")[2]["commit"]
    assert f"| sine | {measured[2]:.1e} | `{commit[:9]}` |" in table
    assert "TERMS = 9" in toy.show("src/toy/model.py")


def test_a_promise_with_nothing_done_is_refused_with_the_reason(toy):
    ended(toy.run("lie", "lie", more=("--max-iterations", "2")), Exit.BUDGET)
    assert [gate["passed"] for gate in toy.events("gate")] == [False, False]
    seeds = {gate["seed"] for gate in toy.events("gate")}
    assert len(seeds) == 2  # points are drawn anew
    assert "Your promise" in toy.prompt() and "required 1e-06" in toy.prompt()
    assert git(toy.top, "rev-parse", toy.state["branch"]) == toy.base


def test_the_tag_in_prose_is_no_promise(toy):
    ended(toy.run("prose", more=("--max-iterations", "1")), Exit.BUDGET)
    assert toy.verdicts() == ["no change"] and not toy.events("gate")


@pytest.mark.parametrize(
    "act",
    [
        "write oracle/gate.py import sys; sys.exit(0)",
        "write criteria/good.toml [tolerance]\\nsine = 1e9",
        "write tests/check.py pass",
        "write tests/conftest.py pass",
        "write src/toy/.gitattributes * text",
        "write harness.toml [paths]",
        "undo criteria/good.toml",
    ],
)
def test_protected_paths_are_refused(toy, act):
    ended(toy.run(act, "nothing", more=("--max-iterations", "2")), Exit.BUDGET)
    path = act.split(" ")[1]
    assert toy.verdicts()[0] == f"promise; protected: commits touch {path}; promise refused"
    assert not toy.events("gate")
    assert toy.refs() == [f"refs/harness/{toy.state['run']}/0001"]
    assert git(toy.top, "rev-parse", toy.state["branch"]) == toy.base
    assert "protected" in toy.prompt() and path in toy.prompt()


def test_allow_names_a_protected_path(toy):
    more = ("--allow", "criteria/good.toml", "--max-iterations", "1")
    ended(toy.run("write criteria/good.toml [tolerance]\\nsine = 10.0", more=more), Exit.ACCEPTED)


def test_what_lies_outside_the_package_does_not_reach_the_judge(toy):
    """A module that shadows the standard library, and git settings that falsify any checkout."""
    more = ("--max-iterations", "3")
    shadow = "import sys, os\\nopen(sys.argv[2], 'w').write('{}')\\nos._exit(0)"
    ended(toy.run(f"write json.py {shadow}", f"write src/json.py {shadow}", "attributes", more=more), Exit.BUDGET)
    assert [gate["passed"] for gate in toy.events("gate")] == [False] * 3
    assert all("criterion does not hold" in gate["reason"] for gate in toy.events("gate"))


def test_an_exit_inside_the_package_is_no_verdict(toy):
    act = "write src/toy/model.py import os\\nos._exit(0)"
    ended(toy.run(act, more=("--max-iterations", "1")), Exit.BUDGET)
    assert toy.refs() and "promise refused" in toy.verdicts()[0]


def test_a_regression_is_kept_as_a_ref_and_not_merged(toy):
    ended(toy.run("improve 3", "regress 1", "nothing", more=("--max-iterations", "3")), Exit.BUDGET)
    assert toy.verdicts()[1].startswith("promise; regression: sine ")
    assert not toy.events("gate")
    (ref,) = toy.refs()
    assert "TERMS = 1" in git(toy.top, "show", f"{ref}:src/toy/model.py")
    assert "TERMS = 3" in toy.show("src/toy/model.py")
    assert "regression: sine" in toy.prompt() and ref in toy.prompt()
    failed = toy.show("CHANGELOG.md").split("## Tried and failed")[1]
    assert git(toy.top, "rev-parse", ref)[:9] in failed and "faster: sine" in failed


def test_a_forged_measurement_is_not_read(toy):
    ended(toy.run("improve 3", "forge", more=("--max-iterations", "2")), Exit.BUDGET)
    assert toy.verdicts()[1].startswith("promise; regression: sine ")


def test_slow_drift_cannot_hide_in_the_noise(toy):
    """Each step lies within the noise of the last one, not of the best."""
    offset = lambda e: (
        f"write src/toy/model.py from math import sin\\nsine = lambda x: sin(x) * (1 + {e})\\ndef name(): return 'sine'"
    )
    ended(toy.run(offset("5.0e-4"), offset("5.2e-4"), offset("5.4e-4"), more=("--max-iterations", "3")), Exit.BUDGET)
    assert [("regression" in verdict) for verdict in toy.verdicts()] == [False, False, True]


def test_the_agent_imports_the_package_of_its_worktree(toy):
    toy.environment["PYTHONPATH"] = f"{toy.environment['PYTHONPATH']}:{toy.top / 'src'}"  # as an editable install does
    done = toy.run("imports", more=("--max-iterations", "1"))
    assert str(toy.folder / "worktree" / "src" / "toy") in done.stdout


def test_a_failing_test_is_not_merged(toy):
    ended(toy.run("breaktest", "nothing", more=("--max-iterations", "2")), Exit.BUDGET)
    assert toy.verdicts()[0] == "finished; test failure:"
    assert "'broken' != 'sine'" in toy.prompt()
    assert toy.refs() and toy.events("tests")[0]["passed"] is False


def test_tests_may_be_added_and_then_run(toy):
    """An added test belongs to the tree that is tested; it changes nothing of the gate's."""
    ended(toy.run("write tests/more.py pass", more=("--max-iterations", "1")), Exit.BUDGET)
    assert toy.verdicts()[0].startswith("promise; good") and toy.events("tests")[0]["passed"]


def test_a_hanging_agent_is_ended_with_all_its_children(toy):
    started = time.monotonic()
    ended(toy.run("hang", more=("--max-iterations", "1", "--iteration-timeout", "0.02")), Exit.BUDGET)
    assert time.monotonic() - started < 150
    assert toy.verdicts() == ["timeout"]
    name = toy.environment["CHILD_NAME"].encode()
    left = []
    for command in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if name in command.read_bytes() and b"time.sleep(300)" in command.read_bytes():
                left.append(command)
        except OSError:
            continue
    assert not left


@pytest.mark.parametrize(("code", "kind"), [("429", "rate-limited"), ("529", "overloaded")])
def test_a_busy_service_is_waited_for(toy, code, kind):
    toy.acts(f"busy {code}")
    process = subprocess.Popen(
        toy.run_arguments("--max-iterations", "1"), cwd=toy.top, env=toy.environment, stdout=subprocess.PIPE
    )
    wait_for(lambda: (toy.folder / "events.jsonl").exists() and len(toy.events("busy")) == 2)
    toy.acts("finish")
    process.communicate(timeout=120)
    assert process.returncode == Exit.ACCEPTED
    waits = [row["wait"] for row in toy.events("busy")]
    assert {row["kind"] for row in toy.events("busy")} == {kind}
    assert waits[1] == 2 * waits[0]
    assert toy.state["iteration"] == 1  # waiting costs no iteration


def test_a_multipole_is_no_busy_service(toy):
    ended(toy.run("multipole", more=("--max-iterations", "1")), Exit.BUDGET)
    assert toy.verdicts() == ["finished; good"]


def test_crashes_end_the_run(toy):
    ended(toy.run("crash", more=("--max-iterations", "20", "--backoff", "0.01")), Exit.AGENT_FAILS)
    assert toy.verdicts() == ["crash"] * 5


def test_no_change_asks_for_a_review_and_then_stops(toy):
    ended(toy.run("nothing", more=("--max-iterations", "20")), Exit.STALLED)
    assert toy.verdicts() == ["no change"] * 4
    (review,) = toy.events("review")
    assert review["iteration"] == 2 and "nothing committed" in review["reason"]
    prompt = (toy.folder / "logs" / toy.state["run"] / "0003-prompt.log").read_text()
    assert "# Review" in prompt and "stage series: departs first" in prompt
    toy.acts("finish")
    ended(toy.harness("run", "--agent", COMMAND), Exit.ACCEPTED)  # somebody gave it another chance


def test_the_same_refused_change_again_stalls(toy):
    ended(toy.run("improve 3", "repeat regress 2", more=("--max-iterations", "20")), Exit.STALLED)
    assert "the same change" in toy.events("review")[0]["reason"]
    assert toy.show("CHANGELOG.md").split("## Tried and failed")[1].count("faster") == 1


def test_metrics_that_do_not_move_stall(toy):
    acts = [f"write docs/{i}.md words" for i in range(20)]
    ended(toy.run(*acts, more=("--max-iterations", "20")), Exit.STALLED)
    assert "no metric moved in 4" in toy.events("review")[0]["reason"]
    assert toy.state["iteration"] == 8
    assert len(toy.rows("metrics")) == 1  # prose is not measured


def test_uncommitted_work_is_kept_beside_the_branch(toy):
    ended(toy.run("leave", "nothing", more=("--max-iterations", "2")), Exit.BUDGET)
    (ref,) = toy.refs()
    assert ref.endswith("0001-uncommitted") and ref in toy.prompt()
    assert git(toy.top, "show", f"{ref}:notes.txt") == "half done"
    assert git(toy.top, "rev-parse", toy.state["branch"]) == toy.base


def test_a_flood_is_cut_and_the_promise_still_heard(toy):
    ended(toy.run("flood 64", more=("--max-iterations", "1")), Exit.ACCEPTED)
    log = toy.folder / "logs" / toy.state["run"] / "0001-agent.log"
    assert log.stat().st_size < 20 * 2**20
    assert log.read_text().endswith("<promise>DONE</promise>\n") and "bytes not kept" in log.read_text()


def test_secrets_are_not_logged(toy):
    toy.environment["TOY_API_KEY"] = "correct-horse-battery"
    done = toy.run("secret", more=("--max-iterations", "1"))
    ended(done, Exit.BUDGET)
    everything = done.stdout + "".join(
        f.read_text() for f in toy.folder.rglob("*") if f.is_file() and f.suffix != ".md"
    )
    assert "the key is [TOY_API_KEY] and [secret]" in everything
    assert "correct-horse" not in everything and "sk-ant-abc" not in everything


def test_a_rewritten_history_is_refused(toy):
    ended(toy.run("rewrite", more=("--max-iterations", "1")), Exit.BUDGET)
    assert "history was rewritten" in toy.verdicts()[0] and toy.refs()
    assert git(toy.top, "rev-parse", toy.state["branch"]) == toy.base


def test_a_broken_worktree_is_replaced(toy):
    ended(toy.run("vanish", "unborn", "finish"), Exit.ACCEPTED)
    assert [gate["passed"] for gate in toy.events("gate")] == [False, True]


def test_commits_on_a_branch_of_the_agents_own_count(toy):
    ended(toy.run("elsewhere"), Exit.ACCEPTED)
    assert "TERMS = 9" in toy.show("src/toy/model.py")


def test_reported_cost_ends_the_run(toy):
    ended(toy.run("repeat usage 0.25", more=("--budget-usd", "0.4", "--max-iterations", "9")), Exit.BUDGET)
    assert toy.state["used"]["usd"] == 0.5 and toy.state["used"]["tokens"] == 240
    assert len(toy.events("gate")) == 2  # the promise stands in the report's text


def test_a_broken_changelog_is_refused(toy):
    forged = (
        toy.top.joinpath("CHANGELOG.md")
        .read_text()
        .replace("|---|---|---|", "|---|---|---|\n| sine | 1e-9 | `abcdef1` |")
    )
    ended(toy.run("write CHANGELOG.md " + forged.replace("\n", "\\n"), more=("--max-iterations", "1")), Exit.BUDGET)
    assert "status table was edited" in toy.verdicts()[0]


def test_steering_while_it_runs(toy):
    toy.acts("slow 1 2", "slow 1 3", "nothing")
    log = open(toy.top.parent / "out.txt", "w")
    process = subprocess.Popen(
        toy.run_arguments(), cwd=toy.top, env=toy.environment, stdout=log, stderr=subprocess.STDOUT
    )
    wait_for(lambda: (toy.folder / "last-prompt.md").exists())
    assert toy.harness("say", "look at the", "second term").returncode == 0
    assert toy.harness("pause").returncode == 0
    wait_for(lambda: toy.events("paused"))
    status = toy.harness("status").stdout
    assert "running (process" in status and "paused" in status and "finished; good" in status and "sine" in status
    assert "look at" not in toy.prompt()
    second = toy.execute(toy.run_arguments())
    assert second.returncode == Exit.BAD_INPUT and "another harness works" in second.stderr
    assert toy.harness("resume").returncode == 0
    wait_for(lambda: "look at the second term" in toy.prompt())
    assert toy.harness("stop").returncode == 0
    assert process.wait(120) == Exit.STOPPED
    assert toy.state["iteration"] == 2 and toy.verdicts()[1] == "finished; good"
    assert "not running" in toy.harness("status").stdout
    # and on, with the same command: a finished run without --task
    toy.acts("finish")
    done = toy.harness("run", "--agent", COMMAND)
    ended(done, Exit.ACCEPTED)


def test_stop_now_ends_the_agent_and_keeps_its_commits(toy):
    toy.acts("slow 400 2")
    process = subprocess.Popen(toy.run_arguments(), cwd=toy.top, env=toy.environment, stdout=subprocess.DEVNULL)
    wait_for(lambda: (toy.folder / "last-prompt.md").exists())
    toy.harness("stop", "--now")
    assert process.wait(120) == Exit.STOPPED
    assert toy.verdicts() == ["stopped"]


def test_budgets_add_up_over_restarts(toy):
    ended(toy.run("improve 2", more=("--max-iterations", "1")), Exit.BUDGET)
    first = toy.state["used"]["seconds"]
    ended(toy.harness("run", "--agent", COMMAND), Exit.BUDGET)  # nothing left
    assert toy.state["used"]["iterations"] == 1
    toy.acts("improve 2", "improve 3")
    ended(toy.harness("run", "--agent", COMMAND, "--max-iterations", "2"), Exit.BUDGET)
    assert toy.state["used"]["iterations"] == 2 and toy.state["used"]["seconds"] > first
    assert "TERMS = 3" in toy.show("src/toy/model.py")


def test_hours_are_a_budget(toy):
    started = time.monotonic()
    ended(toy.run("slow 600", more=("--budget-hours", "0.0006")), Exit.BUDGET)
    assert time.monotonic() - started < 150 and "budget of hours" in toy.state["outcome"]


def test_a_signal_saves_and_the_same_command_continues(toy):
    toy.acts("slow 300 2", "finish")
    process = subprocess.Popen(toy.run_arguments(), cwd=toy.top, env=toy.environment, stdout=subprocess.DEVNULL)
    wait_for(lambda: (toy.folder / "last-prompt.md").exists())
    process.send_signal(signal.SIGUSR1)
    assert process.wait(120) == Exit.INTERRUPTED
    assert toy.state["phase"] == "agent"
    ended(toy.execute(toy.run_arguments()), Exit.ACCEPTED)
    assert toy.verdicts() == ["interrupted", "promise; good; promise accepted"]
    assert toy.state["used"]["iterations"] == 1
