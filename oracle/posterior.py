"""A chain that `boltzax fit` wrote, against the table that Planck published.

`python -m oracle.posterior FOLDER` prints means and widths, the shift of each mean in published deviations and the
ratio of the widths; --update-docs rewrites the table of docs/inference.md.
"""

import argparse
from pathlib import Path

from boltzax.inference.chains import Chain
from oracle.docs import update_docs

DOCS = Path(__file__).resolve().parent.parent / "docs" / "inference.md"

# Planck 2018 TT,TE,EE+lowE, arXiv:1807.06209, table 2: mean and standard deviation (tau_reio: mean of its two sides).
PUBLISHED: dict[str, tuple[float, float]] = {
    "omega_b": (0.02236, 0.00015),
    "omega_cdm": (0.1202, 0.0014),
    "H0": (67.27, 0.60),
    "ln_A_s_1e10": (3.045, 0.016),
    "n_s": (0.9649, 0.0044),
    "tau_reio": (0.0544, 0.0076),
    "Omega_m": (0.3166, 0.0084),
    "sigma8": (0.8120, 0.0073),
    "S8": (0.834, 0.016),
    "rs_drag": (147.05, 0.30),
    "age": (13.800, 0.024),
}


def table(chain: Chain) -> str:
    """The comparison in Markdown."""
    rows = ["| parameter | boltzax | Planck 2018 | shift [sigma] | ratio of widths |", "|---|---|---|---|---|"]
    for name, (mean, sigma) in PUBLISHED.items():
        ours, width = chain.mean(name), chain.std(name)
        rows.append(
            f"| `{name}` | {ours:.5g} ± {width:.2g} | {mean:.5g} ± {sigma:.2g} "
            f"| {(ours - mean) / sigma:+.2f} | {width / sigma:.2f} |"
        )
    ess = chain.diagnostics()["ess"]
    return "\n".join([*rows, "", f"{chain.name}, effective sample size {ess:.0f}."])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", help="output folder of boltzax fit")
    parser.add_argument("--update-docs", action="store_true", help="rewrite the table of docs/inference.md")
    options = parser.parse_args()
    text = table(Chain.load(options.folder))
    print(text)
    if options.update_docs:
        update_docs("posterior", text, DOCS)


if __name__ == "__main__":
    main()
