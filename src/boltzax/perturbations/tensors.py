"""Gravitational waves and the radiation that they disturb.

h'' + 2 aH h' + k^2 h = 24 a^2 (rho_g pi_g + rho_nu pi_nu), rho = 8 pi G rho_physical / 3, where for collisionless
particles pi = -int K(k(tau - tau')) h' dtau', K(s) = j_2(s)/s^2 (Weinberg 2004, PRD 69, 023503, eqs. 15-18). Photons
scatter: with Psi of Kosowsky (1996, Ann. Phys. 246, 49), sec. 3 (Zaldarriaga & Seljak 1997, eqs. 24-26),

    pi_g = K * [-h' + kappa' Psi],    Psi = 3/2 pi_g + K_P * [kappa' Psi],

the convolutions damped by exp(-kappa). Both kernels are sums of exponentials (`kernels.py`), each a scalar equation.
A step is three-stage Radau IIA collocation; at its nodes p = h' and Psi are the only coupled unknowns.
"""

from functools import lru_cache
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from boltzax.numerics.fusion import settle
from boltzax.numerics.radau import FROM_START, MATRIX, NODES, SLOPE
from boltzax.numerics.small import apply, inverse, product
from boltzax.perturbations import tails
from boltzax.perturbations.kernels import INTENSITY, POLARISATION, exponentials
from boltzax.perturbations.layout import Group
from boltzax.perturbations.mesh import X_START_MAX, visibility

RESOLVED = 2.0
_BLOCK = 8  # steps whose factors are made together


class TensorModes(eqx.Module):
    """h' [1/Mpc] and Psi at the end of every step of every mode, for h = 1 at the beginning. [modes, steps]."""

    h_prime: Float[Array, "modes steps"]
    psi: Float[Array, "modes steps"]


class TensorSources(eqx.Module):
    """S_T and S_P [modes, steps] in 1/Mpc at the ends of all steps that matter, for h = 1 at the beginning."""

    S_T: Float[Array, "modes steps"]
    S_P: Float[Array, "modes steps"]


def step_density(x, y, p):
    """Steps per unit x. Waves are resolved until y x ~ RESOLVED p.x_stream and beyond left out of the sources."""
    resolved = 1.0 / (1.0 + (y * x / (RESOLVED * p.x_stream)) ** 4)
    radians = p.n_k * y * resolved * (0.8 + 0.8 / (1.0 + (y * x / 20.0) ** 2))  # the later, the less it adds
    smooth = p.n_h / x
    return np.sqrt(smooth**2 + radians**2 + (p.n_v * visibility(x)) ** 2)


@lru_cache
def meshes(ys: tuple[float, ...], p) -> tuple[np.ndarray, np.ndarray]:
    """Step boundaries x = tau/tau_0 of wavenumbers ys, and dx/dn there. [ys, steps + 1] each.

    All modes take the same number of steps, so that the n-th boundary moves smoothly with y: late ones stay at a phase
    of the wave, and what oscillates in y at fixed x does not at fixed n.
    """
    fractions, n = _fractions(p)
    out, slope = np.empty((2, len(ys), n + 1))
    for i, y in enumerate(ys):
        x, count = _count(y, p)
        out[i] = np.interp(fractions * count[-1], count, x)
        out[i, -1] = 1.0
        slope[i] = count[-1] / n / step_density(out[i], y, p)
    return out, slope


def _count(y, p):
    x = np.exp(np.linspace(np.log(min(p.y_x_start / y, X_START_MAX)), 0.0, 8001))
    density = step_density(x, y, p)
    return x, np.concatenate([[0.0], np.cumsum(0.5 * (density[1:] + density[:-1]) * np.diff(x))])


@lru_cache
def _fractions(p):
    """Boundaries as fractions of a mode's count of steps, and their number: the most any mode asks for."""
    longest = max(_count(y, p)[1][-1] for y in np.geomspace(p.y_min, 1e4, 50))
    n = -(-int(np.ceil(longest)) // _BLOCK) * _BLOCK
    return np.linspace(0.0, 1.0, n + 1), n


class _Factors(NamedTuple):
    """What of a step does not depend on its state: responses of the modes, matrices [3, 3, lanes] over the nodes."""

    intensity: tails.Response
    polarisation: tails.Response
    neutrinos: tails.Response
    thomson: jnp.ndarray  # kappa' dtau [3, lanes]
    drive: jnp.ndarray  # 24 a^2 dtau of photons and neutrinos [2, 3, lanes]
    echo: jnp.ndarray  # of pi_g
    psi: jnp.ndarray  # inverse of the equation of Psi
    psi_of_p: jnp.ndarray
    p: jnp.ndarray  # inverse of the equation of p


class _State(NamedTuple):
    """h, p [lanes]; exponentials of photon intensity, polarisation and neutrinos [2, modes, 1, lanes]."""

    h: jnp.ndarray
    p: jnp.ndarray
    intensity: jnp.ndarray
    polarisation: jnp.ndarray
    neutrinos: jnp.ndarray


class _Groups(NamedTuple):
    """Static: the exponentials of both kernels."""

    intensity: Group
    polarisation: Group


def _groups(p) -> _Groups:
    group = lambda m, n: Group(0, 1, True, *exponentials(m, n))
    return _Groups(group(INTENSITY, max(p.n_tail - 2, 3)), group(POLARISATION, p.n_tail))


def _factor(groups: _Groups, background, medium, k, dtau) -> _Factors:
    """k, dtau [lanes]; medium: ln a, ln aH, ln kappa' at the nodes [3, 3, lanes]."""
    a, aH, kappa_prime = jnp.exp(medium)
    wide = lambda m: jnp.asarray(m)[..., None]
    damping = kappa_prime * dtau
    phase = jnp.broadcast_to(k * dtau, damping.shape)[:, None]
    intensity = tails.respond(groups.intensity, phase, damping[:, None])
    polarisation = tails.respond(groups.polarisation, phase, damping[:, None])
    neutrinos = tails.respond(groups.intensity, phase, jnp.zeros_like(phase))
    e_g, e_p, e_n = (
        tails.echo(g, r)[:, :, 0]
        for g, r in ((groups.intensity, intensity), (groups.polarisation, polarisation), (groups.intensity, neutrinos))
    )
    psi = inverse(wide(np.eye(3)) - (1.5 * e_g + e_p) * damping)
    psi_of_p = 1.5 * dtau * product(psi, e_g)
    relativistic = background.rho_ur / a**2
    if background.M_ncdm.shape[0]:
        relativistic = relativistic + 3.0 * a**2 * background.rho_ncdm(a)[1].sum(-1)
    drive = 24.0 * dtau * jnp.stack([background.rho_g / a**2, relativistic])
    photons = dtau * e_g + product(e_g, damping[:, None] * psi_of_p)
    matrix = wide(SLOPE) + wide(np.eye(3)) * (2.0 * aH * dtau) + wide(MATRIX) * (k * dtau) ** 2
    matrix = matrix + drive[0][:, None] * photons + drive[1][:, None] * dtau * e_n
    return _Factors(
        intensity, polarisation, neutrinos, damping, drive, e_g, psi, psi_of_p, inverse(matrix)
    )  # fmt: skip


def _advance(groups: _Groups, z: _State, step):
    """The state at the end of a step, and h', Psi there."""
    f, k, dtau = step
    free = lambda g, r, w: tails.free_f3(g, r, w)[:, 0]
    pi_g = free(groups.intensity, f.intensity, z.intensity)
    pi_n = free(groups.intensity, f.neutrinos, z.neutrinos)
    psi = apply(f.psi, 1.5 * pi_g + free(groups.polarisation, f.polarisation, z.polarisation))
    waves = f.drive[0] * (pi_g + apply(f.echo, f.thomson * psi)) + f.drive[1] * pi_n
    p = apply(f.p, FROM_START[:, None] * z.p - k**2 * dtau * z.h + waves)
    psi = psi - apply(f.psi_of_p, p)
    metric, gain = (-dtau * p)[:, None], (f.thomson * psi)[:, None]
    end = _State(
        z.h + dtau * (MATRIX[2][:, None] * p).sum(0),
        p[2],
        tails.at_node(groups.intensity, f.intensity, 2, z.intensity, metric + gain),
        tails.at_node(groups.polarisation, f.polarisation, 2, z.polarisation, gain),
        tails.at_node(groups.intensity, f.neutrinos, 2, z.neutrinos, metric),
    )
    return end, jnp.stack([p[2], psi[2]])


def _begin(groups: _Groups, background, k, tau) -> _State:
    """Superhorizon waves in the radiation era, next to leading order: h' = -5 k^2 tau / (15 + 4 f_nu).

    Weinberg (2004), eq. (15) with K(0) = 1/15. Photons are tightly coupled.
    """
    rate = 5.0 / (15.0 + 4.0 * background.early_streaming / background.early_radiation) * k**2 * tau
    h = 1.0 - 0.5 * rate * tau
    rest = lambda g: jnp.zeros((2, len(g.lam), 1, len(tau)))
    neutrinos = rest(groups.intensity).at[0].add(0.5 * rate * tau)
    return _State(h, -rate, rest(groups.intensity), rest(groups.polarisation), neutrinos)


def integrate(p, background, history, ys: tuple[float, ...]) -> TensorModes:
    """Tensor modes of wavenumbers k = y/tau_0. history: over ln(tau/tau_0) of ln a, ln aH, ln kappa', ..."""
    x = meshes(ys, p)[0].T
    n_steps, lanes = x.shape[0] - 1, x.shape[1]
    groups, tau_0 = _groups(p), background.tau_0
    k = jnp.asarray(ys) / tau_0
    table = eqx.tree_at(lambda t: t.values, history, history.values[:, :3])
    blocks = tuple(v.reshape(-1, _BLOCK, lanes) for v in (x[:-1], np.diff(x, axis=0)))

    @jax.checkpoint
    def run_block(state, steps):
        start, length = steps
        nodes = jnp.log(start[:, None] + NODES[:, None] * length[:, None])
        medium = jnp.moveaxis(settle(jnp.moveaxis(table(nodes), -1, 0)), 0, 1)
        dtau = length * tau_0
        factors = jax.vmap(lambda m, d: _factor(groups, background, m, k, d))(medium, dtau)
        return jax.lax.scan(lambda z, s: _advance(groups, z, (s[0], k, s[1])), state, (factors, dtau))

    begin = _begin(groups, background, k, jnp.asarray(x[0]) * tau_0)
    _, out = jax.lax.scan(run_block, begin, tuple(jnp.asarray(v) for v in blocks))
    out = out.reshape(n_steps, 2, lanes)
    return TensorModes(out[:, 0].T, out[:, 1].T)
