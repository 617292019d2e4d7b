"""Short texts for objects that hold many numbers: names, values and units, on one screen."""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import equinox as eqx
import jax
import numpy as np

from boltzax.errors import is_traced

_MANY = 4  # an array of more numbers is told by its shape
_LINE = 110

#: units of derived parameters
UNITS = {
    "H0": "km/s/Mpc",
    "age": "Gyr",
    "tau_0": "Mpc",
    "tau_rec": "Mpc",
    "rs_rec": "Mpc",
    "rs_drag": "Mpc",
    "rs_star": "Mpc",
}


def is_concrete(value: Any) -> bool:
    """Whether it is an array of numbers, neither traced nor a mere shape."""
    return isinstance(value, (np.ndarray, np.generic, jax.Array)) and not is_traced(value)


def quantity(value: Any, unit: str = "") -> str:
    """A number or a few as text with their unit; larger arrays, traced and abstract values by type and shape."""
    if value is None or isinstance(value, str):
        return str(value)
    if isinstance(value, (bool, int, float)):
        text = f"{value:.6g}"
    elif not is_concrete(value):
        shape = getattr(value, "shape", None)
        text = str(value) if shape is None else f"{value.dtype}[{','.join(map(str, shape))}]"
        text = text if len(text) <= _LINE and "\n" not in text else type(value).__name__
    elif np.ndim(value) == 0:
        text = f"{np.asarray(value)[()]:.6g}"
    elif np.ndim(value) == 1 and np.size(value) <= _MANY:
        text = "(" + ", ".join(f"{v:.6g}" for v in np.asarray(value)) + (",)" if np.size(value) == 1 else ")")
    else:
        text = f"array {tuple(np.shape(value))}"
    return f"{text} {unit}".rstrip()


def fields(module: Any) -> Iterator[tuple[str, Any]]:
    """Names and values of a module's fields, without those that are None or empty."""
    for field in dataclasses.fields(module):
        value = getattr(module, field.name)
        if value is not None and not (isinstance(value, tuple) and not value):
            yield field.name, value


def listed(module: Any, names: Iterable[str], units: Mapping[str, str]) -> str:
    """Some fields of a module in one line; those that are not there are left out."""
    present = dict(fields(module))
    return ", ".join(f"{name} = {quantity(present[name], units.get(name, ''))}" for name in names if name in present)


def brief(value: Any, unit: str = "") -> str:
    """One line for a field: what its type says of itself in `_brief`, the type and size of others, or the quantity."""
    if hasattr(type(value), "_brief"):
        return value._brief()
    if isinstance(value, (eqx.Module, tuple, dict)):
        count = sum(int(np.prod(np.shape(leaf))) for leaf in jax.tree.leaves(value))
        return f"{type(value).__name__} of {count} numbers"
    return quantity(value, unit)


def block(module: Any, units: Mapping[str, str]) -> str:
    """The fields of a module, one on a line, with their units."""
    rows = [f"  {name} = {brief(value, units.get(name, ''))}," for name, value in fields(module)]
    return "\n".join([f"{type(module).__name__}(", *rows, ")"])
