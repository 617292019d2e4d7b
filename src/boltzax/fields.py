"""Where the number behind a parameter's name stands in a Cosmology and in the species that it holds."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import equinox as eqx
from jaxtyping import Array

from boltzax import isocurvature
from boltzax.cosmology import Cosmology
from boltzax.errors import ConflictingParametersError, MissingParameterError, UnknownParameterError

# fields of Cosmology that no perturbation depends on
PRIMORDIAL = ("ln_A_s_1e10", "n_s", "alpha_s", "beta_s", "k_pivot", "r", "n_t", "alpha_t", "A_lens")


class Field(NamedTuple):
    """A number of a Cosmology: its value (None: it follows from the others), and how to reach it in any Cosmology."""

    value: Array | None
    where: Callable[[Cosmology], Any]
    primordial: bool


def locate(cosmo: Cosmology, name: str) -> Field:
    """The number that `name` stands for: a field of Cosmology, of an isocurvature mode under CLASS's name (f_cdi), of
    one of its fluids (fde_zc), or of its primordial_spectrum or w_fld.

    Raises UnknownParameterError for another name, MissingParameterError for one that follows from the others,
    ConflictingParametersError for one that two objects have.
    """
    found = [field for candidate, field in _fields(cosmo) if candidate == name]
    if not found:
        raise UnknownParameterError.from_name(name, [candidate for candidate, _ in _fields(cosmo)])
    if len(found) > 1:
        raise ConflictingParametersError(f"{len(found)} species of this cosmology have a parameter {name}")
    if found[0].value is None:
        raise MissingParameterError(f"{name} is not a parameter of this cosmology: it follows from the others")
    return found[0]


def numbers(cosmo: Cosmology) -> tuple[str, ...]:
    """The names of all numbers that `locate` finds: what `boltzax.jacobian` can differentiate by."""
    return tuple(name for name, field in _fields(cosmo) if field.value is not None)


def _fields(cosmo: Cosmology) -> Iterator[tuple[str, Field]]:
    for name, value in vars(cosmo).items():
        if value is None or eqx.is_array(value):
            yield name, Field(value, lambda c, name=name: getattr(c, name), name in PRIMORDIAL)
    for i, mode in enumerate(cosmo.isocurvature):
        for name, (argument, kind) in isocurvature.FLAT.items():
            if kind == mode.kind:
                where = lambda c, i=i, argument=argument: getattr(c.isocurvature[i], argument)
                yield name, Field(where(cosmo), where, True)
    parts = [lambda c, i=i: c.fluids[i] for i in range(len(cosmo.fluids))]
    for part in (*parts, lambda c: c.w_fld, lambda c: c.primordial_spectrum):
        if isinstance(part(cosmo), eqx.Module):
            for name, value in vars(part(cosmo)).items():
                if eqx.is_inexact_array(value):
                    where = lambda c, part=part, name=name: getattr(part(c), name)
                    yield name, Field(value, where, part(cosmo) is cosmo.primordial_spectrum)
