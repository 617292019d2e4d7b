"""Stacked hierarchies of all species: which row is whose, and the tables of their tails."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from boltzax.perturbations.hierarchy import tail
from boltzax.perturbations.species import massive_neutrinos, massless_neutrinos, photons

N_PHOTON = 2
LAST = 8  # in curved space the last multipole before the exponentials (see chain.py)


class Group(NamedTuple):
    """Rows [start, stop) of one kind, and the modes lam, c of their tails (complex [modes]).

    same: the rows have the same speed and damping, so that one response serves all.
    """

    start: int
    stop: int
    same: bool
    lam: np.ndarray
    c: np.ndarray


class Layout(NamedTuple):
    """Static structure of the state.

    rows; damped, gravitates [rows]: scattered by electrons, sourced by the metric; groups: the tails; n_q momenta and
    n_ncdm species of massive neutrinos.
    """

    rows: int
    damped: np.ndarray
    gravitates: np.ndarray
    groups: tuple[Group, ...]
    n_q: int
    n_ncdm: int

    def split(self, v):
        """Rows [..., rows, lanes] group by group."""
        return tuple(v[..., g.start : g.stop, :] for g in self.groups)

    def kinds(self, v):
        """Rows [..., rows, lanes] group by group, one row where all of a group are the same."""
        return tuple(part[..., :1, :] if g.same else part for g, part in zip(self.groups, self.split(v), strict=True))

    def join(self, groups):
        """All rows [..., rows, lanes] from those of each group; one row for all where they are the same."""
        full = lambda g, v: jnp.broadcast_to(v, (*v.shape[:-2], g.stop - g.start, v.shape[-1]))
        return jnp.concatenate([full(g, v) for g, v in zip(self.groups, groups, strict=True)], axis=-2)


def layout(precision, n_ncdm: int, curved: bool = False) -> Layout:
    """Rows in order: photon temperature, photon polarisation, massless neutrinos, massive neutrinos."""
    modes = tail(precision.n_tail, LAST if curved else 2)
    n = N_PHOTON + 1 + n_ncdm * precision.n_q
    groups = (Group(0, N_PHOTON, True, *modes), Group(N_PHOTON, N_PHOTON + 1, True, *modes))
    rows = np.arange(n)
    return Layout(
        n,
        damped=rows < N_PHOTON,
        gravitates=rows != photons.POLARISATION,
        groups=groups if not n_ncdm else (*groups, Group(N_PHOTON + 1, n, False, *modes)),
        n_q=precision.n_q,
        n_ncdm=n_ncdm,
    )


def moments(lay: Layout, background, a):
    """Weights [rows, ...] of l = 0, 1, 2 in a^2 delta rho, a^2 (rho+P) theta / k, a^2 (rho+P) sigma; d ln w_sigma."""
    parts = [photons.moments(background, a), massless_neutrinos.moments(background, a)]
    if lay.n_ncdm:
        parts.append(massive_neutrinos.moments(background, a, lay.n_q))
    return tuple(jnp.concatenate(p) for p in zip(*parts, strict=True))


def speeds(lay: Layout, background, a):
    """Free-streaming speed of each row [rows, ...]."""
    light = jnp.ones((N_PHOTON + 1, *a.shape))
    if not lay.n_ncdm:
        return light
    return jnp.concatenate([light, massive_neutrinos.speed(background, a, lay.n_q)])
