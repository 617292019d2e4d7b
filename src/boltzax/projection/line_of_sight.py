"""Line-of-sight projection: transfer functions Delta_l(k) and the C_l integrals over k.

C_l^XY = 4 pi int dlnk P_R(k) Delta_l^X Delta_l^Y; Seljak & Zaldarriaga (1996), eqs. (9), (16).
"""

from functools import lru_cache
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from scipy.interpolate import make_interp_spline

from boltzax.grids import Grid, time_taper
from boltzax.numerics.hidden import hidden
from boltzax.projection.table import bessel_blocks

T, E, P = range(3)
PAIRS = {"tt": (T, T), "ee": (E, E), "te": (T, E), "pp": (P, P), "tp": (T, P), "ep": (E, P)}


def lensing_kernel(grid: Grid, background, thermo):
    """Weight [nodes] of phi + psi in the lensing potential: -(chi_* - chi)/(chi_* chi), zero before recombination."""
    chi = background.tau_0 * (1.0 - grid.x)
    chi_star = background.tau_0 - thermo.tau_rec
    return -jnp.maximum(chi_star - chi, 0.0) / (chi_star * chi)


def angular_spectra(grid: Grid, p, background, thermo, src, primordial):
    """Unlensed C_l of every pair at the solved multipoles, dict of [n_ell].

    primordial: function of k [1/Mpc] giving the dimensionless P_R(k).
    """
    ell = grid.ell.astype(float)
    kernel = lensing_kernel(grid, background, thermo)
    n = grid.n_cmb
    modes = jnp.stack([src.S_T, src.S_P, src.weyl[:n] * kernel], axis=-1)
    weight = primordial(jnp.asarray(grid.y) / background.tau_0) * (4.0 * np.pi) * grid.y_weight
    e_factor = 1.5 * np.sqrt((ell + 2.0) * (ell + 1.0) * ell * (ell - 1.0))
    to_fine = hidden(grid.to_fine)
    totals = {name: jnp.zeros(len(ell)) for name in PAIRS}
    for block in bessel_blocks(grid, p.taper):
        y = grid.y[block.start : block.stop]
        x = grid.x[block.nodes]
        z2 = (y[:, None] * (1.0 - x)) ** 2
        time = time_taper(p.taper, y, grid.x_weight[block.nodes]) * grid.x_weight[block.nodes]
        scale = np.stack([time, time / z2, time], -1)  # [y, x, 3]
        fine = jnp.einsum("ym,mxs->yxs", to_fine[block.start : block.stop], modes[:, block.nodes])
        fine = fine * scale * background.tau_0
        delta = jnp.einsum("yxl,yxs->yls", block.bessel[...], fine.astype(jnp.float32)).astype(float)
        l = ell[: block.n_ell]
        quadrupole = delta[..., 1]
        transfer = jnp.stack(
            [delta[..., 0] + 1.5 * l * (l + 1.0) * quadrupole, e_factor[: block.n_ell] * quadrupole, delta[..., 2]]
        )
        w = weight[block.start : block.stop]
        for name, (a, b) in PAIRS.items():
            part = jnp.einsum("y,yl,yl->l", w, transfer[a], transfer[b])
            totals[name] = totals[name].at[: block.n_ell].add(part)
    return totals


class LimberGrid(NamedTuple):
    """Static interpolation of the Weyl potential to k = (l + 1/2)/chi: index, weight [ell, nodes, 6]; scale [modes]."""

    index: np.ndarray
    weight: np.ndarray
    scale: np.ndarray


def _weyl_scale(y):
    """Takes the small-scale fall ~ ln(k)/k^2 out of the transfer function, so that polynomials fit it."""
    return (1.0 + (y / 200.0) ** 2) / np.log(np.e + y / 800.0)


@lru_cache(maxsize=8)
def _limber_grid(p, outputs) -> LimberGrid:
    from boltzax.grids import lagrange_weights, make_grid, mode_coordinate

    grid = make_grid(p, outputs)
    nu = grid.ell_lensing[:, None] + 0.5
    y = nu / (1.0 - grid.x)
    y_modes = grid.y_modes[grid.smooth_modes]
    u_modes, u = mode_coordinate(y_modes), mode_coordinate(y)
    first = np.clip(np.searchsorted(u_modes, u) - 3, 0, len(u_modes) - 6)
    index = first[..., None] + np.arange(6)
    weight = lagrange_weights(u_modes[index], u)
    inside = (y < y_modes[-1]) & (y > y_modes[0])
    weight = np.where(inside[..., None], weight / _weyl_scale(y)[..., None], 0.0)
    return LimberGrid(index.astype(np.int32), weight, _weyl_scale(y_modes))


def limber_lensing(grid: Grid, p, outputs, background, thermo, src, primordial):
    """C_l^phiphi at grid.ell_lensing in Limber's approximation, k = (l + 1/2)/chi.

    LoVerde & Afshordi (2008), eq. (12), leading order in 1/(l + 1/2).
    """
    lim = _limber_grid(p, outputs)
    nu = grid.ell_lensing[:, None] + 0.5
    scaled = src.weyl[grid.smooth_modes] * lim.scale[:, None]
    near = scaled.at[hidden(lim.index), np.arange(len(grid.x))[None, :, None]].get(mode="promise_in_bounds")
    weyl = jnp.einsum("lxp,lxp->lx", hidden(lim.weight), near)
    potential = weyl * lensing_kernel(grid, background, thermo)
    chi = background.tau_0 * (1.0 - grid.x)
    dchi = grid.x_weight * background.tau_0
    return (2.0 * np.pi**2 / nu[:, 0] ** 3) * jnp.sum(potential**2 * primordial(nu / chi) * chi * dchi, axis=1)


@lru_cache(maxsize=8)
def _to_every_ell(ells: tuple[int, ...]) -> np.ndarray:
    """Spline matrix from the solved multipoles to every l = 0..l_max, for l(l+1) C_l."""
    nodes = np.array(ells, float)
    ell = np.arange(ells[-1] + 1.0)
    matrix = make_interp_spline(nodes, np.eye(len(nodes)), k=5)(ell)
    scale = np.where(ell > 1, 1.0 / np.maximum(ell * (ell + 1.0), 1.0), 0.0)
    return scale[:, None] * matrix * (nodes * (nodes + 1.0))


def every_ell(ells: np.ndarray, spectrum):
    """C_l at l = 0..max(ells) from the solved multipoles ells; zero at l = 0, 1."""
    return hidden(_to_every_ell(tuple(ells.tolist()))) @ spectrum
