"""Which stage departs from CLASS: `python -m oracle report [--params FILE | NAME=VALUE ...]`.

Runs boltzax and CLASS on the same cosmology and compares background, thermodynamics, perturbations at several
wavenumbers, sources, unlensed C_l, C_l^phiphi, lensed C_l and P(k). Each stage is judged alone: it is fed with CLASS's
output of the stage before (background and thermodynamics as tables, sources, unlensed spectra), so an error does not
spread; beside it stands the error of the whole chain. Prints a table, writes a figure and names the first stage that
departs by more than its tolerance; --json FILE keeps the rows for programs. The CLASS run takes minutes and is cached.
Exit code 0 if no stage departs, 1 if one does, 2 for bad input.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from oracle import codes
from oracle import reference as ref
from oracle.errors import largest
from oracle.files import write_json

# Largest error of each quantity for a stage in order: twice the largest of three points, the fiducial one, the same
# without massive neutrinos, and one far off with three of 0.2 eV (h = 0.62, omega_b = 0.024, omega_cdm = 0.14,
# n_s = 1.02, tau_reio = 0.09, N_ur = 0.3); of lensing, which feels the margins of the reference, at the first alone.
# That of delta_ncdm is the error of five momenta (`Precision.n_q`), of which the spectra see little.
TOLERANCES: dict[tuple[str, str], float] = {
    ("background", "H"): 4.4e-8,
    ("background", "conformal time"): 2.4e-8,
    ("background", "comoving sound horizon"): 2.4e-8,
    ("thermodynamics", "x_e"): 0.0004,
    ("thermodynamics", "g / maximum"): 6e-6,
    ("thermodynamics", "T_b"): 0.00016,
    ("thermodynamics", "c_b^2"): 0.0012,
    ("perturbations", "delta_cdm"): 8.8e-5,
    ("perturbations", "delta_b"): 8.8e-5,
    ("perturbations", "theta_b"): 0.003,
    ("perturbations", "delta_g"): 0.00015,
    ("perturbations", "phi"): 3.2e-5,
    ("perturbations", "psi"): 6.2e-5,
    ("perturbations", "pi"): 0.0028,
    ("perturbations", "delta_ncdm"): 0.0074,
    ("sources", "temperature"): 0.0004,
    ("sources", "polarisation"): 0.0005,
    ("sources", "phi + psi"): 0.0011,
    ("sources", "matter"): 7.4e-5,
    ("sources", "temperature, large scales"): 5e-5,
    ("unlensed C_l", "tt"): 0.0003,
    ("unlensed C_l", "ee"): 0.00066,
    ("unlensed C_l", "te"): 0.00048,
    ("C_l^phiphi", "pp"): 0.00044,
    ("lensed C_l", "tt"): 4.4e-6,
    ("lensed C_l", "ee"): 3.6e-5,
    ("lensed C_l", "te"): 3.2e-5,
    ("lensed C_l", "bb"): 9.8e-6,
    ("P(k)", "P(k)"): 0.00048,
}


# Largest error of what the whole chain gives, in the same way: what no stage alone shows must not hide there.
CHAIN_TOLERANCES: dict[tuple[str, str], float] = {
    ("unlensed C_l", "tt"): 5.4e-4,
    ("unlensed C_l", "ee"): 6.8e-4,
    ("unlensed C_l", "te"): 5.4e-4,
    ("C_l^phiphi", "pp"): 7.6e-4,
    ("lensed C_l", "tt"): 5.8e-4,
    ("lensed C_l", "ee"): 6.8e-4,
    ("lensed C_l", "te"): 5.4e-4,
    ("lensed C_l", "bb"): 1.3e-3,
    ("P(k)", "P(k)"): 1.4e-3,
}


class Finding(NamedTuple):
    """One row of the report: the largest error of a stage alone, where, and its tolerance; the same of the chain."""

    stage: str
    quantity: str
    axis: str
    error: float
    at: float
    tolerance: float
    chain: float
    chain_tolerance: float

    @property
    def departs(self) -> bool:
        """Whether the error of the stage alone exceeds the tolerance; one that is not finite does."""
        return not self.error <= self.tolerance

    @property
    def chain_departs(self) -> bool:
        """Whether that of the chain does."""
        return not self.chain <= self.chain_tolerance


def findings(
    curves: Sequence[Any],
    tolerances: Mapping[tuple[str, str], float] = TOLERANCES,
    chain_tolerances: Mapping[tuple[str, str], float] = CHAIN_TOLERANCES,
) -> list[Finding]:
    """The rows of a report from the curves of `oracle.pipeline.compare`."""
    rows = []
    for curve in curves:
        error, at = largest(curve.own)
        chain = largest(curve.chain)[0]
        name = (curve.stage, curve.quantity)
        limits = (tolerances[name], chain, chain_tolerances.get(name, np.inf))
        rows.append(Finding(*name, curve.axis, error, float(curve.x[at]), *limits))
    return rows


def culprit(rows: Sequence[Finding]) -> Finding | None:
    """In the first stage that departs, the quantity that exceeds its tolerance by the largest factor.

    Where no stage does alone, the first quantity at which the chain departs.
    """
    stage = next((row.stage for row in rows if row.departs), None)
    if stage is None:
        return next((row for row in rows if row.chain_departs), None)
    return max((row for row in rows if row.stage == stage), key=lambda row: row.error / row.tolerance)


def verdict(rows: Sequence[Finding]) -> str:
    """The last line of a report."""
    found = culprit(rows)
    if found is None:
        return "no stage departs from CLASS by more than its tolerance"
    if not found.departs:
        return (
            f"no stage departs alone, but the whole chain does: {found.quantity} of {found.stage} is {found.chain:.1e} "
            f"from CLASS, required {found.chain_tolerance:.0e}; look for what the stages before do not compare"
        )
    return (
        f"the first stage that departs is {found.stage}: its {found.quantity} is {found.error:.1e} from CLASS at "
        f"{found.axis} = {found.at:.4g}, {found.error / found.tolerance:.1f} times its tolerance {found.tolerance:.0e}"
    )


def as_dict(rows: Sequence[Finding]) -> dict[str, Any]:
    """The report for programs: the verdict, the row that it names or None, and all rows."""
    found = culprit(rows)
    return {
        "verdict": verdict(rows),
        "culprit": None if found is None else found._asdict(),
        "rows": [row._asdict() for row in rows],
    }


def table(rows: Sequence[Finding]) -> str:
    """The report as text."""
    lines = [f"{'stage':16s}{'quantity':26s}{'alone':>9s}  {'at':22s}{'tolerance':>10s}{'in the chain':>14s}"]
    previous = None
    for row in rows:
        stage, previous = ("" if row.stage == previous else row.stage), row.stage
        where = f"{row.axis} = {row.at:.4g}"
        line = f"{stage:16s}{row.quantity:26s}{row.error:9.1e}  {where:22s}{row.tolerance:10.0e}{row.chain:14.1e}"
        lines.append(line + ("   departs" if row.departs else "   the chain departs" if row.chain_departs else ""))
    return "\n".join(lines)


def plot(curves: Sequence[Any], rows: Sequence[Finding], path: Path) -> None:
    """One panel for each stage: errors alone (solid) and in the chain (dashed), and the tolerances (dotted)."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    from oracle.pipeline import STAGES

    found = culprit(rows)
    figure, axes = plt.subplots(2, 4, figsize=(20, 9), constrained_layout=True)
    for axis, stage in zip(axes.flat, STAGES, strict=True):
        here = [(c, r) for c, r in zip(curves, rows, strict=True) if c.stage == stage]
        for i, (curve, row) in enumerate(here):
            style = {"color": f"C{i}", "lw": 1.0, "marker": "o" if curve.x.size < 20 else None}
            axis.plot(curve.x, np.abs(curve.own), label=curve.quantity, **style)
            axis.plot(curve.x, np.abs(curve.chain), ls="--", alpha=0.5, **style)
            axis.axhline(row.tolerance, color=f"C{i}", lw=0.8, ls=":")
        axis.set(xscale="log", yscale="log", xlabel=here[0][0].axis)
        axis.set_ylim(1e-3 * min(r.tolerance for _, r in here), None)
        departs = found is not None and found.stage == stage
        axis.set_title(f"{stage}: departs" if departs else stage, color="C3" if departs else "black")
        axis.legend(fontsize=8)
    figure.suptitle(
        f"|boltzax / CLASS - 1|: stage alone (solid), in the chain (dashed), tolerance (dotted)\n{verdict(rows)}"
    )
    figure.savefig(path, dpi=110)
    plt.close(figure)


def parameters(given: Sequence[str]) -> dict[str, Any]:
    """A point from NAME=VALUE texts, or from the one YAML file that is given; the fiducial point from nothing.

    Raises:
        CosmologyError: of boltzax, for parameters that it refuses.
        ValueError: a text is neither.
    """
    import boltzax

    if not given:
        return dict(ref.FIDUCIAL)
    if len(given) == 1 and "=" not in given[0]:
        cosmo = boltzax.Cosmology.from_yaml(given[0])
    else:
        pairs = [text.partition("=") for text in given]
        bad = [text for text, (name, equals, _) in zip(given, pairs, strict=True) if not (name and equals)]
        if bad:
            raise ValueError(f"--params {bad[0]}: give NAME=VALUE, or one YAML file")
        cosmo = boltzax.Cosmology.from_dict({name: value for name, _, value in pairs})
    point, neutral = cosmo.to_dict(), boltzax.Cosmology().to_dict()
    beyond = set(point) - {*ref.FIDUCIAL, "YHe", "tau_reio", "z_reio", "deg_ncdm"}
    changed = sorted(name for name in beyond if point[name] != neutral.get(name))
    if changed:
        raise ValueError(f"the report compares LCDM with massive neutrinos and hyrec alone: not {', '.join(changed)}")
    return {name: value for name, value in point.items() if name not in beyond}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command line."""
    text = "a YAML file, or NAME=VALUE of `boltzax.Cosmology` (default: the fiducial point)"
    parser.add_argument("--params", nargs="+", default=[], metavar="FILE | NAME=VALUE", help=text)
    parser.add_argument("--plot", type=Path, default=Path("oracle_report.png"), metavar="FILE", help="the figure")
    parser.add_argument("--json", type=Path, metavar="FILE", help="verdict, culprit and rows")


def main(options: argparse.Namespace) -> int:
    """Runs the command; returns the exit code."""
    import boltzax
    from boltzax.errors import BoltzaxError
    from oracle import pipeline
    from oracle.progress import progress
    from oracle.workers import use_compilation_cache

    try:
        codes.require("classy")
        point = parameters(options.params)
        for option, path in (("--plot", options.plot), ("--json", options.json)):
            if path is not None and not path.resolve().parent.is_dir():
                raise ValueError(f"{option} {path}: there is no folder {path.parent}")
    except (BoltzaxError, ValueError, codes.MissingCodeError) as error:
        print(error, file=sys.stderr)
        return 2
    use_compilation_cache()
    programs = pipeline.Programs(boltzax.Outputs(), boltzax.Precision(), len(point["m_ncdm"]))
    with progress("report", 2) as tell:
        tell("CLASS (minutes, unless it ran at this point before)", False)
        stages = pipeline.class_run(point, programs)
        tell("boltzax, each stage compiled by itself", True)
        curves = pipeline.compare(point, programs, stages)
        tell("done", True)
    rows = findings(curves)
    plot(curves, rows, options.plot)
    if options.json is not None:
        write_json(options.json, as_dict(rows))
    print(f"{table(rows)}\n\n{verdict(rows)}\nfigure: {options.plot}")
    return 0 if culprit(rows) is None else 1
