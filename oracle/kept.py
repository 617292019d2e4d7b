"""Reference runs small enough to commit: spectra as integers, an eighth of a cached run's size.

CLASS at reference settings takes minutes for a point, and every change to boltzax asks for the same points again. So
spectra can be kept here under the same hash of all that decides them as in the cache: logarithms, and C_XY over
sqrt(C_XX C_YY), rounded to `STEP`, as differences of third order, which compress well. What is read back departs by
half a step, far below the 1e-4 of the reference itself. The gate, whose points are drawn afresh, reads none of it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from oracle import reference as ref
from oracle import runs

FOLDER = Path(__file__).resolve().parent / "kept"
STEP = 2.0**-19  # 2e-6
_ORDER = 3


def _auto(name: str) -> bool:
    return name in ("pk", "pk_cb") or (name[-3:-2] == "_" and name[-2] == name[-1])


def _cross(name: str) -> bool:
    return name.startswith(("lensed_", "unlensed_")) and not _auto(name)


def _scale(name: str, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    kind, pair = name.split("_")
    return np.sqrt(arrays[f"{kind}_{pair[0] * 2}"] * arrays[f"{kind}_{pair[1] * 2}"])


def _differences(values: np.ndarray) -> np.ndarray:
    """Rounded values as differences along the last axis; cumulative sums, as often, give them back."""
    steps = np.rint(values / STEP).astype(np.int64)
    for _ in range(_ORDER):
        steps = np.diff(steps, axis=-1, prepend=0)
    return steps.astype(np.int32)


def _sums(steps: np.ndarray) -> np.ndarray:
    steps = steps.astype(np.int64)
    for _ in range(_ORDER):
        steps = np.cumsum(steps, axis=-1)
    return steps * STEP


def pack(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What `oracle.reference.spectra` returns, in small integers; `unpack` turns them back.

    Raises:
        ValueError: a spectrum that must be positive is not.
    """
    packed = dict(arrays)
    with np.errstate(divide="ignore", invalid="ignore"):
        for name in filter(_auto, arrays):
            packed[name] = np.log(arrays[name])
        for name in filter(_cross, arrays):
            packed[name] = arrays[name] / _scale(name, arrays)
    for name in filter(lambda name: _auto(name) or _cross(name), arrays):
        values = packed[name] if name.startswith("pk") else packed[name][2:]  # C_l begin at l = 2
        if not np.all(np.isfinite(values)):
            raise ValueError(f"{name} cannot be kept: a power spectrum in it is not positive")
        packed[name] = _differences(values)
    return packed


def unpack(packed: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What `pack` was given, to half a STEP."""
    arrays = dict(packed)
    for name in filter(_auto, packed):
        values = np.exp(_sums(packed[name]))
        arrays[name] = values if name.startswith("pk") else np.pad(values, (2, 0))
    for name in filter(_cross, packed):
        arrays[name] = np.pad(_sums(packed[name]), (2, 0)) * _scale(name, arrays)
    return arrays


def load(settings: Mapping[str, Any]) -> dict[str, np.ndarray] | None:
    """The kept spectra of these CLASS settings; None where there are none.

    Raises:
        ReferenceError: the file is damaged.
    """
    path = runs.cache_path("spectra", dict(settings), FOLDER)
    return unpack(runs.load_run(path)) if path.exists() else None


def save(settings: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    """Keeps the spectra of these CLASS settings."""
    path = runs.cache_path("spectra", dict(settings), FOLDER)
    runs.save_run(path, "spectra", dict(settings), pack(arrays), runs.class_version())


def spectra(settings: Mapping[str, Any], keep: bool) -> dict[str, np.ndarray]:
    """`oracle.reference.spectra` of these settings: kept, from the cache, or computed; with `keep` it is kept now."""
    found = load(settings)
    if found is None:
        found = runs.cached("spectra", dict(settings), ref.spectra)
        if keep:
            save(settings, found)
    return found
