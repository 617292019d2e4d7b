"""A chain that `boltzax fit` wrote, against a table that was published.

`python -m oracle.posterior FOLDER ... [--published NAME]` prints means and widths, the shift of each mean in published
deviations and the ratio of the widths; --plot FILE draws the posterior with bands of the published widths, and
--update-docs NAME rewrites that table of docs/inference.md. --polynomial adds the same of the parameters that were
sampled, without the chain's noise: of a polynomial of third degree through ln posterior at its draws.
"""

import argparse
from collections.abc import Mapping
from itertools import combinations_with_replacement
from pathlib import Path

import numpy as np

from boltzax.inference.chains import Chain, from_draws
from boltzax.inference.plots import plot_corner
from oracle.docs import update_docs

DOCS = Path(__file__).resolve().parent.parent / "docs" / "inference.md"

# mean and standard deviation; the mean of its two sides where they differ
# Planck 2018 TT,TE,EE+lowE, arXiv:1807.06209, table 2
PLANCK: dict[str, tuple[float, float]] = {
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
# DESI DR2 BAO and CMB (Planck's low l, CamSpec of PR4, lensing of PR4 and ACT DR6), w0 and wa free: arXiv:2503.14738,
# table V
DESI: dict[str, tuple[float, float]] = {
    "w0_fld": (-0.42, 0.21),
    "wa_fld": (-1.75, 0.58),
    "Omega_m": (0.353, 0.021),
    "H0": (63.6, 1.85),
}
DESI_CURVATURE: dict[str, tuple[float, float]] = {"Omega_k": (0.0023, 0.0011)}  # the same, Lambda and curvature
#: by name: the title of its column, and its values
PUBLISHED = {
    "planck": ("Planck 2018", PLANCK),
    "desi": ("DESI DR2 + CMB", DESI),
    "desi-curvature": ("DESI DR2 + CMB", DESI_CURVATURE),
}


def table(chain: Chain, title: str, published: Mapping[str, tuple[float, float]]) -> str:
    """The comparison in Markdown."""
    rows = [f"| parameter | boltzax | {title} | shift [sigma] | ratio of widths |", "|---|---|---|---|---|"]
    for name, (mean, sigma) in published.items():
        ours, width = chain.mean(name), chain.std(name)
        rows.append(
            f"| `{name}` | {ours:.5g} ± {width:.2g} | {mean:.5g} ± {sigma:.2g} "
            f"| {(ours - mean) / sigma:+.2f} | {width / sigma:.2f} |"
        )
    ess = chain.diagnostics()["ess"]
    return "\n".join([*rows, "", f"{chain.name}, effective sample size {ess:.0f}."])


def _monomials(y: np.ndarray, degree: int = 3) -> np.ndarray:
    """All products of up to `degree` columns of y."""
    sets = (set_ for d in range(degree + 1) for set_ in combinations_with_replacement(range(y.shape[1]), d))
    return np.stack([np.prod(y[:, list(set_)], axis=1) for set_ in sets], axis=1)


def continued(chain: Chain, draws: int = 200_000, reach: float = 4.5) -> tuple[Chain, float]:
    """Weighted draws from the polynomial of third degree through ln posterior, and what it misses.

    Fitted in whitened coordinates to all draws; what it misses is the standard deviation at every fifth of a fit to the
    others. Beyond `reach` deviations it is not trusted and counts as zero.
    """
    x = np.stack([chain.samples[name].ravel() for name in chain.sampled], axis=1)
    values = chain.log_posterior.ravel()
    x, values = x[np.isfinite(values)], values[np.isfinite(values)]
    mean, root = x.mean(axis=0), np.linalg.cholesky(np.cov(x.T))
    terms = _monomials(np.linalg.solve(root, (x - mean).T).T)
    left_out = np.arange(len(x)) % 5 == 0
    fit = lambda rows: np.linalg.lstsq(terms[rows], values[rows], rcond=None)[0]
    missed = float(np.std((terms @ fit(~left_out) - values)[left_out]))
    y = 1.15 * np.random.default_rng(0).standard_normal((draws, x.shape[1]))
    log_posterior = _monomials(y) @ fit(np.full(len(x), True))
    log_weight = np.where(np.abs(y).max(axis=1) < reach, log_posterior + 0.5 * np.sum((y / 1.15) ** 2, axis=1), -np.inf)
    weights = np.exp(log_weight - log_weight.max())
    name = f"{chain.name}, ln posterior as a polynomial that misses {missed:.2g}"
    found = (mean + y @ root.T)[None]
    return from_draws(chain.sampled, found, {}, log_posterior[None], weights=weights[None], name=name), missed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "folders", nargs="+", metavar="FOLDER", help="output folder of boltzax fit; of several, all chains"
    )
    parser.add_argument("--published", choices=PUBLISHED, default="planck", help="whose table (default: planck)")
    parser.add_argument("--polynomial", action="store_true", help="also of a polynomial through ln posterior")
    parser.add_argument("--plot", metavar="FILE", help="draw the posterior")
    parser.add_argument("--update-docs", metavar="NAME", help="rewrite the table of this name in docs/inference.md")
    options = parser.parse_args()
    title, published = PUBLISHED[options.published]
    chain = Chain.load(*options.folders)
    text = table(chain, title, published)
    print(text)
    if options.polynomial:
        smooth = continued(chain)[0]
        print("\n" + table(smooth, title, {x: v for x, v in published.items() if x in smooth.sampled}))
    if options.plot:
        plot_corner([chain], options.plot, names=list(published), published=published)
    if options.update_docs:
        update_docs(options.update_docs, text, DOCS)


if __name__ == "__main__":
    main()
