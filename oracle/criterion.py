"""Criteria of the gate: TOML files, read and checked.

name = "permille"
description = "one line"
points = 4                  # drawn afresh from the prior
l_min = 2
l_max = 3000
reference_hash = "..."      # of the reference recipe the criterion was written for; another one is refused

[tolerance]                 # largest error over l (k, z) at any point, for each spectrum that counts
lensed_tt = 1e-3            # unlensed_ or lensed_ tt, ee, te; lensed_bb, lensed_pp; pk, pk_cb

[derivatives]               # may be left out
tolerance = 1e-4            # largest error against converged finite differences
parameters = ["h", "omega_b"]

[speed]                     # may be left out
ratio = 0.5                 # wall time over that of CLASS at its defaults
"""

import difflib
import hashlib
import math
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oracle.errors import LABELS
from oracle.experiment import PARAMETERS


class CriterionError(ValueError):
    """A criterion cannot be read, or does not say what it must."""


@dataclass(frozen=True)
class Criterion:
    """What is to hold; hash: of the file's content."""

    name: str
    description: str
    points: int
    l_min: int
    l_max: int
    tolerance: Mapping[str, float]
    derivatives: float | None
    parameters: tuple[str, ...]
    speed: float | None
    reference_hash: str | None
    hash: str


def load(path: Path) -> Criterion:
    """Reads a criterion.

    Raises:
        CriterionError: the file cannot be read, is no TOML, names something unknown or lacks something.
    """
    try:
        content = path.read_bytes()
        table = tomllib.loads(content.decode())
    except OSError as error:
        raise CriterionError(f"cannot read criterion {str(path)!r}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CriterionError(f"criterion {str(path)!r} is not TOML: {error}") from error
    try:
        return _criterion(table, path.stem, hashlib.sha256(content).hexdigest())
    except CriterionError as error:
        raise CriterionError(f"criterion {str(path)!r}: {error}") from None


def _criterion(table: dict[str, Any], stem: str, digest: str) -> Criterion:
    keys = ("name", "description", "points", "l_min", "l_max", "reference_hash", "tolerance", "derivatives", "speed")
    _known(table, keys, "entry")
    tolerance = _table(table, "tolerance")
    _known(tolerance, LABELS, "spectrum")
    derivatives, speed = _table(table, "derivatives"), _table(table, "speed")
    _known(derivatives, ("tolerance", "parameters"), "entry of derivatives")
    _known(speed, ("ratio",), "entry of speed")
    parameters = derivatives.get("parameters", list(PARAMETERS) if derivatives else [])
    if not isinstance(parameters, list) or not all(isinstance(name, str) for name in parameters):
        raise CriterionError("parameters of derivatives must be a list of names")
    _known(parameters, PARAMETERS, "parameter")
    points = _integer(table, "points", 0 if not tolerance else 1)
    if not (tolerance or derivatives or speed):
        raise CriterionError("it requires nothing: give tolerance, derivatives or speed")
    l_min, l_max = _integer(table, "l_min", 2, 2), _integer(table, "l_max", 2, 3000)
    if not l_min < l_max <= 6000:
        raise CriterionError(f"l_max must lie between l_min and 6000, not be {l_max}")
    return Criterion(
        name=str(table.get("name", stem)),
        description=str(table.get("description", "")),
        points=points,
        l_min=l_min,
        l_max=l_max,
        tolerance={name: _bound(tolerance, name) for name in tolerance},
        derivatives=_bound(derivatives, "tolerance") if derivatives else None,
        parameters=tuple(parameters),
        speed=_bound(speed, "ratio") if speed else None,
        reference_hash=str(table["reference_hash"]) if "reference_hash" in table else None,
        hash=digest,
    )


def _table(table: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = table.get(name, {})
    if not isinstance(value, dict):
        raise CriterionError(f"{name} must be a table")
    return value


def _known(names: Iterable[str], known: Iterable[str], what: str) -> None:
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, list(known), n=1)
            advice = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
            raise CriterionError(f"unknown {what} {name!r}: {advice}")


def _integer(table: Mapping[str, Any], name: str, least: int, default: int | None = None) -> int:
    value = table.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise CriterionError(f"{name} must be an integer of at least {least}, not {value!r}")
    return value


def _bound(table: Mapping[str, Any], name: str) -> float:
    value = table.get(name)
    if not isinstance(value, int | float) or isinstance(value, bool) or not (math.isfinite(value) and value > 0.0):
        raise CriterionError(f"{name} must be a positive number, not {value!r}")
    return float(value)
