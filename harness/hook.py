"""A PostToolUse hook for Claude Code: what `harness say`, `pause` and `stop` ask for, within a session.

Registered by `claude-settings.json` beside this file (`--agent "claude -p --settings harness/claude-settings.json"`).
Runs by itself on the standard library; outside a loop it does nothing.
"""

import json
import os
import sys
import time
from pathlib import Path

LONGEST_PAUSE = 3600.0  # seconds; the hook's time limit in claude-settings.json is a little longer


def main() -> int:
    """Print what the session is to be told, if anything."""
    root = os.environ.get("HARNESS_FOLDER")
    if not root or not Path(root).is_dir():
        return 0
    folder = Path(root)
    deadline = time.monotonic() + LONGEST_PAUSE
    while (folder / "PAUSE").exists() and not (folder / "STOP").exists() and time.monotonic() < deadline:
        time.sleep(0.5)
    if (folder / "STOP").exists():
        print(json.dumps({"continue": False, "stopReason": "The person who watches asked to stop."}))
        return 0
    texts = []
    for file in sorted((folder / "inbox").glob("[0-9]*.txt")):
        try:
            taken = file.rename(folder / "inbox" / "read" / file.name)
            texts.append(taken.read_text().strip())
        except OSError:
            continue  # another reader was quicker
    if texts:
        told = "From the person who watches: " + "\n\n".join(texts)
        print(json.dumps({"hookSpecificOutput": {"hookEventName": "PostToolUse", "additionalContext": told}}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
