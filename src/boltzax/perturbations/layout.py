"""Stacked hierarchies of all species: which row is whose, and the tables of their tails."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from boltzax.perturbations.hierarchy import tail
from boltzax.perturbations.species import massive_neutrinos, massless_neutrinos, photons

N_PHOTON = 2


class Layout(NamedTuple):
    """Static structure of the state.

    l_max [rows]; damped, gravitates [rows]: scattered by electrons, sourced by the metric; offsets [rows + 1] of each
    row's tail modes; lam, b, c [modes] complex; n_q momenta and n_ncdm species of massive neutrinos.
    """

    l_max: tuple[int, ...]
    damped: np.ndarray
    gravitates: np.ndarray
    offsets: np.ndarray
    lam: np.ndarray
    b: np.ndarray
    c: np.ndarray
    n_q: int
    n_ncdm: int

    @property
    def rows(self) -> int:
        return len(self.l_max)

    def row_sums(self, modes):
        """Sum [rows, ...] over each row's tail modes [modes, ...]."""
        return jnp.stack([modes[i:j].sum(0) for i, j in zip(self.offsets[:-1], self.offsets[1:], strict=True)])

    def to_modes(self, rows):
        """Repeat [rows, ...] for each row's tail modes."""
        return jnp.concatenate(
            [jnp.broadcast_to(rows[r], (int(n), *rows.shape[1:])) for r, n in enumerate(np.diff(self.offsets))]
        )


def layout(precision, n_ncdm: int) -> Layout:
    """Rows in order: photon temperature, photon polarisation, massless neutrinos, massive neutrinos."""
    l_max = photons.l_max(precision) + massless_neutrinos.l_max(precision) + massive_neutrinos.l_max(precision, n_ncdm)
    tails = [tail(l) for l in l_max]
    rows = np.arange(len(l_max))
    return Layout(
        l_max,
        damped=rows < N_PHOTON,
        gravitates=rows != photons.POLARISATION,
        offsets=np.concatenate([[0], np.cumsum([len(t.lam) for t in tails])]),
        lam=np.concatenate([t.lam for t in tails]),
        b=np.concatenate([t.b for t in tails]),
        c=np.concatenate([t.c for t in tails]),
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
