"""Line-of-sight projection: transfer functions Delta_l(k) and the C_l integrals over k.

C_l^XY = 4 pi int dlnk P_R(k) Delta_l^X Delta_l^Y; Seljak & Zaldarriaga (1996), eqs. (9), (16).
"""

from functools import lru_cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from boltzax.background.curvature import areal_radius, lift
from boltzax.grids import Grid, lagrange_weights, make_grid, mode_coordinate
from boltzax.numerics.hidden import hidden
from boltzax.projection.contraction import project
from boltzax.projection.products import second_moments
from boltzax.projection.table import bessel_blocks

T, E, P = range(3)
PAIRS = {"tt": (T, T), "ee": (E, E), "te": (T, E), "pp": (P, P), "tp": (T, P), "ep": (E, P)}


def lensing_kernel(chi: Float[Array, "*s"], background, thermo) -> Float[Array, "*s"]:
    """Weight of phi + psi at distance chi [Mpc] in the lensing potential, zero before recombination [1/Mpc].

    -(chi_* - chi)/(chi_* chi), each the areal radius in curved space (Lewis & Challinor 2006, astro-ph/0601594).
    """
    chi_star = background.tau_0 - thermo.tau_rec
    radius = lambda distance: areal_radius(background.K, distance)
    return -radius(jnp.maximum(chi_star - chi, 0.0)) / (radius(chi_star) * radius(chi))


def angular_spectra(grid: Grid, p, background, thermo, src, primordial):
    """Unlensed C_l of every pair at the solved multipoles, dict of [n_ell].

    primordial: function of k [1/Mpc] giving the dimensionless P_R(k).
    """
    columns = _columns(grid, background, thermo, src)
    weight = primordial(jnp.asarray(grid.y) / background.tau_0) * (4.0 * np.pi) * grid.y_weight
    moments = jnp.zeros((3, 3, len(grid.ell)))
    for block in bessel_blocks(grid, p.taper):
        constants = jax.tree.map(hidden, block.constants)
        n_ell = block.ells.stop - block.ells.start
        integrals = project(block.rectangles, n_ell, columns[block.modes], constants)
        w = jnp.pad(weight[block.start : block.stop], (0, len(integrals) - (block.stop - block.start)))
        moments = moments.at[..., block.ells].add(second_moments(w, integrals))
    return spectra_of(moments, grid.ell.astype(float))


def spectra_of(moments: Float[Array, "3 3 ell"], ell: np.ndarray) -> dict[str, Float[Array, " ell"]]:
    """C_l of every pair from the moments of the integrals of S_T, S_P / z^2 and the lensing potential."""
    transfer = _transfer(ell)
    spectra = jnp.einsum("acl,cdl,bdl->abl", transfer, moments, transfer)
    return {name: spectra[pair] for name, pair in PAIRS.items()}


def _columns(grid: Grid, background, thermo, src):
    """What is summed with j_l: S_T, S_P / (1 - x)^2 and the lensing potential, times d tau; [modes, 3, nodes]."""
    n = grid.n_cmb
    lensing = src.weyl[:n] * lensing_kernel(background.tau_0 * (1.0 - grid.x), background, thermo)
    return jnp.stack([src.S_T, src.S_P / (1.0 - grid.x) ** 2, lensing], axis=1) * (grid.x_weight * background.tau_0)


def _transfer(ell):
    """Transfer functions of T, E and phi from the integrals of S_T, S_P / z^2 and the potential: [3, 3, ell].

    Zaldarriaga & Seljak (1997), eq. (18), for E; the quadrupole of T is as in `boltzax.sources`.
    """
    out = np.zeros((3, 3, len(ell)))
    out[T, T] = out[P, P] = 1.0
    out[T, E] = 1.5 * ell * (ell + 1.0)
    out[E, E] = 1.5 * np.sqrt((ell + 2.0) * (ell + 1.0) * ell * (ell - 1.0))
    return out


# Limber's integrand is smooth: every third time node, in the middle of its three, changes phiphi by 2e-6, by 2e-5
# beyond l = 2500
_LIMBER_NODES = slice(1, None, 3)


class LimberGrid(NamedTuple):
    """Static interpolation of the Weyl potential to k = (l + 1/2)/chi: index, weight [ell, nodes, 6]; scale [modes]."""

    index: np.ndarray
    weight: np.ndarray
    scale: np.ndarray


def _weyl_scale(y, xp=np):
    """Takes the small-scale fall ~ ln(k)/k^2 out of the transfer function, so that polynomials fit it."""
    return (1.0 + (y / 200.0) ** 2) / xp.log(np.e + y / 800.0)


@lru_cache(maxsize=8)
def _limber_grid(p, outputs) -> LimberGrid:
    grid = make_grid(p, outputs)
    y = (grid.ell_lensing[:, None] + 0.5) / (1.0 - grid.x[_LIMBER_NODES])
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

    LoVerde & Afshordi (2008), eq. (12), leading order in 1/(l + 1/2). In curved space q = (l + 1/2)/S_K(chi), and the
    integrand is S_K q^2/k^2 for chi: the turning point of the radial function, as in `boltzax.projection.eikonal`.
    """
    nu = grid.ell_lensing[:, None] + 0.5
    x, x_weight = grid.x[_LIMBER_NODES], grid.x_weight[_LIMBER_NODES] * _LIMBER_NODES.step
    chi = background.tau_0 * (1.0 - x)
    kernel, dchi = lensing_kernel(chi, background, thermo), x_weight * background.tau_0
    if background.K is not None:
        q = nu / areal_radius(background.K, chi)
        k = jnp.sqrt(q**2 - background.K)
        potential = _weyl_at(grid, background, src.weyl[grid.smooth_modes, _LIMBER_NODES], k) * kernel
        integrand = potential**2 * primordial(k) * (q / k) ** 2 * nu / q * dchi
        return (2.0 * np.pi**2 / nu[:, 0] ** 3) * jnp.sum(integrand, axis=1)
    lim = _limber_grid(p, outputs)
    scaled = src.weyl[grid.smooth_modes, _LIMBER_NODES] * lim.scale[:, None]
    near = scaled.at[hidden(lim.index), np.arange(len(x))[:, None]].get(mode="promise_in_bounds")
    weyl = jnp.einsum("lxp,lxp->lx", hidden(lim.weight), near)
    potential = weyl * kernel
    return (2.0 * np.pi**2 / nu[:, 0] ** 3) * jnp.sum(potential**2 * primordial(nu / chi) * chi * dchi, axis=1)


def _weyl_at(grid: Grid, background, weyl, k):
    """The Weyl potential [modes, nodes] at wavenumbers k [ell, nodes] that depend on parameters, as `_limber_grid`."""
    y_modes, tau_0 = grid.y_modes[grid.smooth_modes], background.tau_0
    square = k**2 - lift(background.K, grid.y_modes[0] / tau_0)
    solved = square > (grid.y_modes[0] / tau_0) ** 2  # closed space has no such wavenumbers
    y = tau_0 * jnp.sqrt(jnp.where(solved, square, 1.0))
    u_modes, u = jnp.asarray(mode_coordinate(y_modes)), mode_coordinate(y, jnp)
    index = jnp.clip(jnp.searchsorted(u_modes, u) - 3, 0, len(y_modes) - 6)[..., None] + np.arange(6)
    weight = lagrange_weights(u_modes[index], u, jnp) / _weyl_scale(y, jnp)[..., None]
    near = (weyl * _weyl_scale(y_modes)[:, None])[index, np.arange(weyl.shape[1])[:, None]]
    return jnp.where(solved & (y < y_modes[-1]), jnp.sum(weight * near, axis=-1), 0.0)


@lru_cache(maxsize=8)
def _to_every_ell(ells: tuple[int, ...]) -> np.ndarray:
    """Spline matrix from the solved multipoles to every l = 0..l_max, for l(l+1) C_l."""
    from scipy.interpolate import make_interp_spline  # here: it takes long to import

    nodes = np.array(ells, float)
    ell = np.arange(ells[-1] + 1.0)
    matrix = make_interp_spline(nodes, np.eye(len(nodes)), k=7)(ell)  # of degree 5: 1.6e-4 in the troughs of EE
    scale = np.where(ell > 1, 1.0 / np.maximum(ell * (ell + 1.0), 1.0), 0.0)
    return scale[:, None] * matrix * (nodes * (nodes + 1.0))


def every_ell(ells: np.ndarray, spectrum):
    """C_l at l = 0..max(ells) from the solved multipoles ells; zero at l = 0, 1."""
    return hidden(_to_every_ell(tuple(ells.tolist()))) @ spectrum
