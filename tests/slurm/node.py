"""A Slurm of one node in a private folder, for tests: munge, slurmctld and slurmd of this machine's user."""

import contextlib
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

PROGRAMS = ("sbatch", "scontrol", "squeue", "slurmctld", "slurmd", "munged")

CONF = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock,cred_expire=5
CredType=cred/munge
SlurmctldPort={controller}
SlurmdPort={node}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=2,bf_interval=2,requeue_delay=1
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
JobCompType=jobcomp/none
KillWait=5
MinJobAge=300
JobRequeue=1
SlurmctldTimeout=120
SlurmdTimeout=120
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory=2000 State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def path() -> str:
    """PATH with the folders that hold daemons."""
    return os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/sbin"])


def missing() -> str:
    """What this machine lacks for a Slurm of its own, or an empty string."""
    absent = [name for name in PROGRAMS if shutil.which(name, path=path()) is None]
    return f"needs {', '.join(absent)}: apt-get install slurm-wlm munge" if absent else ""


def _ports(n: int) -> list[int]:
    sockets = [socket.socket() for _ in range(n)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    numbers = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return numbers


class Node:
    """The running daemons; `environment` is that of their users."""

    def __init__(self, folder: Path):
        """Start them.

        Raises:
            RuntimeError: the node does not become idle; with the ends of the logs.
        """
        self.folder, self._daemons = folder, []
        for name in ("state", "spool"):
            (folder / name).mkdir(parents=True)
        folder.chmod(0o755)
        key = folder / "munge.key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o600)
        controller, node = _ports(2)
        host, user = socket.gethostname().split(".")[0], subprocess.check_output(["id", "-un"], text=True).strip()
        conf = folder / "slurm.conf"
        places = {"host": host, "user": user, "folder": folder, "controller": controller, "node": node}
        conf.write_text(CONF.format(cpus=os.cpu_count(), **places))
        self.environment = {**os.environ, "PATH": path(), "SLURM_CONF": str(conf)}
        munge = [f"--{n}={folder}/munge.{e}" for n, e in (("socket", "sock"), ("pid-file", "pid"), ("log-file", "log"))]
        self._start(
            "munged", "--force", "--foreground", f"--key-file={key}", f"--seed-file={folder}/munge.seed", *munge
        )
        self._wait(lambda: (folder / "munge.sock").exists(), "munged")
        self._start("slurmctld", "-D", "-f", str(conf))
        time.sleep(1.0)
        self._start("slurmd", "-D", "-f", str(conf), "-N", host)
        self._wait(lambda: "idle" in self.run("sinfo", "-h", "-o", "%T", check=False), "slurmd")

    def _start(self, name: str, *arguments: str) -> None:
        with open(self.folder / f"{name}.out", "wb") as out:
            daemon = subprocess.Popen([name, *arguments], env=self.environment, stdout=out, stderr=out)
        self._daemons.append(daemon)

    def _wait(self, condition, what: str, seconds: float = 60.0) -> None:
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                logs = "\n".join(f"{f.name}: {f.read_text()[-600:]}" for f in self.folder.glob("*.log"))
                self.close()
                raise RuntimeError(f"{what} did not start\n{logs}")
            time.sleep(0.25)

    def run(self, *command: str, check: bool = True, **more) -> str:
        """Output of a command as a user of this Slurm."""
        done = subprocess.run(
            command, env=self.environment | more.pop("extra", {}), capture_output=True, text=True, **more
        )
        assert not check or done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout.strip()

    def job(self, number: str) -> dict[str, str]:
        """What `scontrol show job` says of a job or a task of an array."""
        words = self.run("scontrol", "show", "job", number, check=False).split()
        return dict(word.split("=", 1) for word in words if "=" in word)

    def close(self) -> None:
        """End all jobs, then the daemons that were started here."""
        self.run("scancel", "--user", subprocess.check_output(["id", "-un"], text=True).strip(), check=False)
        end = time.monotonic() + 15
        while self.run("squeue", "-h", check=False) and time.monotonic() < end:
            time.sleep(0.25)
        for daemon in reversed(self._daemons):
            daemon.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                daemon.wait(10)
            daemon.kill()
            daemon.wait()
