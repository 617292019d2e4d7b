"""Isocurvature: entropy perturbations of one species against photons, alone or correlated with the adiabatic mode.

Bucher, Moodley & Turok (2000, arXiv:astro-ph/9904231). The initial conditions: `boltzax.perturbations.initial`.
"""

from collections.abc import Iterable
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from boltzax.errors import (
    ConflictingParametersError,
    NotImplementedParameterError,
    ParameterRangeError,
    is_traced,
)

KINDS = {
    "cdi": "cold dark matter density",
    "bi": "baryon density",
    "nid": "neutrino density",
    "niv": "neutrino velocity",
}


class Isocurvature(eqx.Module):
    """One isocurvature mode, with CLASS's parameters f_X, n_X, alpha_X, c_ad_X and n_ad_X for X = kind.

    Its spectrum is A_s f^2 (k/k_pivot)^(n - 1 + alpha/2 ln(k/k_pivot)); that of its correlation with the adiabatic mode
    c_ad (k/k_pivot)^n_ad times the root of the product of both. kind: "cdi", "bi", "nid" or "niv". Without c_ad there
    is no correlation.

    Raises ParameterRangeError for another kind, or a c_ad outside [-1, 1].
    """

    kind: str = eqx.field(static=True)
    f: Float[Array, ""]
    n: Float[Array, ""]
    alpha: Float[Array, ""]
    c_ad: Float[Array, ""] | None
    n_ad: Float[Array, ""]

    def __init__(self, kind: str, f: Any = 1.0, n: Any = 1.0, alpha: Any = 0.0, c_ad: Any = None, n_ad: Any = 0.0):
        if kind not in KINDS:
            raise ParameterRangeError(f"isocurvature must be one of {', '.join(KINDS)}, not {kind!r}")
        if c_ad is not None and not is_traced(c_ad) and not abs(float(c_ad)) <= 1.0:
            raise ParameterRangeError(f"c_ad_{kind} = {float(c_ad):g} must lie between -1 and 1")
        self.kind = kind
        self.f, self.n, self.alpha, self.n_ad = (jnp.asarray(v, dtype=jnp.float64) for v in (f, n, alpha, n_ad))
        self.c_ad = None if c_ad is None else jnp.asarray(c_ad, dtype=jnp.float64)

    def power(self, k: Float[Array, "*s"], amplitude: Float[Array, ""]) -> Float[Array, "*s"]:
        """Dimensionless power spectrum of the entropy perturbation, k in units of k_pivot; amplitude: A_s."""
        ln_k = jnp.log(k)
        return amplitude * self.f**2 * jnp.exp((self.n - 1.0 + 0.5 * self.alpha * ln_k) * ln_k)

    def cross(self, k: Float[Array, "*s"], amplitude, curvature: Float[Array, "*s"]) -> Float[Array, "*s"]:
        """The same of the cross spectrum with the curvature perturbation, whose power is `curvature`."""
        ln_k = jnp.log(k)
        # the root of f^2 is written out, so that derivatives at f = 0 are finite
        root = jnp.sqrt(amplitude * curvature) * self.f * jnp.exp(0.5 * (self.n - 1.0 + 0.5 * self.alpha * ln_k) * ln_k)
        return self.c_ad * jnp.exp(self.n_ad * ln_k) * root

    def settings(self) -> dict[str, float]:
        """The parameters under CLASS's names."""
        names = {f"f_{self.kind}": self.f, f"n_{self.kind}": self.n, f"alpha_{self.kind}": self.alpha}
        if self.c_ad is not None:
            names |= {f"c_ad_{self.kind}": self.c_ad, f"n_ad_{self.kind}": self.n_ad}
        return {name: float(value) for name, value in names.items()}


#: CLASS's names: of the argument of `Isocurvature`, and of the kind
FLAT = {
    name.format(kind): (argument, kind)
    for kind in KINDS
    for name, argument in (
        ("f_{}", "f"), ("n_{}", "n"), ("alpha_{}", "alpha"), ("c_ad_{}", "c_ad"), ("n_ad_{}", "n_ad"),
    )
}  # fmt: skip


def changed(modes: tuple[Isocurvature, ...], flat: dict[str, Any]) -> tuple[Isocurvature, ...]:
    """The modes with what CLASS's names in `flat` say changed or added, in the order of `KINDS`."""
    found = {mode.kind: mode for mode in modes}
    for kind in KINDS:
        arguments = {FLAT[name][0]: value for name, value in flat.items() if FLAT[name][1] == kind}
        if arguments:
            old = (
                {name: getattr(found[kind], name) for name in ("f", "n", "alpha", "c_ad", "n_ad")}
                if kind in found
                else {}
            )
            found[kind] = Isocurvature(kind, **old | arguments)
    return tuple(found[kind] for kind in KINDS if kind in found)


def combine(modes: Iterable[Isocurvature], flat: dict[str, Any], fluids: tuple) -> tuple[Isocurvature, ...]:
    """The isocurvature modes of a cosmology, from objects and from CLASS's names.

    Raises ConflictingParametersError for a mode given twice, NotImplementedParameterError with `fluids`: their initial
    conditions are adiabatic.
    """
    modes = tuple(modes)
    kinds = [mode.kind for mode in modes] + sorted({FLAT[name][1] for name in flat})
    twice = next((kind for kind in kinds if kinds.count(kind) > 1), None)
    if twice:
        raise ConflictingParametersError(f"isocurvature '{twice}' is given twice: give one object, or f_{twice} etc.")
    if kinds and fluids:
        raise NotImplementedParameterError("isocurvature and fluids cannot be given together: fluids start adiabatic")
    return changed(modes, flat)
