"""Runs the notebooks as scripts, and keeps what they draw: `python docs/_site/run_notebooks.py [--keep] [NAME ...]`.

--keep writes the figures to docs/notebooks/figures, from where the site shows them.
"""

import argparse
import runpy
import time
from pathlib import Path

import matplotlib.pyplot as plt

NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"


def execute(path: Path, figures: Path | None = None) -> int:
    """Run a notebook, save its figures to a folder if one is given, and return how many it drew."""
    plt.close("all")
    runpy.run_path(str(path), run_name="__main__")
    numbers = plt.get_fignums()
    if figures is not None:
        figures.mkdir(parents=True, exist_ok=True)
        for i, number in enumerate(numbers):
            plt.figure(number).savefig(figures / f"{path.stem}-{i + 1}.png", dpi=90)
    plt.close("all")
    return len(numbers)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="notebooks (all)")
    parser.add_argument("--keep", action="store_true", help="keep the figures for the site")
    parser.add_argument("--figures", type=Path, help="keep the figures in this folder")
    options = parser.parse_args()
    plt.switch_backend("Agg")
    folder = NOTEBOOKS / "figures" if options.keep else options.figures
    for name in options.names or sorted(path.stem for path in NOTEBOOKS.glob("*.py")):
        start = time.perf_counter()
        count = execute(NOTEBOOKS / f"{name}.py", folder)
        print(f"{name}: {count} figures, {time.perf_counter() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main()
