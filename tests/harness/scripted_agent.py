"""A scripted agent: acts out, one line an iteration, the scenario in the file that SCENARIO names.

Runs in the agent's worktree as any agent does, with the prompt on standard input. Each act is a function below; what an
act needs beyond its name follows it on the line.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

TAG = "<promise>DONE</promise>"
MODEL = Path("src/toy/model.py")


def git(*arguments):
    subprocess.run(
        ["git", "-c", "user.name=agent", "-c", "user.email=a@b", *arguments], check=True, capture_output=True
    )


def commit(message):
    git("add", "-A")
    git("commit", "-q", "--allow-empty", "-m", message)


def terms(number):
    """Sets how many terms of its series the toy model sums: more are better, negative ones wrong."""
    MODEL.write_text(f"TERMS = {int(number)}\n" + MODEL.read_text().split("\n", 1)[1])


def improve(number="2"):
    terms(number)
    commit(f"{number} terms")
    print(f"now {number} terms")


def finish(number="9"):
    improve(number)
    print(f"All is well now.\n{TAG}")


def lie():
    print(f"I have checked everything.\n{TAG}")


def prose():
    print(f"When it holds I shall print {TAG} and stop. Soon: `{TAG}`.\n- {TAG}\nnot yet {TAG}\n{TAG} almost")


def write(path, *text):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(" ".join(text).replace("\\n", "\n") + "\n")
    commit(f"edit {path}")
    print(TAG)


def undo(path):
    """Touches a file and takes it back in a second commit."""
    old = Path(path).read_text()
    write(path, "tolerance = 1e9")
    Path(path).write_text(old)
    commit("take it back")


def forge():
    """Makes the series worse and writes a measurement of its own beside the harness's."""
    import json  # not above: other acts shadow it

    terms(1)
    commit("forged")
    folder, head = Path(os.environ["HARNESS_FOLDER"]), subprocess.check_output(["git", "rev-parse", "HEAD"], text=True)
    run = json.loads((folder / "state.json").read_text())["run"]
    row = {"run": run, "iteration": int(os.environ["HARNESS_ITERATION"]), "commit": head.strip(), "reason": ""}
    with open(folder / "metrics.jsonl", "a") as file:
        file.write(json.dumps(row | {"metrics": {"sine": 1e-15}}) + "\n")
    print(TAG)


def regress(number="1"):
    terms(number)
    commit("faster")
    print(TAG)


def breaktest():
    MODEL.write_text(MODEL.read_text() + "\n\ndef name():\n    return 'broken'\n")
    commit("rename")


def hang():
    """Ignores the polite signal, with a child in a session of its own."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(300)", os.environ["CHILD_NAME"]], start_new_session=True
    )
    print("thinking", flush=True)
    time.sleep(300)


def busy(code="429"):
    kind = {"429": "rate_limit_error", "529": "overloaded_error"}[code]
    print(f'API Error: {code} {{"type":"error","error":{{"type":"{kind}","message":"try later"}}}}')
    sys.exit(1)


def multipole():
    """Speaks of l = 429 and of an error there, and commits."""
    terms(3)
    commit("error at l = 429 halved: status 529 rows")
    print("error 429 was the largest; now error 529 is")


def crash():
    print("Traceback: segmentation fault", file=sys.stderr)
    os.kill(os.getpid(), signal.SIGSEGV)


def nothing():
    print("I looked around.")


def imports():
    done = subprocess.run([sys.executable, "-c", "import toy; print(toy.__file__)"], capture_output=True, text=True)
    print(done.stdout, done.stderr)


def vanish():
    """Removes its own worktree."""
    shutil.rmtree(os.getcwd())


def unborn():
    git("checkout", "-q", "--orphan", f"new-{time.time_ns()}")
    print(TAG)


def leave():
    """Works but does not commit."""
    terms(5)
    Path("notes.txt").write_text("half done\n")
    print("to be continued")


def flood(mebibytes="64"):
    block = (b"x" * 99 + b"\n") * 10486
    for _ in range(int(mebibytes)):
        sys.stdout.buffer.write(block)
    sys.stdout.buffer.write(b"y" * 200000)
    sys.stdout.buffer.flush()
    print()
    finish()


def secret():
    print("the key is", os.environ["TOY_API_KEY"], "and sk-ant-abcdefghijklmnopqrstuv")


def rewrite():
    git("checkout", "-q", "--orphan", "fresh")
    terms(9)
    commit("a history of my own")
    print(TAG)


def rewrite_lie():
    git("commit", "-q", "--amend", "--allow-empty", "-m", "as if")
    print(TAG)


def elsewhere():
    """Commits on another branch than that of the run."""
    git("checkout", "-q", "-b", f"mine-{time.time_ns()}")
    finish()


def attributes():
    """Sets up git so that any checkout would falsify the criterion, and lies."""
    git("config", "filter.cheat.smudge", "sed s/1e-6/1e9/")
    common = subprocess.run(["git", "rev-parse", "--git-common-dir"], capture_output=True, text=True).stdout.strip()
    (Path(common) / "info").mkdir(exist_ok=True)
    (Path(common) / "info" / "attributes").write_text("criteria/* filter=cheat\n")
    hook = Path(common) / "hooks" / "post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho tolerance = 1e9 > criteria/good.toml\n")
    hook.chmod(0o755)
    print(TAG)


def usage(usd="0.25"):
    print(f'{{"type":"result","is_error":false,"total_cost_usd":{usd},"usage":{{"input_tokens":100,"output_tokens":20}},'
          f'"result":"fine\\n{TAG}"}}')  # fmt: skip


def slow(seconds="1", number="2"):
    """Two commits with pauses between them."""
    time.sleep(float(seconds) / 2)
    terms(number)
    commit(f"{number} terms, first half")
    time.sleep(float(seconds) / 2)
    Path("docs").mkdir(exist_ok=True)
    Path("docs/log.md").open("a").write(f"{number}\n")
    commit(f"{number} terms, second half")


def repeat(name, *words):
    """The same act in every iteration."""
    globals()[name](*words)


def main():
    Path(os.environ["HARNESS_FOLDER"], "last-prompt.md").write_text(sys.stdin.read())
    lines = Path(os.environ["SCENARIO"]).read_text().splitlines()
    words = lines[min(int(os.environ["HARNESS_ITERATION"]), len(lines)) - 1].split(" ")
    globals()[words[0]](*words[1:])
    sys.stdout.flush()


if __name__ == "__main__":
    main()
