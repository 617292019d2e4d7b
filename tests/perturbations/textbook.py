"""Ma & Bertschinger (1995) in the synchronous gauge as one dense matrix: y' = A(tau, k) y, written to be read.

Plain variables, plain numpy: eta, delta_cdm, delta_b, theta_b; photons F_l, G_l; massless neutrinos N_l; massive
neutrinos Psi_l(q) themselves. h' and eta' are no unknowns but linear functions of y (the constraints). Nothing here
comes from `boltzax.perturbations` but the momenta at which Psi is followed. Densities are rho = 8 pi G rho / 3.
"""

import itertools
from dataclasses import dataclass

import numpy as np

from boltzax.numerics.quadrature import gauss_fermi

ETA, CDM, BARYON, THETA_B = range(4)


@dataclass(frozen=True)
class Densities:
    """Of today, [1/Mpc^2]; ncdm: what one massive species would have without mass; mass: m / (k_B T)."""

    photons: float
    baryons: float
    cdm: float
    massless: float
    ncdm: float = 0.0
    mass: float = 0.0

    @classmethod
    def of(cls, bg):
        """From a `boltzax.background.Background` with at most one massive species."""
        one = lambda v: float(v[0]) if v.shape[0] else 0.0
        own = (bg.rho_g, bg.rho_b, bg.rho_cdm, bg.rho_ur)
        return cls(*(float(v) for v in own), one(bg.rho_ncdm_massless), one(bg.M_ncdm))


class Textbook:
    """The equations for one wavenumber; l_max: of F, G, N and Psi; n_q momenta (0: no massive neutrinos)."""

    def __init__(self, densities: Densities, k: float, l_max: tuple[int, int, int, int], n_q: int = 0):
        self.rho, self.k, self.l_max = densities, k, l_max
        lengths = [l_max[0] + 1, l_max[1] + 1, l_max[2] + 1] + [l_max[3] + 1] * n_q
        starts = 4 + np.concatenate([[0], np.cumsum(lengths)])
        self.hierarchies = [slice(int(i), int(j)) for i, j in itertools.pairwise(starts)]
        self.size = int(starts[-1])
        self.F, self.G, self.N, *self.Psi = (s.start for s in self.hierarchies)
        self.q, weight = gauss_fermi(n_q) if n_q else (np.zeros(0), np.zeros(0))
        self.slope = -self.q / (1.0 + np.exp(-self.q))  # d ln f0 / d ln q
        norm = 7.0 * np.pi**4 / 120.0  # of int q^3 f0 dq
        self.weight = densities.ncdm / norm * weight / -self.slope  # of q^2 f0 dq, times rho of the massless case

    def row(self, *entries):
        """Linear function of y: sum of value * y[index]."""
        out = np.zeros(self.size)
        for index, value in entries:
            out[index] += value
        return out

    def delta_rho(self, a):
        """a^2 times the density perturbation of everything."""
        r = self.rho
        eps = np.sqrt(self.q**2 + (a * r.mass) ** 2)
        massive = zip(self.Psi, self.weight * eps / a**2, strict=True)
        light = ((self.F, r.photons / a**2), (self.N, r.massless / a**2))
        return self.row((CDM, r.cdm / a), (BARYON, r.baryons / a), *light, *massive)

    def momentum(self, a):
        """a^2 (rho + P) theta of everything; (4/3) rho theta = k rho F_1 for radiation."""
        r, k = self.rho, self.k
        massive = [(i + 1, k * w * q / a**2) for i, w, q in zip(self.Psi, self.weight, self.q, strict=True)]
        light = ((self.F + 1, k * r.photons / a**2), (self.N + 1, k * r.massless / a**2))
        return self.row((THETA_B, r.baryons / a), *light, *massive)

    def shear(self, a):
        """a^2 (rho + P) sigma of everything; (4/3) rho F_2 / 2 for radiation."""
        r = self.rho
        eps = np.sqrt(self.q**2 + (a * r.mass) ** 2)
        massive = [(i + 2, v) for i, v in zip(self.Psi, 2 / 3 * self.weight * self.q**2 / eps / a**2, strict=True)]
        light = ((self.F + 2, 2 / 3 * r.photons / a**2), (self.N + 2, 2 / 3 * r.massless / a**2))
        return self.row(*light, *massive)

    def pressure(self, a):
        """a^2 delta P of everything but baryons, whose pressure the equations for delta_b leave out as well."""
        r = self.rho
        eps = np.sqrt(self.q**2 + (a * r.mass) ** 2)
        massive = zip(self.Psi, self.weight * self.q**2 / (3 * eps) / a**2, strict=True)
        return self.row((self.F, r.photons / a**2 / 3), (self.N, r.massless / a**2 / 3), *massive)

    def metric(self, a, aH):
        """h' from eq. (21a) and eta' from (21b), as rows; 4 pi G a^2 delta rho is 3/2 delta_rho."""
        h_prime = 2 / aH * (self.k**2 * self.row((ETA, 1.0)) + 1.5 * self.delta_rho(a))
        return h_prime, 1.5 * self.momentum(a) / self.k**2

    def matrix(self, a, aH, kappa_prime, cb2):
        """A(tau, k) [size, size]."""
        A, k, y = np.zeros((self.size, self.size)), self.k, np.eye(self.size)
        F, G, N = self.F, self.G, self.N
        h, eta = self.metric(a, aH)
        theta_g = 0.75 * k * y[F + 1]
        polar = y[F + 2] + y[G] + y[G + 2]
        R = 4 * self.rho.photons / (3 * self.rho.baryons * a)
        A[ETA] = eta
        A[CDM] = -h / 2  # (42)
        A[BARYON] = -y[THETA_B] - h / 2  # (66)
        A[THETA_B] = -aH * y[THETA_B] + cb2 * k**2 * y[BARYON] + R * kappa_prime * (theta_g - y[THETA_B])
        self._stream(A, F, self.l_max[0], k)  # (63)
        A[F] -= 2 / 3 * h
        A[F + 1] += kappa_prime * (4 / (3 * k) * y[THETA_B] - y[F + 1])
        A[F + 2] += 4 / 15 * h + 8 / 5 * eta + kappa_prime * (polar / 10 - y[F + 2])
        self._stream(A, G, self.l_max[1], k)  # (64)
        A[G] += kappa_prime * polar / 2
        A[G + 2] += kappa_prime * polar / 10
        for first, l_max, scattered_from in ((F, self.l_max[0], 3), (G, self.l_max[1], 0)):
            for l in range(scattered_from, l_max + 1):
                A[first + l, first + l] -= kappa_prime
        self._stream(A, N, self.l_max[2], k)  # (49)
        A[N] -= 2 / 3 * h
        A[N + 2] += 4 / 15 * h + 8 / 5 * eta
        for first, q, slope in zip(self.Psi, self.q, self.slope, strict=True):  # (56), (57)
            self._stream(A, first, self.l_max[3], k * q / np.sqrt(q**2 + (a * self.rho.mass) ** 2))
            A[first] += h / 6 * slope
            A[first + 2] -= (h / 15 + 2 / 5 * eta) * slope
        return A

    @staticmethod
    def _stream(A, first, l_max, speed):
        """F_l' = speed / (2l + 1) [l F_{l-1} - (l + 1) F_{l+1}]; outflow at the end, F_L' = speed (F_{L-1} - F_L)."""
        for l in range(l_max):
            if l:
                A[first + l, first + l - 1] += speed * l / (2 * l + 1)
            A[first + l, first + l + 1] -= speed * (l + 1) / (2 * l + 1)
        A[first + l_max, first + l_max - 1] += speed
        A[first + l_max, first + l_max] -= speed


def tail_matrix(l_max: int) -> np.ndarray:
    """The streaming matrix of F_3..F_L by itself, at speed 1 and undamped."""
    A = np.zeros((l_max + 1, l_max + 1))
    Textbook._stream(A, 0, l_max, 1.0)
    return A[3:, 3:]
