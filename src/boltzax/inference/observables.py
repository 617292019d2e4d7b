"""What likelihoods read of a solution: lensed band powers, the lensing potential, distances."""

from dataclasses import dataclass

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from boltzax.results import Derived, Results

#: nonlinear corrections that spectra are compared with data with, unless another method of `Outputs`, or None, is given
NONLINEAR = "hmcode2020"


class Theory(eqx.Module):
    """Predictions for one cosmology; a pytree.

    tt, te, ee, bb: lensed l(l+1) C_l / 2 pi [muK^2] from l = 0; pp: [l(l+1)]^2 C_l^phiphi / 2 pi; at the redshifts z:
    hubble [1/Mpc] and transverse comoving distance [Mpc]; rs_drag [Mpc]; derived parameters.
    """

    tt: Float[Array, " l"]
    te: Float[Array, " l"]
    ee: Float[Array, " l"]
    bb: Float[Array, " l"]
    pp: Float[Array, " l"]
    z: Float[Array, " z"]
    hubble: Float[Array, " z"]
    distance: Float[Array, " z"]
    rs_drag: Float[Array, ""]
    derived: Derived


@dataclass(frozen=True)
class Observables:
    """Makes a `Theory` out of `Results`; equal ones are one function to `jax.jit` and `boltzax.jacobian`.

    z: redshifts at which distances are wanted.
    """

    z: tuple[float, ...] = ()

    def __call__(self, results: Results) -> Theory:
        """The Theory of a solution."""
        D_l = results.lensed_cl.D_l("muK2")
        z = np.asarray(self.z, dtype=float)
        bg = results.background
        return Theory(
            *(getattr(D_l, name) for name in ("tt", "te", "ee", "bb", "pp")),
            z=jnp.asarray(z),
            hubble=bg.hubble(-np.log1p(z)),
            distance=bg.transverse_distance(z),
            rs_drag=results.derived.rs_drag,
            derived=results.derived,
        )
