"""HMcode-2020: a halo model whose parameters were fitted to simulations, with or without feedback of baryons.

Mead, Brieden, Troester & Heymans 2021 (arXiv:2009.01858); equations and tables without a name are of that paper. Where
CLASS departs from the text, CLASS is followed and a comment says so. Lengths in Mpc, h only where a fit is in h/Mpc.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from boltzax.numerics.quadrature import gauss_legendre
from boltzax.numerics.table import UniformTable
from boltzax.spectra.nonlinear.growth import Growth, ln_growth_by_index
from boltzax.spectra.nonlinear.linear import Epoch, LinearPower
from boltzax.spectra.nonlinear.profile import nfw
from boltzax.spectra.nonlinear.wiggles import wiggles
from boltzax.thermo.roots import newton

LOG10_T_AGN = 7.8  # the default of CLASS and CAMB
_LN_R = np.linspace(np.log(2e-4), np.log(150.0), 72)  # table of sigma(R)
_LN_R_SMALLEST, _LN_R_LARGEST = np.log(2e-3), np.log(100.0)  # halos: 1e3 to 2e17 solar masses
_N_EARLY, _N_LATE = 64, 40  # nodes among halos that formed before the epoch, and among larger ones
_LN_K_FIRST, _N_K = np.log(1e-3), 48  # of the one-halo term, constant on larger scales
_FORMED = 0.01 ** (1.0 / 3.0)  # radius of the hundredth of a halo whose collapse counts as its formation


class Variant(NamedTuple):
    """Parameters of the halo model, table 2: fitted ones, or those of the plain model with or without baryons.

    eta, k_star, k_damp, f_damp, alpha as in the paper; B the concentration of halos that form now; stars: their
    fraction of all matter, gas_mass: halos below it lose their gas [solar masses] (both None: no baryonic physics).
    """

    B: Float[Array, ""]
    eta: Float[Array, ""] | float = 0.0
    alpha: Float[Array, ""] | float = 1.0
    k_star: Float[Array, ""] | None = None
    k_damp: Float[Array, ""] | None = None
    f_damp: Float[Array, ""] | None = None
    stars: Float[Array, ""] | None = None
    gas_mass: Float[Array, ""] | None = None


class Halos(NamedTuple):
    """Halos at the quadrature nodes [m]: weight, radius R of the mass before collapse, virial radius [Mpc]; peak
    height; concentration for B = 1."""

    weight: Float[Array, " m"]
    R: Float[Array, " m"]
    R_virial: Float[Array, " m"]
    nu: Float[Array, " m"]
    concentration: Float[Array, " m"]


def hmcode(
    linear: LinearPower, epoch: Epoch, growth: Growth, log10_T_AGN: Float[Array, ""] | None = None
) -> tuple[Float[Array, " k"], Float[Array, ""]]:
    """Nonlinear power per ln k of all matter at the solved wavenumbers [k], and the wavenumber 1/R_nl [1/Mpc].

    log10_T_AGN: logarithm of the feedback temperature [K], fitted between 7.6 and 8.0, or None for dark matter only.
    With feedback the power is the fitted one times the response to baryons of the plain halo model. Fitted for
    k < 10 h/Mpc and z < 2. The nonlinear scale is sigma(R_nl) = delta_c.
    """
    ln_a = -jnp.log1p(epoch.z)
    delta_c, overdensity = collapse(epoch, growth, ln_a)
    cb = variance_table(linear, linear.cb)
    ln_R_nl = _crossing(cb, delta_c)
    n_eff = -3.0 - cb.derivative(ln_R_nl)[0]
    sigma8 = jnp.exp(0.5 * cb(jnp.log(8.0 / epoch.h))[0])
    # the paper takes the halo masses' sigma from baryons and cdm; CLASS and CAMB, as the fit did, from all matter times
    # an approximate ratio of the two: 1.7e-3 in the result for 0.3 eV, 1e-4 for 0.06 eV
    cold = variance_table(linear, linear.m * cold_ratio(linear.k, epoch, growth.over_a(ln_a)[0]) ** 2)
    halos = _halos(cold, delta_c, overdensity, epoch, growth)
    two_halo = _two_halo_terms(linear, epoch)
    power = lambda variant: _combine(linear, epoch, halos, two_halo, variant)
    fitted = power(_fitted(sigma8, n_eff, epoch.h))
    if log10_T_AGN is None:
        return fitted, jnp.exp(-ln_R_nl)
    response = power(_feedback(log10_T_AGN, epoch)) / power(Variant(B=jnp.asarray(4.0)))
    return fitted * response, jnp.exp(-ln_R_nl)


def _fitted(sigma8, n_eff, h) -> Variant:
    """Table 2, third column; sigma8 of baryons and cdm at the epoch."""
    return Variant(
        B=jnp.asarray(5.196),
        eta=0.1281 * sigma8**-0.3644,
        alpha=1.875 * 1.603**n_eff,
        k_star=0.05618 * h * sigma8**-1.013,
        k_damp=0.05699 * h * sigma8**-1.089,
        f_damp=0.2696 * sigma8**0.9403,
    )


def _feedback(log10_T_AGN, epoch: Epoch) -> Variant:
    """Table 5; stars cannot be more than all baryons, which CLASS and CAMB enforce (z > 2)."""
    theta, z = log10_T_AGN - 7.8, epoch.z
    stars = (0.0201 - 0.0030 * theta) * 10.0 ** ((0.409 + 0.0224 * theta) * z)
    gas_mass = 10.0 ** (13.87 + 1.81 * theta + (0.195 * theta - 0.108) * z) / epoch.h
    B = (3.44 - 0.496 * theta) * 10.0 ** (-(0.0671 + 0.0371 * theta) * z)
    return Variant(B=B, stars=jnp.minimum(stars, epoch.f_b), gas_mass=gas_mass)


def collapse(epoch: Epoch, growth: Growth, ln_a) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Linear threshold delta_c and virial overdensity Delta_v: Mead 2017 (arXiv:1606.05345), appendix A.

    With massive neutrinos as in Mead et al. (2021); radiation does not count.
    """
    g, total = growth.over_a(ln_a)
    g, total = 1.0 - g, 1.0 - total
    f_nu = epoch.f_nu
    log_Omega = jnp.log10(epoch.Omega_m / (epoch.Omega_m + epoch.Omega_de + epoch.Omega_k))
    threshold = (-0.0069 + g * (-0.0208 + 0.0312 * g) + 0.0021 * total) * log_Omega
    threshold = threshold + 0.0001 + g * (-0.0647 - 0.0417 * g) + 0.0646 * total
    density = (-0.79 + g * (-10.17 + 2.51 * g) + 6.51 * total) * log_Omega
    density = density + (-1.89 + g * (0.38 + 18.8 * g) - 15.87 * total) * log_Omega**2
    delta_c = 0.15 * (12.0 * np.pi) ** (2.0 / 3.0) * (1.0 + threshold) * (1.0 - 0.041 * f_nu)
    return delta_c, 18.0 * np.pi**2 * (1.0 + density) * (1.0 + 0.763 * f_nu)


def variance_table(linear: LinearPower, power: Float[Array, " k"]) -> UniformTable:
    """ln sigma^2 over ln R, R in Mpc, in spheres; power per ln k at linear.k."""
    x = np.exp(_LN_R)[:, None] * linear.k
    small = x < 0.05
    y = jnp.where(small, 1.0, x)
    window = jnp.where(small, 1.0 - x**2 / 10.0 + x**4 / 280.0, 3.0 * (jnp.sin(y) - y * jnp.cos(y)) / y**3)
    values = jnp.log(linear.step * (window**2 @ power))
    return UniformTable(jnp.asarray(_LN_R[0]), jnp.asarray(_LN_R[1] - _LN_R[0]), values[:, None])


def _crossing(table: UniformTable, delta_c) -> Float[Array, ""]:
    """ln R at which sigma = delta_c, at least the smallest of the table."""
    f = lambda u: table(u)[..., 0] - 2.0 * jnp.log(delta_c)
    return newton(f, jnp.log(60.0), _LN_R[2], _LN_R[-3], 40)


def cold_ratio(k: Float[Array, " k"], epoch: Epoch, g: Float[Array, ""]) -> Float[Array, " k"]:
    """Growth of baryons and cdm over that of all matter: Eisenstein & Hu 1999 (astro-ph/9710252), eqs. (5)-(14).

    g: D/a of matter and dark energy; one massive species, whatever their number, as in CLASS.
    """
    f = jnp.maximum(epoch.f_nu, 1e-10)  # without massive neutrinos the ratio is 1
    omega_m = epoch.Omega_m0 * epoch.h**2
    p = 6.0 * f / (5.0 + jnp.sqrt(1.0 + 24.0 * (1.0 - f)))
    theta = epoch.T_cmb / 2.7
    D = (1.0 + 2.5e4 * omega_m / theta**4) * g / (1.0 + epoch.z)
    free_streaming = 17.2 * f * (1.0 + 0.488 * f ** (-7.0 / 6.0)) * (k * theta**2 / (omega_m * f)) ** 2
    grown = (D / (1.0 + free_streaming)) ** 0.7
    return ((1.0 + grown) / (jnp.exp(0.7 / p * jnp.log1p(-f)) + grown)) ** (p / 0.7)


def _halos(table: UniformTable, delta_c, overdensity, epoch: Epoch, growth: Growth) -> Halos:
    """Nodes and what does not depend on the variant.

    Halos of which a hundredth collapsed before the epoch are more concentrated the earlier it did, the others are not:
    the kink between them, where sigma(R _FORMED) = delta_c, is a border of the quadrature.
    """
    ln_kink = _crossing(table, delta_c) - np.log(_FORMED)
    x, w = gauss_legendre(_N_EARLY, 0.0, 1.0)
    early = _LN_R_SMALLEST + x * (ln_kink - _LN_R_SMALLEST)
    y, v = gauss_legendre(_N_LATE, 0.0, 1.0)
    late = ln_kink + y * (_LN_R_LARGEST - ln_kink)
    ln_R = jnp.concatenate([early, late])
    d_ln_R = jnp.concatenate([w * (ln_kink - _LN_R_SMALLEST), v * (_LN_R_LARGEST - ln_kink)])
    nu = delta_c * jnp.exp(-0.5 * table(ln_R)[:, 0])
    # Sheth & Tormen (1999), eq. (23), as a density of nu
    q_nu2 = 0.707 * nu**2
    d_nu = -0.5 * nu * table.derivative(ln_R)[:, 0] * d_ln_R
    weight = 0.21616 * (1.0 + q_nu2**-0.3) * jnp.exp(-0.5 * q_nu2) * d_nu
    # formation, eq. (21): D(z_f) = delta_c D(z) / sigma(R _FORMED)
    ln_a = -jnp.log1p(epoch.z)
    ln_D = growth.ln_factor(ln_a)
    formed = growth.ln_a(jnp.log(delta_c) + ln_D - 0.5 * table(early + np.log(_FORMED))[:, 0])
    older = jnp.exp(jnp.concatenate([ln_a - formed, jnp.zeros(_N_LATE)]))
    R = jnp.exp(ln_R)
    return Halos(weight, R, R * overdensity ** (-1.0 / 3.0), nu, older * _dark_energy(epoch, growth, ln_D))


def _dark_energy(epoch: Epoch, growth: Growth, ln_D):
    """Correction of the concentration, eq. (22): D / D_LCDM at z = 10 over the same at z.

    CLASS takes D_LCDM(z) from the growth index, so that in Lambda-CDM the correction is not quite 1, and stops it at
    z = 10, which is a step; here it goes on.
    """
    return jnp.exp(growth.ln_early_excess + ln_growth_by_index(epoch) - ln_D)


def _two_halo_terms(linear: LinearPower, epoch: Epoch) -> Float[Array, " k"]:
    """Linear power with wiggles damped by the velocity dispersion: eq. (15)."""
    k = linear.k[: linear.solved]
    variance = linear.step * jnp.sum(linear.m / linear.k**2) / 3.0
    return linear.m[: linear.solved] + jnp.expm1(-variance * k**2) * wiggles(linear, epoch)


def _combine(linear: LinearPower, epoch: Epoch, halos: Halos, two_halo, variant: Variant):
    """The transition between two-halo and one-halo term, eq. (23), each with its damping, eqs. (16), (17)."""
    k = linear.k[: linear.solved]
    one_halo = _one_halo(linear, epoch, halos, variant)
    if variant.k_star is not None:
        ratio = (k / variant.k_star) ** 4
        one_halo = one_halo * ratio / (1.0 + ratio)
        ratio = (k / variant.k_damp) ** 2.853
        two_halo = two_halo * (1.0 - variant.f_damp * ratio / (1.0 + ratio))
        return (one_halo**variant.alpha + two_halo**variant.alpha) ** (1.0 / variant.alpha)
    return one_halo + two_halo


def _one_halo(linear: LinearPower, epoch: Epoch, halos: Halos, variant: Variant) -> Float[Array, " k"]:
    """Power per ln k of pairs within a halo at the solved wavenumbers, read from a coarser table in ln k.

    4 pi / 3 int R^3 W(k nu^eta)^2 f(nu) d nu: the mass function of Sheth & Tormen counts all matter.
    """
    ln_k_solved = jnp.log(linear.k[: linear.solved])
    step = (ln_k_solved[-1] - _LN_K_FIRST) / (_N_K - 1)
    k = jnp.exp(_LN_K_FIRST + step * np.arange(_N_K))
    window = nfw(k[:, None] * halos.nu**variant.eta * halos.R_virial, variant.B * halos.concentration)
    if variant.stars is None:
        window = window * (1.0 - epoch.f_nu)
    else:  # eqs. (24), (25): gas that stays, stars at the centre
        mass2 = (4.0 * np.pi / 3.0 * halos.R**3 * epoch.matter_density / variant.gas_mass) ** 2
        f_c = 1.0 - epoch.f_b - epoch.f_nu
        window = window * (f_c + (epoch.f_b - variant.stars) * mass2 / (1.0 + mass2)) + variant.stars
    power = window**2 @ (halos.weight * 4.0 * np.pi / 3.0 * halos.R**3)
    table = UniformTable(jnp.asarray(_LN_K_FIRST), step, jnp.log(power)[:, None])
    at = jnp.maximum(ln_k_solved, _LN_K_FIRST)
    return jnp.exp(table(at)[:, 0] + 3.0 * ln_k_solved) / (2.0 * np.pi**2)
