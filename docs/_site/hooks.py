"""What the site is made of beside its pages: navigation from the files that are there, notebooks, equations.

MkDocs calls the `on_...` functions; `mkdocs.yml` names this file.
"""

import html
import re
from fnmatch import fnmatch
from pathlib import Path

from latex2mathml.converter import convert
from mkdocs.structure.files import File

DOCS = Path(__file__).resolve().parent.parent
# sections of the navigation: page names or patterns, in order; what is not there is left out
SECTIONS = {
    "Start": ("quickstart.md", "parameters.md", "features.md", "cite.md"),
    "Notebooks": ("notebooks/spectra*.md", "notebooks/fisher*.md", "notebooks/*.md"),
    "Inference": ("inference.md",),
    "Physics": ("physics/index.md", "physics/background.md", "physics/thermodynamics.md", "physics/perturbations.md",
                "physics/fluids.md", "physics/line-of-sight.md", "physics/spectra.md", "physics/*.md", "tensors.md",
                "nonlinear.md"),
    "How good it is": ("accuracy.md", "derivatives.md", "performance.md"),
    "Extending": ("add-a-species.md",),
    "Clusters and agents": ("cluster.md", "harness.md"),
    "Reference": ("api/index.md", "api/*.md"),
    "More": ("*.md",),
    "Notes": ("notes/*.md",),
}  # fmt: skip


def navigation(pages):
    """The navigation of a set of page names, each page once: a list as in mkdocs.yml."""
    left = sorted(pages - {"index.md"})
    nav = [{"Home": "index.md"}]
    for title, patterns in SECTIONS.items():
        found = []
        for pattern in patterns:
            depth = pattern.count("/")
            matching = [p for p in left if fnmatch(p, pattern) and p.count("/") == depth]
            found += matching
            left = [p for p in left if p not in matching]
        if found:
            nav.append({title: found})
    return [*nav, *left]


def notebook_page(path: Path) -> str:
    """A notebook in the percent format as Markdown: text, code, and the figures kept of its last execution."""
    cells = re.split(r"^# %%", path.read_text(), flags=re.MULTILINE)[1:]
    parts, figures = [], 0
    for cell in cells:
        head, _, body = cell.partition("\n")
        if "[markdown]" in head:
            parts.append(re.sub(r"^# ?", "", body.strip(), flags=re.MULTILINE))
            continue
        parts.append(f"```python\n{body.strip()}\n```")
        for _ in re.findall(r"plt\.subplots\(", body):
            figures += 1
            picture = f"figures/{path.stem}-{figures}.png"
            if (DOCS / "notebooks" / picture).exists():
                parts.append(f"![What this cell draws]({picture})")
    source = f"docs/notebooks/{path.name}"
    parts.insert(
        1,
        f"*The notebook behind this page is `{source}`: `python {source}` runs it, `jupytext --to ipynb {source}` "
        "makes a Jupyter notebook of it.*",
    )
    return "\n\n".join(parts) + "\n"


def on_files(files, config):
    """Pages of the notebooks, and the navigation of all that is there."""
    for path in sorted((DOCS / "notebooks").glob("*.py")):
        files.append(File.generated(config, f"notebooks/{path.stem}.md", content=notebook_page(path)))
    pages = {f.src_uri for f in files.documentation_pages() if not f.inclusion.is_excluded()}
    config.nav = navigation(pages)
    return files


def on_page_content(content, page, config, files):
    """Equations as MathML, which browsers show without a script."""

    def formula(match):
        text = html.unescape(match.group("tex")).strip()
        text = text.replace("'", "\\text{′}")  # as a superscript many fonts make primes tiny
        return convert(text, display="block" if match.group("tag") == "div" else "inline")

    pattern = r'<(?P<tag>span|div) class="arithmatex">\\[(\[](?P<tex>.*?)\\[)\]]</(?P=tag)>'
    return re.sub(pattern, formula, content, flags=re.DOTALL)
