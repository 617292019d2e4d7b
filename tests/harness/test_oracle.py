"""The judge with the real gate of the oracle, on a clone of this repository."""

import subprocess

import pytest
from harness.judge import Judge
from harness.output import Redactor
from harness.repo import Repo
from harness.state import Folder
from toy_repository import ROOT, git

from harness import config

CRITERION = """name = "one point"
description = "lensed TT within 1% to l = 600 at one point"
points = 1
l_min = 2
l_max = 600

[tolerance]
lensed_tt = 1e-2
"""
RIGHT, WRONG = "S_P = g * pi / 8.0", "S_P = g * pi"


@pytest.mark.slow
@pytest.mark.oracle
def test_the_real_gate_accepts_this_package_and_refuses_a_wrong_one(tmp_path):
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
    if not (clone / "oracle" / "gate.py").exists():
        pytest.skip("this revision has no gate")
    (clone / "oracle" / "criteria" / "one.toml").write_text(CRITERION)
    git(clone, "add", "-A")
    git(clone, "commit", "-q", "-m", "Criterion")
    repo, folder = Repo(clone), Folder(clone)
    folder.make()
    base = repo.commit()
    settings = config.parse(repo.read(base, config.FILE))
    judge = Judge(repo, folder, settings, base, (), "oracle/criteria/one.toml", Redactor({}), lambda: "")
    accepted = judge.gate(base, 1, folder.logs / "gate.log")
    assert accepted.passed, accepted.reason
    source = clone / "src" / "boltzax" / "sources.py"
    assert source.read_text().count(RIGHT) == 1
    source.write_text(source.read_text().replace(RIGHT, WRONG))
    git(clone, "commit", "-q", "-a", "-m", "Wrong")
    refused = judge.gate(repo.commit(), 1, folder.logs / "gate.log")
    assert not refused.passed and "lensed_tt" in refused.reason
