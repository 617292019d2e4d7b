"""Small matrices over the leading axes of arrays: [3, 3, ...] acts on [3, ...]."""

import jax.numpy as jnp


def apply(matrix, v):
    """Matrix [3, 3, ...] times v [3, ...]."""
    return sum(matrix[:, j] * v[j] for j in range(3))


def inverse(m):
    """Inverse of matrices [3, 3, ...] by cofactors."""

    def cofactor(i, j):
        (a, b), (c, d) = ((i + 1) % 3, (i + 2) % 3), ((j + 1) % 3, (j + 2) % 3)
        return m[a, c] * m[b, d] - m[a, d] * m[b, c]

    rows = jnp.stack([jnp.stack([cofactor(j, i) for j in range(3)]) for i in range(3)])
    return rows / sum(m[0, j] * rows[j, 0] for j in range(3))


def product(a, b):
    """Product of matrices [3, 3, ...]."""
    return sum(a[:, j, None] * b[j] for j in range(3))
