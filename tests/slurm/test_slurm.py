"""The sbatch files on a real Slurm: the loop through requeues, an array with a task lost, a chain."""

import shutil
import subprocess
import sys

import pytest
from toy_repository import COMMAND, ROOT, wait_for, with_slurm

pytestmark = pytest.mark.slurm

SITE = {"PARTITION": "main", "CPUS": "1", "MEMORY": "100M", "SWEEP_CPUS": "1", "SWEEP_MEMORY": "100M",
        "CHAIN_CPUS": "1", "CHAIN_MEMORY": "100M", "PYTHON": sys.executable}  # fmt: skip


def submit(slurm, toy, *arguments, **site):
    environment = {**SITE, **site, "SCENARIO": str(toy.scenario), "CHILD_NAME": "x", "PYTHONPATH": ""}
    return slurm.run("slurm/submit", *arguments, cwd=toy.top, extra=environment)


def ended(slurm, job):
    return slurm.job(job).get("JobState") in ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL")


SHORT = {"HOURS": "0.0167", "CHAIN_HOURS": "0.0167", "WARNING": "50"}  # warned 10 s after the start of a minute


@pytest.fixture(scope="module")
def chain(slurm, tmp_path_factory):
    """(job, file): a chain that adds a line to a file every 2 s, to 25; runs beside the loop."""
    toy = with_slurm(tmp_path_factory.mktemp("chain"))
    file = toy.top.parent / "chain.txt"
    file.touch()
    step = f"trap 'exit 1' TERM; while [ $(cat {file} | wc -l) -lt 25 ]; do sleep 2 & wait $!; echo . >>{file}; done"
    return submit(slurm, toy, "chain", "bash", "-c", step, **SHORT), file


def test_the_loop_goes_on_through_two_requeues(slurm, toy, chain):
    """The agent works 4 s an iteration, and finishes after the second requeue."""
    toy.acts(*(f"slow 4 {n}" for n in range(2, 9)))
    loop = ("agent", "--task", "Bring the sine under 1e-6", "--criterion", "criteria/good.toml", "--agent", COMMAND)
    job = submit(slurm, toy, *loop, **SHORT)
    wait_for(lambda: (toy.folder / "last-prompt.md").exists(), 60)
    if shutil.which("tmux"):
        [session] = slurm.run("srun", f"--jobid={job}", "--overlap", "tmux", "list-sessions", "-F", "#S").splitlines()
        assert session == f"harness-{job}"
    wait_for(lambda: slurm.job(job).get("Restarts") == "2", 200)
    toy.acts("finish")
    wait_for(lambda: ended(slurm, job), 100)
    out = (toy.folder / "slurm" / f"harness-{job}.out").read_text()
    assert slurm.job(job)["JobState"] == "COMPLETED", out
    starts = toy.events("start")
    assert [row["slurm"]["RESTART_COUNT"] for row in starts][:3] == [None, "1", "2"]
    assert toy.verdicts()[-1] == "promise; good; promise accepted"
    assert len(toy.events("gate")) == 1 and toy.events("gate")[0]["passed"]
    assert len({row["run"] for row in toy.rows("events")}) == 1


SWEEP = '''"""Stands for the oracle's sweep: a file for each point of a part."""
import sys, time
from pathlib import Path

options = dict(zip(sys.argv[2::2], sys.argv[3::2]))
part, parts = map(int, options["--part"].split("/"))
out = Path(options["--out"])
out.mkdir(exist_ok=True)
for i in range(int(options["--points"])):
    if i % parts == part - 1 and not (out / f"{i}.txt").exists():
        time.sleep(0.5 if part != 3 or (out / "patience").exists() else 60)
        (out / f"{i}.txt").write_text(options["--seed"])
'''


def test_an_array_completes_after_one_task_is_cancelled_and_submitted_again(slurm, toy):
    (toy.top / "oracle" / "__main__.py").write_text(SWEEP)
    out = toy.top / "out"
    arguments = ("sweep", "--points", "8", "--seed", "7", "--out", str(out))
    job = submit(slurm, toy, *arguments, PARTS="4")
    wait_for(lambda: slurm.job(f"{job}_3").get("JobState") == "RUNNING", 60)
    slurm.run("scancel", f"{job}_3")
    wait_for(lambda: slurm.run("squeue", "-h", "-j", job, check=False) == "", 120)
    assert {int(f.stem) for f in out.glob("[0-9]*.txt")} == {0, 1, 3, 4, 5, 7}
    (out / "patience").touch()
    again = submit(slurm, toy, *arguments, PARTS="4", TASKS="3")
    wait_for(lambda: slurm.run("squeue", "-h", "-j", again, check=False) == "", 120)
    assert {int(f.stem) for f in out.glob("[0-9]*.txt")} == set(range(8))


def test_a_chain_is_requeued_before_its_limit(slurm, chain):
    job, file = chain
    wait_for(lambda: ended(slurm, job), 200)
    assert slurm.job(job)["JobState"] == "COMPLETED" and int(slurm.job(job)["Restarts"]) >= 1
    assert len(file.read_text().splitlines()) == 25


def test_chains_of_an_array_know_their_numbers(slurm, toy):
    out = toy.top.parent / "chains"
    out.mkdir()
    job = submit(slurm, toy, "chain", "bash", "-c", f"echo seed {{}} >{out}/{{}}.txt", TASKS="2-4")
    wait_for(lambda: slurm.run("squeue", "-h", "-j", job, check=False) == "", 120)
    assert {f.name: f.read_text() for f in out.iterdir()} == {f"{i}.txt": f"seed {i}\n" for i in (2, 3, 4)}


@pytest.mark.parametrize(("arguments", "words"), [((), "say what"), (("agent",), "needs arguments")])
def test_bad_submissions(tmp_path, arguments, words):
    done = subprocess.run([ROOT / "slurm" / "submit", *arguments], capture_output=True, text=True)
    assert done.returncode == 2 and words in done.stderr


def test_no_slurm_is_said_plainly(tmp_path):
    (tmp_path / "bin").mkdir()
    for name in ("bash", "dirname", "env"):
        (tmp_path / "bin" / name).symlink_to(shutil.which(name))
    done = subprocess.run(
        ["bash", ROOT / "slurm" / "submit", "sweep", "--points", "1"], env={"PATH": str(tmp_path / "bin")},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 2 and "sbatch is not found" in done.stderr
