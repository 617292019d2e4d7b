"""What derivative and smoothness checks share: parameters and their scales, points, and an ideal experiment.

The experiment is limited by cosmic variance alone: full sky, TT, TE and EE at 2 <= l <= l_max with their covariance
(Zaldarriaga & Seljak 1997, arXiv:astro-ph/9609170). With the spectra at one l as a matrix C = ((TT, TE), (TE, EE)), the
quadratic form of the differences dC with the inverse of that covariance is (2l+1)/2 tr[(C^-1 dC)^2].
"""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

import boltzax

PARAMETERS: tuple[str, ...] = ("h", "omega_b", "omega_cdm", "n_s", "ln_A_s_1e10", "tau_reio", "m_ncdm", "N_ur")

# Standard deviations of Planck 2018 TT,TE,EE+lowE+lensing (arXiv:1807.06209, table 2; N_eff: section 7.3, with BAO).
# Planck bounds m_ncdm [eV] from above only; two of this scale are half the fiducial mass. (No solver's chi2 is a
# polynomial of a mass down to zero: it is linear where neutrinos are slow today, quadratic below 1e-3 eV.)
SIGMA: dict[str, float] = {
    "h": 0.0054,
    "omega_b": 0.00015,
    "omega_cdm": 0.0012,
    "n_s": 0.0042,
    "ln_A_s_1e10": 0.014,
    "tau_reio": 0.0073,
    "m_ncdm": 0.015,
    "N_ur": 0.17,
}

# The fiducial point and three others that differ from it in every parameter, as vectors in the order of PARAMETERS.
POINTS: dict[str, tuple[float, ...]] = {
    "fiducial": (0.6736, 0.02237, 0.1200, 0.9649, 3.044, 0.0544, 0.06, 2.0328),
    "high": (0.7100, 0.02310, 0.1130, 0.9850, 3.100, 0.0680, 0.15, 2.3),
    "low": (0.6300, 0.02150, 0.1310, 0.9420, 2.980, 0.0450, 0.30, 1.8),
    "light": (0.6900, 0.02270, 0.1220, 0.9580, 3.020, 0.0600, 0.02, 1.9),
}

# For programs that must compile and run quickly: right in every term, wrong by percents.
SMALL = boltzax.Precision(
    n_k=1.0, n_v=2.0, x_stream=30.0, n_tail=4, n_q=3, n_k_cmb=60,
    k_per_efold=8.0, l_margin=100, l_max_pp=600, l_growth=0.1, dtau_late=120.0, chi_step=0.2, lanes=32,
)  # fmt: skip
SMALL_OUTPUTS = boltzax.Outputs(l_max=400, k_max=1.0)


def scales() -> np.ndarray:
    """SIGMA as a vector in the order of PARAMETERS."""
    return np.array([SIGMA[name] for name in PARAMETERS])


def cosmology(x: Any) -> boltzax.Cosmology:
    """The Cosmology at a vector of PARAMETERS, concrete or traced: one massive species, helium from nucleosynthesis."""
    return boltzax.Cosmology(**{name: x[i] for i, name in enumerate(PARAMETERS)}, YHe="BBN")


class Experiment(eqx.Module):
    """chi2 of lensed TT, TE, EE around a centre, limited by cosmic variance; a pytree.

    mean [3, l]: TT, TE, EE of the centre from l = 2; weight [l]: (2l+1)/2 over the squared determinant of C_l.
    """

    mean: Float[Array, "3 l"]
    weight: Float[Array, " l"]

    def __init__(self, centre: Any):
        """centre: `AngularSpectra` that give the mean and, through it, the covariance."""
        self.mean = jnp.stack([getattr(centre, name)[2:] for name in ("tt", "te", "ee")])
        tt, te, ee = self.mean
        self.weight = (2.0 * jnp.arange(2.0, tt.size + 2) + 1.0) / 2.0 / (tt * ee - te**2) ** 2

    def __call__(self, spectra: Any) -> Float[Array, ""]:
        """chi2 of `AngularSpectra` to the same l."""
        tt, te, ee = self.mean
        dtt, dte, dee = jnp.stack([getattr(spectra, name)[2:] for name in ("tt", "te", "ee")]) - self.mean
        upper, lower = ee * dtt - te * dte, tt * dee - te * dte  # C^-1 dC, up to the determinant
        return jnp.sum(self.weight * (upper**2 + lower**2 + 2.0 * (ee * dte - te * dee) * (tt * dte - te * dtt)))
