"""The scripted agent of the demonstration: finds a planted bug with the stage report and repairs it.

One hypothesis an iteration, as CLAUDE.md asks: it runs `python -m oracle report`, takes the first stage that departs,
and multiplies one term of that stage's equations by a small number; which terms it has tried stands under "Tried and
failed" in CHANGELOG.md, written there by the harness. When no stage departs any more it makes its promise.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

# For each stage its file, and the terms of its equations in the order of suspicion: (text, repaired text, in words).
TERMS = {
    "sources": (
        Path("src/boltzax/sources.py"),
        [
            ("g_prime * dipole", "2.0 * g_prime * dipole", "twice the Doppler term of S_T"),
            ("S_T - (S_P_prime", "S_T - 3.0 * (S_P_prime", "three times the polarisation term of S_T"),
            ("exp_m_kappa * isw", "2.0 * exp_m_kappa * isw", "twice the integrated Sachs-Wolfe term of S_T"),
        ],
    )
}


def git(*arguments: str) -> None:
    """A git command in the worktree, as the agent."""
    subprocess.run(["git", "-c", "user.name=agent", "-c", "user.email=agent@localhost", *arguments], check=True)


def report() -> tuple[str, str]:
    """(first stage that departs, the report's last line); the stage is empty where none departs."""
    command = [
        sys.executable,
        "-m",
        "oracle",
        "report",
        "--plot",
        str(Path(os.environ["HARNESS_FOLDER"], "report.png")),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    print(done.stdout, done.stderr[-2000:] if done.returncode == 2 else "")
    found = re.search(r"^the first stage that departs is ([^:]+): (.*)$", done.stdout, re.MULTILINE)
    if not found and done.returncode:
        sys.exit("the stage report gives no verdict")
    return (found[1], found[0]) if found else ("", "")


def main() -> None:
    """One iteration."""
    sys.stdin.read()  # the prompt; this agent knows its task
    stage, line = report()
    if not stage:
        print(f"No stage departs.\n<promise>{os.environ['HARNESS_PROMISE']}</promise>")
        return
    file, terms = TERMS[stage]
    failed, source = Path("CHANGELOG.md").read_text(), file.read_text()
    for text, repaired, words in terms:
        if words in failed or source.count(text) != 1:
            continue
        print(f"hypothesis: {words}")
        file.write_text(source.replace(text, repaired))
        git("commit", "-q", "-a", "-m", f"Hypothesis: {words}", "-m", f"{line}.", "-m", f"Milestone: {words}")
        stage, _ = report()
        if not stage:
            print(f"No stage departs.\n<promise>{os.environ['HARNESS_PROMISE']}</promise>")
        return
    print("every term of the stage has been tried")


if __name__ == "__main__":
    main()
