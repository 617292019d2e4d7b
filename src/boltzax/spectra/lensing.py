"""Lensed CMB spectra from unlensed ones by the full-sky correlation-function method.

Lensing changes the correlation functions xi(theta) by a short-ranged amount. The change is summed over l from the
unlensed spectra, transformed back and added to them. Three overlapping zones of theta cover the sphere: the nearer
to theta = 0, the higher the multipoles that still matter and the coarser the step in l that still resolves the
rotation functions, so every zone is a small dense table. All tables are constants built with numpy on first use.

References: Challinor & Lewis 2005 (CL05, astro-ph/0502425), Lewis & Challinor 2006 (astro-ph/0601594).
"""

from functools import lru_cache
from math import comb
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

# rotation functions d^l_mn in the order of the tables
_PAIRS = ((0, 0), (2, 0), (2, 2), (2, -2), (1, -1), (3, 1), (4, 0), (3, -3), (4, -4), (1, 1), (3, -1), (4, -2))
_ROW = {pair: i for i, pair in enumerate(_PAIRS)}
_TT, _TE, _PLUS, _MINUS = range(4)  # correlation functions xi, xi_X, xi_+, xi_-


def _terms(L):
    """Terms of the lensed correlation functions: CL05 eq. (38) and its counterparts for polarisation.

    Each is (correlation function, rotation function, power of C_gl,2, a, factor): the products of the X_imn, CL05
    eqs. (39), (40), (57)-(60), are all factor(L) exp(-L sigma^2/2 + a sigma^2) with L = l(l+1).
    """
    s0, s2, s6, s12 = (np.sqrt(np.maximum(L - i, 0.0)) for i in (0, 2, 6, 12))
    x121, x132, x220, x242 = s2 / 2, s6 / 2, s0 * s2 / 4, s6 * s12 / 4
    xp000, xp022, one = L / 4, (L - 4) / 4, np.ones_like(L)
    return (
        (_TT, (0, 0), 0, 0, one),
        (_TT, (1, -1), 1, 0, L / 2),
        (_TT, (0, 0), 2, 0, xp000**2),
        (_TT, (2, -2), 2, 1, x220**2),
        (_TE, (2, 0), 0, 1, one),
        (_TE, (1, 1), 1, 2 / 3, s0 / 2 * x121),
        (_TE, (3, -1), 1, 5 / 3, s0 / 2 * x132),
        (_TE, (2, 0), 2, 1, xp022 * xp000 + x220**2 / 2),
        (_TE, (4, -2), 2, 3, x220 * x242 / 2),
        (_PLUS, (2, 2), 0, 2, one),
        (_PLUS, (3, 1), 1, 7 / 3, 2 * x121 * x132),
        (_PLUS, (2, 2), 2, 2, xp022**2),
        (_PLUS, (4, 0), 2, 3, x220 * x242),
        (_MINUS, (2, -2), 0, 2, one),
        (_MINUS, (1, -1), 1, 4 / 3, x121**2),
        (_MINUS, (3, -3), 1, 10 / 3, x132**2),
        (_MINUS, (2, -2), 2, 2, xp022**2),
        (_MINUS, (0, 0), 2, 1, x220**2 / 2),
        (_MINUS, (4, -4), 2, 5, x242**2 / 2),
    )


def _pack_terms(L):
    """The terms sorted by rotation function, at most three for each; empty places have the factor zero."""
    (target, order), exponent = np.zeros((2, 12, 3), int), np.zeros((12, 3))
    factor, summed, used = np.zeros((12, 3, len(L))), np.zeros((4, 12, 3)), np.zeros(12, int)
    for which, pair, power, a, values in _terms(L):
        row = _ROW[pair]
        place = row, used[row]
        target[place], order[place], exponent[place], factor[place] = which, power, a, values
        summed[(which, *place)] = 1.0
        used[row] += 1
    return target, order, exponent, summed.reshape(4, 36), factor


_TARGET, _ORDER, _EXPONENT, _SUM, _ = _pack_terms(np.zeros(1))
_EDGE = 5.0  # half width, in units of its scale, over which an erfc step goes from 1 to 1e-12
# overlapping zones: the range of theta over which a zone fades, and the multipole and width of its cut-off in l;
# (lowest theta) * (width) >= 9 keeps the cut-off invisible in the zone
_ZONES = (
    ((0.05, 0.10), None),
    ((0.12, 0.24), (900.0, 180.0)),
    ((0.36, 0.72), (370.0, 70.0)),
    (None, (100.0, 20.0)),
)


class LensedCl(eqx.Module):
    """Lensed dimensionless C_l, arrays over l = 0..l_max (l = 0, 1 are zero)."""

    tt: Float[Array, " l"]
    te: Float[Array, " l"]
    ee: Float[Array, " l"]
    bb: Float[Array, " l"]


class Zone(NamedTuple):
    """Constants of one range of theta: nodes in l with quadrature weights, rotation functions, transform back."""

    l: np.ndarray  # [n_l] multipoles summed over
    weight: np.ndarray  # [n_l] quadrature weight times (2l+1)/4pi
    factor: np.ndarray  # [12, 3, n_l] factors of l of the terms
    d: np.ndarray  # [12, n_theta, n_l] rotation functions
    l_pp: np.ndarray  # [n_p] multipoles of the lensing potential
    weight_pp: np.ndarray  # [n_p] quadrature weight times l(l+1)(2l+1)/4pi
    d_pp: np.ndarray  # [2, n_theta, n_p] 1 - d_11 in the first zone, -d_11 in the others; d_1,-1
    back: np.ndarray  # [4, n_out, n_theta] transform of xi, xi_X, xi_+, xi_- to the output multipoles


class LensingTables(NamedTuple):
    """Constants of the lensing step: the zones of theta, and the interpolation from output nodes to every l."""

    zones: tuple[Zone, ...]
    stencil: np.ndarray  # [l_max+1, 8] output nodes used at each l
    interpolation: np.ndarray  # [l_max+1, 8] their weights


def _step(x, low, high):
    """Smooth step from 1 at low to 0 at high."""
    from scipy.special import erfc  # here: it takes long to import

    return 0.5 * erfc(2 * _EDGE * (x - 0.5 * (low + high)) / (high - low) * 0.76)


def _l_quadrature(l_max, theta_max, cutoff):
    """Nodes and weights that sum a smooth function of l times a rotation function at theta <= theta_max.

    The step doubles where the rotation functions allow it. Steps are joined by smooth partitions of unity, for
    which the trapezoidal rule is exponentially accurate; cutoff = (l, width) fades out high l.
    """
    from scipy.special import erfc

    top = l_max if cutoff is None else min(l_max, int(cutoff[0] + _EDGE * cutoff[1]))
    l = np.arange(top + 1)
    weight, remaining, step = np.zeros(top + 1), np.ones(top + 1), 1
    while 2 * step * theta_max < 1.7:
        width = 12.0 / (2 * np.pi / (2 * step) - theta_max)
        centre = (_EDGE + 0.5) * width
        if centre + _EDGE * width > top:
            break
        fade = 0.5 * erfc((l - centre) / width)
        weight[(top - l) % step == 0] += step * (remaining * fade)[(top - l) % step == 0]
        remaining, step = remaining * (1 - fade), 2 * step
    last = (top - l) % step == 0
    weight[last] += step * remaining[last]
    weight[top] += 0.5 * (1 - step)
    if cutoff is not None:
        weight *= 0.5 * erfc((l - cutoff[0]) / cutoff[1])
    weight[:2] = 0.0
    keep = np.flatnonzero(weight > 1e-12)
    return keep, weight[keep]


def wigner_d(pairs, theta, l):
    """Rotation functions d^l_mn(theta), m >= |n|, m - n even, by upward recursion in l.

    Args: pairs (m, n); theta [n_theta] in radians; l increasing integers [n_l]. Returns [n_pairs, n_theta, n_l].
    """
    m, n = np.array(pairs).T
    x, c, s = np.cos(theta), np.cos(theta / 2), np.sin(theta / 2)
    start = [float(comb(2 * i, i + j)) ** 0.5 * c ** (i + j) * s ** (i - j) for i, j in pairs]
    position = np.full(l[-1] + 2, -1)
    position[l] = np.arange(len(l))
    out = np.zeros((len(l), len(pairs), len(theta)))
    previous, current = np.zeros((2, len(pairs), len(theta)))
    for i in range(l[-1] + 1):
        for p in np.flatnonzero(m == i):
            current[p] = start[p]
        if position[i] >= 0:
            out[position[i]] = current
        norm = max(i, 1) * np.sqrt(np.maximum((i + 1.0) ** 2 - m**2, 1) * np.maximum((i + 1.0) ** 2 - n**2, 1))
        a, b = (2 * i + 1) * max(i * (i + 1), 1) / norm, (2 * i + 1) * m * n / norm
        g = (i + 1) * np.sqrt(np.maximum(i * i - m**2, 0) * np.maximum(i * i - n**2, 0.0)) / norm
        previous, current = current, (a[:, None] * x - b[:, None]) * current - g[:, None] * previous
    return np.ascontiguousarray(out.transpose(1, 2, 0))


def _output_nodes(l_max, step):
    """Multipoles at which the change of the spectra is computed: each one at low l, then ever wider steps."""
    nodes, i, width = [], 2, 1
    while i < l_max:
        nodes.append(i)
        width = min(step, max(1, i // 12))
        i += width
    return np.array([*nodes, l_max])


def _interpolation(nodes, l_max):
    """Stencil and weights of local polynomial interpolation of degree 7 from the nodes to l = 0..l_max."""
    order = min(8, len(nodes))
    l = np.arange(l_max + 1)
    first = np.clip(np.searchsorted(nodes, l, side="right") - order // 2, 0, len(nodes) - order)
    stencil = first[:, None] + np.arange(order)
    x = nodes[stencil].astype(float)
    weights = np.ones_like(x)
    for i in range(order):
        for j in range(order):
            if j != i:
                weights[:, i] *= (l - x[:, j]) / (x[:, i] - x[:, j])
    weights[:2] = 0.0
    return stencil, weights


def _zone(start, end, cutoff, l_max, l_max_unlensed, l_max_pp, nodes):
    """Tables of the zone that rises over theta in start = (low, high) (None: from 0) and fades over end."""
    low, high = (0.0 if start is None else start[0]), (np.pi if end is None else end[1])
    l, weight = _l_quadrature(l_max_unlensed, high, cutoff)
    l_pp, weight_pp = _l_quadrature(l_max_pp, high, cutoff)
    nodes = nodes[nodes <= l[-1]]
    # Gauss-Legendre resolves a product of rotation functions once it has half a node per radian of phase
    band = l_max_unlensed + l_max if cutoff is None else 2 * (cutoff[0] + cutoff[1])
    n_theta = int(0.25 * band * (high - low)) + 24
    u, w = np.polynomial.legendre.leggauss(n_theta)
    theta = low + 0.5 * (u + 1) * (high - low)
    w = 0.5 * (high - low) * w * np.sin(theta)
    w = w * (1 if start is None else 1 - _step(theta, *start)) * (1 if end is None else _step(theta, *end))
    back = wigner_d(_PAIRS[:4], theta, nodes).transpose(0, 2, 1) * w
    d_pp = wigner_d(((1, 1), (1, -1)), theta, l_pp)
    d_pp[0] = (1 - d_pp[0]) if start is None else -d_pp[0]
    return Zone(
        l,
        weight * (2 * l + 1) / (4 * np.pi),
        _pack_terms(l * (l + 1.0))[-1],
        wigner_d(_PAIRS, theta, l),
        l_pp,
        weight_pp * l_pp * (l_pp + 1.0) * (2 * l_pp + 1) / (4 * np.pi),
        d_pp,
        back * np.array([2, 2, 1, 1])[:, None, None] * np.pi,
    )


@lru_cache(maxsize=8)
def lensing_tables(l_max: int, l_max_unlensed: int, l_max_pp: int, output_step: int = 8) -> LensingTables:
    """Constants of `lens`: numpy arrays, built in about a second and kept for later calls with the same sizes."""
    nodes = _output_nodes(l_max, output_step)
    zones, start = [], None
    for end, cutoff in _ZONES:
        zones.append(_zone(start, end, cutoff, l_max, l_max_unlensed, l_max_pp, nodes))
        start = end
    return LensingTables(tuple(zones), *_interpolation(nodes, l_max))


@jax.custom_jvp
def _moments(sigma2, columns, d, L):
    """Sums over l of exp(-l(l+1) sigma2/2) d^l_mn times each column: [12, n_theta, n_columns]."""
    return (jnp.exp(-0.5 * sigma2[:, None] * L) * d) @ columns


@_moments.defjvp
def _moments_jvp(primals, tangents):
    # the derivative with respect to sigma2 is one more set of columns, shared by all tangents
    sigma2, columns, d, L = primals
    n = columns.shape[-1]
    table = jnp.exp(-0.5 * sigma2[:, None] * L) * d
    both = table @ jnp.concatenate([columns, -0.5 * L[:, None] * columns], axis=-1)
    return both[..., :n], table @ tangents[1] + tangents[0][:, None] * both[..., n:]


def _zone_change(zone, origin, spectra, pp):
    """Change of the spectra (TT, TE, EE, BB at the output nodes) from one zone; origin is C_gl(0)."""
    deflection = pp[zone.l_pp] * zone.weight_pp
    cgl = zone.d_pp @ deflection
    sigma2, c2 = origin + cgl[0], cgl[1]  # CL05 eq. (35): C_gl(0) - C_gl(theta), C_gl,2(theta)
    terms = spectra[:, zone.l] * zone.weight
    L = zone.l * (zone.l + 1.0)
    moments = _moments(sigma2, jnp.swapaxes(terms[_TARGET] * zone.factor, 1, 2), zone.d, L)
    prefactor = jnp.stack([jnp.ones_like(c2), c2, c2**2])[_ORDER] * jnp.exp(_EXPONENT[..., None] * sigma2)
    contributions = (prefactor * jnp.swapaxes(moments, 1, 2)).reshape(_SUM.shape[1], -1)
    xi = _SUM @ contributions - jnp.einsum("stl,sl->st", zone.d[:4], terms)
    tt, te, plus, minus = jnp.einsum("sot,st->so", zone.back, xi)
    return jnp.stack([tt, te, plus + minus, plus - minus])


def lens(
    tt: Float[Array, " l_u"],
    te: Float[Array, " l_u"],
    ee: Float[Array, " l_u"],
    pp: Float[Array, " l_p"],
    bb: Float[Array, " l_u"] | None = None,
    *,
    l_max: int,
    tables: LensingTables | None = None,
) -> LensedCl:
    """Lensed spectra from unlensed ones, to second order in C_gl,2 and all orders in sigma^2.

    Challinor & Lewis 2005 eq. (38) and its counterparts for polarisation. Within 1e-5 of the integral over the whole
    sphere; what is left out at third order is 3e-5 in TT, 1e-4 in EE and 1e-3 in BB at l = 2500.

    tt, te, ee and optionally bb: unlensed dimensionless C_l from l = 0, all of one length; pp: C_l^phiphi from l = 0,
    of any length. Ending the former at 4000 for l_max = 2500 changes TT and EE by 2e-5 and BB by 6e-4 (4500: 3e-6,
    1e-4); ending pp at 4000 changes them by 2e-4, 3e-4 and 8e-3, at 6000 by 9e-5, 9e-5 and 4e-5.

    tables: `lensing_tables(l_max, l_max_unlensed, l_max_pp)`, where a caller wants to pass the constants (tens of MB)
    through jit as an argument. Raises ValueError where the spectra are too short or of different lengths.
    """
    if not tt.shape == te.shape == ee.shape or (bb is not None and bb.shape != tt.shape):
        raise ValueError("the unlensed spectra tt, te, ee and bb must have the same length")
    l_max_unlensed, l_max_pp = tt.shape[0] - 1, pp.shape[0] - 1
    if l_max < 2 or l_max > min(l_max_unlensed, l_max_pp):
        raise ValueError(
            f"l_max = {l_max} must lie between 2 and the last multipole of the unlensed spectra "
            f"({l_max_unlensed}) and of the lensing potential ({l_max_pp})"
        )
    tables = lensing_tables(l_max, l_max_unlensed, l_max_pp) if tables is None else tables
    tables = jax.tree.map(jnp.asarray, tables)
    tt, te, ee, pp = map(jnp.asarray, (tt, te, ee, pp))
    bb = jnp.zeros_like(tt) if bb is None else jnp.asarray(bb)
    spectra = jnp.stack([tt, te, ee + bb, ee - bb])
    first = tables.zones[0]
    total = pp[first.l_pp] @ first.weight_pp
    change = jnp.zeros((4, first.back.shape[1]))
    for zone in tables.zones:
        part = _zone_change(zone, 0.0 if zone is first else total, spectra, pp)
        change = change.at[:, : part.shape[1]].add(part)
    change = (change[:, tables.stencil] * tables.interpolation).sum(-1)
    unlensed = jnp.stack([tt, te, ee, bb])[:, : l_max + 1] * (np.arange(l_max + 1) >= 2)
    return LensedCl(*(unlensed + change))


def extend_potential(pp: Float[Array, " l"], l_max: int, window: int = 400) -> Float[Array, " l_ext"]:
    """C_l^phiphi continued to l_max by a parabola in (ln l, ln C_l) fitted to its last `window` multipoles.

    The deflections of l = 4000-8500 change lensed TT and EE at l = 2500 by 2e-4; continued from l = 3000 they are
    good enough for 2e-6 there. pp: from l = 0, positive at the fitted l; returns l = 0..l_max. Raises ValueError if pp
    ends before l = window + 1.
    """
    n = pp.shape[0]
    if l_max < n:
        return pp[: l_max + 1]
    if n < window + 2:
        raise ValueError(f"C_l^phiphi must reach l = {window + 1} to be continued; it ends at {n - 1}")
    x = np.log(np.arange(1, l_max + 1.0) / n)  # small in the window, so that the fit is well conditioned
    powers = np.vander(x, 3)
    fit = powers[n - 1 :] @ np.linalg.pinv(powers[n - 1 - window : n - 1])
    return jnp.concatenate([pp, jnp.exp(fit @ jnp.log(pp[n - window :]))])
