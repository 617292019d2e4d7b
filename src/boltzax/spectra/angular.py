"""Container of angular power spectra."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float


class AngularSpectra(eqx.Module):
    """Dimensionless C_l, arrays over ell = 0..l_max (zero at l = 0, 1).

    tt, te, ee, bb: CMB temperature and polarisation; pp, tp, ep: lensing potential phi and its correlations. T_cmb [K]
    serves the conversion of units.
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
        )
