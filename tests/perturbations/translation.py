"""From the state of the integrator, with its modal tails, to the plain variables of the textbook."""

import numpy as np
from tests.perturbations.textbook import tail_matrix


def cut(lay, l_max):
    """The layout with hierarchies that end, as the textbook's do; l_max for photons, massless and massive neutrinos."""
    return lay._replace(groups=tuple(_cut(g, n) for g, n in zip(lay.groups, l_max, strict=False)))


def _cut(group, l_max):
    """Eigenmodes of the explicit tail to l_max, one of each conjugate pair."""
    lam, right = np.linalg.eig(tail_matrix(l_max))
    keep, pair = lam.imag > -1e-12, np.where(lam.imag > 1e-12, 2.0, 1.0)
    c = 3.0 / 7.0 * pair * right[0] * np.linalg.inv(right)[:, 0]
    return group._replace(lam=lam[keep], c=c[keep])


def read_out(group):
    """V [l - 3, mode] with F_l = Re sum V w: eigenvectors of the explicit tail, F_3 as the layout says."""
    matrix = tail_matrix(len(group.lam) * 2 + 2 - (np.abs(group.lam.imag) < 1e-12).any())
    columns = []
    for lam, c in zip(group.lam, group.c, strict=True):
        values, vectors = np.linalg.eig(matrix)
        v = vectors[:, np.argmin(np.abs(values - lam))]
        columns.append(v / v[0] * c)
    return np.array(columns).T


class Translation:
    """Plain variables of the textbook from a State of one lane."""

    def __init__(self, lay, book):
        self.lay, self.book = lay, book
        self.read = [read_out(g) for g in lay.groups]

    def __call__(self, state):
        out = np.zeros(self.book.size)
        out[:4] = state.fluid[:, 0]
        psi_scale = np.concatenate([np.ones(3), -self.book.slope / 4.0])  # Q_l = 4 Psi_l / (-d ln f0/d ln q)
        for group, V, tail in zip(self.lay.groups, self.read, state.tails, strict=True):
            for row in range(group.start, group.stop):
                w = np.asarray(tail[0, :, row - group.start, 0] + 1j * tail[1, :, row - group.start, 0])
                f = np.concatenate([state.low[:, row, 0], (V @ w).real])
                out[self.book.hierarchies[row]] = f * psi_scale[row]
        return out
