"""One collocation step solved in closed form, and its derivative.

The unknowns are the values X at the three nodes: (SLOPE - slopes) X = FROM_START x_start. Every hierarchy is the same
small block, l = 0, 1, 2 and a modal tail, at its own speed and damping. It feels the rest only through four border
unknowns: h', eta', Pi = F_2 + G_0 + G_2 and theta_b. The blocks answer in closed form and a 12x12 system (four
unknowns at three nodes) closes them. `factor` holds all that does not depend on the state, and runs for many steps at
once; `advance` is all that remains in the sequential part. Exact: no tight coupling, no streaming approximation.

A tangent solves the same system: by linearity it is a step with a forcing, the derivative of the slopes at fixed
unknowns. In a tail only one coefficient of a row moves with parameters, so the response of the modes to it is formed
once for all tangents (`tails.Shared`).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from boltzax.numerics.fusion import settle
from boltzax.numerics.radau import FROM_START, MATRIX, SLOPE
from boltzax.numerics.small import apply, product
from boltzax.perturbations import blocks as fluid_blocks
from boltzax.perturbations import chain, tails
from boltzax.perturbations.equations import (
    Coefficients,
    Core,
    column,
    row_damping,
    slopes,
    source_terms,
)
from boltzax.perturbations.layout import N_PHOTON, Layout
from boltzax.perturbations.species.photons import POLARISATION as G
from boltzax.perturbations.species.photons import TEMPERATURE as F


class State(NamedTuple):
    """Unknowns between steps. fluid [4, lanes]: eta, delta_cdm, delta_b, theta_b; low [3, rows, lanes]: l = 0, 1, 2
    of every hierarchy; tails: real and imaginary part of the modes of each group, [2, modes, group rows, lanes], or in
    curved space a `chain.Tail`;
    fluids: unknowns [n, lanes] of each."""

    fluid: jnp.ndarray
    low: jnp.ndarray
    tails: tuple[jnp.ndarray | chain.Tail, ...]
    fluids: tuple[jnp.ndarray, ...] = ()


class Factors(NamedTuple):
    """Inverted blocks of l = 0, 1, 2 [3, 3, 3, rows, lanes], inverse of the border system [12, 12, lanes], tails, and
    the inverse [3n, 3n, lanes] of each fluid."""

    blocks: jnp.ndarray
    border: jnp.ndarray
    tails: tuple[tails.Response | chain.Response, ...]
    fluids: tuple[jnp.ndarray, ...] = ()


def _nodes(matrix, v):
    """Constant matrix [3, 3] times v [..., 3, lanes] over the nodes."""
    return sum(matrix[:, j, None] * v[..., j, None, :] for j in range(3))


def _diagonal(v):
    """Diagonal matrix [3, 3, ...] of v [3, ...]."""
    return jnp.stack([jnp.stack([v[i] if i == j else jnp.zeros_like(v[i]) for j in range(3)]) for i in range(3)])


def _invert(matrix):
    """Inverse of [n, n, ...] by Gauss-Jordan sweeps without pivoting: pivots stay of order one."""
    n = matrix.shape[0]
    index = jnp.arange(n).reshape((n,) + (1,) * (matrix.ndim - 2))

    def sweep(p, a):
        here = index == p
        row, col = a[p], a[:, p]
        d = 1.0 / row[p]
        row = jnp.where(here, d, row * d)
        col = jnp.where(here, 0.0, col)
        rest = jnp.where(here[:, None], 0.0, jnp.where(here[None], 0.0, a))
        return jnp.where(here[:, None], row[None], rest - col[:, None] * row[None])

    return jax.lax.fori_loop(0, n, sweep, matrix)


def _tails(c: Coefficients):
    """The module whose tails the hierarchies have."""
    return tails if c.ladder is None else chain


def factor(lay: Layout, c: Coefficients) -> Factors:
    """Everything of a step that does not depend on its state."""
    gk = c.gk
    damp0, damp = row_damping(lay, c)
    constant = jnp.asarray(SLOPE)[:, :, None, None]
    rows = tuple(zip(lay.groups, lay.split(gk), lay.split(damp), strict=True))
    ladder = () if c.ladder is None else (c.ladder.higher,)
    response = tuple(_tails(c).respond(*row, *ladder) for row in rows)
    echo = lay.join([_tails(c).echo(g, r) for g, r in zip(lay.groups, response, strict=True)])
    outer = gk[:, None] * gk[None]
    b2 = _invert(constant + _diagonal(damp) + 0.6 * c.s.s3**2 * outer * echo)
    b1 = _invert(constant + _diagonal(damp) + 4.0 / 15.0 * c.s.s2**2 * outer * b2)
    b0 = _invert(constant + _diagonal(damp0) + 1.0 / 3.0 * outer * b1)
    blocks = jnp.stack([b0, b1, b2])
    others = tuple(_invert(fluid_blocks.matrix(b)) for b in c.fluids)
    return Factors(blocks, _invert(_border_matrix(lay, c, blocks, others)), response, others)


def _chain(gk, s2, blocks, r0, r1, r2):
    """l = 0, 1, 2 [3, rows, lanes] of hierarchies for right-hand sides of that shape, the border at rest."""
    b0, b1, b2 = blocks
    y2 = apply(b2, r2)
    y1 = settle(apply(b1, r1 - 2.0 / 3.0 * s2 * gk * y2))
    x0 = apply(b0, r0 - gk * y1)
    x1 = settle(y1 + apply(b1, gk / 3.0 * x0))
    return x0, x1, y2 + apply(b2, 0.4 * s2 * gk * x1)


class _Answers(NamedTuple):
    """Matrices [3, 3, rows, lanes] over the nodes: x_ij, l = i of a hierarchy for a unit right-hand side of l = j.

    The first four for every row; those with l = 1 driven or l = 2 read for the photon rows alone.
    """

    x00: jnp.ndarray
    x02: jnp.ndarray
    x10: jnp.ndarray
    x12: jnp.ndarray
    x01: jnp.ndarray
    x11: jnp.ndarray
    x20: jnp.ndarray
    x21: jnp.ndarray
    x22: jnp.ndarray


def _answers(gk, s2, blocks) -> _Answers:
    gk = gk[:, None]
    b0, b1, b2 = blocks
    x10 = product(b1, gk / 3.0 * b0)
    y12 = -2.0 / 3.0 * product(b1, s2 * gk * b2)
    x02 = -product(b0, gk * y12)
    x12 = y12 + product(b1, gk / 3.0 * x02)
    gk, p0, p1, p2 = (v[..., :N_PHOTON, :] for v in (gk, b0, b1, b2))
    x01 = -product(p0, gk * p1)
    x11 = p1 + product(p1, gk / 3.0 * x01)
    x20, x21, x22 = (product(p2, 0.4 * s2 * gk * v) for v in (x10[..., :N_PHOTON, :], x11, x12[..., :N_PHOTON, :]))
    return _Answers(b0, x02, x10, x12, x01, x11, x20, x21, p2 + x22)


def _border_matrix(lay: Layout, c: Coefficients, blocks, others):
    """Matrix [12, 12, lanes] of h', eta', Pi, theta_b (three nodes each) after every block has answered."""
    x = _answers(c.gk, c.s.s2, blocks)
    square = c.s.s2**2
    unit = jnp.asarray(np.eye(3))[:, :, None]
    run = jnp.asarray(MATRIX)[:, :, None] * c.dtau  # integrates over the step
    f, w0, w1 = c.two_over_aH[:, None], c.w0[:, None], c.w1[:, None]
    # l = 0, 1, 2 for a unit of h' and of eta' (gravity_terms), of Pi and theta_b (scattering_terms)
    feels = column(lay.gravitates) * c.dtau
    low, high = 4.0 / 15.0 * c.s.s2, 1.6 * c.s.s2
    h0, h1 = (feels * (low * by_2 - 2.0 / 3.0 * by_0) for by_0, by_2 in ((x.x00, x.x02), (x.x10, x.x12)))
    eta0, eta1 = (high * feels * v for v in (x.x02, x.x12))
    h2, eta2 = c.dtau * (low * x.x22[:, :, F] - 2.0 / 3.0 * x.x20[:, :, F]), high * c.dtau * x.x22[:, :, F]
    pi_f = [0.1 * c.damping * v[:, :, F] for v in (x.x02, x.x12, x.x22)]
    pi_g = [c.damping * (0.5 * a[:, :, G] + 0.1 * b[:, :, G]) for a, b in ((x.x00, x.x02), (x.x20, x.x22))]
    theta = [4.0 / 3.0 * c.damping / c.k * v[:, :, F] for v in (x.x01, x.x11, x.x21)]
    matter = 1.5 * f * c.rho_b[:, None] * run
    fall = c.pressure[:, None] * run
    into_h = -1.5 * f
    into_eta = -1.5 / (square * c.k)
    into_theta = -0.75 * c.k * c.drag[:, None]
    # density and momentum for a unit of h' and of eta'
    stress = [[(w0 * h0).sum(-2), (w0 * eta0).sum(-2)], [(w1 * h1).sum(-2), (w1 * eta1).sum(-2)]]
    for b, inverse in zip(c.fluids, others, strict=True):
        stress = [[stress[q][m] + own[m] for m in range(2)] for q, own in enumerate(fluid_blocks.answers(b, inverse))]
    rows = [
        [
            into_h * stress[0][0] + unit + 0.5 * matter + 0.75 * f * c.rho_cdm[:, None] * run,
            into_h * stress[0][1] - f * c.k**2 * square * run,
            into_h * w0[:, :, F] * pi_f[0],
            into_h * w0[:, :, F] * theta[0] + matter,
        ],
        [
            into_eta * stress[1][0] - 0.5 * c.s.K_over_k2 / square * unit,
            into_eta * stress[1][1] + unit,
            into_eta * w1[:, :, F] * pi_f[1],
            into_eta * w1[:, :, F] * theta[1] - 1.5 * unit * c.rho_b[:, None] / (square * c.k**2),
        ],
        [-h2, -eta2, unit - (pi_f[2] + pi_g[0] + pi_g[1]), -theta[2]],
        [
            into_theta * h1[:, :, F] + 0.5 * fall,
            into_theta * eta1[:, :, F],
            into_theta * pi_f[1],
            into_theta * theta[1] + jnp.asarray(SLOPE)[:, :, None] + unit * (c.expansion + c.drag)[:, None] + fall,
        ],
    ]
    return jnp.concatenate([jnp.concatenate(r, axis=1) for r in rows])


def close(lay: Layout, c: Coefficients, f: Factors, r: Core, f3) -> Core:
    """Unknowns at the nodes for right-hand sides r and the tails' own F_3 [3, rows, lanes] without drive."""
    r0, r1, r2 = r.low[0], r.low[1], r.low[2] - 0.6 * c.s.s3 * c.gk * f3
    x0, x1, x2 = _chain(c.gk, c.s.s2, f.blocks, r0, r1, r2)
    eta, delta_cdm, delta_b = _nodes(MATRIX, r.fluid[:3])
    density = c.rho_cdm * delta_cdm + c.rho_b * delta_b + (c.w0 * x0).sum(-2)
    momentum = (c.w1 * x1).sum(-2)
    free = tuple(fluid_blocks.solve(b, inverse, v) for b, inverse, v in zip(c.fluids, f.fluids, r.fluids, strict=True))
    for b, v in zip(c.fluids, free, strict=True):
        own = fluid_blocks.stress(b, v)
        density, momentum = density + own[0], momentum + own[1]
    rhs = jnp.stack(
        [
            r.border[0] + c.two_over_aH * (c.k**2 * c.s.s2**2 * eta + 1.5 * density),
            r.border[1] + 1.5 * momentum / (c.s.s2**2 * c.k),
            r.border[2] + x2[:, F] + x0[:, G] + x2[:, G],
            r.fluid[3] + c.pressure * delta_b + 0.75 * c.k * c.drag * x1[:, F],
        ]
    )
    lanes = rhs.shape[-1]
    border = (f.border * rhs.reshape(12, lanes)).sum(1).reshape(4, 3, lanes)
    h_prime, eta_prime, _, theta_b = border
    driven = jnp.stack([r0, r1, r2]) + source_terms(lay, c, border[:3], theta_b)
    low = jnp.stack(_chain(c.gk, c.s.s2, f.blocks, *driven))
    run = lambda v: c.dtau * _nodes(MATRIX, v)
    half = 0.5 * h_prime
    fluid = jnp.stack([eta + run(eta_prime), delta_cdm - run(half), delta_b - run(theta_b + half), theta_b])
    moved = tuple(
        v + fluid_blocks.solve(b, inverse, fluid_blocks.driven(b, border[:2]))
        for b, inverse, v in zip(c.fluids, f.fluids, free, strict=True)
    )
    return Core(fluid, low, border[:3], moved)


def _from_start(z: State) -> Core:
    start = FROM_START[:, None]
    fluid = start * z.fluid[:, None]
    others = tuple(start * v[:, None] for v in z.fluids)
    return Core(fluid, start[..., None] * z.low[:, None], jnp.zeros_like(fluid[:3]), others)


class Forcing(NamedTuple):
    """What drives a tangent besides its own state: right-hand sides at the nodes, own F_3 there, modes at the end."""

    core: Core
    f3: jnp.ndarray
    tails: tuple[jnp.ndarray, ...]


def advance(lay: Layout, c: Coefficients, f: Factors, z: State, forcing: Forcing | None = None) -> tuple[Core, State]:
    """Values at the nodes, and the state at the end of the step."""
    groups = tuple(zip(lay.groups, f.tails, z.tails, strict=True))
    r, f3 = _from_start(z), lay.join([_tails(c).free_f3(*group) for group in groups])
    if forcing is not None:
        r, f3 = jax.tree.map(jnp.add, r, forcing.core), f3 + forcing.f3
    x = close(lay, c, f, r, f3)
    drives = lay.split(c.s.s3 * c.gk * x.low[2])
    ends = tuple(_tails(c).at_node(g, r, 2, w, drive) for (g, r, w), drive in zip(groups, drives, strict=True))
    if forcing is not None:
        ends = jax.tree.map(jnp.add, ends, forcing.tails)
    return x, State(x.fluid[:, 2], x.low[:, 2], ends, tuple(v[:, 2] for v in x.fluids))


def _moving(lay: Layout, group, w, f2):
    """Slope of the modes w by the coefficient that moves with parameters: damping of damped rows, speed of others."""
    mask, (re, im) = column(lay.damped[group.start : group.stop]) > 0.0, tails.streaming(group, w)
    return jnp.where(mask, -w[0], re + f2), jnp.where(mask, -w[1], im)


def _curved_forcing(lay: Layout, c: Coefficients, f: Factors, z: State, x: Core):
    """`tangent_forcing` in curved space, where every coefficient of a tail moves."""
    drives = lay.split(c.s.s3 * c.gk * x.low[2])
    groups = tuple(zip(lay.groups, f.tails, z.tails, lay.split(x.low[2]), drives, lay.split(c.gk), strict=True))
    f3 = lay.join([chain.nodes(g, r, w, drive)[0] for g, r, w, _, drive, _ in groups])
    forces = [chain.forcing(*group, c.ladder.higher) for group in groups]

    def force(dc: Coefficients) -> Forcing:
        core = jax.jvp(lambda c: slopes(lay, c, x, f3), (c,), (dc,))[1]
        changes = zip(lay.split(dc.gk), lay.split(column(lay.damped) * dc.damping[:, None]), strict=True)
        moved = [of(*v, dc.ladder.higher) for of, v in zip(forces, changes, strict=True)]
        return Forcing(core, lay.join([own for own, _ in moved]), tuple(end for _, end in moved))

    return force


def tangent_forcing(lay: Layout, c: Coefficients, f: Factors, z: State, x: Core):
    """Linear map of dc to the Forcing with which `advance` of a tangent dz is the derivative of `advance` of z.

    x: result of `advance` of z. The map does not depend on dz, so it runs for many steps at once.
    """
    if c.ladder is not None:
        return _curved_forcing(lay, c, f, z, x)
    groups = tuple(zip(lay.groups, f.tails, z.tails, lay.split(x.low[2]), lay.split(c.gk * x.low[2]), strict=True))
    nodes = [[tails.at_node(g, r, i, w, drive) for i in range(3)] for g, r, w, _, drive in groups]
    f3 = lay.join([jnp.stack([tails.read_out(g, w) for w in at]) for g, at in zip(lay.groups, nodes, strict=True)])
    shared = []
    for (g, r, _, f2, _), at in zip(groups, nodes, strict=True):
        shared.append(tails.share(g, r, [_moving(lay, g, w, v) for w, v in zip(at, f2, strict=True)]))

    def force(dc: Coefficients) -> Forcing:
        core = jax.jvp(lambda c: slopes(lay, c, x, f3), (c,), (dc,))[1]
        changes = lay.split(jnp.where(lay.damped[:, None], dc.damping[:, None], dc.gk))
        pairs = tuple(zip(shared, changes, strict=True))
        own = lay.join([tails.moved_f3(s, change) for s, change in pairs])
        return Forcing(core, own, tuple(tails.moved_end(s, change) for s, change in pairs))

    return force
