"""Small matrices over the leading axes of arrays: [3, 3, ...] acts on [3, ...]."""


def apply(matrix, v):
    """Matrix [3, 3, ...] times v [3, ...]."""
    return sum(matrix[:, j] * v[j] for j in range(3))


def product(a, b):
    """Product of matrices [3, 3, ...]."""
    return sum(a[:, j, None] * b[j] for j in range(3))
