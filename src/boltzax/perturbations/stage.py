"""One implicit stage, (1 - g A) X = r, solved in closed form.

Metric: Ma & Bertschinger (1995), eqs. (21a), (21b); fluids (42), (66), (67); hierarchies (49), (63), (64).
Every hierarchy is the same small block, l = 0, 1, 2 and a modal tail, at its own speed and damping. It feels the rest
only through four border unknowns: h', eta', Pi = F_2 + G_0 + G_2 and theta_b. The blocks answer in closed form and
a 4x4 system closes them. `factor` holds what does not depend on r, and runs for many stages at once; `solve` is all
that remains in the sequential part. Exact: no tight coupling, no streaming approximation.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from boltzax.numerics.fusion import settle
from boltzax.perturbations import layout as lay_
from boltzax.perturbations.layout import Layout
from boltzax.perturbations.species.photons import POLARISATION as G
from boltzax.perturbations.species.photons import TEMPERATURE as F

H_PRIME, ETA_PRIME, PI, THETA = range(4)  # border unknowns


class State(NamedTuple):
    """Unknowns. fluid [4, lanes]: eta, delta_cdm, delta_b, theta_b; low [3, rows, lanes]: l = 0, 1, 2 of every
    hierarchy; tails: real and imaginary part of the modes of each group, [2, group rows, modes, lanes]."""

    fluid: jnp.ndarray
    low: jnp.ndarray
    tails: tuple[jnp.ndarray, ...]


class Medium(NamedTuple):
    """What the equations read at each time: a, aH [1/Mpc], kappa' [1/Mpc], baryon sound speed squared."""

    a: jnp.ndarray
    aH: jnp.ndarray
    kappa_prime: jnp.ndarray
    cb2: jnp.ndarray


class Factors(NamedTuple):
    """Factorised stage. k, g, damping g kappa' [lanes]; gk [rows, lanes]; pivots p0, p1, p2 [rows, lanes];
    w0, w1 [rows, lanes]: moment weights; fluid coefficients [lanes]; inverse [4, 4, lanes] of the border system."""

    k: jnp.ndarray
    g: jnp.ndarray
    damping: jnp.ndarray
    gk: jnp.ndarray
    p0: jnp.ndarray
    p1: jnp.ndarray
    p2: jnp.ndarray
    w0: jnp.ndarray
    w1: jnp.ndarray
    two_over_aH: jnp.ndarray
    rho_b: jnp.ndarray
    rho_cdm: jnp.ndarray
    pressure: jnp.ndarray
    drag: jnp.ndarray
    inverse: jnp.ndarray


def _column(mask, like):
    return jnp.asarray(mask, float).reshape((-1,) + (1,) * (like.ndim))


def _modes(values, ndim):
    """Constant of each mode, shaped to meet arrays [rows, modes, ...] of ndim dimensions."""
    return values.reshape((1, -1) + (1,) * (ndim - 2))


def tail_response(lay: Layout, gk, damping):
    """1 / (1 + damping - g speed k lam), real and imaginary part [group rows, modes, ...] for each group."""
    out = []
    damp = lay.spread(_column(lay.damped, damping) * damping)
    for group, s, d in zip(lay.groups, lay.spread(gk), damp, strict=True):
        lam = _modes(group.lam, s.ndim)
        re, im = 1.0 + d - s * lam.real, s * lam.imag
        norm = 1.0 / (re * re + im * im)
        out.append((re * norm, im * norm))
    return out


def _chain(gk, p0, p1, p2, r0, r1, r2):
    """Back-substitution of the tridiagonal block l = 0, 1, 2 of every hierarchy."""
    r1 = r1 - (2.0 / 3.0) * gk * p2 * r2
    x0 = (r0 - gk * p1 * r1) * p0
    x1 = p1 * (r1 + gk / 3.0 * x0)
    return x0, x1, p2 * (r2 + 0.4 * gk * x1)


def factor(lay: Layout, background, k, g, m: Medium) -> Factors:
    """Everything of a stage of weight g = gamma h [Mpc] at wavenumber k [1/Mpc] that does not depend on its r."""
    gkd = g * m.kappa_prime
    gk = lay_.speeds(lay, background, m.a) * (g * k)
    w0, w1, _, _ = lay_.moments(lay, background, m.a)
    damp = _column(lay.damped, gkd) * gkd
    damp0 = _column(np.arange(lay.rows) == G, gkd) * gkd
    response = zip(lay.groups, tail_response(lay, gk, gkd), strict=True)
    f3 = gk * lay.gather(
        _modes((q.c * q.b).real, e.ndim) * e - _modes((q.c * q.b).imag, e.ndim) * i for q, (e, i) in response
    )  # F_3 = f3 F_2 + ..., from the tail
    p2 = 1.0 / (1.0 + damp + 0.6 * gk * f3)
    p1 = 1.0 / (1.0 + damp + (4.0 / 15.0) * gk * gk * p2)
    p0 = 1.0 / (1.0 + damp0 + gk * gk / 3.0 * p1)
    rho_b, rho_cdm = background.rho_b / m.a, background.rho_cdm / m.a
    drag = 4.0 * background.rho_g / (3.0 * background.rho_b * m.a) * gkd
    pressure = g * m.cb2 * k * k
    f = 2.0 / m.aH
    blank = Factors(k, g, gkd, gk, p0, p1, p2, w0, w1, f, rho_b, rho_cdm, pressure, drag, gkd)
    rows = _border_matrix(lay, blank, g * m.aH)
    return blank._replace(inverse=_invert(rows))


def _border_matrix(lay, f: Factors, g_aH):
    """Rows of the 4x4 system for (h', eta', Pi, theta_b), after every block has answered."""
    zero = jnp.zeros_like(f.g)
    unit = [source_terms(lay, f, *[jnp.ones_like(zero) if i == j else zero for i in range(4)]) for j in range(4)]
    matrix = [[zero] * 4 for _ in range(4)]
    for j, (s0, s1, s2) in enumerate(unit):
        x0, x1, x2 = _chain(f.gk, f.p0, f.p1, f.p2, s0, s1, s2)
        matrix[H_PRIME][j] = -f.two_over_aH * 1.5 * (f.w0 * x0).sum(0)
        matrix[ETA_PRIME][j] = -1.5 * (f.w1 * x1).sum(0) / f.k
        matrix[PI][j] = -(x2[F] + x0[G] + x2[G])
        matrix[THETA][j] = -0.75 * f.k * f.drag * x1[F]
    a = matrix
    a[0][0] += 1.0 + f.two_over_aH * 0.75 * f.g * (f.rho_cdm + f.rho_b)
    a[0][1] += -f.two_over_aH * f.k**2 * f.g
    a[0][3] += f.two_over_aH * 1.5 * f.rho_b * f.g
    a[1][1] += 1.0
    a[1][3] += -1.5 * f.rho_b / f.k**2
    a[2][2] += 1.0
    a[3][0] += f.pressure * f.g / 2.0
    a[3][3] += 1.0 + g_aH + f.drag + f.pressure * f.g
    return a


def source_terms(lay, f: Factors, h_prime, eta_prime, pi, theta_b):
    """What the border unknowns add to the right-hand side of l = 0, 1, 2 of every row, each [rows, lanes]."""
    feels = _column(lay.gravitates, f.g)
    is_f, is_g = _column(np.arange(lay.rows) == F, f.g), _column(np.arange(lay.rows) == G, f.g)
    s0 = feels * (-2.0 / 3.0 * f.g * h_prime) + is_g * (0.5 * f.damping * pi)
    s1 = is_f * (4.0 / 3.0 * f.damping / f.k * theta_b)
    s2 = feels * (f.g * (4.0 / 15.0 * h_prime + 1.6 * eta_prime)) + (is_f + is_g) * (0.1 * f.damping * pi)
    return s0, s1, s2


def _invert(rows):
    """Inverse [4, 4, ...] of a matrix given as nested lists, by unpivoted elimination (pivots stay of order one)."""
    n = len(rows)
    a = [list(r) for r in rows]
    inv = [[jnp.ones_like(a[0][0]) if i == j else jnp.zeros_like(a[0][0]) for j in range(n)] for i in range(n)]
    for p in range(n):
        d = 1.0 / a[p][p]
        a[p], inv[p] = [v * d for v in a[p]], [v * d for v in inv[p]]
        for i in range(n):
            if i != p:
                c = a[i][p]
                a[i] = [x - c * y for x, y in zip(a[i], a[p], strict=True)]
                inv[i] = [x - c * y for x, y in zip(inv[i], inv[p], strict=True)]
    return jnp.stack([jnp.stack(r) for r in inv])


def solve(lay: Layout, f: Factors, r: State) -> tuple[State, jnp.ndarray]:
    """X with (1 - g A) X = r, and the border unknowns h', eta', Pi, theta_b [4, lanes]."""
    response = tail_response(lay, f.gk, f.damping)
    free = [(w * e - v * i, w * i + v * e) for (w, v), (e, i) in zip(r.tails, response, strict=True)]
    u = lay.gather(
        _modes(q.c.real, z.ndim) * z - _modes(q.c.imag, z.ndim) * y for q, (z, y) in zip(lay.groups, free, strict=True)
    )
    r0, r1, r2 = r.low[0], r.low[1], r.low[2] - 0.6 * f.gk * u
    x0, x1, x2 = _chain(f.gk, f.p0, f.p1, f.p2, r0, r1, r2)
    eta, delta_cdm, delta_b, theta_b = r.fluid
    rhs = (
        f.two_over_aH * (f.k**2 * eta + 1.5 * (f.rho_cdm * delta_cdm + f.rho_b * delta_b + (f.w0 * x0).sum(0))),
        1.5 * (f.w1 * x1).sum(0) / f.k,
        x2[F] + x0[G] + x2[G],
        theta_b + f.pressure * delta_b + 0.75 * f.k * f.drag * x1[F],
    )
    border = sum(f.inverse[:, j] * rhs[j] for j in range(4))
    s0, s1, s2 = source_terms(lay, f, *border)
    low = settle(jnp.stack(_chain(f.gk, f.p0, f.p1, f.p2, r0 + s0, r1 + s1, r2 + s2)))
    half_h, theta = 0.5 * border[H_PRIME], border[THETA]
    fluid = jnp.stack(
        [eta + f.g * border[ETA_PRIME], delta_cdm - f.g * half_h, delta_b - f.g * (theta + half_h), theta]
    )
    tails = []
    for q, (z, y), (e, i), drive in zip(lay.groups, free, response, lay.spread(f.gk * low[2]), strict=True):
        b = _modes(q.b, z.ndim)
        tails.append(jnp.stack([z + drive * (b.real * e - b.imag * i), y + drive * (b.real * i + b.imag * e)]))
    return State(fluid, low, tuple(tails)), border
