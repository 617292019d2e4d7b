"""The notebooks run from beginning to end, draw what they should, and find what their text says."""

import itertools
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = ROOT / "docs" / "notebooks"
FIGURES = {"spectra_and_derivatives": 3, "fisher_forecast": 1, "fit": 1, "adding_a_species": 2}


def test_every_notebook_is_tested_and_has_its_pictures():
    """A picture is kept for each one that a notebook draws."""
    assert {path.stem for path in NOTEBOOKS.glob("*.py")} == set(FIGURES)
    kept = {path.name for path in (NOTEBOOKS / "figures").glob("*.png")}
    assert kept == {f"{name}-{i + 1}.png" for name, count in FIGURES.items() for i in range(count)}
    for name, count in FIGURES.items():
        assert (NOTEBOOKS / f"{name}.py").read_text().count("plt.subplots(") == count


@pytest.mark.parametrize("name", FIGURES)
def test_notebook(name, tmp_path):
    import jax
    import matplotlib.image

    cache = jax.config.jax_compilation_cache_dir or ""
    environment = os.environ | {"MPLBACKEND": "Agg", "JAX_COMPILATION_CACHE_DIR": cache}
    command = [sys.executable, str(ROOT / "docs" / "_site" / "run_notebooks.py"), name, "--figures", str(tmp_path)]
    run = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert run.returncode == 0, run.stderr
    pictures = sorted(tmp_path.glob("*.png"))
    assert len(pictures) == FIGURES[name]
    for picture in pictures:
        assert matplotlib.image.imread(picture)[..., :3].std() > 0.03  # not blank
    _check(name, run.stdout)


def _check(name, text):
    if name == "spectra_and_derivatives":  # differences approach the derivative with the square of the step
        errors = [float(e) for e in re.findall(r"largest difference (\S+) of", text)]
        assert len(errors) == 3 and errors[0] < 0.02
        assert all(3.0 < a / b < 5.0 for a, b in itertools.pairwise(errors))
    if name == "fisher_forecast":
        sigma = [float(s) for s in re.findall(r"^  h +\S+ \+- (\S+)", text, re.MULTILINE)]
        assert len(sigma) == 2 and 0.2 * sigma[0] < sigma[1] < 0.9 * sigma[0]  # the survey is the better one
        assert all(
            float(r) >= 1.0 for line in text.splitlines() if "fixed:" in line for r in re.findall(r"(\d\.\d\d)", line)
        )
    if name == "fit":
        off = [float(v) for v in re.findall(r"off by (\S+) sigma", text)]
        assert len(off) == 6 and max(map(abs, off)) < 4.0
    if name == "adding_a_species":
        differences = re.search(r"cold dark matter: (\S+) in C_l\^TT, (\S+) in P", text).groups()
        assert max(float(d) for d in differences) < 1e-10
        assert float(re.search(r"derivative agree to (\S+)", text).group(1)) < 2e-4
