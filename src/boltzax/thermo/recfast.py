"""RECFAST 1.5: effective three-level hydrogen with fudge factors, helium with continuum opacity and triplets.

Seager, Sasselov & Scott (1999), arXiv:astro-ph/9909275; Wong, Moss & Scott (2008), arXiv:0711.1357; Rubino-Martin et
al. (2010), arXiv:0910.4383. Constants as in CLASS 3.4. SI units inside; the matter temperature enters all rates.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from boltzax.constants import C_LIGHT, H_PLANCK, HE4_TO_H_MASS, K_BOLTZMANN, M_ELECTRON, M_HYDROGEN
from boltzax.thermo import injection

_FUDGE_H = 1.14 - 0.015
_GAUSSIANS = ((-0.14, 7.28, 0.18), (0.079, 6.73, 0.33))  # amplitude, centre and width in ln(1 + z)
_FUDGE_HE = 0.86
_LAMBDA_H, _LAMBDA_HE = 8.2245809, 51.3  # two-photon rates [1/s]
# inverse wavelengths [1/m]: ionization, 2p, 2s; He triplet levels
_H_ION, _H_2P = 1.096787737e7, 8.225916453e6
_HE_ION, _HE_2S, _HE_2P = 1.98310772e7, 1.66277434e7, 1.71134891e7
_HE_2PT, _HE_2ST, _HE_2ST_ION = 1.690871466e7, 1.5985597526e7, 3.8454693845e6
_A_2P, _A_2PT = 1.798287e9, 177.58  # He 2p -> 1s, singlet and triplet [1/s]
_SIGMA_2P, _SIGMA_2PT = 1.436289e-22, 1.484872e-22  # H continuum at these lines [m^2]
_HC_K = H_PLANCK * C_LIGHT / K_BOLTZMANN
_PHASE_SPACE = 2.0 * np.pi * (M_ELECTRON / H_PLANCK) * (K_BOLTZMANN / H_PLANCK)


def _verner_ferland(T, a, b):
    """Recombination coefficient a / (t0 (1 + t0)^(1 - b) (1 + t1)^(1 + b)) [m^3/s], t_i = sqrt(T / T_i)."""
    t0, t1 = jnp.sqrt(T / 10.0**0.477121), jnp.sqrt(T / 10.0**5.114)
    return a / (t0 * (1.0 + t0) ** (1.0 - b) * (1.0 + t1) ** (1.0 + b))


def _escape(tau):
    return -jnp.expm1(-tau) / tau


def _continuum(rate, line, sigma, T, x_He1, x_1, p, q, x_1_on):
    """Line photons per second that hydrogen atoms absorb: rate / (1 + p gamma^q) (arXiv:0711.1357).

    RECFAST counts them once the neutral fraction x_1 exceeds x_1_on; here over a tenth of an e-fold of x_1.
    """
    doppler = C_LIGHT * line * jnp.sqrt(2.0 * K_BOLTZMANN * T / (M_HYDROGEN * HE4_TO_H_MASS * C_LIGHT**2))
    gamma = 3.0 * rate * x_He1 / (np.sqrt(np.pi) * sigma * 8.0 * np.pi * doppler * x_1) / line**2
    return jax.nn.sigmoid(jnp.log(x_1 / x_1_on) / 0.05) * rate / (1.0 + p * gamma**q)


class RecfastHydrogen(eqx.Module):
    """Node values of T_r [K], n_H [m^-3], H [1/s], the Lyman-alpha factor K [m^3 s] and the two-photon rate [1/s]."""

    T: Float[Array, "..."]
    n_H: Float[Array, "..."]
    H: Float[Array, "..."]
    K: Float[Array, "..."]
    two_photon: Float[Array, "..."] | float

    def rate(self, x_1, x_He2, cooling, injected=None):
        """d x_1 / d ln a of the neutral fraction of hydrogen; cooling = 1 - T_m/T_r; injected: see `hydrogen`."""
        T = self.T * (1.0 - cooling)
        t = T / 1e4
        down = 1e-19 * 4.309 * t**-0.6166 / (1.0 + 0.6703 * t**0.53)
        up = down * (_PHASE_SPACE * T) ** 1.5 * jnp.exp(-_HC_K * (_H_ION - _H_2P) / T)
        leave = 1.0 / (self.K * self.n_H * x_1) + self.two_photon
        peebles = _FUDGE_H * leave / (leave + _FUDGE_H * up)
        x_p = 1.0 - x_1
        x_e = x_p + x_He2
        rate = (x_e * x_p * self.n_H * down - up * x_1 * jnp.exp(-_HC_K * _H_2P / T)) * peebles / self.H
        return rate if injected is None else rate - injection.ionization(injected, x_e, up / (leave + up))


class RecfastHelium(eqx.Module):
    """Node values of T_r [K], n_H [m^-3], H [1/s]; helium nuclei per hydrogen nucleus; see `atomic` for fineness."""

    T: Float[Array, "..."]
    n_H: Float[Array, "..."]
    H: Float[Array, "..."]
    f_He: Float[Array, ""]
    fineness: Float[Array, "..."] | float = 1.0

    def rate(self, neutral, x_1, cooling):
        """d(neutral fraction of helium)/d ln a, given the neutral fraction of hydrogen x_1; all corrections on."""
        T = self.T * (1.0 - cooling)
        x_He1, ionized = self.f_He * neutral, 1.0 - neutral
        x_e = 1.0 - x_1 + self.f_He * ionized
        boltzmann = (_PHASE_SPACE * T) ** 1.5
        sobolev = 3.0 * self.n_H * x_He1 / (8.0 * np.pi * self.H * self.fineness)

        down = _verner_ferland(T, 10.0**-16.744, 0.711)
        up = 4.0 * down * boltzmann * jnp.exp(-_HC_K * (_HE_ION - _HE_2S) / T)
        out = _A_2P * _escape(_A_2P * sobolev / _HE_2P**3)
        out += _continuum(_A_2P, _HE_2P, _SIGMA_2P, T, x_He1, x_1, 0.36, _FUDGE_HE, 1e-7)
        leave = 3.0 * out * jnp.exp(-_HC_K * (_HE_2P - _HE_2S) / T) + _LAMBDA_HE * self.fineness
        singlet = x_e * ionized * self.n_H * down - up * neutral * jnp.exp(-_HC_K * _HE_2S / T)
        singlet *= leave / (leave + up)

        down = _verner_ferland(T, 10.0**-16.306, 0.761)
        up = 4.0 / 3.0 * down * boltzmann * jnp.exp(-_HC_K * _HE_2ST_ION / T)
        out = _A_2PT * _escape(_A_2PT * sobolev / _HE_2PT**3)
        out += _continuum(_A_2PT, _HE_2PT, _SIGMA_2PT, T, x_He1, x_1, 0.66, 0.9, 1e-5) / 3.0
        leave = out * jnp.exp(-_HC_K * (_HE_2PT - _HE_2ST) / T)
        triplet = x_e * ionized * self.n_H * down - 3.0 * up * neutral * jnp.exp(-_HC_K * _HE_2ST / T)
        triplet *= leave / (leave + up)
        return (singlet + triplet) / self.H


def hydrogen_rates(
    T: Float[Array, "*s"],
    n_H: Float[Array, "*s"],
    H: Float[Array, "*s"],
    ln_a: Float[Array, "*s"],
    fineness: Float[Array, "..."] | float = 1.0,
) -> RecfastHydrogen:
    """Hydrogen of RECFAST at T_r [K], n_H [cm^-3], H [1/s]; the Gaussians of version 1.5 correct K."""
    correction = 1.0 + sum(A * jnp.exp(-(((-ln_a - centre) / width) ** 2)) for A, centre, width in _GAUSSIANS)
    K = correction / (8.0 * np.pi * _H_2P**3 * H * fineness)
    return RecfastHydrogen(T, 1e6 * n_H, H, K, fineness * _LAMBDA_H)


def helium_rates(T, n_H, H, f_He, fineness=1.0) -> RecfastHelium:
    """Helium of RECFAST at T_r [K], n_H [cm^-3], H [1/s]."""
    return RecfastHelium(T, 1e6 * n_H, H, f_He, fineness)
