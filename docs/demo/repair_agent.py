"""The scripted agent of the demonstration: finds a planted bug stage by stage and repairs it.

One hypothesis an iteration, as CLAUDE.md asks. It runs the stage report (`python -m oracle report`), which compares
every stage alone with CLASS and names the first that departs, and changes one factor in the equations of the quantity
that is named; what has been tried stands under "Tried and failed" in CHANGELOG.md, written there by the harness. When
no stage departs any more it makes its promise.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

SOURCE = Path("src/boltzax/sources.py")
# Factors of the equations of a quantity in the order of suspicion: (text, new text, in words).
FACTORS = {
    ("sources", "temperature"): [
        ("+ g_prime * dipole", "+ 2.0 * g_prime * dipole", "twice the Doppler term of S_T"),
        ("S_T - (S_P_prime", "S_T - 3.0 * (S_P_prime", "three times the polarisation term of S_T"),
        ("+ exp_m_kappa * isw", "+ 2.0 * exp_m_kappa * isw", "twice the integrated Sachs-Wolfe term of S_T"),
    ]
}


def report() -> dict[str, Any]:
    """The stage report: what departs first ("culprit", None where nothing does), and that in words ("verdict")."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "report.json"
        command = [sys.executable, "-m", "oracle", "report", "--plot", f"{folder}/report.png", "--json", str(out)]
        process = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        if not out.exists():
            sys.exit(process.stderr)
        found = json.loads(out.read_text())
    print(found["verdict"], flush=True)
    return found


def promise() -> None:
    """Say that the work is done."""
    print(f"No stage departs.\n<promise>{os.environ['HARNESS_PROMISE']}</promise>")


def main() -> None:
    """One iteration."""
    sys.stdin.read()  # the prompt; this agent knows its task
    found = report()
    if found["culprit"] is None:
        return promise()
    departs = (found["culprit"]["stage"], found["culprit"]["quantity"].split(",")[0])  # "temperature, large scales"
    failed, source = Path("CHANGELOG.md").read_text(), SOURCE.read_text()
    for text, new, words in FACTORS.get(departs, []):
        if words in failed or source.count(text) != 1:
            continue
        print(f"hypothesis: {words}", flush=True)
        SOURCE.write_text(source.replace(text, new))
        message = ["-m", f"Try {words}", "-m", found["verdict"].capitalize() + ".", "-m", f"Milestone: {words}"]
        git = ["git", "-c", "user.name=agent", "-c", "user.email=agent@localhost"]
        subprocess.run([*git, "commit", "-q", "-a", *message], check=True)
        if report()["culprit"] is None:
            promise()
        return None
    print("every factor of this quantity has been tried")
    return None


if __name__ == "__main__":
    main()
