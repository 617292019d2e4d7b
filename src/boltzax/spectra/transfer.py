"""Transfer functions at late times, in the columns of CLASS and of CAMB."""

from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, Float

from boltzax.grids import lagrange_weights, mode_coordinate
from boltzax.sources import LATE
from boltzax.spectra.matter import SPECIES, potential_scale, scale

FORMATS = ("class", "camb")
_POINTS = 6  # modes that the interpolation in k reads


def transfer(results, z, k: Float[Array, " k"] | None, format: str) -> dict[str, Float[Array, " k"]]:
    """Transfer functions at redshift z for a curvature perturbation R = 1, by column.

    Of "class": wavenumber "k (h/Mpc)"; density contrasts in synchronous gauge "d_b", "d_cdm", "d_ncdm" (all massive
    species together; "d_ncdm[0]" if there is one), "d_tot" (all but the cosmological constant); "d_m" and "d_cb" in the
    frame comoving with matter; Newtonian potentials "phi", "psi". Of "camb": "k (h/Mpc)" and -delta/k^2 [Mpc^2] as
    "-T_cdm/k2", "-T_b/k2", "-T_ncdm/k2", and "-T_tot/k2" of matter (b, cdm, ncdm).

    Massive neutrinos are good to 1e-3 of matter's contrast: beyond their free-streaming scale, where theirs is smaller
    than that, it is not resolved at the default precision (n_q).

    k [1/Mpc]; None: the solved modes, where nothing is interpolated. z: one number. Raises OutOfRangeError for k or z
    beyond the solution.
    """
    if format not in FORMATS:
        raise ValueError(f"unknown format '{format}': choose one of {', '.join(FORMATS)}")
    matter, background = results.matter, results.background
    x = background.conformal_time(-jnp.log1p(jnp.asarray(z, float))) / background.tau_0
    k, x = matter.check(matter.k_modes if k is None else jnp.atleast_1d(jnp.asarray(k, float)), x)
    fields = dict(zip(LATE, matter.others(x).reshape(len(LATE), -1), strict=True))
    read = _reader(matter, k)
    columns = {name: read(fields[name], scale if name in _GROWING else potential_scale) for name in LATE}
    columns["psi"] = columns.pop("weyl") - columns["phi"]
    columns |= {f"d_{species}": matter.delta(k, x, species) for species in SPECIES}
    number = background.M_ncdm.shape[0]
    d_ncdm = columns.pop("d_ncdm")
    if number:
        columns["d_ncdm[0]" if number == 1 else "d_ncdm"] = d_ncdm
    k_h = {"k (h/Mpc)": k / results.cosmology.h}
    if format == "class":
        return k_h | columns
    names = {"cdm": "d_cdm", "b": "d_b", "tot": "d_m"}
    out = k_h | {f"-T_{name}/k2": -columns[column] / k**2 for name, column in names.items()}
    return out | ({"-T_ncdm/k2": -d_ncdm / k**2} if number else {})


_GROWING = ("d_b", "d_cdm", "d_ncdm", "d_tot")


def _reader(matter, k) -> Callable:
    """Interpolation from the modes to k: a polynomial through the nearest in `mode_coordinate`, scale taken out."""
    u_modes, u = mode_coordinate(matter.y_modes, jnp), mode_coordinate(matter.y(k), jnp)
    last = u_modes.shape[0] - _POINTS
    first = jnp.clip(jnp.searchsorted(u_modes, u, side="right") - _POINTS // 2, 0, last)
    index = first[:, None] + jnp.arange(_POINTS)
    weight = lagrange_weights(u_modes[index], u, jnp)
    at_modes, at_k = matter.k_modes * matter.tau_0, k * matter.tau_0
    return lambda field, scale: jnp.sum(weight * (field / scale(at_modes))[index], axis=-1) * scale(at_k)
