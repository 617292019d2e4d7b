"""Wheel and source distribution: they build, install into an empty environment, and bring their data files."""

import re
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

import boltzax

ROOT = Path(__file__).resolve().parent.parent
_PROGRAM = """
import boltzax, importlib.metadata
from boltzax.background import background
from boltzax.thermo import thermodynamics
cosmo = boltzax.Cosmology()
th = thermodynamics(cosmo, background(cosmo))  # reads the tables of HyRec and of nucleosynthesis
print(importlib.metadata.version("boltzax"), float(th.YHe), float(th.z_rec), boltzax.__file__)
"""


def test_one_version():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    citation = re.search(r"^version: (\S+)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE).group(1)
    assert project["version"] == boltzax.__version__ == citation


def _environment(folder: Path) -> Path:
    venv.create(folder, with_pip=True)
    return folder / "bin" / "python"


def _pip(python: Path, *arguments: str) -> subprocess.CompletedProcess:
    command = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", *arguments]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.fixture(scope="module")
def distributions(tmp_path_factory):
    """The folder with the sdist, and the wheel made from it."""
    folder = tmp_path_factory.mktemp("dist")
    python = _environment(folder / "builder")
    if _pip(python, "build").returncode != 0:
        pytest.skip("no package index can be reached")
    command = [str(python), "-m", "build", "--outdir", str(folder), str(ROOT)]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    return folder


@pytest.mark.slow
def test_distributions_hold_code_data_and_licence(distributions):
    (wheel,), (sdist,) = distributions.glob("*.whl"), distributions.glob("*.tar.gz")
    source = {str(p.relative_to(ROOT / "src")) for p in (ROOT / "src").rglob("*") if p.suffix in (".py", ".npz")}
    with zipfile.ZipFile(wheel) as file:
        names = set(file.namelist())
    assert source <= names and any(name.endswith("licenses/LICENSE") for name in names)
    assert not [name for name in names if not name.startswith("boltzax")]
    with tarfile.open(sdist) as file:
        inside = {name.split("/", 1)[-1] for name in file.getnames()}
    assert {f"src/{name}" for name in source} <= inside and {"README.md", "LICENSE", "pyproject.toml"} <= inside


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["*.whl", "*.tar.gz"])
def test_installs_into_an_empty_environment(distributions, kind, tmp_path):
    python = _environment(tmp_path / "empty")
    (file,) = distributions.glob(kind)
    installed = _pip(python, str(file))
    assert installed.returncode == 0, installed.stderr
    run = subprocess.run([str(python), "-I", "-c", _PROGRAM], capture_output=True, text=True, cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    version, YHe, z_rec, where = run.stdout.split()
    assert version == boltzax.__version__ and where.startswith(str(tmp_path))
    assert abs(float(YHe) - 0.2453) < 1e-4 and abs(float(z_rec) - 1088.8) < 0.1
    shown = subprocess.run([str(python.parent / "boltzax"), "--version"], capture_output=True, text=True, cwd=tmp_path)
    assert shown.stdout.strip() == f"boltzax {version}"
    refused = subprocess.run([str(python.parent / "boltzax"), "--h", "5"], capture_output=True, text=True, cwd=tmp_path)
    assert refused.returncode == 2 and refused.stderr.startswith("boltzax: error: h = 5")
    assert sys.prefix not in where
