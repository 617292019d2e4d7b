"""Finished runs of CLASS and CAMB, kept under a hash of everything that decides them."""

import hashlib
import json
import os
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from oracle.files import save_npz


class ReferenceError(RuntimeError):
    """A committed reference table is missing, or its content does not match the manifest."""


def class_version() -> str:
    """The version of the installed classy."""
    import classy

    return str(classy.__version__)


def default_cache() -> Path:
    """The user's cache folder for finished runs (BOLTZAX_ORACLE_CACHE moves it)."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("BOLTZAX_ORACLE_CACHE") or Path(base) / "boltzax" / "oracle")


def settings_hash(kind: str, settings: dict[str, Any], version: str) -> str:
    """A hash of everything that decides a run: its kind, the CLASS version, every setting and parameter."""
    text = json.dumps([kind, version, settings], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def cache_path(kind: str, settings: dict[str, Any], cache: Path | None = None, version: str | None = None) -> Path:
    """Where the cache keeps a run (version: of the code that runs, classy's unless given)."""
    return (cache or default_cache()) / f"{kind}_{settings_hash(kind, settings, version or class_version())}.npz"


_PROVENANCE = "provenance"  # the entry of a cached file that says what made it, with a hash of everything else


def content_hash(arrays: Mapping[str, np.ndarray]) -> str:
    """The hex sha256 of names, types, shapes and values."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype.str} {array.shape} ".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def load_run(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a file that `save_run` wrote.

    Raises:
        ReferenceError: the file cannot be read, or is not what was written.
    """
    try:
        with np.load(path) as data:
            arrays = {name: data[name] for name in data.files}
        provenance = json.loads(str(arrays.pop(_PROVENANCE)))
    except Exception as error:
        raise ReferenceError(f"{path} cannot be read ({error}); delete it and it is computed again") from error
    if content_hash(arrays) != provenance["sha256"]:
        raise ReferenceError(f"{path} was changed or damaged since it was written; delete it and it is computed again")
    return arrays


def cached(
    kind: str,
    settings: dict[str, Any],
    compute: Callable[[dict[str, Any]], dict[str, np.ndarray]],
    cache: Path | None = None,
    version: str | None = None,
) -> dict[str, np.ndarray]:
    """compute(settings) from the cache, which is filled first where it has nothing whole.

    A file says what made it (kind, version, every setting, so gauge and recombination too) and holds a hash of its
    content, which is checked whenever it is read; what fails is computed again.
    """
    version = version or class_version()
    path = cache_path(kind, settings, cache, version)
    if path.exists():
        try:
            return load_run(path)
        except ReferenceError as error:
            warnings.warn(f"{error}: computing it now", stacklevel=2)
    arrays = compute(settings)
    save_run(path, kind, settings, arrays, version)
    return arrays


def save_run(path: Path, kind: str, settings: dict[str, Any], arrays: Mapping[str, np.ndarray], version: str) -> None:
    """Writes a run with what made it; `load_run` reads it."""
    made_by = {"kind": kind, "version": version, "settings": settings, "sha256": content_hash(arrays)}
    save_npz(path, {**arrays, _PROVENANCE: np.array(json.dumps(made_by, default=str))})
