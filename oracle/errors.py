"""Errors of a whole result against the reference, on every l, k and z, under one name for each spectrum."""

from collections.abc import Mapping

import numpy as np

from oracle.compare import BANDS, cl_error, prefixed

#: the compared spectra, and how tables call them
LABELS: dict[str, str] = {
    "unlensed_tt": "TT unlensed",
    "unlensed_ee": "EE unlensed",
    "unlensed_te": "TE / sqrt(TT EE) unlensed",
    "lensed_tt": "TT lensed",
    "lensed_ee": "EE lensed",
    "lensed_te": "TE / sqrt(TT EE) lensed",
    "lensed_bb": "BB lensed",
    "lensed_pp": "phiphi",
    "pk": "P(k)",
    "pk_cb": "P(k) of b + cdm",
}
MATTER = ("pk", "pk_cb")


def errors(result: Mapping[str, np.ndarray], reference: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Signed errors of what both sides have: C_l from l = 0 (zero at l = 0, 1), P(k) [z, k].

    Relative; TE relative to sqrt(TT EE). Both in the form of `oracle.reference.spectra`.

    Raises:
        ValueError: P(k) is given at other wave numbers or redshifts than those of the reference.
    """
    found = {}
    for name in LABELS:
        if name not in result or name not in reference:
            continue
        if name in MATTER:
            same = np.allclose(result["k"], reference["k"], rtol=1e-12) and np.array_equal(result["z"], reference["z"])
            if not same:
                raise ValueError("P(k) of both sides must be at the same k and z")
            found[name] = result[name] / reference[name] - 1.0
        else:
            kind, pair = name.split("_")
            found[name] = cl_error(pair, prefixed(result, f"{kind}_"), prefixed(reference, f"{kind}_"))
    return found


def largest(error: np.ndarray, low: int | None = None, high: int | None = None) -> tuple[float, int]:
    """The largest absolute value, and its index, between two indices of the last axis (both included).

    A value that is not finite counts as infinite.
    """
    size = np.where(np.isfinite(error), np.abs(error), np.inf).reshape(-1, error.shape[-1]).max(axis=0)
    low = 0 if low is None else low
    part = size[low : None if high is None else high + 1]
    at = int(np.argmax(part))
    return float(part[at]), low + at


def bands(l_max: int) -> list[tuple[int, int]]:
    """The bands of l, ends included, to l_max."""
    return [(low, min(high - 1, l_max) if high < l_max else l_max) for low, high in BANDS if low < l_max]
