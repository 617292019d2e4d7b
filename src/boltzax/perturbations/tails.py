"""Tails l >= 3 of all hierarchies over one step: modes w' = gk lam w - damping w + gk F_2, F_3 = Re sum(c w).

A mode is a scalar equation, so its collocation system is a 3x3 matrix, SLOPE + diag(damping - gk lam). Its cofactors
are quadratics and its determinant a cubic in the constant lam, with coefficients of the row: of each mode only the
inverse determinant is kept, and sums over modes have constant weights.

Complex numbers are pairs (real, imaginary). Modes are [2, modes, rows, lanes] for each group of rows; where all rows of
a group are the same (`Group.same`) a response has one row for all.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from boltzax.numerics.fusion import settle
from boltzax.numerics.radau import FROM_START, SLOPE
from boltzax.perturbations.layout import Group

_OTHERS = ((1, 2), (2, 0), (0, 1))


class Response(NamedTuple):
    """Inverse of the collocation matrix of every mode of a group.

    over_det [2, modes, rows, lanes]; cofactors [3, 3, powers of lam, rows, lanes]; start [3, powers, rows, lanes]:
    their sum weighted with FROM_START, the numerator of the response at each node to the value at the start.
    """

    over_det: jnp.ndarray
    cofactors: jnp.ndarray
    start: jnp.ndarray


def _times(a, b):
    return a[0] * b[0] - a[1] * b[1], a[0] * b[1] + a[1] * b[0]


def _constant(values):
    """Constant of each mode as a pair, shaped to meet [modes, rows, lanes]."""
    return values.real[:, None, None], values.imag[:, None, None]


def _powers(group: Group, n: int, factor=1.0):
    """Pairs of factor lam^p of each mode for p = 0..n-1."""
    return [_constant(factor * group.lam**p) for p in range(n)]


def _polynomial(coefficients, powers):
    """sum_p coefficients[p] powers[p] for real coefficients [rows, lanes] of each power."""
    return tuple(sum(c * p[part] for c, p in zip(coefficients, powers, strict=True)) for part in range(2))


def _sums(group: Group, n: int, z, factor=1.0):
    """Real parts of sum over modes of factor lam^p z, [n, rows, lanes] for p = 0..n-1; z a pair."""
    return jnp.stack([(p[0] * z[0] - p[1] * z[1]).sum(0) for p in _powers(group, n, factor)])


def respond(group: Group, gk, damping) -> Response:
    """Response of the modes of a group; gk, damping [3, rows, lanes] (times the step)."""
    a = damping + np.diag(SLOPE)[:, None, None]

    def cofactor(i, j):  # of the inverse's element i, j, as coefficients of lam^0, lam^1, lam^2
        if i == j:
            m, n = _OTHERS[i]
            return [a[m] * a[n] - SLOPE[m, n] * SLOPE[n, m], -(a[m] * gk[n] + a[n] * gk[m]), gk[m] * gk[n]]
        k = 3 - i - j
        return [SLOPE[i, k] * SLOPE[k, j] - SLOPE[i, j] * a[k], SLOPE[i, j] * gk[k], jnp.zeros_like(a[k])]

    rows = [[cofactor(i, j) for j in range(3)] for i in range(3)]
    first, *others = (rows[j][0] for j in range(3))
    det = [a[0] * v for v in first] + [jnp.zeros_like(a[0])]
    for p in range(3):
        det[p + 1] = det[p + 1] - gk[0] * first[p]
        det[p] = det[p] + sum(SLOPE[0, j + 1] * others[j][p] for j in range(2))
    re, im = _polynomial(det, _powers(group, 4))
    norm = 1.0 / (re * re + im * im)
    cofactors = jnp.stack([jnp.stack([jnp.stack(v) for v in r]) for r in rows])
    start = sum(FROM_START[j] * cofactors[:, j] for j in range(3))
    return Response(settle(jnp.stack([re * norm, -im * norm])), cofactors, start)


def echo(group: Group, r: Response):
    """F_3 at node i for a unit drive gk F_2 at node j, [3, 3, rows, lanes]."""
    weights = _sums(group, 3, r.over_det, group.c)
    return (r.cofactors * weights).sum(2)


def read_out(group: Group, w):
    """F_3 [rows, lanes] of modes w."""
    return _sums(group, 1, w, group.c)[0]


def free_f3(group: Group, r: Response, w):
    """F_3 at the nodes [3, rows, lanes] of modes that begin the step as w and are not driven."""
    weights = _sums(group, 3, _times(r.over_det, w), group.c)
    return (r.start * weights).sum(1)


def _driven(r: Response, node, drive):
    """Coefficients [powers, rows, lanes] of the numerator at a node for a drive gk F_2 [3, rows, lanes]."""
    return sum(r.cofactors[node, j] * drive[j] for j in range(3))


def at_node(group: Group, r: Response, node: int, w, drive):
    """Modes at a node of a step that begins with w, driven by gk F_2 = drive [3, rows, lanes]."""
    own = _times(_polynomial(r.start[node], _powers(group, 3)), w)
    forced = _polynomial(_driven(r, node, drive), _powers(group, 3))
    return jnp.stack(_times(r.over_det, (own[0] + forced[0], own[1] + forced[1])))


class Shared(NamedTuple):
    """What all tangents of a step have in common, for one coefficient of each row that moves with parameters.

    f3 [3, 3, rows, lanes]: change of F_3 at node i by a unit change of the coefficient at node j; end [3, 2, modes,
    rows, lanes]: that of the modes at the end of the step.
    """

    f3: jnp.ndarray
    end: jnp.ndarray


def streaming(group: Group, w):
    """lam w: the slope of modes w by their speed."""
    return _times(_constant(group.lam), w)


def share(group: Group, r: Response, slopes) -> Shared:
    """Responses to changes of a coefficient by which the slopes of the modes are, at each node, the pairs `slopes`."""
    f3, end = [], []
    for j, slope in enumerate(slopes):
        v = _times(r.over_det, slope)
        weights = _sums(group, 3, v, group.c)
        f3.append((r.cofactors[:, j] * weights).sum(1))
        end.append(jnp.stack(_times(_polynomial(r.cofactors[2, j], _powers(group, 3)), v)))
    return Shared(jnp.stack(f3, axis=1), settle(jnp.stack(end)))


def moved_f3(s: Shared, change):
    """Change of F_3 at the nodes [3, rows, lanes] for changes of the coefficient [3, rows, lanes]."""
    return sum(s.f3[:, j] * change[j] for j in range(3))


def moved_end(s: Shared, change):
    """Change of the modes at the end of the step for changes of the coefficient [3, rows, lanes]."""
    return sum(s.end[j] * change[j] for j in range(3))
