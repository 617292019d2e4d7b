"""The documentation site: it builds without a warning, shows every page, and its equations are MathML."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

for package in ("mkdocs", "mkdocstrings", "latex2mathml"):
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"needs {package}: pip install 'boltzax[docs]'", allow_module_level=True)

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def hooks():
    spec = importlib.util.spec_from_file_location("hooks", ROOT / "docs" / "_site" / "hooks.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert "WARNING -" not in run.stderr, run.stderr
    return folder


def test_every_page_and_notebook_is_there_and_in_the_navigation(site):
    docs = ROOT / "docs"
    pages = [p.relative_to(docs).with_suffix("") for p in docs.rglob("*.md")]
    pages += [p.relative_to(docs).with_suffix("") for p in (docs / "notebooks").glob("*.py")]
    home = (site / "index.html").read_text()
    for page in pages:
        if page.name == "index":
            page = page.parent
        assert (site / page / "index.html").exists(), page
        assert str(page) == "." or f'href="{page}/"' in home, page


def test_equations_are_mathml(site):
    text = (site / "physics" / "perturbations" / "index.html").read_text()
    assert text.count("<math") > 20 and "arithmatex" not in text
    assert "h<" in re.sub(r"</?m(row|i)>", "", text) and "\\frac" not in text


def test_nothing_is_loaded_from_elsewhere(site):
    for page in site.rglob("*.html"):
        text = page.read_text()
        assert not re.findall(r'<(?:script|img|iframe)[^>]*src="(?:https?:)?//', text), page
        assert not re.findall(r'<link[^>]*rel="stylesheet"[^>]*href="(?:https?:)?//', text), page


def test_reference_describes_functions_not_modules_of_the_same_name(site):
    text = (site / "api" / "index.html").read_text()
    assert 'id="boltzax.solve.solve"' in text and "CMB and matter power spectra of a cosmology." in text
    assert 'id="boltzax.results.Results.pk_lin"' in text and 'id="boltzax.solve.assemble"' not in text


def test_navigation_takes_what_is_there(hooks):
    nav = hooks.navigation(
        {"index.md", "quickstart.md", "nonlinear.md", "new-page.md", "physics/new.md", "deep/a/b.md"}
    )
    assert nav == [
        {"Home": "index.md"},
        {"Start": ["quickstart.md"]},
        {"Physics": ["physics/new.md", "nonlinear.md"]},
        {"More": ["new-page.md"]},
        "deep/a/b.md",
    ]


def test_notebook_pages_keep_text_and_code(hooks, tmp_path):
    path = tmp_path / "example.py"
    path.write_text("# ---\n# jupyter\n# ---\n\n# %% [markdown]\n# # Title\n#\n# Text.\n\n# %%\nx = 1  # one\n")
    page = hooks.notebook_page(path)
    assert page.startswith("# Title\n\nText.") and "```python\nx = 1  # one\n```" in page and "jupyter\n" not in page
