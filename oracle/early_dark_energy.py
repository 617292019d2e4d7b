"""Early dark energy at random points, against CAMB, as CLASS has none.

CAMB's recombination departs from that of boltzax and CLASS by 1e-3 in x_e, even with RECFAST in all of them (5e-4 in TT
and 7e-4 in EE at l > 1500), and its C_l by some 1e-3 at l < 30. Therefore boltzax takes CAMB's free electrons, and what
is compared is what early dark energy does to the spectra.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from oracle import codes, kept, prior

#: CAMB takes N_eff = 3.044 in the time at z_c, and it alone: other neutrinos move its EE by 1.6e-3 (N_eff = 2.4)
N_EFF = 3.044


def draw(rng: np.random.Generator) -> dict[str, float]:
    """Its parameters, from far before to a little after equality."""
    z_c = float(np.exp(rng.uniform(np.log(1e3), np.log(3e4))))
    found = {name: float(rng.uniform(*ends)) for name, ends in (("fde_zc", (0.0, 0.15)), ("theta_i", (0.5, 3.0)))}
    return found | {"z_c": z_c}


def without(point: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of `boltzax.Cosmology` at a point without early dark energy."""
    N_ur = N_EFF - prior.PER_SPECIES * len(point["m_ncdm"])
    return prior.plain(point) | {"N_ur": N_ur, "recombination": "recfast"}


def build(point: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of `boltzax.Cosmology` at a point."""
    from boltzax.fluids import EarlyDarkEnergy

    return without(point) | {"fluids": (EarlyDarkEnergy(point["fde_zc"], point["z_c"], point["theta_i"]),)}


def camb(point: Mapping[str, Any]) -> dict[str, float]:
    """What CAMB's AxionEffectiveFluid is given."""
    return {"w_n": 0.5, "fde_zc": point["fde_zc"], "zc": point["z_c"], "theta_i": point["theta_i"]}


def solve(point: Mapping[str, Any], settings: Mapping[str, Any], l_max: int) -> codes.Flat:
    """boltzax at a point of `build` or `without`, with the free electrons of CAMB at these settings of it."""
    from oracle import feeding

    return codes.flatten(feeding.solve_with_electrons(point, l_max, lambda z: codes.camb_electrons(settings, z)))


def compared(point: Mapping[str, Any], l_max: int, keep: bool) -> tuple[codes.Flat, codes.Flat]:
    """Spectra of boltzax with early dark energy, and those without times what CAMB says that it does to them.

    TE goes by its correlation.
    """
    plain = without(point)
    given = codes.camb_raised(plain, l_max, camb(point))
    absent = given | {"early": None}
    ours, base = solve(build(point), given, l_max), solve(plain, absent, l_max)
    theirs, their_base = (kept.spectra(settings, keep, kept.CAMB) for settings in (given, absent))
    with np.errstate(invalid="ignore"):  # l = 0 and 1
        expected = {q: base[q] * theirs[q] / their_base[q] for q in theirs if kept.is_auto(q)}
        scale = lambda x: np.sqrt(x["lensed_tt"] * x["lensed_ee"])
        correlation = sum(sign * x["lensed_te"] / scale(x) for sign, x in ((1, base), (1, theirs), (-1, their_base)))
    return ours, expected | {"lensed_te": correlation * scale(expected), "k": base["k"], "z": base["z"]}
