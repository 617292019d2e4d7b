"""Results of a solution: spectra, matter power, every stage, derived parameters."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from boltzax import growth
from boltzax.background import Background
from boltzax.cosmology import Cosmology
from boltzax.errors import NotComputedError, OutOfRangeError, error_if
from boltzax.shooting import cosmomc_theta
from boltzax.show import UNITS, block, listed
from boltzax.sources import Sources
from boltzax.spectra.angular import AngularSpectra
from boltzax.spectra.matter import MatterPower, linear_power, sigma_R
from boltzax.spectra.nonlinear import correction
from boltzax.spectra.primordial import curvature_power
from boltzax.spectra.transfer import transfer
from boltzax.thermo import Thermodynamics


class Derived(eqx.Module):
    """Derived parameters.

    sigma8; S8 = sigma8 (Omega_m/0.3)^(1/2); rs_drag, rs_rec, rs_star sound horizons [Mpc] at drag epoch, visibility
    peak, kappa = 1; z_rec, z_star, z_drag; theta_s_100, theta_star_100, thetastar, cosmomc_theta angles of the sound
    horizon (see `boltzax.shooting`); Omega_m (b, cdm, ncdm), Omega_Lambda; age [Gyr]; tau_0 conformal age [Mpc];
    tau_rec [Mpc]; z_reio, tau_reio; YHe; N_eff; H0 [km/s/Mpc]; A_s.
    """

    sigma8: Float[Array, ""]
    S8: Float[Array, ""]
    rs_drag: Float[Array, ""]
    rs_rec: Float[Array, ""]
    rs_star: Float[Array, ""]
    z_rec: Float[Array, ""]
    z_star: Float[Array, ""]
    z_drag: Float[Array, ""]
    theta_s_100: Float[Array, ""]
    theta_star_100: Float[Array, ""]
    thetastar: Float[Array, ""]
    cosmomc_theta: Float[Array, ""]
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

    def __repr__(self) -> str:
        return block(self, UNITS)

    def _brief(self) -> str:
        return listed(self, ("sigma8", "Omega_m", "age", "rs_drag", "theta_s_100"), UNITS) + ", ..."


class Results(eqx.Module):
    """What `boltzax.solve` returns; a pytree, so it passes through jit, vmap and grad as it stands.

    tensor_cl: what gravitational waves add, zero beyond Precision.l_max_tensors; None unless the cosmology has r.
    unlensed_cl and lensed_cl are totals: tensor modes are in both, and in lensed_cl they are lensed like the rest, so
    that lensed_cl.bb is all of BB.
    """

    lensed_cl: AngularSpectra | None
    unlensed_cl: AngularSpectra
    tensor_cl: AngularSpectra | None
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
        powers = [linear_power(self.cosmology, self.matter, k, xi, species) for xi in jnp.atleast_1d(x).ravel()]
        return jnp.stack(powers).reshape(z.shape + k.shape)

    def sigma(self, R, z: Float[Array, "*z"] = 0.0, species: str = "m") -> Float[Array, "..."]:
        """RMS linear density contrast in spheres of R Mpc at redshift z; the shape is z.shape + R.shape.

        species: "m" or "cb". Raises OutOfRangeError if the spheres are smaller than k_max resolves, or for z beyond
        the solved range.
        """
        return growth.sigma(self, R, z, species)

    def sigma8(self, z: Float[Array, "*z"] = 0.0, species: str = "m") -> Float[Array, "*z"]:
        """`sigma` at R = 8 Mpc/h."""
        return growth.sigma(self, 8.0 / self.cosmology.h, z, species)

    def f_sigma8(self, z: Float[Array, "*z"] = 0.0, species: str = "m") -> Float[Array, "*z"]:
        """d sigma8 / d ln a, which is f sigma8 where growth depends on scale."""
        return growth.sigma_growth(self, 8.0 / self.cosmology.h, z, species)

    def growth_factor(self, z: Float[Array, "*z"] = 0.0) -> Float[Array, "*z"]:
        """Scale-independent growth D(z), 1 today, of baryons and cdm without pressure (see `background.growth`)."""
        return growth.growth_factor(self, z)

    def growth_rate(self, z: Float[Array, "*z"] = 0.0, k: Float[Array, " k"] | None = None, species: str = "m"):
        """f = d ln D / d ln a of that growth, or with wavenumbers k [1/Mpc] d ln delta / d ln a, z.shape + k.shape."""
        if k is None:
            return growth.growth_rate(self, z)
        return growth.growth_rate_of_scale(self, k, z, species)

    def transfer(self, z, k: Float[Array, " k"] | None = None, format: str = "class") -> dict[str, Array]:
        """Transfer functions at redshift z in the columns of CLASS ("class") or CAMB ("camb"); see `spectra.transfer`.

        k [1/Mpc], by default those of the solved modes.
        """
        return transfer(self, z, k, format)

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

    def __repr__(self) -> str:
        return block(self, {})


def derived(cosmo, background, thermo, matter: MatterPower) -> Derived:
    """Derived parameters of a solution."""

    power = lambda k: linear_power(cosmo, matter, k, jnp.ones(()))
    bg, th = background, thermo
    H2 = bg.H0**2
    ncdm = bg.rho_ncdm(jnp.ones(()))[0].sum() if bg.M_ncdm.shape[0] else 0.0
    Omega_m, sigma8 = (bg.rho_b + bg.rho_cold(jnp.ones(())) + ncdm) / H2, sigma_R(power, cosmo.h)
    return Derived(
        sigma8=sigma8,
        S8=sigma8 * jnp.sqrt(Omega_m / 0.3),
        rs_drag=th.rs_d,
        rs_rec=th.rs_rec,
        rs_star=th.rs_star,
        z_rec=th.z_rec,
        z_star=th.z_star,
        z_drag=th.z_d,
        theta_s_100=th.theta_s_100,
        theta_star_100=th.theta_star_100,
        thetastar=th.thetastar,
        cosmomc_theta=cosmomc_theta(cosmo),
        Omega_m=Omega_m,
        Omega_Lambda=bg.rho_lambda / H2,
        age=bg.age,
        tau_0=bg.tau_0,
        tau_rec=th.tau_rec,
        z_reio=th.z_reio,
        tau_reio=th.tau_reio,
        YHe=th.YHe,
        N_eff=bg.N_eff,
        H0=100.0 * cosmo.h,
        A_s=curvature_power(cosmo, cosmo.k_pivot),
    )


def finite(tree) -> bool:
    """Whether every value of a concrete pytree is finite."""
    return all(np.all(np.isfinite(np.asarray(leaf))) for leaf in jax.tree.leaves(tree))


def first_bad(results: Results) -> str | None:
    """Name of the first stage, in pipeline order, that holds a value which is not finite; None if all is well."""
    stages = ("background", "thermodynamics", "sources", "matter", "tensor_cl", "unlensed_cl", "lensed_cl", "derived")
    return next((name for name in stages if not finite(getattr(results, name))), None)
