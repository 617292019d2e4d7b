"""Static settings: numerical precision and requested outputs. They alone fix array shapes."""

import math
import numbers
from dataclasses import dataclass

import jax

from boltzax.errors import PrecisionError, nearest_name

_L_MAX = 8000  # largest multipole of the spectra
_K_MAX = 50.0  # largest wavenumber of P(k) [1/Mpc]
_K_MAX_NONLINEAR = 2.0  # smallest k_max [1/Mpc] from which the linear spectrum is continued for nonlinear corrections

#: methods for nonlinear corrections, see docs/nonlinear.md
NONLINEAR = ("halofit", "hmcode2020", "hmcode2020_feedback")


@jax.tree_util.register_static
@dataclass(frozen=True)
class Precision:
    """Numerical settings; hashable, static under jit."""

    # step density of the perturbations (see perturbations/mesh.py)
    n_h: float = 6.0  # steps per e-fold of tau
    n_k: float = 1.2  # steps per radian of k tau while radiation is resolved
    n_v: float = 3.0  # steps per 20 Mpc across recombination, per 250 Mpc across reionization
    n_silk: float = 1.5  # acoustic oscillations are resolved up to this many k_D to l_max = 2500, more beyond
    x_stream: float = 70.0  # free streaming is resolved up to this k tau
    y_x_start: float = 1e-2  # k tau at the start
    # hierarchies
    n_tail: int = 8  # exponentials that stand for the multipoles l >= 3 of each (see perturbations/hierarchy.py)
    n_q: int = 5  # momenta of each massive neutrino
    # wavenumbers y = k tau_0
    n_k_cmb: int = 176  # Chebyshev modes of the primary spectra to l_max = 2500, more beyond (see grids.py)
    k_per_efold: float = 8.0  # modes above them, for lensing and P(k)
    y_min: float = 0.28
    y_max_over_l: float = 1.5  # the largest y is at least this times l_max,
    y_beyond_l: float = 2300.0  # and at least this beyond l_max
    dy_min: float = 0.2
    dy_max: float = 2.6
    # time nodes of the line of sight [Mpc in the fiducial universe]
    rec_radians: float = 1.35  # k dtau at recombination for the largest k
    dtau_late: float = 60.0
    chi_step: float = 0.035  # relative step towards the observer
    taper: float = 2.4  # radians per time step beyond which a source is dropped
    # multipoles
    l_growth: float = 0.06
    l_step: int = 50
    l_margin: int = 1500
    l_max_pp: int = 6500  # the lensing potential that lenses reaches this far to l_max = 2500, as much farther beyond
    l_limber: int = 40  # lensing potential: Limber's approximation from here
    # tensor modes
    n_k_tensors: int = 180  # Chebyshev modes
    l_max_tensors: int = 1800  # tensor spectra are zero beyond
    # schedule of the integrator
    lanes: int = 96
    block: int = 4

    @classmethod
    def fast(cls) -> "Precision":
        """Coarser than the default in every respect, for trying things out."""
        return cls(
            n_h=5.0,
            n_k=0.85,
            n_v=2.0,
            x_stream=40.0,
            n_tail=6,
            n_q=4,
            n_k_cmb=140,
            k_per_efold=6.0,
            y_max_over_l=1.4,
            n_k_tensors=100,
            l_max_tensors=800,
        )

    @classmethod
    def reference(cls) -> "Precision":
        """Finer than the default in every respect, to judge it by; several times slower."""
        return cls(
            n_h=12.0,
            n_k=2.4,
            n_v=8.0,
            n_silk=3.0,
            x_stream=200.0,
            y_x_start=3e-3,
            n_tail=12,
            n_q=9,
            n_k_cmb=240,
            k_per_efold=16.0,
            dy_max=2.0,
            rec_radians=1.0,
            dtau_late=40.0,
            chi_step=0.03,
            l_growth=0.04,
            l_step=30,
            l_margin=2000,
            l_max_pp=8000,
            n_k_tensors=320,
            l_max_tensors=2500,
        )


@jax.tree_util.register_static
@dataclass(frozen=True)
class Outputs:
    """What to compute: spectra to l_max, lensed or not; modes to k_max [1/Mpc] for P(k) and the lensing potential.

    nonlinear: None, or the method of nonlinear corrections to P(k) and to the lensing potential: "halofit" (Takahashi
    et al. 2012), "hmcode2020" (Mead et al. 2021), "hmcode2020_feedback" (the same with baryons, whose strength is
    `log10T_heat_hmcode` of the cosmology).

    Raises PrecisionError for l_max < 2 or beyond what the tables were tried for, a k_max that is not positive, an
    unknown method, or a k_max too small for it.
    """

    l_max: int = 2500
    lensing: bool = True
    k_max: float = 8.0
    nonlinear: str | None = None

    def __post_init__(self):
        if not isinstance(self.l_max, numbers.Integral) or not 2 <= self.l_max <= _L_MAX:
            raise PrecisionError(f"l_max must be an integer from 2 to {_L_MAX}, not {self.l_max!r}")
        if not (math.isfinite(self.k_max) and 0.0 < self.k_max <= _K_MAX):
            raise PrecisionError(f"k_max must lie between 0 and {_K_MAX:g} 1/Mpc, not {self.k_max!r}")
        if self.nonlinear is not None:
            self._check_nonlinear()

    def _check_nonlinear(self):
        if self.nonlinear not in NONLINEAR:
            near = nearest_name(str(self.nonlinear), NONLINEAR)
            advice = f"did you mean '{near}'?" if near else f"choose None or one of {', '.join(NONLINEAR)}"
            raise PrecisionError(f"unknown nonlinear method {self.nonlinear!r}: {advice}")
        if self.k_max < _K_MAX_NONLINEAR:
            raise PrecisionError(
                f"nonlinear corrections need k_max of at least {_K_MAX_NONLINEAR:g} 1/Mpc, not {self.k_max!r}"
            )
