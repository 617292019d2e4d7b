"""Static settings: numerical precision and requested outputs. They alone fix array shapes."""

from dataclasses import dataclass

import jax


@jax.tree_util.register_static
@dataclass(frozen=True)
class Precision:
    """Numerical settings; hashable, static under jit."""

    # step density of the perturbations (see perturbations/mesh.py)
    n_h: float = 8.0  # steps per e-fold of tau
    n_k: float = 1.5  # steps per radian of k tau while radiation is resolved
    n_v: float = 3.0  # steps per 20 Mpc across recombination, per 300 Mpc across reionization
    n_silk: float = 1.5  # acoustic oscillations are resolved up to this many k_D
    x_stream: float = 100.0  # free streaming is resolved up to this k tau
    y_x_start: float = 3e-3  # k tau at the start
    # hierarchies
    l_max_g: int = 24
    l_max_pol_g: int = 24
    l_max_ur: int = 24
    l_max_ncdm: int = 16
    n_q: int = 5  # momenta of each massive neutrino
    # wavenumbers y = k tau_0
    n_k_cmb: int = 160  # Chebyshev modes of the primary spectra
    k_per_efold: float = 8.0  # modes above them, for lensing and P(k)
    y_min: float = 0.28
    y_max_over_l: float = 1.6
    dy_min: float = 0.2
    dy_max: float = 2.4
    # time nodes of the line of sight [Mpc in the fiducial universe]
    dtau_rec: float = 4.0
    dtau_late: float = 50.0
    chi_step: float = 0.04  # relative step towards the observer
    taper: float = 2.4  # radians per time step beyond which a source is dropped
    # multipoles
    l_growth: float = 0.05
    l_step: int = 40
    l_margin: int = 1500
    l_max_pp: int = 6000  # the lensing potential that lenses reaches at least this far
    l_limber: int = 60  # lensing potential: Limber's approximation from here
    # schedule of the integrator
    lanes: int = 96
    block: int = 4


@jax.tree_util.register_static
@dataclass(frozen=True)
class Outputs:
    """What to compute: lensed spectra to l_max; modes to k_max [1/Mpc] for P(k) and the lensing potential."""

    l_max: int = 2500
    lensing: bool = True
    k_max: float = 8.0
