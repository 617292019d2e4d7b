"""Reference runs small enough to commit: spectra as integers, an eighth of a cached run's size.

CLASS at reference settings takes minutes for a point, and every change to boltzax asks for the same points again. So
spectra can be kept here under the same hash of all that decides them as in the cache: logarithms, and C_XY over
sqrt(C_XX C_YY), rounded to `STEP`, as differences of third order, which compress well. What is read back departs by
half a step, far below the 1e-4 of the reference itself. The gate, whose points are drawn afresh, reads none of it.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from oracle import codes, runs
from oracle import reference as ref

FOLDER = Path(__file__).resolve().parent / "kept"
STEP = 2.0**-19  # 2e-6
_ORDER = 3


def is_auto(name: str) -> bool:
    """Whether it is the name of a spectrum of one quantity with itself."""
    return name in ("pk", "pk_cb") or (name[-3:-2] == "_" and name[-2] == name[-1])


def _cross(name: str) -> bool:
    return name.startswith(("lensed_", "unlensed_")) and not is_auto(name)


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
        for name in filter(is_auto, arrays):
            packed[name] = np.log(arrays[name])
        for name in filter(_cross, arrays):
            packed[name] = arrays[name] / _scale(name, arrays)
    for name in filter(lambda name: is_auto(name) or _cross(name), arrays):
        values = packed[name] if name.startswith("pk") else packed[name][2:]  # C_l begin at l = 2
        if not np.all(np.isfinite(values)):
            raise ValueError(f"{name} cannot be kept: a power spectrum in it is not positive")
        packed[name] = _differences(values)
    return packed


def unpack(packed: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What `pack` was given, to half a STEP."""
    arrays = dict(packed)
    for name in filter(is_auto, packed):
        values = np.exp(_sums(packed[name]))
        arrays[name] = values if name.startswith("pk") else np.pad(values, (2, 0))
    for name in filter(_cross, packed):
        arrays[name] = np.pad(_sums(packed[name]), (2, 0)) * _scale(name, arrays)
    return arrays


class Code(NamedTuple):
    """A code whose runs are kept: the kind of its runs in the cache, its version, and what computes its spectra."""

    kind: str
    version: Callable[[], str]
    compute: Callable[[dict[str, Any]], dict[str, np.ndarray]]


CLASS = Code("spectra", lambda: runs.class_version(), ref.spectra)  # looked up when called: tests replace it
CAMB = Code("camb", codes.camb_version, codes.camb_spectra)


def _path(settings: Mapping[str, Any], code: Code) -> Path:
    return runs.cache_path(code.kind, dict(settings), FOLDER, code.version())


def load(settings: Mapping[str, Any], code: Code = CLASS) -> dict[str, np.ndarray] | None:
    """The kept spectra of these settings; None where there are none.

    Raises:
        ReferenceError: the file is damaged.
    """
    path = _path(settings, code)
    return unpack(runs.load_run(path)) if path.exists() else None


def save(settings: Mapping[str, Any], arrays: Mapping[str, np.ndarray], code: Code = CLASS) -> None:
    """Keeps the spectra of these settings."""
    runs.save_run(_path(settings, code), code.kind, dict(settings), pack(arrays), code.version())


def spectra(settings: Mapping[str, Any], keep: bool, code: Code = CLASS) -> dict[str, np.ndarray]:
    """The code's spectra of these settings: kept, from the cache, or computed; with `keep` they are kept now."""
    found = load(settings, code)
    if found is None:
        found = runs.cached(code.kind, dict(settings), code.compute, version=code.version())
        if keep:
            save(settings, found, code)
    return found
