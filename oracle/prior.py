"""The broad prior of parameters from which sweep and gate draw their points."""

import math
import secrets
from collections.abc import Mapping
from typing import Any

import numpy as np

# Uniform in each; the neutrino masses [eV] are drawn as a sum.
RANGES: dict[str, tuple[float, float]] = {
    "h": (0.55, 0.85),
    "omega_b": (0.018, 0.027),
    "omega_cdm": (0.09, 0.15),
    "n_s": (0.88, 1.05),
    "ln_A_s_1e10": (2.7, 3.4),
    "tau_reio": (0.02, 0.12),
    "sum_m_ncdm": (0.0, 0.6),
    "N_eff": (2.0, 4.5),
}
T_NCDM = 0.71611  # temperature of a massive species over that of the CMB
PER_SPECIES = (T_NCDM * (11.0 / 4.0) ** (1.0 / 3.0)) ** 4  # what it adds to N_eff


def draw(index: int, seed: int) -> dict[str, Any]:
    """Point number `index` of a seed, as keyword arguments of `boltzax.Cosmology`; it depends on nothing else.

    One massive species, or three of equal mass: evenly, where N_eff leaves room for three at the standard temperature,
    always one elsewhere. Massless neutrinos make up the rest of N_eff; helium comes from nucleosynthesis.
    """
    rng = np.random.default_rng([seed, index])
    values = {name: float(rng.uniform(low, high)) for name, (low, high) in RANGES.items()}
    n = 3 if rng.uniform() < 0.5 and values["N_eff"] > 3.0 * PER_SPECIES else 1
    total, N_eff = values.pop("sum_m_ncdm"), values.pop("N_eff")
    return values | {
        "m_ncdm": (total / n,) * n,
        "N_ur": N_eff - n * PER_SPECIES,
        "T_ncdm": T_NCDM,
        "YHe": "BBN",
    }


def massless(point: dict[str, Any]) -> dict[str, Any]:
    """The point with massless neutrinos alone, at the same N_eff."""
    return point | {"m_ncdm": (), "N_ur": point["N_ur"] + PER_SPECIES * len(point["m_ncdm"])}


def plain(point: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a point that is LCDM."""
    return {name: point[name] for name in (*RANGES, "m_ncdm", "N_ur", "T_ncdm", "YHe") if name in point}


def fresh_seed() -> int:
    """A seed from the system's entropy."""
    return secrets.randbits(63)


def describe(point: dict[str, Any]) -> str:
    """A point in one line."""
    total, n = math.fsum(point["m_ncdm"]), len(point["m_ncdm"])
    parts = [f"{name} {point[name]:.4g}" for name in RANGES if name in point]
    parts += [f"{n} neutrino{'s' if n > 1 else ''} of {total:.3g} eV in sum", f"N_ur {point['N_ur']:.3g}"]
    return ", ".join(parts)
