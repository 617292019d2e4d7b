"""Container of angular power spectra."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from boltzax.show import block, fields, is_concrete

_SHOWN = (2, 10, 100, 500, 1000, 2000)


class AngularSpectra(eqx.Module):
    """Dimensionless C_l, arrays over ell = 0..l_max (zero at l = 0, 1).

    tt, te, ee, bb: CMB temperature and polarisation; pp, tp, ep: lensing potential phi and its correlations. T_cmb [K]
    serves the conversion of units. unit: "C_l", or the unit of the band powers that `D_l` returned.
    """

    ell: Float[Array, " l"]
    tt: Float[Array, " l"]
    te: Float[Array, " l"]
    ee: Float[Array, " l"]
    bb: Float[Array, " l"]
    pp: Float[Array, " l"]
    tp: Float[Array, " l"]
    ep: Float[Array, " l"]
    T_cmb: Float[Array, ""]
    unit: str = eqx.field(static=True, default="C_l")

    def D_l(self, unit: str = "muK2") -> "AngularSpectra":
        """Band powers: l(l+1) C_l / 2 pi of tt, te, ee, bb in `unit`, [l(l+1)]^2 C_l / 2 pi of pp (dimensionless).

        tp and ep are [l(l+1)]^(3/2) C_l / 2 pi in the square root of `unit`. unit: "muK2", "K2" or "1" (dimensionless).
        Raises ValueError for another unit.
        """
        units = {"muK2": 1e6 * self.T_cmb, "K2": self.T_cmb, "1": jnp.ones(())}
        if unit not in units:
            raise ValueError(f"unknown unit '{unit}': choose one of {', '.join(units)}")
        t = units[unit]
        l2 = self.ell * (self.ell + 1.0)
        cmb, cross, lens = t**2 * l2 / (2 * jnp.pi), t * l2**1.5 / (2 * jnp.pi), l2**2 / (2 * jnp.pi)
        return AngularSpectra(
            self.ell,
            *(cmb * c for c in (self.tt, self.te, self.ee, self.bb)),
            lens * self.pp,
            cross * self.tp,
            cross * self.ep,
            self.T_cmb,
            unit,
        )

    def __repr__(self) -> str:
        names = self._names()
        if not all(is_concrete(v) and v.ndim == 1 for v in (self.ell, *(getattr(self, name) for name in names))):
            return block(self, {"T_cmb": "K"})
        last = self.ell.shape[0] - 1
        shown = [l for l in _SHOWN if l <= last]
        rows = [f"  {name:4}" + "".join(f"{v:12.4g}" for v in np.asarray(getattr(self, name))[shown]) for name in names]
        head = "  l   " + "".join(f"{l:12d}" for l in shown)
        return "\n".join([f"AngularSpectra({self._meaning()}, l = 0..{last}", head, *rows, ")"])

    def _names(self) -> list[str]:
        return [name for name, _ in fields(self) if name not in ("ell", "T_cmb", "unit")]

    def _meaning(self) -> str:
        return "C_l, dimensionless" if self.unit == "C_l" else f"D_l in {self.unit}"

    def _brief(self) -> str:
        last = f" up to l = {self.ell.shape[-1] - 1}" if hasattr(self.ell, "shape") else ""
        return f"{', '.join(self._names())}{last} ({self._meaning()})"
