"""Homogeneous universe: densities, expansion rate, conformal time and horizons.

Densities are rho = 8 pi G rho_physical / 3 in 1/Mpc^2, so that H^2 is their sum less K/a^2.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from boltzax.background import massive_neutrinos as ncdm
from boltzax.background.curvature import areal_radius
from boltzax.constants import GYR_PER_MPC, H0_UNIT, OMEGA_GAMMA_PER_T4, RELIC
from boltzax.errors import ParameterRangeError, error_if
from boltzax.fluids import Fluid
from boltzax.numerics.quadrature import cumulative
from boltzax.numerics.table import UniformTable, cell_integrals, keep, keep_scalars
from boltzax.show import block, fields, listed

LN_A_START = -24.0  # conformal time ~ 1e-5 Mpc: before the earliest start of any mode
_UNITS = {"H0": "1/Mpc", "M_ncdm": "k_B T_nu today", "tau_0": "Mpc", "age": "Gyr"}


class Background(eqx.Module):
    """Densities today, and tables of the expansion history.

    rho_*: today's density of each species times its scaling (photons, ur: rho a^4; b, cdm: rho a^3) [1/Mpc^2].
    fluids: every other species, dark energy that is no cosmological constant among them (then rho_lambda is zero).
    M_ncdm: masses over k_B T_nu today. H0 [1/Mpc], tau_0 conformal time today [Mpc], age [Gyr], N_eff effective number
    of neutrinos when relativistic. K: curvature of space -Omega_k H0^2 [1/Mpc^2]; None: flat.
    """

    H0: Float[Array, ""]
    rho_g: Float[Array, ""]
    rho_ur: Float[Array, ""]
    rho_b: Float[Array, ""]
    rho_cdm: Float[Array, ""]
    rho_lambda: Float[Array, ""]
    rho_ncdm_massless: Float[Array, " n_ncdm"]
    M_ncdm: Float[Array, " n_ncdm"]
    N_eff: Float[Array, ""]
    tau_0: Float[Array, ""]
    age: Float[Array, ""]
    table: UniformTable  # over ln a: ln tau, ln r_s, proper time
    fluids: tuple[Fluid, ...] = ()
    K: Float[Array, ""] | None = None

    def rho_ncdm(self, a: Float[Array, "*s"]) -> tuple[Float[Array, "*s n"], Float[Array, "*s n"]]:
        """Density and pressure of each massive species at scale factor a [1/Mpc^2]."""
        y, scale = a[..., None] * self.M_ncdm, self.rho_ncdm_massless / a[..., None] ** 4
        return scale * ncdm.density(y), scale * ncdm.pressure(y)

    @property
    def early_streaming(self) -> Float[Array, ""]:
        """rho a^4 of all neutrinos long before equality [1/Mpc^2]."""
        return self.rho_ur + self.rho_ncdm_massless.sum()

    @property
    def early_radiation(self) -> Float[Array, ""]:
        """rho a^4 of all radiation long before equality [1/Mpc^2]."""
        return self.rho_g + self.early_streaming + sum(fluid.early_radiation() for fluid in self.fluids)

    @property
    def early_cold(self) -> Float[Array, ""]:
        """rho a^3 of all cold dark matter long before equality [1/Mpc^2]."""
        return self.rho_cdm + sum(fluid.early_cold() for fluid in self.fluids)

    def rho_cold(self, a: Float[Array, "*s"]) -> Float[Array, "*s"]:
        """Density of all cold dark matter at scale factor a [1/Mpc^2]."""
        return sum((fluid.rho_cold(a) for fluid in self.fluids), self.rho_cdm / a**3)

    def hubble(self, ln_a: Float[Array, "*s"]) -> Float[Array, "*s"]:
        """Expansion rate H [1/Mpc] in cosmic time."""
        a = jnp.exp(jnp.asarray(ln_a))
        return jnp.sqrt(self.rho(a) if self.K is None else self.rho(a) - self.K / a**2)

    def rho(self, a: Float[Array, "*s"]) -> Float[Array, "*s"]:
        """Total density at scale factor a [1/Mpc^2]."""
        rho = (self.rho_g + self.rho_ur) / a**4 + (self.rho_b + self.rho_cdm) / a**3 + self.rho_lambda
        if self.M_ncdm.shape[0]:
            rho = rho + self.rho_ncdm(a)[0].sum(-1)
        return sum((fluid.rho(a) for fluid in self.fluids), rho)

    def pressure(self, a: Float[Array, "*s"]) -> Float[Array, "*s"]:
        """Total pressure at scale factor a [1/Mpc^2]."""
        pressure = (self.rho_g + self.rho_ur) / (3.0 * a**4) - self.rho_lambda
        if self.M_ncdm.shape[0]:
            pressure = pressure + self.rho_ncdm(a)[1].sum(-1)
        return sum((fluid.pressure(a) for fluid in self.fluids), pressure)

    def conformal_time(self, ln_a: Float[Array, "*s"]) -> Float[Array, "*s"]:
        """Conformal time tau [Mpc]."""
        return jnp.exp(self.table(jnp.asarray(ln_a))[..., 0])

    def sound_horizon(self, ln_a: Float[Array, "*s"]) -> Float[Array, "*s"]:
        """Comoving sound horizon of the photon-baryon fluid [Mpc]; in curved space its areal radius, as in CLASS."""
        return areal_radius(self.K, jnp.exp(self.table(jnp.asarray(ln_a))[..., 1]))

    def cosmic_time(self, ln_a: Float[Array, "*s"]) -> Float[Array, "*s"]:
        """Proper time since the beginning [Gyr]."""
        return self.table(jnp.asarray(ln_a))[..., 2] * GYR_PER_MPC

    def comoving_distance(self, z: Float[Array, "*s"]) -> Float[Array, "*s"]:
        """Line-of-sight comoving distance to redshift z [Mpc]."""
        return self.tau_0 - self.conformal_time(-jnp.log1p(jnp.asarray(z, float)))

    def transverse_distance(self, z: Float[Array, "*s"]) -> Float[Array, "*s"]:
        """Comoving length seen at redshift z under an angle of one radian [Mpc]: S_K of the comoving distance."""
        return areal_radius(self.K, self.comoving_distance(z))

    def angular_diameter_distance(self, z: Float[Array, "*s"]) -> Float[Array, "*s"]:
        """Angular diameter distance to redshift z [Mpc]."""
        return self.transverse_distance(z) / (1.0 + jnp.asarray(z, float))

    def ln_a(self, tau: Float[Array, "*s"]) -> Float[Array, "*s"]:
        """Scale factor at conformal time tau [Mpc], from the table of ln tau(ln a).

        The last step, the inverse series to second order, runs outside the stopped search: with what is left to it,
        below 1e-10, first and second derivatives are exact.
        """
        ln_tau = UniformTable(self.table.x0, self.table.dx, self.table.values[:, :1])
        grid = self.table.x0 + self.table.dx * np.arange(self.table.values.shape[0])
        target = jnp.log(tau)

        def missing(u):
            return target - ln_tau(u)[..., 0], ln_tau.derivative(u)[..., 0]

        u = jnp.interp(target, ln_tau.values[:, 0], grid)
        rest, slope = missing(u)
        u = jax.lax.stop_gradient(u + rest / slope)
        rest, slope = missing(u)
        bend = jax.lax.stop_gradient(ln_tau.derivative(u, 2)[..., 0])
        step = rest / slope
        return u + step - 0.5 * bend / slope * step**2

    def __repr__(self) -> str:
        densities = {name: "1/Mpc^2" for name, _ in fields(self) if name.startswith("rho_")}
        return block(self, _UNITS | densities)

    def _brief(self) -> str:
        return listed(self, ("H0", "tau_0", "age", "N_eff"), _UNITS)


def background(cosmo, n_grid: int = 2401) -> Background:
    """Solve the homogeneous universe of `cosmo` on n_grid points of ln a.

    Friedmann equation and d tau / d ln a = 1/(aH); sound speed 1/sqrt(3 (1 + R)), R = 3 rho_b / (4 rho_g).
    """
    densities, M = _today(cosmo)
    K = None if cosmo.Omega_k is None else -cosmo.Omega_k * densities["H0"] ** 2
    number = (ncdm.massless_density(cosmo) / RELIC).sum()
    blank = UniformTable(jnp.zeros(()), jnp.ones(()), jnp.zeros((8, 3)))
    zero = jnp.zeros(())
    bg = Background(**densities, M_ncdm=M, N_eff=cosmo.N_ur + number, tau_0=zero, age=zero, table=blank, K=K)
    bg = _with_fluids(bg, cosmo)
    table = _tabulate(bg, n_grid)
    return eqx.tree_at(
        lambda b: (b.tau_0, b.age, b.table),
        bg,
        (jnp.exp(table.values[-1, 0]), table.values[-1, 2] * GYR_PER_MPC, table),
    )


def _today(cosmo):
    """H0 and today's densities under the names of `Background`, and the mass ratios of the massive species."""
    H0 = cosmo.h * H0_UNIT
    unit = H0_UNIT**2
    rho_g = OMEGA_GAMMA_PER_T4 * cosmo.T_cmb**4 * unit
    rho_ur, rho_b, rho_cdm = RELIC * cosmo.N_ur * rho_g, cosmo.omega_b * unit, cosmo.omega_cdm * unit
    rho_ncdm = ncdm.massless_density(cosmo) * rho_g
    M = ncdm.mass_ratio(cosmo)
    today = rho_g + rho_ur + rho_b + rho_cdm + (rho_ncdm * ncdm.density_by_quadrature(M)).sum()
    whole = H0**2 if cosmo.Omega_k is None else H0**2 * (1.0 - cosmo.Omega_k)
    scalars = dict(H0=H0, rho_g=rho_g, rho_ur=rho_ur, rho_b=rho_b, rho_cdm=rho_cdm, rho_lambda=whole - today)
    *kept, rho_ncdm, M = keep_scalars(*scalars.values(), rho_ncdm, M)
    return dict(zip(scalars, kept, strict=True)) | {"rho_ncdm_massless": rho_ncdm}, M


def _with_fluids(bg: Background, cosmo) -> Background:
    """The fluids of the cosmology take their density from the cosmological constant, or dark energy takes its place."""
    dark_energy = cosmo.dark_energy
    if not cosmo.fluids and dark_energy is None:
        return bg
    ordinary = eqx.tree_at(lambda b: b.rho_lambda, bg, jnp.zeros(()))
    fluids = tuple(fluid.fixed(ordinary) for fluid in cosmo.fluids)
    rho = bg.rho_lambda - sum(fluid.rho(jnp.ones(())) for fluid in fluids)
    message = "the fluids take more density than is left beside the other species: lower theirs, or raise h"
    rho = error_if(rho, ~(rho >= 0.0), message, ParameterRangeError)
    if dark_energy is not None:
        fluids, rho = (*fluids, eqx.tree_at(lambda d: d.rho_0, dark_energy, rho)), jnp.zeros(())
    N_eff = bg.N_eff + sum(fluid.early_radiation() for fluid in fluids) / (RELIC * bg.rho_g)
    return eqx.tree_at(lambda b: (b.rho_lambda, b.N_eff, b.fluids), bg, (rho, N_eff, fluids))


def _tabulate(bg: Background, n_grid: int) -> UniformTable:
    """Integrate conformal time, sound horizon and proper time over ln a."""
    x = np.linspace(LN_A_START, 0.0, n_grid)
    dx, a = -LN_A_START / (n_grid - 1), np.exp(x)
    H, cs = keep(bg.hubble(jnp.asarray(x)), 1.0 / jnp.sqrt(3.0 * (1.0 + 0.75 * bg.rho_b / bg.rho_g * a)))
    rates = jnp.stack(keep(1.0 / (a * H), cs / (a * H), 1.0 / H))
    # radiation era before the grid: tau = 1/(aH), r_s = tau / sqrt(3), t = 1/(2H)
    before = jnp.stack([1.0 / a[0], 1.0 / (np.sqrt(3.0) * a[0]), 0.5]) / H[0]
    tau, rs, t = keep(*jax.vmap(cumulative)(cell_integrals(rates, dx), before))
    values = jnp.stack([jnp.log(tau), jnp.log(rs), t], axis=-1)
    return UniformTable(jnp.asarray(LN_A_START), jnp.asarray(dx), values)
