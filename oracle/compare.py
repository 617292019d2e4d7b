"""Error measures on every l and every k: relative for TT, EE, BB, phiphi and P(k); TE over sqrt(TT EE)."""

from collections.abc import Mapping
from typing import Any

import numpy as np

BANDS: tuple[tuple[int, int], ...] = ((2, 30), (30, 500), (500, 2000), (2000, 2500), (2500, 3000))
_NORMS = {"te": ("tt", "ee"), "tp": ("tt", "pp"), "ep": ("ee", "pp")}


def cl_error(name: str, cl: Mapping[str, np.ndarray], reference: Mapping[str, np.ndarray]) -> np.ndarray:
    """Error of one spectrum on every l; entries for l = 0, 1 are zero.

    Auto spectra: C / C_ref - 1; cross spectra XY: (C - C_ref) / sqrt(C_ref^XX C_ref^YY).

    Args:
        name: tt, te, ee, bb, pp, tp or ep.
        cl: arrays from l = 0; the longer of cl and reference is cut.
        reference: the same, trusted.
    """
    n = min(len(cl[name]), len(reference[name]))
    now, ref = np.asarray(cl[name])[:n], np.asarray(reference[name])[:n]
    error = np.zeros(n)
    if name in _NORMS:
        x, y = (np.asarray(reference[s])[:n] for s in _NORMS[name])
        error[2:] = (now - ref)[2:] / np.sqrt(x * y)[2:]
    else:
        error[2:] = now[2:] / ref[2:] - 1.0
    return error


def _summary(error: np.ndarray, position: np.ndarray) -> dict[str, float]:
    worst = int(np.argmax(np.where(np.isfinite(error), np.abs(error), np.inf)))
    return {
        "max": float(np.abs(error[worst])),
        "rms": float(np.sqrt(np.mean(error**2))),
        "mean": float(np.mean(error)),
        "at": float(position[worst]),
    }


def in_bands(error: np.ndarray, l_max: int, bands: tuple[tuple[int, int], ...] = BANDS) -> dict[str, dict[str, float]]:
    """Max, rms, mean and place of the max in each band (lower end included) that starts below l_max, and in total.

    Args:
        error: error on every l from l = 0.
        l_max: last l that counts; the last band includes it.
    """
    ell = np.arange(len(error))
    l_max = min(l_max, len(error) - 1)
    report = {}
    for low, high in bands:
        inside = (ell >= low) & (ell < high) if high < l_max else (ell >= low) & (ell <= min(high, l_max))
        if low < l_max:
            report[f"{low}-{min(high, l_max)}"] = _summary(error[inside], ell[inside])
    every = (ell >= 2) & (ell <= l_max)
    report["total"] = _summary(error[every], ell[every])
    return report


def compare_cl(
    cl: Mapping[str, np.ndarray],
    reference: Mapping[str, np.ndarray],
    l_max: int = 2500,
    names: tuple[str, ...] = ("tt", "ee", "te", "bb", "pp"),
) -> dict[str, dict[str, dict[str, float]]]:
    """Errors of every spectrum that both sides have: {spectrum: {band or "total": {max, rms, mean, at}}}."""
    present = [name for name in names if name in cl and name in reference]
    return {name: in_bands(cl_error(name, cl, reference), l_max) for name in present}


def compare_values(value: np.ndarray, reference: np.ndarray, position: np.ndarray) -> dict[str, float]:
    """Max, rms, mean and place of the max of value / reference - 1 (P(k) over k, x_e over z, ...)."""
    return _summary((np.asarray(value) / np.asarray(reference) - 1.0).ravel(), np.asarray(position).ravel())


def prefixed(arrays: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    """The entries of a flat table that carry a prefix such as "lensed_", without it."""
    return {name.removeprefix(prefix): values for name, values in arrays.items() if name.startswith(prefix)}


def compare_spectra(result: Mapping[str, np.ndarray], reference: Mapping[str, np.ndarray], l_max: int = 2500) -> dict:
    """Errors of a whole result in the flat form of `oracle.reference.spectra`.

    Returns:
        {"lensed": ..., "unlensed": ... (see compare_cl), "pk": {"z=0": {...}, ...}, "pk_cb": ...}; P(k) at the same k.
    """
    report: dict[str, Any] = {
        "lensed": compare_cl(prefixed(result, "lensed_"), prefixed(reference, "lensed_"), l_max),
        "unlensed": compare_cl(
            prefixed(result, "unlensed_"), prefixed(reference, "unlensed_"), l_max, ("tt", "ee", "te")
        ),
    }
    for name in ("pk", "pk_cb"):
        if name in result and name in reference:
            rows = zip(reference["z"], result[name], reference[name], strict=True)
            report[name] = {f"z={z:g}": compare_values(now, ref, reference["k"]) for z, now, ref in rows}
    return report


def table(report: Mapping[str, Any]) -> str:
    """A text table of a report of `compare_spectra`: max/rms in units of 1e-4 by spectrum and band."""
    lines = []
    for kind in ("lensed", "unlensed"):
        bands = list(next(iter(report[kind].values()))) if report.get(kind) else []
        lines.append(f"{kind:9s}" + "".join(f"{band:>16s}" for band in bands) + "   [1e-4: max/rms]")
        for name, rows in report.get(kind, {}).items():
            cells = (f"{1e4 * rows[band]['max']:.2f}/{1e4 * rows[band]['rms']:.2f}" for band in bands)
            lines.append(f"{name:9s}" + "".join(f"{cell:>16s}" for cell in cells))
    for name in ("pk", "pk_cb"):
        for z, row in report.get(name, {}).items():
            lines.append(f"{name:6s} {z:5s} {1e4 * row['max']:.2f}/{1e4 * row['rms']:.2f} (max at k = {row['at']:.3g})")
    return "\n".join(lines)


def print_table(report: Mapping[str, Any]) -> None:
    """Prints `table(report)`."""
    print(table(report))
