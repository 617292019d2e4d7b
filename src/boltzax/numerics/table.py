"""Functions tabulated on a uniform grid, read by local polynomials of degree five.

One look-up serves every packed field: an index computed from the argument (no search), six rows, one set of
weights. The grid is chosen so fine that the jump of the derivative between cells stays far below any tolerance,
and the derivative with respect to the argument and to the tabulated values is exact for the interpolant.
"""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

_OFFSETS = np.arange(-2, 4)
# weights of the six nodes as polynomials of the fractional position: rows are powers u^0..u^5
_COEFFICIENTS = np.linalg.inv(np.vander(_OFFSETS.astype(float), 6, increasing=True))


class UniformTable(eqx.Module):
    """Values [n, m] of m functions at x0 + i dx, i = 0..n-1."""

    x0: Float[Array, ""]
    dx: Float[Array, ""]
    values: Float[Array, "n m"]

    def _locate(self, x):
        s = (x - self.x0) / self.dx
        i = jnp.clip(jnp.floor(s), 2, self.values.shape[0] - 4).astype(int)
        return i, s - i

    def _combine(self, i, weights):
        return sum(weights[..., j, None] * self.values[i + int(o)] for j, o in enumerate(_OFFSETS))

    def __call__(self, x: Float[Array, "*s"]) -> Float[Array, "*s m"]:
        """The m functions at x (any shape); outside the table the end polynomials are continued."""
        i, u = self._locate(x)
        powers = jnp.stack([u**p for p in range(6)], axis=-1)
        return self._combine(i, powers @ jnp.asarray(_COEFFICIENTS))

    def derivative(self, x: Float[Array, "*s"]) -> Float[Array, "*s m"]:
        """d/dx of the m functions at x."""
        i, u = self._locate(x)
        powers = jnp.stack([jnp.zeros_like(u)] + [p * u ** (p - 1) for p in range(1, 6)], axis=-1)
        return self._combine(i, powers @ jnp.asarray(_COEFFICIENTS)) / self.dx
