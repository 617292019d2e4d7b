"""Source functions of temperature, polarisation, lensing and matter on the common time nodes.

Seljak & Zaldarriaga (1996), eq. (12), with every derivative of the Bessel function integrated by parts or traded for
l(l+1) j_l / z^2, z = k (tau_0 - tau):

    Delta_T = int [S_T + (3/2) l(l+1) S_P / z^2] j_l dtau,    Delta_E = (3/2) sqrt((l+2)!/(l-2)!) int S_P / z^2 j_l dtau

with S_P = g Pi / 8. In curved space j_l is Phi_l(chi) (`boltzax.projection.hyperspherical`), 1/z is cot_K(chi)/k or
1/(k S_K(chi)), and Pi is divided by s_2 (Lesgourgues & Tram 2014, arXiv:1312.2697). All slopes come from the
solution's own right-hand side.
"""

from dataclasses import replace
from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from boltzax.background.curvature import cosine, ladder, sine, wavenumber
from boltzax.numerics.fusion import settle
from boltzax.numerics.hidden import hidden
from boltzax.perturbations.integrate import Trajectory
from boltzax.perturbations.mesh import Schedule
from boltzax.perturbations.tensors import TensorSources


class StepFields(NamedTuple):
    """Smooth combinations at the end of each step, without g and e^-kappa. [rows, lanes] each.

    monopole: F_0/4 + alpha' - pi/8; isw: phi' + psi'; dipole: theta_b/k^2 + alpha; pi: Pi/s_2; weyl: phi + psi;
    delta_m, delta_cb: comoving matter and baryon + CDM density contrast; d_*: density contrasts in synchronous gauge,
    of everything but the cosmological constant in d_tot; phi.
    """

    monopole: jnp.ndarray
    isw: jnp.ndarray
    dipole: jnp.ndarray
    pi: jnp.ndarray
    weyl: jnp.ndarray
    delta_m: jnp.ndarray
    delta_cb: jnp.ndarray
    d_b: jnp.ndarray
    d_cdm: jnp.ndarray
    d_ncdm: jnp.ndarray
    d_tot: jnp.ndarray
    phi: jnp.ndarray


def step_fields(background, history, plan: Schedule, out: Trajectory) -> StepFields:
    """Metric and source combinations of the trajectory; Ma & Bertschinger (1995), eqs. (18), (21)."""
    x = plan.x + plan.h
    expansion = eqx.tree_at(lambda t: t.values, history, history.values[:, :2])  # ln a, ln aH
    a, aH = settle(jnp.exp(jnp.moveaxis(expansion(jnp.log(x)), -1, 0)))
    aH_table = eqx.tree_at(lambda t: t.values, history, history.values[:, 1:2])
    # (aH)' / (aH)
    (ln_aH_slope,) = settle(jnp.moveaxis(aH_table.derivative(jnp.log(x)), -1, 0)) / (x * background.tau_0)
    k = wavenumber(background, plan.y, plan.y.min())
    k2 = k * k
    pi, poisson, friedmann = out.pi, k2, aH**2
    if background.K is not None:
        s2 = ladder(background.K, k, 2)
        pi, poisson, friedmann = pi / s2, k2 * s2**2, friedmann + background.K
    eta, delta_cdm, delta_b, theta_b = jnp.moveaxis(out.fluid, 1, 0)
    h_p, eta_p = jnp.moveaxis(out.metric, 1, 0)
    alpha = (h_p + 6.0 * eta_p) / (2.0 * k2)
    alpha_p = -2.0 * aH * alpha + eta - 4.5 * out.shear / k2
    alpha_pp = -2.0 * aH * (ln_aH_slope * alpha + alpha_p) + eta_p - 4.5 * out.shear_prime / k2
    delta_m, delta_cb, delta_ncdm = _matter(background, a, aH, k, out)
    return StepFields(
        monopole=out.f0 / 4.0 + alpha_p - pi / 8.0,
        isw=eta_p + alpha_pp,
        dipole=theta_b / k2 + alpha,
        pi=pi,
        weyl=eta + alpha_p,
        delta_m=delta_m,
        delta_cb=delta_cb,
        d_b=delta_b,
        d_cdm=delta_cdm,
        d_ncdm=delta_ncdm,
        d_tot=(0.5 * aH * h_p - poisson * eta) / (1.5 * (friedmann - a**2 * background.rho_lambda)),
        phi=eta - aH * alpha,
    )


def _matter(background, a, aH, k, out: Trajectory):
    """Density contrasts of all matter (b, cdm, ncdm) and of b + cdm, in the frame comoving with each; of ncdm alone, in
    synchronous gauge."""
    _, delta_cdm, delta_b, theta_b = jnp.moveaxis(out.fluid, 1, 0)
    rho_b, rho_c = background.rho_b / a, a**2 * background.rho_cold(a)
    delta_rho = rho_b * delta_b + rho_c * delta_cdm
    momentum = rho_b * theta_b
    rho = rho_b + rho_c
    frame = 3.0 * aH / k**2
    delta_cb = (delta_rho + frame * momentum) / rho
    if not background.M_ncdm.shape[0]:
        return delta_cb, delta_cb, jnp.zeros_like(delta_cb)
    rho_n, p_n = settle(jnp.stack([a**2 * v.sum(-1) for v in background.rho_ncdm(a)]))
    delta_rho = delta_rho + out.delta_ncdm
    momentum = momentum + k * out.theta_ncdm
    delta_m = (delta_rho + frame * momentum * (rho + rho_n) / (rho + rho_n + p_n)) / (rho + rho_n)
    return delta_m, delta_cb, out.delta_ncdm / rho_n


#: fields of `StepFields` that transfer functions need beside the matter's
LATE = ("d_b", "d_cdm", "d_ncdm", "d_tot", "phi", "weyl")


class Sources(eqx.Module):
    """Line-of-sight sources at k = y/tau_0 (`boltzax.background.curvature.wavenumber`) and tau = x tau_0 for curvature
    perturbation R = 1.

    S_T, S_P [CMB modes, nodes] in 1/Mpc; weyl = phi + psi [modes, nodes]; delta_m, delta_cb [modes, late nodes]; late:
    the fields `LATE`. isocurvature: the same for entropy perturbations S = 1, one for each of
    `Cosmology.isocurvature`; tensors: those of gravitational waves.
    """

    S_T: Float[Array, "cmb nodes"]
    S_P: Float[Array, "cmb nodes"]
    weyl: Float[Array, "modes nodes"]
    delta_m: Float[Array, "modes late"]
    delta_cb: Float[Array, "modes late"]
    late: Float[Array, "fields modes late"] | None = None
    isocurvature: tuple["Sources", ...] = ()
    tensors: TensorSources | None = None

    def without_others(self) -> "Sources":
        """These sources alone, without those of isocurvature and tensor modes."""
        return replace(self, isocurvature=(), tensors=None)


def sources(grid, background, thermo, fields: StepFields, tensors: TensorSources | None = None) -> Sources:
    """Carry the fields of the steps to the time nodes of the grid and assemble the sources there."""
    value, slope, late = grid.line_of_sight.weight, grid.line_of_sight.slope, grid.late
    monopole, isw, dipole, pi, weyl = _read(fields[:5], grid.line_of_sight.index, value)
    dipole_slope, pi_slope = _read((fields.dipole, fields.pi), grid.line_of_sight.index, slope)
    at_late_times = (*fields[5:7], *(getattr(fields, name) for name in LATE))
    delta_m, delta_cb, *others = _read(at_late_times, late.index, late.weight)
    tau_0 = background.tau_0
    tau = jnp.asarray(grid.x) * tau_0
    th = thermo.at(background.ln_a(tau))
    g, g_prime, exp_m_kappa = settle(jnp.stack([th.g, th.g_prime, th.exp_m_kappa]))
    S_P = g * pi / 8.0
    S_P_prime = (g_prime * pi + g * pi_slope / tau_0) / 8.0
    S_T = g * (monopole + dipole_slope / tau_0) + g_prime * dipole + exp_m_kappa * isw
    kz, z2 = _arguments(grid, background)
    S_T = S_T - 3.0 * (S_P_prime / kz + S_P / z2)
    n = grid.n_cmb
    return Sources(S_T[:n], S_P[:n], weyl, delta_m, delta_cb, jnp.stack(others), tensors=tensors)


def _arguments(grid, background):
    """k z [1/Mpc] and z^2 [modes, nodes] of z = k (tau_0 - tau); of k tan_K and k S_K in curved space."""
    if background.K is None:
        k = jnp.asarray(grid.y_modes)[:, None] / background.tau_0
        z = jnp.asarray(grid.y_modes[:, None] * (1.0 - grid.x))
        return k * z, z**2
    k = wavenumber(background, grid.y_modes, grid.y_modes[0])[:, None]
    chi = background.tau_0 * (1.0 - grid.x)
    radius = sine(background.K, chi)
    return k**2 * radius / cosine(background.K, chi), (k * radius) ** 2


def _read(fields, index, weight):
    """Fields of the steps at time nodes, [fields, modes, nodes]: sum over the points of an interpolation."""
    flat = jnp.stack(fields, axis=-1).reshape(-1, len(fields))
    index, weight = hidden(index), hidden(weight)
    near = lambda p: flat.at[index[..., p]].get(mode="promise_in_bounds")
    return settle(jnp.moveaxis(sum(weight[..., p, None] * near(p) for p in range(weight.shape[-1])), -1, 0))
