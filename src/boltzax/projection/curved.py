"""Line of sight in curved space: C_l^XY = 4 pi int q dq / k^2 P_R(k) Delta_l^X Delta_l^Y, k^2 = q^2 - K.

Lesgourgues & Tram (2014, arXiv:1312.2697). Three parts, each faded into the next by a smooth weight of q:

- in closed space nu = q / sqrt(K) = 3, 4, 5, ...: the first of them as a sum (of what is smooth in nu the integral is
  the sum, up to terms that are exponentially small), with exact radial functions (`hyperspherical.py`);
- wavenumbers to q tau_0 ~ 200: an integral, with the same functions;
- beyond: the table of spherical Bessel functions of flat space, its arguments mapped (`eikonal.py`). The map depends on
  the impact parameter alone, b = sqrt(l(l+1)) / q, and smoothly: sources are mapped for a few b, summed with the table
  as in flat space, and the integrals interpolated in b^2.

At b the table's y stands for q = y / tau(b), so that recombination lies where the table has its fine nodes, and its
1 - x for Z = tau(b) (1 - x).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from boltzax.background.curvature import lift, root, sine
from boltzax.grids import Grid, lagrange_weights
from boltzax.numerics.hidden import hidden
from boltzax.numerics.quadrature import gauss_legendre
from boltzax.perturbations.mesh import X_REC
from boltzax.projection import eikonal, hyperspherical
from boltzax.projection.contraction import project
from boltzax.projection.interpolation import traced_mode_weights
from boltzax.projection.line_of_sight import lensing_kernel, spectra_of
from boltzax.projection.products import sum_of_products
from boltzax.projection.table import bessel_blocks

_NU = np.arange(3.0, 52.0)  # wavenumbers of closed space that are summed
_NU_SWITCH, _NU_WIDTH = 30.0, 3.0  # where the integral takes over
_NU_FIRST = 2.5  # where it begins in closed space
_K_SWITCH = 0.04  # K tau_0^2 from which a sum is taken
# q tau_0 where the mapped table takes over from exact functions. In closed space the map is good to 0.04/nu alone at
# l = 0.87 nu, where Omega_k = -0.1 has recombination, and EE has little power to l = 150: from 75 on it was off by 8e-4
_Y_SWITCH, _Y_WIDTH = 200.0, 10.0
_Y_LAST, _Y_FIRST = _Y_SWITCH + 8.0 * _Y_WIDTH, _Y_SWITCH - 4.0 * _Y_WIDTH  # of the exact part, of the mapped one
_L_EXACT = 400  # largest multipole that wavenumbers of the exact part reach
_LONGEST = 24  # wavenumbers of it that are not of the grid
_Y_GRID, _Y_GRID_WIDTH = 1.5, 0.3  # q tau_0 where those of the grid take over
_CHUNK = 16  # wavenumbers of it that are summed at a time
_NODES = 12  # impact parameters
_POINTS = 8  # of the interpolation in time


def _switch(x):
    return 0.5 * (1.0 + jnp.tanh(x))


def _summed(K, tau_0, q) -> Float[Array, "*s"]:
    """Weight that wavenumbers have in the sum; the integral has the rest.

    Zero unless space is closed; it grows as K^8 where K tau_0^2 is small: the sum is the integral there, and the
    switch of nu would be too narrow for the nodes.
    """
    step = root(K)
    closed = step > 0.0
    nu = q / jnp.where(closed, step, 1.0)
    curved = (jnp.where(closed, K, 0.0) * tau_0**2 / _K_SWITCH) ** 8
    return curved / (1.0 + curved) * (1.0 - _switch((nu - _NU_SWITCH) / _NU_WIDTH))


def _mapped(tau_0, q) -> Float[Array, "*s"]:
    """Root of the weight that wavenumbers of the integral have in its mapped part."""
    return _switch((q * tau_0 - _Y_SWITCH) / _Y_WIDTH)


class _Modes(NamedTuple):
    """What both parts read. y: the solved modes; columns [modes, 3, nodes]: S_T, S_P and the Weyl potential."""

    y: np.ndarray
    columns: jnp.ndarray
    tau_0: jnp.ndarray
    K: jnp.ndarray

    @classmethod
    def of(cls, grid: Grid, background, src) -> "_Modes":
        n = grid.n_cmb
        columns = jnp.stack([src.S_T, src.S_P, src.weyl[:n]], axis=1)
        return cls(grid.y_modes[:n], columns, background.tau_0, background.K)

    def _read(self, q):
        """(y/tau_0)^2 of the modes whose sources stand for wavenumbers q, and what is between it and k^2."""
        lowest = self.y[0] / self.tau_0
        above = lift(self.K, lowest)
        square, floor = q**2 - self.K - above, (0.9 * lowest) ** 2
        return jnp.where(square > floor, square, floor), above

    def weights(self, q) -> Float[Array, "*s modes"]:
        """Interpolation from the modes to wavenumbers q [1/Mpc]."""
        return traced_mode_weights(self.y, self.tau_0 * jnp.sqrt(self._read(q)[0]))

    def k2(self, q) -> Float[Array, "*s"]:
        """k^2 of the modes that are read: longer waves have a quadrupole that falls as k^2, and the same S_P / k^2."""
        return sum(self._read(q))


def angular_spectra(grid: Grid, p, background, thermo, src, primordial) -> dict[str, Float[Array, " ell"]]:
    """Unlensed C_l of every pair at the solved multipoles, as `boltzax.projection.line_of_sight.angular_spectra`."""
    modes = _Modes.of(grid, background, src)
    moments = _exact_part(grid, background, thermo, modes, primordial)
    moments = moments + _mapped_part(grid, p, background, thermo, modes, primordial)
    return spectra_of(4.0 * np.pi * moments, grid.ell.astype(float))


# -- exact radial functions --------------------------------------------------------------------------------------------


def _exact_nodes(grid: Grid, K, tau_0):
    """Wavenumbers q [1/Mpc] of the sum and of the integral, and their weights of q dq / k^2.

    The integral begins at q = 0, in closed space at nu = 5/2, half a step below the first term of the sum. The longest
    waves have nodes in s, q^2 = s^2 + (5/2)^2 K and q dq = s ds, so that none of them is cut off when K changes; those
    of the grid are faded in beyond.
    """
    step = root(K)
    closed = step > 0.0
    nu = jnp.asarray(_NU)
    summed = nu * jnp.where(closed, step, 1.0 / tau_0)
    s, width = gauss_legendre(_LONGEST, 0.0, 2.0 * _Y_GRID)
    long = jnp.sqrt((s / tau_0) ** 2 + jnp.where(closed, _NU_FIRST**2 * K, 0.0))
    n = int(np.searchsorted(grid.y, _Y_LAST))
    q = grid.y[:n] / tau_0
    valid = q > 2.1 * step  # what closed space does not have is weightless, and must be finite
    q = jnp.where(valid, q, 3.0 * step)
    faded = lambda q: _switch((q * tau_0 - _Y_GRID) / _Y_GRID_WIDTH)
    long_weight = s * width / tau_0**2 * (1.0 - faded(long))
    weight = jnp.where(valid, grid.y_weight[:n] * q**2 * faded(q), 0.0)
    rest = _summed(K, tau_0, summed) / nu * summed**2  # q dq = q^2 / nu
    q = jnp.concatenate([long, q])
    weight = jnp.concatenate([long_weight, weight]) * (1.0 - _summed(K, tau_0, q)) * (1.0 - _mapped(tau_0, q) ** 2)
    q, weight = jnp.concatenate([summed, q]), jnp.concatenate([rest, weight])
    return q, weight / (q**2 - K)


def _exact_part(grid: Grid, background, thermo, modes: _Modes, primordial):
    """Moments [3, 3, ell] of the integrals of all wavenumbers to q tau_0 ~ _Y_LAST."""
    K, tau_0 = modes.K, modes.tau_0
    chi = tau_0 * (1.0 - grid.x)
    kernels = jnp.stack([jnp.ones_like(chi), sine(K, chi) ** -2.0, lensing_kernel(chi, background, thermo)])
    columns = modes.columns * (kernels * grid.x_weight * tau_0)
    q, weight = _exact_nodes(grid, K, tau_0)
    k2 = q**2 - K
    l_exact = min(_L_EXACT, int(grid.ell[-1]))
    fill = -len(q) % _CHUNK
    chunks = jnp.pad(q, (0, fill), mode="edge").reshape(-1, _CHUNK)

    @jax.checkpoint
    def integrals(q):
        sources = jnp.tensordot(modes.weights(q), columns, 1)  # [q, 3, x]
        return hyperspherical.sums(K, q, chi, l_exact, lambda phi: jnp.einsum("qx,qcx->qc", phi, sources))

    found = jnp.moveaxis(jax.lax.map(integrals, chunks), 1, 2).reshape(-1, l_exact + 1, 3)[: len(q)]
    found = found / jnp.stack([jnp.ones_like(k2), modes.k2(q), jnp.ones_like(k2)], axis=-1)[:, None]
    near = int(np.searchsorted(grid.ell, l_exact, side="right"))
    a = found[:, grid.ell[:near]]
    moments = jnp.einsum("q,qlc,qld->cdl", weight * primordial(jnp.sqrt(k2)), a, a)
    return jnp.pad(moments, ((0, 0), (0, 0), (0, len(grid.ell) - near)))


# -- the mapped table --------------------------------------------------------------------------------------------------


class _Geometry(NamedTuple):
    """Maps of the impact parameters. tau [j]; mu2 [j]: b^2/Z^2 at recombination; slope [j]: d tau / d mu2; chi [j, x]:
    distances of the table's nodes; stretch [j, x]: what the integrand has beyond flat space's, dchi included [Mpc]."""

    tau: jnp.ndarray
    mu2: jnp.ndarray
    slope: jnp.ndarray
    chi: jnp.ndarray
    stretch: jnp.ndarray


def _geometry(grid: Grid, K, tau_0) -> _Geometry:
    chi_star = tau_0 * (1.0 - X_REC)
    S2 = sine(K, chi_star) ** 2
    nodes = 0.5 * (1.0 - np.cos(np.pi * (np.arange(_NODES) + 0.5) / _NODES))
    b2 = nodes * S2 * (1.0 + 0.2 * (1.0 - K * S2))  # beyond the turning point of recombination, within space
    Z_star = eikonal.to_flat(K, b2, jnp.broadcast_to(chi_star, b2.shape))
    tau, mu2 = Z_star / (1.0 - X_REC), b2 / Z_star**2
    Z = tau[:, None] * (1.0 - grid.x)
    wide = jnp.broadcast_to(b2[:, None], Z.shape)
    chi = eikonal.to_curved(K, wide, Z)
    stretch = tau[:, None] * Z / sine(K, chi) * eikonal.slope(K, wide, chi, Z) ** -1.5
    return _Geometry(tau, mu2, _slopes(mu2, tau), chi, stretch)


def _slopes(nodes, values):
    """Slope at the nodes of the polynomial through values there."""
    through = lambda x: lagrange_weights(nodes, x, jnp) @ values
    return jax.jvp(through, (nodes,), (jnp.ones_like(nodes),))[1]


def _mapped_columns(grid: Grid, background, thermo, modes: _Modes, geometry: _Geometry):
    """The columns [modes, 3 j, nodes] that are summed with the table, for q = y_modes / tau(b)."""
    K, tau_0 = modes.K, modes.tau_0
    x = 1.0 - geometry.chi / tau_0
    last = len(grid.x) - _POINTS
    # in flat space x are the nodes themselves, and rounding shall not choose which way the neighbours lie
    first = jnp.clip(jnp.searchsorted(jnp.asarray(grid.x - 1e-9), x) - _POINTS // 2, 0, last)
    index = first[..., None] + np.arange(_POINTS)
    weight = lagrange_weights(jnp.asarray(grid.x)[index], x, jnp)
    kernels = jnp.stack(
        [
            jnp.ones_like(x),
            (geometry.tau[:, None] / sine(K, geometry.chi)) ** 2,
            lensing_kernel(geometry.chi, background, thermo),
        ],
        axis=1,
    )
    kernels = kernels * (geometry.stretch * grid.x_weight)[:, None]

    def of_one(index, weight, kernel, tau):
        in_time = sum(modes.columns[..., index[:, i]] * weight[:, i] for i in range(_POINTS))
        q = modes.y / tau
        out = jnp.tensordot(modes.weights(q), in_time * kernel, 1)  # [modes, 3, nodes]
        ratio = (q * tau_0) ** 2 / ((q * tau_0) ** 2 + jnp.maximum(-K * tau_0**2, -0.5 * (q * tau_0) ** 2))
        return out * jnp.stack([jnp.ones_like(q), ratio, jnp.ones_like(q)], axis=-1)[..., None]

    columns = jax.lax.map(lambda v: of_one(*v), (index, weight, kernels, geometry.tau))
    return jnp.moveaxis(columns, 0, 1).reshape(len(modes.y), -1, len(grid.x))


def _mapped_part(grid: Grid, p, background, thermo, modes: _Modes, primordial):
    """Moments [3, 3, ell] of the integrals of all wavenumbers from q tau_0 ~ _Y_FIRST."""
    K, tau_0 = modes.K, modes.tau_0
    geometry = _geometry(grid, K, tau_0)
    columns = _mapped_columns(grid, background, thermo, modes, geometry)
    moments = jnp.zeros((3, 3, len(grid.ell)))
    for block in bessel_blocks(grid, p.taper):
        y, ell = grid.y[block.start : block.stop, None], grid.ell[block.ells].astype(float)
        if y[-1, 0] < 0.6 * _Y_FIRST:  # tau(b) differs from tau_0 by less
            continue
        y = np.maximum(y, 0.5 * _Y_FIRST)  # what is below has no weight
        mu2 = jnp.minimum(ell * (ell + 1.0) / (y * (1.0 - X_REC)) ** 2, geometry.mu2[-1])
        cardinal = lagrange_weights(geometry.mu2, mu2, jnp)  # [y, ell, j]
        constants = jax.tree.map(hidden, block.constants)
        found = project(block.rectangles, len(ell), columns[block.modes], constants)[: len(y)]
        a = jnp.einsum("ylj,yjcl->ycl", cardinal, found.reshape(len(y), _NODES, 3, len(ell)))
        tau = cardinal @ geometry.tau
        q = y / tau
        k2 = q**2 - K
        jacobian = 1.0 + 2.0 * mu2 * (cardinal @ geometry.slope) / tau  # d ln q / d ln y at fixed l
        weight = grid.y_weight[block.start : block.stop, None] * jacobian * q**2 / k2 * primordial(jnp.sqrt(k2))
        weight = weight * (1.0 - _summed(K, tau_0, q)) * _mapped(tau_0, q) ** 2
        moments = moments.at[..., block.ells].add(sum_of_products(a, weight[:, None] * a))
    return moments
