"""A small real repository for the harness: a sine series, a gate that compares it with the sine, and a harness.toml."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
COMMAND = f"{sys.executable} {Path(__file__).resolve().parent / 'scripted_agent.py'}"

FILES = {
    "src/toy/__init__.py": "",
    "src/toy/model.py": """TERMS = 1
from math import factorial


def sine(x):
    return sum((-1) ** n * x ** (2 * n + 1) / factorial(2 * n + 1) for n in range(TERMS))


def name():
    return "sine"
""",
    "oracle/__init__.py": "",
    "oracle/gate.py": '''"""Fast gate: the largest error of the series at points of a seed."""

import json
import math
import random
import sys
import tomllib

from toy import model

criterion, out, seed = sys.argv[1:]
tolerance = tomllib.load(open(criterion, "rb"))["tolerance"]
draw = random.Random(int(seed))
points = [draw.uniform(0.5, 1.5) for _ in range(20)]
error = max(abs(model.sine(x) - math.sin(x)) for x in points)
rows = [{"name": "sine", "value": error, "required": tolerance["sine"], "passed": error <= tolerance["sine"]}]
passed = all(row["passed"] for row in rows)
json.dump({"passed": passed, "seed": int(seed), "rows": rows}, open(out, "w"))
print("error", error)
sys.exit(0 if passed else 1)
''',
    "oracle/score.py": """import json
import math
import sys

from toy import model

error = max(abs(model.sine(x / 10) - math.sin(x / 10)) for x in range(16))
json.dump({"error": {"max": error}}, open(sys.argv[1], "w"))
""",
    "oracle/report.py": 'print("stage series: departs first, error 0.2")\n',
    "criteria/good.toml": 'name = "good"\n[tolerance]\nsine = 1e-6\n',
    "criteria/bad.toml": "name = [\n",
    "criteria/empty.toml": 'name = "nothing"\n',
    "tests/check.py": """import unittest

from toy import model


class Toy(unittest.TestCase):
    def test_small(self):
        self.assertAlmostEqual(model.sine(1e-3), 1e-3, delta=1e-6)

    def test_name(self):
        self.assertEqual(model.name(), "sine")


unittest.main()
""",
    "harness.toml": """[paths]
judged = ["src/toy/"]
protected = ["oracle/", "criteria/", "harness.toml", "**/conftest.py", "**/.gitattributes"]
add_only = ["tests/"]
pythonpath = ["src"]

[commands]
tests = ["{python}", "tests/check.py"]
metrics = ["{python}", "-m", "oracle.score", "{out}"]
check = ["{python}", "-c", "import sys, tomllib; tomllib.load(open(sys.argv[1], 'rb'))['tolerance']", "{criterion}"]
gate = ["{python}", "-m", "oracle.gate", "{criterion}", "{out}", "{seed}"]
report = ["{python}", "-m", "oracle.report"]

[seconds]
tests = 60
gate = 60

[metrics]
sine = "error.max"

[noise]
default = { relative = 0.05, absolute = 1e-12 }

[stall]
unmoved = 4
empty = 2
repeated = 2
""",
    "CLAUDE.md": "# Toy\n\nAdd terms.\n",
    "CHANGELOG.md": """# Changelog

## Current status

<!-- status: written by `python -m harness`, from measurements -->
| metric | value | commit |
|---|---|---|
<!-- status: end -->

## Next steps

- More terms.

## Tried and failed

""",
}


def git(folder, *arguments):
    done = subprocess.run(
        ["git", "-c", "user.name=user", "-c", "user.email=u@v", *arguments], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


class Toy:
    """The repository in a folder, and the harness run on it."""

    def __init__(self, folder: Path):
        self.top = folder / "toy"
        for path, text in FILES.items():
            file = self.top / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        git(self.top, "init", "-q", "-b", "main")
        git(self.top, "add", "-A")
        git(self.top, "commit", "-q", "-m", "Toy")
        self.base = git(self.top, "rev-parse", "HEAD")
        self.scenario = folder / "scenario.txt"
        self.folder = self.top / ".harness"
        self.environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "SCENARIO": str(self.scenario),
            "CHILD_NAME": folder.name,
        }

    def acts(self, *lines):
        self.scenario.write_text("\n".join(lines) + "\n")

    def command(self, *arguments):
        return [sys.executable, "-m", "harness", "--repo", str(self.top), *arguments]

    def run_arguments(self, *more, task="Bring the sine under 1e-6", criterion="criteria/good.toml"):
        given = ("--task", task, "--criterion", criterion, "--agent", COMMAND, "--max-iterations", "4")
        return self.command("run", *given, "--backoff", "0.05", *more)

    def harness(self, *arguments, timeout=300):
        return self.execute(self.command(*arguments), timeout)

    def run(self, *acts, more=(), timeout=120, **options):
        """The acts, one an iteration, to the end of the run."""
        self.acts(*acts)
        return self.execute(self.run_arguments(*more, **options), timeout)

    def execute(self, command, timeout=300):
        return subprocess.run(
            command,
            cwd=self.top,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            errors="replace",
        )

    @property
    def state(self):
        return json.loads((self.folder / "state.json").read_text())

    def rows(self, name):
        return [json.loads(line) for line in (self.folder / f"{name}.jsonl").read_text().splitlines()]

    def events(self, kind):
        return [row for row in self.rows("events") if row["event"] == kind]

    def verdicts(self):
        return [row["verdict"] for row in self.events("judged")]

    def prompt(self):
        return (self.folder / "last-prompt.md").read_text()

    def refs(self):
        return git(self.top, "for-each-ref", "--format=%(refname)", "refs/harness").splitlines()

    def show(self, path):
        """A file at the last good commit."""
        return git(self.top, "show", f"{self.state['branch']}:{path}")


def ended(done, code):
    """Checks the exit code of a harness process, and shows its output where it is another."""
    assert done.returncode == code, f"{done.returncode}\n{done.stdout}\n{done.stderr}"


def wait_for(condition, seconds=120.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def with_slurm(folder: Path) -> Toy:
    """A toy repository with this repository's harness and slurm folders, as users have them."""
    toy = Toy(folder)
    for name in ("harness", "slurm"):
        shutil.copytree(ROOT / name, toy.top / name, ignore=shutil.ignore_patterns("__pycache__"))
    (toy.top / ".gitignore").write_text("__pycache__/\n/out/\n")
    git(toy.top, "add", "-A")
    git(toy.top, "commit", "-q", "-m", "Harness and Slurm files")
    return toy
