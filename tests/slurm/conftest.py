"""A real Slurm of one node, where the machine has its programs."""

import os
import sys
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parent.parent / "harness")]

import node as slurm_node  # noqa: E402
from toy_repository import with_slurm  # noqa: E402


@pytest.fixture(scope="session")
def slurm(tmp_path_factory):
    """The node; skips with the reason where it cannot run."""
    if reason := slurm_node.missing():
        pytest.skip(reason)
    if os.environ.get("SLURM_JOB_ID"):
        pytest.skip("runs inside a Slurm job already")
    try:
        node = slurm_node.Node(tmp_path_factory.mktemp("slurm"))
    except RuntimeError as error:
        pytest.skip(f"a Slurm of one node could not be started here: {error}")
    yield node
    node.close()


@pytest.fixture
def toy(tmp_path):
    """A fresh toy repository with slurm files."""
    return with_slurm(tmp_path)
