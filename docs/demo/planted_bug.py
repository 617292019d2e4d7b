"""The demonstration of docs/harness.md: `python docs/demo/planted_bug.py FOLDER`.

Clones this repository into a new folder, leaves out a factor in a source term, runs the loop with the scripted agent
beside this file until the gate accepts the repair, and draws the timeline from measurements (FOLDER/timeline.png).
"""

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
SOURCE, RIGHT, WRONG = "src/boltzax/sources.py", "S_T - 3.0 * (S_P_prime", "S_T - (S_P_prime"
# quick tests that the bug can have slipped past, and a gate that needs no CLASS run
COMMANDS = {
    "tests": '["{python}", "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "tests/test_errors.py"]',
    "check": '["{python}", "-c", "pass"]',
    "gate": '["{python}", "docs/demo/table_gate.py", "{criterion}", "{out}", "{seed}"]',
}


def git(folder: Path, *arguments: str) -> str:
    """Output of a git command in the clone."""
    command = ["git", "-c", "user.name=demonstration", "-c", "user.email=demo@localhost", *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def plant(clone: Path) -> None:
    """Commit the bug and, beside it, the demonstration's commands."""
    settings = (clone / "harness.toml").read_text().replace('"oracle/",', '"oracle/", "docs/demo/",', 1)
    for name, words in COMMANDS.items():
        settings = re.sub(
            rf"^{name} = \[.*?\]$", lambda _, w=words, n=name: f"{n} = {w}", settings, count=1, flags=re.M | re.S
        )
    (clone / "harness.toml").write_text(settings)
    git(clone, "commit", "-q", "-a", "-m", "Commands of the demonstration")
    text = (clone / SOURCE).read_text()
    if text.count(RIGHT) != 1:
        sys.exit(f"{SOURCE} no longer holds {RIGHT!r}: the demonstration must be adapted")
    (clone / SOURCE).write_text(text.replace(RIGHT, WRONG))
    git(clone, "commit", "-q", "-a", "-m", "Simplify a source term", "-m", "Milestone: bug planted")


def main() -> int:
    """The command line; returns the exit code of the loop."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path, help="a folder that does not exist")
    clone = parser.parse_args().folder.resolve()
    subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
    git(clone, "checkout", "-q", "-B", "main")
    plant(clone)
    harness = [sys.executable, "-m", "harness"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(clone / "src"), str(clone)])}
    agent = f"{sys.executable} {clone / 'docs/demo/repair_agent.py'}"
    task = "TT departs from CLASS by more than 0.2%. Find the first stage that departs and repair it."
    given = ["--task", task, "--criterion", "docs/demo/criterion.toml", "--agent", agent, "--max-iterations", "6"]
    code = subprocess.run([*harness, "run", *given], cwd=clone, env=environment).returncode
    subprocess.run([*harness, "status"], cwd=clone, env=environment)
    tried = git(clone, "log", "--all", "--format=%H", "--author=agent").splitlines()
    plot = ["timeline", "--commits", "main~1", "main", *tried, "--range=--all", "--out", "timeline.png"]
    subprocess.run([*harness, *plot, "--json", "timeline.json"], cwd=clone, env=environment, check=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
