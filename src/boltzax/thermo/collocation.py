"""Three-stage Radau IIA collocation (order 5, L-stable) for all steps of a prescribed mesh at once.

A scalar equation y' = f(x, y) is linearised about the current iterate at every node; one step is then an affine map
of the value it starts from, and the maps of all steps are chained in log2(n) sweeps (Newton's method in function
space; Lim et al. 2024, arXiv:2309.12252). Nothing runs node after node, so rates are evaluated as arrays.
Hairer & Wanner, Solving Ordinary Differential Equations II, table IV.5.6.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

_S = np.sqrt(6.0)
NODES = np.array([(4.0 - _S) / 10.0, (4.0 + _S) / 10.0, 1.0])
MATRIX = np.array(
    [
        [(88.0 - 7.0 * _S) / 360.0, (296.0 - 169.0 * _S) / 1800.0, (-2.0 + 3.0 * _S) / 225.0],
        [(296.0 + 169.0 * _S) / 1800.0, (88.0 + 7.0 * _S) / 360.0, (-2.0 - 3.0 * _S) / 225.0],
        [(16.0 - _S) / 36.0, (16.0 + _S) / 36.0, 1.0 / 9.0],
    ]
)
_ALL_NODES = np.concatenate([[0.0], NODES])
# value at the middle of a step of the cubic through the start and the three nodes
_MIDDLE = np.linalg.solve(np.vander(_ALL_NODES, 4, increasing=True).T, 0.5 ** np.arange(4.0))


def linear_step(
    step: float, y_start: Float[Array, ""], slope: Float[Array, "3 n"], offset: Float[Array, "3 n"]
) -> tuple[Float[Array, "3 n"], Float[Array, " n"]]:
    """Node values [3, n] and step-start values [n] of y' = slope y + offset, given at the nodes of n steps.

    Each step solves (1 - h A diag(slope)) Y = y_start + h A offset, in closed form by cofactors.
    """
    h_a = step * MATRIX
    m = [[(1.0 if j == k else 0.0) - h_a[j, k] * slope[k] for k in range(3)] for j in range(3)]
    rhs = [sum(h_a[j, k] * offset[k] for k in range(3)) for j in range(3)]
    cofactor = [
        [
            m[(j + 1) % 3][(k + 1) % 3] * m[(j + 2) % 3][(k + 2) % 3]
            - m[(j + 1) % 3][(k + 2) % 3] * m[(j + 2) % 3][(k + 1) % 3]
            for k in range(3)
        ]
        for j in range(3)
    ]
    inverse_det = 1.0 / sum(m[0][k] * cofactor[0][k] for k in range(3))
    gain = jnp.stack([sum(cofactor[j][k] for j in range(3)) for k in range(3)]) * inverse_det
    shift = jnp.stack([sum(cofactor[j][k] * rhs[j] for j in range(3)) for k in range(3)]) * inverse_det

    ends = _chain(y_start, gain[2], shift[2])
    starts = jnp.concatenate([jnp.reshape(y_start, (1,)), ends[:-1]])
    return gain * starts + shift, starts


def _chain(y_start: Float[Array, ""], gain: Float[Array, " n"], shift: Float[Array, " n"]) -> Float[Array, " n"]:
    """All iterates of y <- gain_i y + shift_i, composing maps over spans of 1, 2, 4, ... steps."""
    n = gain.shape[0]
    spans = 2 ** np.arange(max(1, int(np.ceil(np.log2(n)))))
    pad = int(spans[-1])

    def double(maps, span):
        gain, shift = maps
        before = jax.lax.dynamic_slice(jnp.concatenate([jnp.ones(pad), gain]), (pad - span,), (n,))
        offset = jax.lax.dynamic_slice(jnp.concatenate([jnp.zeros(pad), shift]), (pad - span,), (n,))
        return (gain * before, gain * offset + shift), None

    (gain, shift), _ = jax.lax.scan(double, (gain, shift), jnp.asarray(spans))
    return gain * y_start + shift


def newton_step(step: float, y_start: Float[Array, ""], rhs, nodes: Float[Array, "3 n"]) -> Float[Array, "3 n"]:
    """One Newton iterate of y' = rhs(y) from node values `nodes`; rhs acts node by node."""
    value, slope = jax.jvp(rhs, (nodes,), (jnp.ones_like(nodes),))
    return linear_step(step, y_start, slope, value - slope * nodes)[0]


def on_half_steps(y_start: Float[Array, ""], nodes: Float[Array, "3 n"]) -> Float[Array, "2n+1"]:
    """Values at the start, middle and end of every step, from the collocation polynomial."""
    ends = nodes[2]
    starts = jnp.concatenate([jnp.reshape(y_start, (1,)), ends[:-1]])
    middle = _MIDDLE[0] * starts + sum(_MIDDLE[1 + j] * nodes[j] for j in range(3))
    return jnp.concatenate([jnp.reshape(y_start, (1,)), jnp.stack([middle, ends], axis=-1).reshape(-1)])


def mesh_nodes(x_start: float, step: float, n: int) -> np.ndarray:
    """Positions [3, n] of the nodes of n equal steps from x_start."""
    return x_start + step * (np.arange(n) + NODES[:, None])
