"""Fluids in the collocation step: their equations as matrices, and their answers to h' and eta'.

What a fluid says of itself in words (`boltzax.fluids.Fluid`) is linear, so its matrices are its values at unit vectors.
Its unknowns at the three nodes are one small system, solved beforehand: only h' and eta' remain in the border.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from boltzax.fluids import Fluid, Instant, Metric
from boltzax.numerics.radau import SLOPE


class Block(NamedTuple):
    """Matrices of a fluid of n unknowns at the nodes of a step.

    own [n, n, 3, lanes], driven [n, 2, 3, lanes]: slopes times dtau by the unknowns and by h', eta'; read
    [2, n, 3, lanes], direct [2, 2, 3, lanes]: a^2 delta rho and a^2 (rho+P) theta / k by the same. shear [2, n, lanes]:
    a^2 (rho+P) sigma by the unknowns at the end of the step, and the slope of that; None without shear.
    """

    own: jnp.ndarray
    driven: jnp.ndarray
    read: jnp.ndarray
    direct: jnp.ndarray
    shear: jnp.ndarray | None = None


def block(fluid: Fluid, k, dtau, t: Instant) -> Block:
    """The matrices of a fluid at wavenumber k [1/Mpc] over a step dtau [Mpc], t at its nodes [3, lanes]."""
    n, zero = fluid.size, jnp.zeros_like(t.a)
    columns = []
    for unit in np.eye(n + 2):
        values = tuple(zero + u for u in unit)
        arguments = (k, t, values[:n], Metric(*values[n:]))
        rows = jnp.stack([zero + v for v in fluid.slopes(*arguments)]) * dtau
        density, momentum = fluid.stress(*arguments)
        columns.append((rows, jnp.stack([zero + density, zero + momentum / k])))
    slopes, stress = (jnp.stack(part, axis=1) for part in zip(*columns, strict=True))
    shear = None
    if fluid.sheared:
        units = [fluid.shear(t, tuple(zero + u for u in unit)) for unit in np.eye(n)]
        shear = jnp.stack([jnp.stack([(zero + v)[-1] for v in pair]) for pair in units], axis=1)
    return Block(slopes[:, :n], slopes[:, n:], stress[:, :n], stress[:, n:], shear)


def matrix(b: Block):
    """The system [3n, 3n, lanes] of the unknowns at the nodes, unknown by unknown: SLOPE - own."""
    n = b.own.shape[0]
    unit = jnp.asarray(np.eye(3))[:, :, None]
    rows = []
    for i in range(n):
        cells = [(jnp.asarray(SLOPE)[:, :, None] if i == j else 0.0) - unit * b.own[i, j, :, None] for j in range(n)]
        rows.append(jnp.concatenate(cells, axis=1))
    return jnp.concatenate(rows)


def solve(b: Block, inverse, rhs):
    """Unknowns [n, 3, lanes] for right-hand sides of that shape, the border at rest."""
    n, _, lanes = rhs.shape
    return (inverse * rhs.reshape(1, 3 * n, lanes)).sum(1).reshape(n, 3, lanes)


def answers(b: Block, inverse):
    """Matrices [2, 2, 3, 3, lanes] over the nodes: density and momentum (as `Block.read`) for h' and eta'."""
    n, lanes = b.own.shape[0], inverse.shape[-1]
    inverse = inverse.reshape(n, 3, n, 3, lanes)
    unit = jnp.asarray(np.eye(3))[:, :, None]
    # sum over unknowns i, j of read[q, i] inverse[i, j] driven[j, m]
    through = jnp.einsum("qiax,iajbx,jmbx->qmabx", b.read, inverse, b.driven)
    return through + unit * b.direct[:, :, :, None]


def slopes(b: Block, v, metric):
    """Slopes times dtau [n, 3, lanes] for unknowns v [n, 3, lanes] and metric [2, 3, lanes]: h', eta'."""
    return jnp.einsum("ijax,jax->iax", b.own, v) + driven(b, metric)


def driven(b: Block, metric):
    """What h' and eta' add to the slopes."""
    return jnp.einsum("imax,max->iax", b.driven, metric)


def stress(b: Block, v, metric=None):
    """a^2 delta rho and a^2 (rho+P) theta / k, [2, 3, lanes]; what the unknowns give of it without a metric."""
    own = jnp.einsum("qiax,iax->qax", b.read, v)
    return own if metric is None else own + jnp.einsum("qmax,max->qax", b.direct, metric)
