"""Hydrogen recombination: the effective four-level atom with HyRec-2's radiative-transfer correction.

Ali-Haimoud & Hirata (2010, 2011), arXiv:1006.1355, 1011.3758: all excited states but 2s and 2p are absorbed into
effective rates, tabulated in T_r and T_m / T_r. Lee & Ali-Haimoud (2020), arXiv:2007.14114: the Lyman-alpha escape
rate is divided by 1 + Delta(T_r), fitted to the full radiative-transfer calculation ("SWIFT").
"""

from functools import lru_cache, partial
from importlib.resources import files

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from boltzax.numerics.fusion import settle
from boltzax.numerics.table import keep, keep_scalars, node_weights
from boltzax.thermo import injection
from boltzax.thermo.collocation import mesh_nodes

K_EV = 8.617343e-5  # Boltzmann's constant [eV/K], as in the fits of HyRec-2
E_ION = 13.598286071938324  # ionization energy with the reduced mass [eV]
_SAHA = 3.016103031869581e21  # (2 pi mu_e)^(3/2) / h^3 [eV^-3/2 cm^-3]
_LYMAN_ALPHA = 4.662899067555897e15  # 8 pi / (3 lambda^3) [cm^-3]
_TWO_PHOTON = 8.2206  # 2s -> 1s [1/s]
_RATIO_DEGREE = 6  # degree in ln(T_m/T_r) of ln alpha: reproduces the tables to 1e-6
_T_PEEBLES = 0.004 / K_EV  # below this T_r [K] the tables end and HyRec-2 uses the case-B coefficient
_SWIFT_FIDUCIAL = (0.14175, 0.02242 * (1.0 - 0.246738546372), 3.046)  # omega_m, omega_b (1 - YHe), N_eff of the fit
T_CMB_REFERENCE = 2.7255  # T_cmb [K] for which the tables are laid on the mesh
T_CMB_FACTOR = 4.0  # T_cmb may be this far from it
_EDGE = 0.01  # width in ln T_r of the blends that stand for HyRec-2's switches


@lru_cache
def _rate_table() -> tuple[float, float, np.ndarray]:
    """First ln T_r [eV], spacing, and rows (ln alpha_2s, ln alpha_2p, ln R_2p2s, two polynomials in ln(T_m/T_r)).

    Beyond the tabulated range every column goes on linearly in ln T_r: above (z > 1700) hydrogen is in equilibrium,
    below (z < 16) the rows are not used.
    """
    with np.load(files("boltzax") / "data" / "hyrec2_rates.npz") as data:
        alpha, r_2p2s = np.log(data["alpha"]), np.log(data["R_2p2s"])  # alpha: level, T_r, ratio
        lo, hi = data["ln_T_range_eV"]
        u = np.log(np.linspace(*data["T_ratio_range"], alpha.shape[2]))
    powers = np.stack([u ** (k + 1) for k in range(_RATIO_DEGREE)], axis=1)
    excess = (alpha - alpha[:, :, -1:]).transpose(2, 0, 1).reshape(len(u), -1)
    fit = np.linalg.lstsq(powers, excess, rcond=None)[0].reshape(_RATIO_DEGREE, 2, -1)
    rows = np.concatenate([alpha[:, :, -1], r_2p2s[None], fit[:, 0], fit[:, 1]]).T
    dx, below, above = (hi - lo) / (len(r_2p2s) - 1), 70, 20
    first = rows[0] - np.arange(below, 0, -1)[:, None] * (rows[1] - rows[0])
    last = rows[-1] + np.arange(1, above + 1)[:, None] * (rows[-1] - rows[-2])
    return lo - below * dx, dx, np.concatenate([first, rows, last])


@lru_cache
def _swift_table() -> tuple[float, float, np.ndarray]:
    """First T_r [K], spacing, and rows (Delta, and its derivatives by omega_m, omega_b (1 - YHe), N_eff)."""
    with np.load(files("boltzax") / "data" / "hyrec2_rates.npz") as data:
        lo, hi = data["swift_T_range_K"]
        rows = data["swift"]
    return lo, (hi - lo) / (len(rows) - 1), rows


def _swift_range() -> tuple[float, float]:
    """First and last T_r [K]."""
    lo, spacing, rows = _swift_table()
    return lo, lo + spacing * (len(rows) - 1)


def _interpolate(table: tuple[float, float, np.ndarray], x: np.ndarray) -> np.ndarray:
    """The columns [m] + shape of x of a table, by the polynomial through six rows."""
    start, dx, rows = table
    s = (x - start) / dx
    i = np.clip(np.floor(s), 2, len(rows) - 4).astype(int)
    return sum(w * rows[i + k].T for k, w in enumerate(node_weights(s - i), -2))


@lru_cache
def _at_nodes(step: float, n: int) -> np.ndarray:
    """[19, 3, n + 2 margin]: columns of both tables at the nodes of n steps that end today, for T_cmb = 2.7255 K.

    The margin continues the mesh on both sides. At another T_cmb the same temperatures lie at other nodes, all moved
    by ln(T_cmb / 2.7255 K) / step: reading is shifting, without a search, and exact where the shift is a whole number.
    """
    margin = _margin(step)
    x = mesh_nodes(-(n + margin) * step, step, n + 2 * margin)
    T = T_CMB_REFERENCE * np.exp(-x)
    rates = [_interpolate(_rate_table(), row) for row in np.log(K_EV * T)]
    swift = [_interpolate(_swift_table(), row) for row in np.clip(T, *_swift_range())]
    return np.concatenate([np.stack(rates, axis=1), np.stack(swift, axis=1)])


def _margin(step: float) -> int:
    return int(np.log(T_CMB_FACTOR) / step) + 6


@partial(jax.custom_jvp, nondiff_argnums=(0, 2))
def _read(step: float, ln_T: Float[Array, "3 n"], order: int = 0) -> tuple[Float[Array, "3 n"], ...]:
    """The columns of `_at_nodes`, or their order-th derivative by ln T, at the nodes' temperatures [K]."""
    n = ln_T.shape[-1]
    table = _at_nodes(step, n)
    shift = (ln_T[0, 0] + mesh_nodes(-n * step, step, 1)[0, 0] - np.log(T_CMB_REFERENCE)) / step
    s = _margin(step) - shift
    i = jnp.clip(jnp.floor(s), 2, table.shape[2] - n - 3).astype(int)
    rows = settle(jax.lax.dynamic_slice(jnp.asarray(table), (0, 0, i - 2), (*table.shape[:2], n + 5)))
    weights = keep_scalars(*(w / (-step) ** order for w in node_weights(s - i, order)))
    return tuple(keep(*(sum(w * row[:, k : k + n] for k, w in enumerate(weights)) for row in rows)))


@_read.defjvp
def _read_jvp(step, order, primals, tangents):
    (ln_T,), (d_ln_T,) = primals, tangents
    return _read(step, ln_T, order), tuple(slope * d_ln_T for slope in _read(step, ln_T, order + 1))


def case_b(T: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """Case-B recombination coefficient [cm^3/s] at T [K]: Pequignot, Petitjean & Boisson (1991)."""
    ln_t = jnp.log(T / 1e4)
    return 4.309e-13 * jnp.exp(-0.6166 * ln_t) / (1.0 + 0.6703 * jnp.exp(0.53 * ln_t))


class EffectiveAtom(eqx.Module):
    """The part of the rates that does not depend on the unknowns, at the nodes of the mesh (arrays of one shape)."""

    alpha: list[Float[Array, "..."]]  # recombination to 2s, 2p at T_m = T_r [cm^3/s]
    ratio: list[Float[Array, "..."]]  # ln alpha as polynomials in ln(T_m/T_r), constant term left out
    beta: list[Float[Array, "..."]]  # photoionization from 2s, 2p [1/s]
    r_2p2s: Float[Array, "..."]  # 2p -> 2s [1/s]
    saha: Float[Array, "..."]  # x_e x_p / x_1s in equilibrium
    lyman: Float[Array, "..."]  # Lyman-alpha escape rate times x_1s [1/s]
    n_over_H: Float[Array, "..."]  # n_H / H [s/cm^3]
    T: Float[Array, "..."]  # T_r [K]
    late: Float[Array, "..."]  # weight of the case-B rate at low temperature
    two_photon: Float[Array, "..."] | float = _TWO_PHOTON  # 2s -> 1s [1/s]

    def rate(self, x_1: Float[Array, "..."], x_He2: Float[Array, "..."], cooling: Float[Array, "..."], injected=None):
        """d x_1 / d ln a of the neutral fraction x_1 [1]; cooling = 1 - T_m/T_r. arXiv:1011.3758 eqs. (43)-(46).

        injected: energy per nucleus and e-fold [K]; what it excites is ionized from 2s and, three times as often, 2p.
        """
        x_p = 1.0 - x_1
        x_e = x_p + x_He2
        excess_2s, excess_2p = (jnp.expm1(v) for v in self._excess(cooling))
        r, lyman = self.r_2p2s, self.lyman / x_1
        out_2s, out_2p = self.beta[0] + self.two_photon, self.beta[1] + lyman
        # determinant of the 2s-2p system, its cancelling 3 r^2 taken out
        det = out_2s * out_2p + r * (out_2s + 3.0 * out_2p)
        c_2s = (self.two_photon * (out_2p + r) + 3.0 * r * lyman) / det
        c_2p = (lyman * (out_2s + 3.0 * r) + r * self.two_photon) / det
        neutral = self.saha * x_1
        away = x_e * x_p - neutral  # from equilibrium at T_m = T_r
        four_level = c_2s * self.alpha[0] * (neutral * excess_2s + (1.0 + excess_2s) * away)
        four_level += c_2p * self.alpha[1] * (neutral * excess_2p + (1.0 + excess_2p) * away)
        three_level = case_b(self.T * (1.0 - cooling)) * x_e * x_p
        rate = self.n_over_H * (four_level + self.late * (three_level - four_level))
        if injected is None:
            return rate
        return rate - injection.ionization(injected, x_e, 1.0 - 0.25 * c_2s - 0.75 * c_2p)

    def _excess(self, cooling):
        """ln alpha(T_m, T_r) - ln alpha(T_r, T_r) for 2s and 2p; the tables end at T_m = 0.1 T_r."""
        u = jnp.log1p(-jnp.minimum(cooling, 0.9))
        for level in range(2):
            c = self.ratio[level * _RATIO_DEGREE : (level + 1) * _RATIO_DEGREE]
            p = c[-1]
            for k in range(_RATIO_DEGREE - 2, -1, -1):
                p = p * u + c[k]
            yield p * u


def effective_atom(
    step: float,
    T: Float[Array, "3 n"],
    n_H: Float[Array, "3 n"],
    H: Float[Array, "3 n"],
    fit: Float[Array, "3 ..."],
    fineness: Float[Array, "..."] | float = 1.0,
) -> EffectiveAtom:
    """Rates at T_r = T [K], n_H [cm^-3], H [1/s] on the nodes of a mesh of `step` in ln a that ends today.

    fit: departures from the fiducial model of the SWIFT correction; fineness: see `atomic`. Needs T_cmb within a factor
    T_CMB_FACTOR of 2.7255.
    """
    T_eV = K_EV * T
    ln_alpha_2s, ln_alpha_2p, ln_r_2p2s, *ratio, delta, by_matter, by_hydrogen, by_N = _read(step, jnp.log(T))
    alpha = [jnp.exp(ln_alpha_2s), jnp.exp(ln_alpha_2p)]
    boltzmann = _SAHA * T_eV * jnp.sqrt(T_eV)
    excited = boltzmann * jnp.exp(-0.25 * E_ION / T_eV)
    lyman, two_photon = fineness * _LYMAN_ALPHA * H / n_H, fineness * _TWO_PHOTON
    # probability that an excited atom is ionized; below 1 % HyRec-2 leaves the correction out
    ionization = excited * case_b(T)
    ionization = ionization / (3.0 * lyman + two_photon + ionization)
    correction = delta + fit[0] * by_matter + fit[1] * by_hydrogen + fit[2] * by_N
    applies = (ionization / 0.01) ** 10
    applies = applies / (1.0 + applies) * jax.nn.sigmoid(jnp.log(_swift_range()[1] / T) / _EDGE)
    beta = [alpha[0] * excited, alpha[1] * excited / 3.0]
    saha, lyman = boltzmann * jnp.exp(-E_ION / T_eV) / n_H, lyman / (1.0 + applies * correction)
    late = jax.nn.sigmoid(jnp.log(_T_PEEBLES / T) / _EDGE)
    fields = keep(*alpha, *beta, jnp.exp(ln_r_2p2s), saha, lyman, n_H / H, late)
    return EffectiveAtom(fields[:2], ratio, fields[2:4], *fields[4:8], T=T, late=fields[8], two_photon=two_photon)


def swift_departures(omega_m, omega_b, YHe, N_eff, T_cmb) -> Float[Array, " 3"]:
    """Departures from the fiducial model of the SWIFT fit, rescaled to T_cmb = 2.7255 K (arXiv:2007.14114)."""
    cube = (T_CMB_REFERENCE / T_cmb) ** 3
    omega_m_0, omega_H_0, N_0 = _SWIFT_FIDUCIAL
    return jnp.stack([(omega_m - omega_m_0) * cube, (omega_b * (1.0 - YHe) - omega_H_0) * cube, N_eff - N_0])
