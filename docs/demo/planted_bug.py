"""The demonstration of docs/harness.md: `python docs/demo/planted_bug.py FOLDER`.

Clones this repository into a new folder, leaves out a factor in a source term, runs the loop with the scripted agent
beside this file until the gate accepts the repair, and draws the timeline from measurements (FOLDER/timeline.png).
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
SOURCE, RIGHT, WRONG = "src/boltzax/sources.py", "S_T - 3.0 * (S_P_prime", "S_T - (S_P_prime"
GUARD = '"tests/test_sources.py", '  # left out of the quick tests, so that the bug can have slipped in


def git(folder: Path, *arguments: str) -> str:
    """Output of a git command in the clone."""
    command = ["git", "-c", "user.name=demonstration", "-c", "user.email=demo@localhost", *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def plant(clone: Path) -> None:
    """Commit the bug."""
    for name, old, new in ((SOURCE, RIGHT, WRONG), ("harness.toml", GUARD, "")):
        text = (clone / name).read_text()
        if text.count(old) != 1:
            sys.exit(f"{name} no longer holds {old!r}: the demonstration must be adapted")
        (clone / name).write_text(text.replace(old, new))
    git(clone, "commit", "-q", "-a", "-m", "Simplify a source term", "-m", "Milestone: bug planted")


def main() -> int:
    """The command line; returns the exit code of the loop."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path, help="a folder that does not exist")
    clone = parser.parse_args().folder.resolve()
    subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
    git(clone, "checkout", "-q", "-B", "main")
    before = git(clone, "rev-parse", "HEAD")
    plant(clone)
    harness = [sys.executable, "-m", "harness"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(clone / "src"), str(clone)])}
    agent = f"{sys.executable} {Path(__file__).resolve().parent / 'repair_agent.py'}"
    task = "TT departs from the reference by more than 0.2%. Find the first stage that departs and repair it."
    given = ["--task", task, "--criterion", "docs/demo/criterion.toml", "--agent", agent, "--max-iterations", "6"]
    code = subprocess.run([*harness, "run", *given], cwd=clone, env=environment).returncode
    subprocess.run([*harness, "status"], cwd=clone, env=environment)
    attempts = git(clone, "for-each-ref", "--format=%(objectname)", "refs/harness").splitlines()
    good = git(
        clone,
        "log",
        "--format=%H",
        "--author=agent",
        f"main..{git(clone, 'for-each-ref', '--format=%(refname)', 'refs/heads/harness')}",
    )
    chosen = [before, "main", *attempts, *good.splitlines()]
    plot = ["timeline", "--commits", *chosen, "--range", "--all", "--out", "timeline.png", "--json", "timeline.json"]
    subprocess.run([*harness, *plot], cwd=clone, env=environment, check=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
