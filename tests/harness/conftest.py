"""The toy repository that the harness works on."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))  # for toy_repository, used by several files here

from toy_repository import Toy


@pytest.fixture
def toy(tmp_path):
    """A fresh toy repository."""
    return Toy(tmp_path)
