"""Three-stage Radau IIA collocation (order 5, L-stable) for all steps of a prescribed mesh at once.

A scalar equation y' = f(x, y) is linearised about the current iterate at every node; one step is then an affine map
of the value it starts from, and the maps of all steps are chained in log2(n) sweeps (Newton's method in function
space; Lim et al. 2024, arXiv:2309.12252). Nothing runs node after node, so rates are evaluated as arrays.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from boltzax.numerics.fusion import settle
from boltzax.numerics.radau import NODES, SLOPE

_ALL_NODES = np.concatenate([[0.0], NODES])
# value at the middle of a step of the cubic through the start and the three nodes
_MIDDLE = np.linalg.solve(np.vander(_ALL_NODES, 4, increasing=True).T, 0.5 ** np.arange(4.0))


class LinearSteps(NamedTuple):
    """What solves y' = slope y + offset for given slopes at the nodes of n steps, whatever the offset.

    response: of node j to the offset at node k; gain: of node j to the start of its step; spans: gains over 1, 2, 4,
    ... steps that end with step i.
    """

    response: Float[Array, "9 n"]
    gain: Float[Array, "3 n"]
    spans: Float[Array, "levels n"]


def factor(step: float, slope: Float[Array, "3 n"]) -> LinearSteps:
    """The solution operator of y' = slope y + offset."""
    response, gain = _respond(step, slope)

    def double(gain, span):
        return gain * _earlier(gain, span, 1.0), gain

    return LinearSteps(response, gain, jax.lax.scan(double, gain[2], _lengths(slope))[1])


def solve_steps(steps: LinearSteps, y_start: Float[Array, ""], offset: Float[Array, "3 n"]) -> Float[Array, "3 n"]:
    """Node values of y' = slope y + offset from y_start."""
    shift = _shift(steps.response, offset)

    def double(shift, level):
        gain, span = level
        return gain * _earlier(shift, span, 0.0) + shift, None

    first = jnp.concatenate([steps.gain[2, :1] * y_start + shift[2, :1], shift[2, 1:]])
    ends = jax.lax.scan(double, first, (steps.spans, _lengths(offset)))[0]
    return steps.gain * _starts(y_start, ends) + shift


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def linear_step(
    step: float, y_start: Float[Array, ""], slope: Float[Array, "3 n"], offset: Float[Array, "3 n"]
) -> Float[Array, "3 n"]:
    """Node values of y' = slope y + offset, both given at the nodes of n steps, from y_start.

    Slope and offset are read many times: they should lie in memory (`settle`).
    """
    response, gain = _respond(step, slope)
    shift = _shift(response, offset)

    def double(maps, span):
        gain, shift = maps
        return (gain * _earlier(gain, span, 1.0), gain * _earlier(shift, span, 0.0) + shift), None

    (to_end, from_zero), _ = jax.lax.scan(double, (gain[2], shift[2]), _lengths(slope))
    return gain * _starts(y_start, to_end * y_start + from_zero) + shift


@linear_step.defjvp
def _linear_step_jvp(step, primals, tangents):
    """The tangent obeys the same equation, with the change of the slope as an offset."""
    (y_start, slope, offset), (d_start, d_slope, d_offset) = primals, tangents
    y = linear_step(step, y_start, slope, offset)
    return y, solve_steps(factor(step, slope), d_start, d_slope * y + d_offset)


def _respond(step, slope):
    """Response [9, n] and gain [3, n] of (A^-1/h - diag(slope)) Y = A^-1/h (1, 1, 1) y_start + offset, by cofactors."""
    m = [[SLOPE[j, k] / step - (slope[j] if j == k else 0.0) for k in range(3)] for j in range(3)]
    cofactor = [
        [
            m[(j + 1) % 3][(k + 1) % 3] * m[(j + 2) % 3][(k + 2) % 3]
            - m[(j + 1) % 3][(k + 2) % 3] * m[(j + 2) % 3][(k + 1) % 3]
            for k in range(3)
        ]
        for j in range(3)
    ]
    inverse_det = 1.0 / sum(m[0][k] * cofactor[0][k] for k in range(3))
    response = settle(jnp.stack([cofactor[k][j] * inverse_det for j in range(3) for k in range(3)]))
    start = SLOPE.sum(1) / step
    return response, jnp.stack([sum(start[k] * response[3 * j + k] for k in range(3)) for j in range(3)])


def _shift(response, offset):
    return jnp.stack([sum(response[3 * j + k] * offset[k] for k in range(3)) for j in range(3)])


def _starts(y_start, ends):
    return jnp.concatenate([jnp.reshape(y_start, (1,)), ends[:-1]])


def _lengths(nodes) -> Int[Array, " levels"]:
    """Spans 1, 2, 4, ... that compose all steps: maps over each are made of two over the one before."""
    return jnp.asarray(2 ** np.arange(max(1, int(np.ceil(np.log2(nodes.shape[-1]))))))


def _earlier(x, span, fill: float):
    """x of `span` steps earlier, `fill` where there is none."""
    n = x.shape[0]
    pad = int(2 ** np.ceil(np.log2(n)))
    return jax.lax.dynamic_slice(jnp.concatenate([jnp.full(pad, fill), x]), (pad - span,), (n,))


def newton_step(step: float, y_start: Float[Array, ""], rhs, nodes: Float[Array, "3 n"]) -> Float[Array, "3 n"]:
    """One Newton iterate of y' = rhs(y) from node values `nodes`; rhs acts node by node."""
    value, slope = settle(jnp.stack(jax.jvp(rhs, (nodes,), (jnp.ones_like(nodes),))))
    return linear_step(step, y_start, slope, value - slope * nodes)


def on_half_steps(y_start: Float[Array, ""], nodes: Float[Array, "3 n"]) -> Float[Array, "2n+1"]:
    """Values at the start, middle and end of every step, from the collocation polynomial."""
    ends = nodes[2]
    starts = jnp.concatenate([jnp.reshape(y_start, (1,)), ends[:-1]])
    middle = _MIDDLE[0] * starts + sum(_MIDDLE[1 + j] * nodes[j] for j in range(3))
    return jnp.concatenate([jnp.reshape(y_start, (1,)), jnp.stack([middle, ends], axis=-1).reshape(-1)])


def mesh_nodes(x_start: float, step: float, n: int) -> np.ndarray:
    """Positions [3, n] of the nodes of n equal steps from x_start."""
    return x_start + step * (np.arange(n) + NODES[:, None])
