"""The linear equations, at the three collocation nodes of a step.

Metric: Ma & Bertschinger (1995), eqs. (21a), (21b); fluids (42), (66), (67); hierarchies (49), (63), (64). Curved
space: Lesgourgues & Tram (2014, arXiv:1312.2697). Slopes are multiplied by the length dtau of the
step. Arrays are [3, ...] over the nodes; lanes are last.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from boltzax.background.curvature import ladder
from boltzax.fluids import Fluid, Instant
from boltzax.perturbations import blocks
from boltzax.perturbations import layout as lay_
from boltzax.perturbations.layout import Layout
from boltzax.perturbations.species.photons import POLARISATION as G
from boltzax.perturbations.species.photons import TEMPERATURE as F


class Contents(NamedTuple):
    """What the equations read of the background: densities today times their scaling [1/Mpc^2], masses, tau_0 [Mpc],
    radiation and cold dark matter long before equality, fluids, curvature [1/Mpc^2] (None: flat)."""

    rho_g: jnp.ndarray
    rho_ur: jnp.ndarray
    rho_b: jnp.ndarray
    rho_cdm: jnp.ndarray
    rho_ncdm_massless: jnp.ndarray
    M_ncdm: jnp.ndarray
    tau_0: jnp.ndarray
    early_streaming: jnp.ndarray
    early_radiation: jnp.ndarray
    early_cold: jnp.ndarray
    fluids: tuple[Fluid, ...] = ()
    K: jnp.ndarray | None = None

    @classmethod
    def of(cls, background) -> "Contents":
        return cls(*(getattr(background, name) for name in cls._fields))


class Medium(NamedTuple):
    """What the equations read at each time: a, aH [1/Mpc], kappa' [1/Mpc], baryon sound speed squared, and the time
    functions of each fluid."""

    a: jnp.ndarray
    aH: jnp.ndarray
    kappa_prime: jnp.ndarray
    cb2: jnp.ndarray
    fluids: tuple[dict[str, jnp.ndarray], ...] = ()


class Ladder(NamedTuple):
    """What curvature does to a wavenumber: couplings s_l = sqrt(1 - K (l^2-1)/k^2) and K/k^2.

    s2, K_over_k2 [lanes]; higher [l, lanes]: l = 3..LAST+2.
    """

    s2: jnp.ndarray
    K_over_k2: jnp.ndarray
    higher: jnp.ndarray | tuple[float, ...]

    @property
    def s3(self):
        return self.higher[0]


class Coefficients(NamedTuple):
    """Coefficients of one step. k [1/Mpc], dtau [Mpc] [lanes]; all others at the nodes.

    damping kappa' dtau, two_over_aH, rho_b and rho_cdm (times a^2), pressure c_b^2 k^2 dtau, drag R^-1 kappa' dtau and
    expansion aH dtau [3, lanes]; gk speed k dtau and the moment weights w0, w1 [3, rows, lanes]; w_sigma: weight of
    F_2 in a^2 sum (rho+P) sigma at the end of the step, and its slope [2, rows, lanes]; fluids: matrices of each;
    ladder: in curved space.
    """

    k: jnp.ndarray
    dtau: jnp.ndarray
    damping: jnp.ndarray
    two_over_aH: jnp.ndarray
    rho_b: jnp.ndarray
    rho_cdm: jnp.ndarray
    pressure: jnp.ndarray
    drag: jnp.ndarray
    expansion: jnp.ndarray
    gk: jnp.ndarray
    w0: jnp.ndarray
    w1: jnp.ndarray
    w_sigma: jnp.ndarray
    fluids: tuple[blocks.Block, ...] = ()
    ladder: Ladder | None = None

    @property
    def s(self) -> Ladder:
        """The ladder, its numbers those of flat space without one."""
        return Ladder(1.0, 0.0, (1.0,)) if self.ladder is None else self.ladder


class Core(NamedTuple):
    """Unknowns at the nodes but the tails. fluid [4, 3, lanes]: eta, delta_cdm, delta_b, theta_b; low [3, 3, rows,
    lanes]: l = 0, 1, 2 of every hierarchy; border [3, 3, lanes]: h', eta', Pi = F_2 + G_0 + G_2; fluids: unknowns
    [n, 3, lanes] of each."""

    fluid: jnp.ndarray
    low: jnp.ndarray
    border: jnp.ndarray
    fluids: tuple[jnp.ndarray, ...] = ()


def coefficients(lay: Layout, contents: Contents, k, dtau, m: Medium) -> Coefficients:
    """Coefficients at wavenumber k [1/Mpc] over a step dtau [Mpc], m at its nodes [3, lanes]."""
    w0, w1, w_sigma, dln_sigma = lay_.moments(lay, contents, m.a)
    thomson = m.kappa_prime * dtau
    climb = None
    if contents.K is not None:
        s2, *higher = (ladder(contents.K, k, l) for l in range(2, lay_.LAST + 3))
        climb = Ladder(s2, contents.K / k**2, jnp.stack(higher))
        w_sigma = w_sigma / climb.s2
    nodes_first = lambda v: jnp.moveaxis(v, 1, 0)
    return Coefficients(
        k=k,
        dtau=dtau,
        damping=thomson,
        two_over_aH=2.0 / m.aH,
        rho_b=contents.rho_b / m.a,
        rho_cdm=contents.rho_cdm / m.a,
        pressure=m.cb2 * k**2 * dtau,
        drag=4.0 * contents.rho_g / (3.0 * contents.rho_b * m.a) * thomson,
        expansion=m.aH * dtau,
        gk=nodes_first(lay_.speeds(lay, contents, m.a)) * (k * dtau),
        w0=nodes_first(w0),
        w1=nodes_first(w1),
        w_sigma=jnp.stack([w_sigma, w_sigma * dln_sigma * m.aH])[:, :, -1],
        fluids=tuple(
            blocks.block(fluid, k, dtau, Instant(m.a, m.aH, own))
            for fluid, own in zip(contents.fluids, m.fluids, strict=True)
        ),
        ladder=climb,
    )


def column(mask):
    """Static values of the rows, shaped to meet [..., rows, lanes]."""
    return np.asarray(mask, float)[:, None]


def row_damping(lay: Layout, c: Coefficients):
    """Thomson damping of l = 0 and of l >= 1 of every row, [3, rows, lanes] each."""
    d = c.damping[..., None, :]
    return column(np.arange(lay.rows) == G) * d, column(lay.damped) * d


def gravity_terms(lay: Layout, c: Coefficients, h_prime, eta_prime):
    """What the metric adds to the slopes of l = 0 and l = 2 of every row."""
    feels = column(lay.gravitates) * c.dtau
    wide = lambda v: v[..., None, :]
    return -2.0 / 3.0 * feels * wide(h_prime), feels * c.s.s2 * wide(4.0 / 15.0 * h_prime + 1.6 * eta_prime)


def scattering_terms(c: Coefficients, pi, theta_b):
    """What Thomson gains add to the slopes of l = 0, 1, 2 of the photon rows F, G, as [..., 2, lanes]."""
    zero = jnp.zeros_like(pi)
    gain = 0.1 * c.damping * pi
    pair = lambda f, g: jnp.stack([f, g], axis=-2)
    return pair(zero, 5.0 * gain), pair(4.0 / 3.0 * c.damping / c.k * theta_b, zero), pair(gain, gain)


def source_terms(lay: Layout, c: Coefficients, border, theta_b):
    """What h', eta', Pi and theta_b add to the slopes of l = 0, 1, 2 of every row, [3, 3, rows, lanes]."""
    s0, s2 = gravity_terms(lay, c, border[0], border[1])
    t = scattering_terms(c, border[2], theta_b)
    rest = [(0, 0)] * (t[0].ndim - 2) + [(0, lay.rows - 2), (0, 0)]
    t0, t1, t2 = (jnp.pad(v, rest) for v in t)
    return jnp.stack([s0 + t0, t1, s2 + t2])


def slopes(lay: Layout, c: Coefficients, x: Core, f3) -> Core:
    """Slopes times dtau of fluid and low; in place of border what the constraints say that it is.

    f3 [3, rows, lanes]: l = 3 of every row, from its tail.
    """
    eta, delta_cdm, delta_b, theta_b = x.fluid
    h_prime, eta_prime, _ = x.border
    x0, x1, x2 = x.low
    damp0, damp = row_damping(lay, c)
    sources = source_terms(lay, c, x.border, theta_b)
    low = jnp.stack(
        [
            -c.gk * x1 - damp0 * x0,
            c.gk / 3.0 * (x0 - 2.0 * c.s.s2 * x2) - damp * x1,
            c.gk / 5.0 * (2.0 * c.s.s2 * x1 - 3.0 * c.s.s3 * f3) - damp * x2,
        ]
    )
    fluid = jnp.stack(
        [
            c.dtau * eta_prime,
            -0.5 * c.dtau * h_prime,
            -c.dtau * (theta_b + 0.5 * h_prime),
            c.pressure * delta_b - c.expansion * theta_b + c.drag * (0.75 * c.k * x1[:, F] - theta_b),
        ]
    )
    density = c.rho_cdm * delta_cdm + c.rho_b * delta_b + (c.w0 * x0).sum(-2)
    momentum = (c.w1 * x1).sum(-2)
    for b, v in zip(c.fluids, x.fluids, strict=True):
        own = blocks.stress(b, v, x.border[:2])
        density, momentum = density + own[0], momentum + own[1]
    square = c.s.s2**2
    border = jnp.stack(
        [
            c.two_over_aH * (c.k**2 * square * eta + 1.5 * density),
            (1.5 * (c.rho_b * theta_b / c.k**2 + momentum / c.k) + 0.5 * c.s.K_over_k2 * h_prime) / square,
            x2[:, F] + x0[:, G] + x2[:, G],
        ]
    )
    others = tuple(blocks.slopes(b, v, x.border[:2]) for b, v in zip(c.fluids, x.fluids, strict=True))
    return Core(fluid, low + sources, border, others)
