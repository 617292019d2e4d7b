"""Results of a solution: spectra, matter power, every stage, derived parameters."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from boltzax.background import Background
from boltzax.cosmology import Cosmology
from boltzax.errors import NotComputedError, OutOfRangeError, error_if
from boltzax.sources import Sources
from boltzax.spectra.angular import AngularSpectra
from boltzax.spectra.matter import MatterPower, sigma_R
from boltzax.spectra.nonlinear import correction
from boltzax.spectra.primordial import curvature_power
from boltzax.thermo import Thermodynamics


class Derived(eqx.Module):
    """Derived parameters.

    sigma8; rs_drag, rs_rec, rs_star sound horizons [Mpc] at drag epoch, visibility peak, kappa = 1; z_rec, z_star,
    z_drag; theta_s_100; Omega_m (b, cdm, ncdm), Omega_Lambda; age [Gyr]; tau_0 conformal age [Mpc]; tau_rec [Mpc];
    z_reio, tau_reio; YHe; N_eff; H0 [km/s/Mpc]; A_s.
    """

    sigma8: Float[Array, ""]
    rs_drag: Float[Array, ""]
    rs_rec: Float[Array, ""]
    rs_star: Float[Array, ""]
    z_rec: Float[Array, ""]
    z_star: Float[Array, ""]
    z_drag: Float[Array, ""]
    theta_s_100: Float[Array, ""]
    Omega_m: Float[Array, ""]
    Omega_Lambda: Float[Array, ""]
    age: Float[Array, ""]
    tau_0: Float[Array, ""]
    tau_rec: Float[Array, ""]
    z_reio: Float[Array, ""]
    tau_reio: Float[Array, ""]
    YHe: Float[Array, ""]
    N_eff: Float[Array, ""]
    H0: Float[Array, ""]
    A_s: Float[Array, ""]


class Results(eqx.Module):
    """What `boltzax.solve` returns; a pytree, so it passes through jit, vmap and grad as it stands."""

    lensed_cl: AngularSpectra | None
    unlensed_cl: AngularSpectra
    background: Background
    thermodynamics: Thermodynamics
    sources: Sources
    matter: MatterPower
    derived: Derived
    cosmology: Cosmology
    nonlinear: str | None = eqx.field(static=True, default=None)

    def pk_lin(self, k: Float[Array, " k"], z: Float[Array, "*z"] = 0.0, species: str = "m") -> Float[Array, "*z k"]:
        """Linear power spectrum P(k, z) [Mpc^3] at wavenumbers k [1/Mpc] and redshift z.

        species: "m" all matter (baryons, cdm, massive neutrinos) or "cb" (baryons and cdm). An array of redshifts
        gives the shape z.shape + k.shape. Raises OutOfRangeError for k or z outside the solved range.
        """
        k, z = jnp.atleast_1d(jnp.asarray(k, float)), jnp.asarray(z, float)
        tau_0 = self.background.tau_0
        x = self.background.conformal_time(-jnp.log1p(z)) / tau_0
        k, x = self.matter.check(k, x)
        primordial = 2.0 * jnp.pi**2 / k**3 * curvature_power(self.cosmology, k)
        delta = jnp.stack([self.matter.delta(k, xi, species) for xi in jnp.atleast_1d(x).ravel()])
        return (primordial * delta**2).reshape(z.shape + k.shape)

    def pk(self, k: Float[Array, " k"], z: Float[Array, "*z"] = 0.0) -> Float[Array, "*z k"]:
        """Nonlinear power spectrum of all matter P(k, z) [Mpc^3], shapes as in `pk_lin`, by the method of `Outputs`.

        Raises NotComputedError without such a method; OutOfRangeError for k or z outside the solved range, or for z at
        which the nonlinear scale lies beyond k_max.
        """
        if self.nonlinear is None:
            raise NotComputedError(
                "no nonlinear P(k) was asked for: pass for instance Outputs(nonlinear='hmcode2020') to solve, "
                "or read pk_lin"
            )
        linear = self.pk_lin(k, z)
        ln_k, z = jnp.log(jnp.atleast_1d(jnp.asarray(k, float))), jnp.asarray(z, float)
        x = self.background.conformal_time(-jnp.log1p(z.ravel())) / self.background.tau_0
        found = correction(self.nonlinear, self.matter, self.background, self.cosmology, x)
        k_max = self.matter.y_modes[-1] / self.matter.tau_0
        message = "pk: the nonlinear scale lies beyond the solved modes: raise k_max in Outputs, or lower z"
        values = error_if(found.table(ln_k).T, found.k_nl > k_max, message, OutOfRangeError)
        return linear * jnp.exp(values).reshape(linear.shape)


def derived(cosmo, background, thermo, matter: MatterPower) -> Derived:
    """Derived parameters of a solution."""

    def power(k):
        delta = matter.delta(k, jnp.ones(()))
        return 2.0 * jnp.pi**2 / k**3 * curvature_power(cosmo, k) * delta**2

    bg, th = background, thermo
    H2 = bg.H0**2
    ncdm = bg.rho_ncdm(jnp.ones(()))[0].sum() if bg.M_ncdm.shape[0] else 0.0
    return Derived(
        sigma8=sigma_R(power, cosmo.h),
        rs_drag=th.rs_d,
        rs_rec=th.rs_rec,
        rs_star=th.rs_star,
        z_rec=th.z_rec,
        z_star=th.z_star,
        z_drag=th.z_d,
        theta_s_100=th.theta_s_100,
        Omega_m=(bg.rho_b + bg.rho_cdm + ncdm) / H2,
        Omega_Lambda=bg.rho_lambda / H2,
        age=bg.age,
        tau_0=bg.tau_0,
        tau_rec=th.tau_rec,
        z_reio=th.z_reio,
        tau_reio=th.tau_reio,
        YHe=th.YHe,
        N_eff=bg.N_eff,
        H0=100.0 * cosmo.h,
        A_s=1e-10 * jnp.exp(cosmo.ln_A_s_1e10),
    )


def finite(tree) -> bool:
    """Whether every value of a concrete pytree is finite."""
    return all(np.all(np.isfinite(np.asarray(leaf))) for leaf in jax.tree.leaves(tree))


def first_bad(results: Results) -> str | None:
    """Name of the first stage, in pipeline order, that holds a value which is not finite; None if all is well."""
    stages = ("background", "thermodynamics", "sources", "matter", "unlensed_cl", "lensed_cl", "derived")
    return next((name for name in stages if not finite(getattr(results, name))), None)
